"""Numbers for moves, and masks of the legal ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Dict, Discrete, MultiDiscrete, Tuple
from gymnasium.utils.env_checker import check_env

from openenv_gym.errors import InvalidAction, InvalidArgument, LayoutMismatch, ResetNeeded
from openenv_gym.wrappers import LegalActions, SelectFields
from tests.environments import Counter
from tests.wrappers.games import LETTERS, ConnectFour

FULL = [0, 0, 0, 0, 0, 0]


class Telling(Counter):
    """Tells in its info whatever it is given."""

    def __init__(self, told: Any, space: Any) -> None:
        super().__init__()
        self.told, self.action_space = told, space
        self.taken: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=seed)[0], {"legal": self.told}

    def step(self, action: Any) -> Any:
        self.taken.append(action)
        return self._observation(), 0.0, False, False, {"legal": self.told}


@pytest.mark.parametrize("legal", ["numbers", "mask"])
def test_a_discrete_space_is_masked_as_it_is(legal: Any) -> None:
    env = LegalActions(ConnectFour(legal))
    assert env.action_space == Discrete(7)
    with pytest.raises(ResetNeeded):
        env.action_masks()
    _, info = env.reset(seed=1)
    assert info["action_mask"].dtype == np.int8 and info["action_mask"].all()
    for column in FULL:
        *_, info = env.step(column)
    assert info["action_mask"].tolist() == env.action_masks().tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert env.action_space.sample(info["action_mask"]) != 0


def test_an_illegal_action_is_refused_before_the_environment_sees_it() -> None:
    env = LegalActions(ConnectFour())
    env.reset()
    for column in FULL:
        env.step(column)
    for action in (0, 7, -1, 1.5, [1], "1", None):
        with pytest.raises(InvalidAction, match="is not legal now; legal: 1, 2, 3, 4, 5, 6"):
            env.step(action)
    assert env.unwrapped.asked == FULL  # type: ignore[attr-defined]
    env.step(np.int64(1))


def test_names_get_the_numbers_of_a_list_that_never_changes() -> None:
    env = LegalActions(ConnectFour("names"), moves=LETTERS[:7])
    env.reset()
    for column in FULL:
        env.step(column)
    assert env.action_masks().tolist() == [False] + [True] * 6
    assert env.legal_moves() == {letter: number for number, letter in enumerate("abcdefg") if number}
    with pytest.raises(InvalidAction, match=r"0 \(a\) is not legal now; legal: 1 \(b\), 2 \(c\)"):
        env.step(0)
    with pytest.raises(LayoutMismatch, match="'g' is told to be legal, and is not among moves="):
        LegalActions(ConnectFour("names"), moves="abcdef").reset()


def test_names_get_their_place_among_those_that_are_legal_now() -> None:
    env = LegalActions(ConnectFour("names"), max_moves=9)
    _, info = env.reset()
    assert info["action_mask"].tolist() == [1] * 7 + [0] * 2
    for _ in FULL:
        env.step(0)
    assert env.legal_moves() == {letter: place for place, letter in enumerate("bcdefg")}
    env.step(0)
    assert env.unwrapped.asked == [*FULL, 1]  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgument, match="7 moves are legal where max_moves is 5"):
        LegalActions(ConnectFour("names"), max_moves=5).reset()


def test_places_can_be_of_a_discrete_space_too() -> None:
    env = LegalActions(Telling([4, 9], Discrete(10)), "legal", max_moves=3)
    _, info = env.reset()
    assert info["action_mask"].tolist() == [1, 1, 0]
    env.step(1)
    assert env.unwrapped.taken == [9]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("told", "mask"),
    [
        ([1, 3], [1, 0, 1]),
        ((np.int64(2),), [0, 1, 0]),
        (np.array([1, 2]), [1, 1, 0]),
        (np.array([1, 0, 1], np.int8), [1, 0, 1]),
        ([True, False, True], [1, 0, 1]),
        ([0, 0, 1], [0, 0, 1]),
        (np.array([0, 1, 1], np.float32), [0, 1, 1]),
        ([], [0, 0, 0]),
    ],
)
def test_a_space_that_starts_at_one_is_numbered_as_it_is(told: Any, mask: list[int]) -> None:
    env = LegalActions(Telling(told, Discrete(3, start=1)), "info.legal")
    assert env.reset()[1]["action_mask"].tolist() == mask


def test_zeros_and_ones_that_could_be_either_are_what_form_says() -> None:
    two = Discrete(2)
    assert LegalActions(Telling([1, 0], two), "legal").reset()[1]["action_mask"].tolist() == [1, 1]
    masked = LegalActions(Telling([1, 0], two), "legal", form="mask")
    assert masked.reset()[1]["action_mask"].tolist() == [1, 0]


def test_places_and_masks_of_a_list_are_told_too() -> None:
    moves = ["north", "south", "wait"]
    for told in ([0, 2], [1, 0, 1], ["north", "wait"]):
        env = LegalActions(Telling(told, Counter().action_space), "legal", moves=moves)
        assert env.reset()[1]["action_mask"].tolist() == [1, 0, 1]
        env.step(2)
        assert env.unwrapped.taken == ["wait"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            None,
            "no field 'legal' tells the legal moves; fields of the observation: none, of the info: 'legal'",
        ),
        ("a b", "neither a list of legal moves nor a mask"),
        ([5], "5 is told to be legal, and is no action of Discrete"),
        ([True] * 4, "is a mask of 4 actions where there are 3"),
        (np.ones((2, 2)), "neither a list"),
    ],
)
def test_what_tells_no_legal_moves_is_named(told: Any, why: str) -> None:
    with pytest.raises(LayoutMismatch, match=why):
        LegalActions(Telling(told, Discrete(3)), "legal").reset()


def test_a_function_can_tell() -> None:
    env = LegalActions(Telling("1 or 2", Discrete(3)), lambda _, info: [int(info["legal"][0])])
    assert env.reset()[1]["action_mask"].tolist() == [0, 1, 0]


def test_arguments_that_cannot_be_used_say_what_can() -> None:
    with pytest.raises(InvalidArgument, match="pass moves= all there are, or max_moves="):
        LegalActions(ConnectFour("names"))
    with pytest.raises(InvalidArgument, match="pass either moves="):
        LegalActions(ConnectFour("names"), moves="ab", max_moves=3)
    for count in (0, True, 2.0):
        with pytest.raises(InvalidArgument, match="at least one move"):
            LegalActions(ConnectFour("names"), max_moves=count)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="form is 'mask' or 'moves'"):
        LegalActions(ConnectFour(), form="list")  # type: ignore[arg-type]


def test_nothing_is_legal_when_the_game_is_over() -> None:
    env = LegalActions(ConnectFour())
    env.reset()
    for column in (0, 1, 0, 1, 0, 1):
        env.step(column)
    *_, terminated, _, info = env.step(0)
    assert terminated and not info["action_mask"].any()
    with pytest.raises(InvalidAction, match="none is; call reset"):
        env.step(0)


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_it_passes_gymnasiums_own_check() -> None:
    check_env(SelectFields(LegalActions(ConnectFour()), "board"), skip_render_check=True)


GRID = Dict(row=Discrete(2), column=Discrete(3, start=1))
PAIRS = [[0, 1], [1, 3]]


@pytest.mark.parametrize(
    ("space", "order", "taken"),
    [
        (GRID, ["row", "column"], {"row": 1, "column": 3}),
        (Tuple([Discrete(2), Discrete(3, start=1)]), None, (1, 3)),
        (MultiDiscrete([2, 3], start=[0, 1]), None, [1, 3]),
    ],
)
def test_moves_that_list_values_are_those_of_the_parts_of_an_action(
    space: Any, order: Any, taken: Any
) -> None:
    for told in (PAIRS, np.array(PAIRS), tuple(map(tuple, PAIRS)), [True, *[False] * 4, True], [0, 5]):
        env = LegalActions(Telling(told, space), "legal", order=order)
        assert env.action_space == Discrete(6)
        assert env.reset()[1]["action_mask"].tolist() == [1, 0, 0, 0, 0, 1]
        with pytest.raises(InvalidAction):
            env.step(1)
        env.step(5)
        (last,) = env.unwrapped.taken  # type: ignore[attr-defined]
        assert last in space and (last.tolist() if isinstance(last, np.ndarray) else last) == taken
    each: list[dict[str, Any]] = [{"max_moves": 2}, {"moves": PAIRS}, {"moves": [[0, 1], taken]}]
    for options in each:
        env = LegalActions(Telling(PAIRS, space), "legal", order=order, **options)
        assert env.reset()[1]["action_mask"].tolist() == [1, 1]
        env.step(1)
        assert str(env.unwrapped.taken) == str([last])  # type: ignore[attr-defined]


def test_a_stated_order_counts_and_moves_by_name_need_none() -> None:
    env = LegalActions(Telling([[3, 1]], GRID), "legal", order=("column", "row"))
    env.reset()
    assert env.legal_moves() == {"{'column': 3, 'row': 1}": 5}
    named = LegalActions(Telling([{"row": 1, "column": 3}], GRID), "legal", order=["row", "column"])
    assert named.reset()[1]["action_mask"].tolist() == [0, 0, 0, 0, 0, 1]


def test_values_of_which_the_fields_are_not_known_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="or order= the fields"):
        LegalActions(Telling(PAIRS, GRID), "legal")
    with pytest.raises(LayoutMismatch, match="nothing says which fields its values are of; pass order="):
        LegalActions(Telling(PAIRS, GRID), "legal", max_moves=2).reset()
    for order in (["row"], ["row", "row"], "row", ["row", "line"], []):
        with pytest.raises(InvalidArgument, match="names each field of a Dict action once"):
            LegalActions(Telling(PAIRS, GRID), "legal", order=order)
    for told in ([[2, 1]], [[0, 0]], [[0, 1, 2]], ["a1"], [[0.5, 1]], [[False, True]], [[[0], 1]]):
        for most in (None, 2):
            with pytest.raises(LayoutMismatch, match="is told to be legal"):
                LegalActions(Telling(told, GRID), "legal", order=["row", "column"], max_moves=most).reset()
