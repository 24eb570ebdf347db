"""The other seat of a game, played."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit

from openenv_gym.errors import InvalidArgument, LayoutMismatch, ResetNeeded
from openenv_gym.wrappers import LegalActions, SeatOpponent
from tests.wrappers.games import ConnectFour


def leftmost(observation: Any, info: Any, legal: list[Any], chance: np.random.Generator) -> Any:
    return legal[0]


def rightmost(observation: Any, info: Any, legal: list[Any], chance: np.random.Generator) -> Any:
    return legal[-1]


def play(
    env: gymnasium.Env[Any, Any], choose: Callable[[Any], Any], seed: int | None
) -> tuple[list[float], dict[str, Any]]:
    observation, info = env.reset(seed=seed)
    rewards, over = [], False
    while not over:
        observation, reward, terminated, truncated, info = env.step(choose(observation))
        rewards.append(float(reward))
        over = terminated or truncated
    return rewards, info


def first_legal(observation: Any) -> Any:
    return observation["legal_actions"][0]


@pytest.mark.parametrize("turn", ["current_player", "info.next_player", None])
def test_a_step_is_a_move_and_its_answer(turn: str | None) -> None:
    env = SeatOpponent(ConnectFour(), turn=turn, policy=rightmost)
    env.reset()
    observation, reward, *_, info = env.step(0)
    assert observation["board"][-1].tolist() == [1, 0, 0, 0, 0, 0, -1]
    assert observation["current_player"] == 1 and reward == 0
    assert info["opponent_actions"] == (6,) and info["seat"] == (0 if turn is None else 1)


def test_rewards_are_the_learners() -> None:
    won, _ = play(SeatOpponent(ConnectFour(), policy=rightmost), first_legal, None)
    assert won == [0, 0, 0, 1]
    lost, _ = play(SeatOpponent(ConnectFour(), seat="second", policy=rightmost), first_legal, None)
    assert lost == [0, 0, -1]


def test_rewards_can_be_those_of_the_first_seat_or_the_learners_already() -> None:
    def total(**arguments: Any) -> float:
        env = SeatOpponent(ConnectFour(), policy=rightmost, **arguments)
        return sum(play(env, first_legal, None)[0])

    assert total(rewards="first") == 1
    assert total(rewards="first", seat="second") == -1
    assert total(rewards="learner", seat="second") == 1


def test_the_second_seat_begins_after_a_move() -> None:
    env = SeatOpponent(ConnectFour(), turn="current_player", seat="second", policy=leftmost)
    observation, info = env.reset()
    assert observation["board"].sum() == 1 and observation["current_player"] == -1
    assert info["seat"] == -1 and info["opponent_actions"] == (0,)
    observation, *_ = env.step(6)
    assert observation["current_player"] == -1 and np.abs(observation["board"]).sum() == 3


def test_a_random_seat_is_drawn_for_each_game_from_the_seed() -> None:
    env = SeatOpponent(ConnectFour(), seat="random")

    def seats() -> list[int]:
        return [env.reset(seed=seed)[1]["seat"] for seed in (3, *[None] * 20)]

    drawn = seats()
    assert set(drawn) == {0, 1} and seats() == drawn


def test_the_opponents_chance_comes_from_the_seed_and_goes_on_without_one() -> None:
    env = SeatOpponent(ConnectFour())

    def game(seed: int | None) -> Any:
        play(env, first_legal, seed)
        return list(env.unwrapped.asked)  # type: ignore[attr-defined]

    first, second = game(5), game(None)
    assert first != second
    assert (game(5), game(None)) == (first, second)
    assert game(6) != first


def test_the_opponents_chance_is_not_the_environments() -> None:
    drawn = np.random.default_rng(5).integers(7, size=20).tolist()
    env = SeatOpponent(ConnectFour(rows=30))
    play(env, first_legal, 5)
    assert env.unwrapped.asked[1::2] != drawn[: len(env.unwrapped.asked[1::2])]  # type: ignore[attr-defined]


@pytest.mark.parametrize("legal", ["numbers", "mask", "names"])
def test_no_move_of_a_random_opponent_is_illegal(legal: Any) -> None:
    env = SeatOpponent(ConnectFour(legal, rows=3, columns=4))
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            told = observation["legal_actions"]
            choice = int(np.flatnonzero(told)[0]) if legal == "mask" else told[-1]
            observation, _, over, *_ = env.step(choice)
    assert env.unwrapped.illegal == 0  # type: ignore[attr-defined]


def test_masks_stand_within_or_without() -> None:
    outside = LegalActions(SeatOpponent(ConnectFour(rows=2), turn="current_player"))
    inside = SeatOpponent(LegalActions(ConnectFour(rows=2)), turn="current_player")
    for (one, other), seed in itertools.product([(outside, inside)], range(5)):
        assert (one.reset(seed=seed)[1]["action_mask"] == other.reset(seed=seed)[1]["action_mask"]).all()
        over = False
        while not over:
            masks = one.action_masks(), other.get_wrapper_attr("action_masks")()
            assert (masks[0] == masks[1]).all()
            action = int(np.flatnonzero(masks[0])[0])
            (*_, over, _, _), (*_, same, _, _) = one.step(action), other.step(action)
            assert over == same


def test_a_time_limit_within_counts_both_and_one_without_the_learners() -> None:
    within = SeatOpponent(TimeLimit(ConnectFour(), 3), policy=rightmost)
    without = TimeLimit(SeatOpponent(ConnectFour(), policy=rightmost), 3)
    assert len(play(within, first_legal, None)[0]) == 2
    assert len(play(without, first_legal, None)[0]) == 3


def test_a_step_without_a_game_is_refused() -> None:
    env = SeatOpponent(ConnectFour(), policy=rightmost)
    with pytest.raises(ResetNeeded):
        env.step(0)
    play(env, first_legal, None)
    with pytest.raises(ResetNeeded):
        env.step(0)


def test_what_cannot_be_known_is_said() -> None:
    with pytest.raises(LayoutMismatch, match="says not whose turn it is; fields of the observation: 'board'"):
        SeatOpponent(ConnectFour(), turn="player").reset()
    blind = SeatOpponent(ConnectFour(), legal="moves")
    blind.reset()
    with pytest.raises(LayoutMismatch, match="no field 'moves' tells the legal moves"):
        blind.step(0)
    with pytest.raises(InvalidArgument, match="over before the learner's first turn"):
        SeatOpponent(TimeLimit(ConnectFour(), 1), seat="second").reset()
    for wrong in ({"seat": "third"}, {"rewards": "mine"}):
        with pytest.raises(InvalidArgument, match="is one of"):
            SeatOpponent(ConnectFour(), **wrong)  # type: ignore[arg-type]


def test_a_policy_of_ones_own_needs_no_legal_moves() -> None:
    env = SeatOpponent(ConnectFour(), legal="nowhere", policy=lambda *_: 6)
    env.reset()
    env.step(0)
    assert env.unwrapped.asked == [0, 6]  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_it_passes_gymnasiums_own_check() -> None:
    check_env(SeatOpponent(ConnectFour(), turn="current_player", seat="second"), skip_render_check=True)
