"""Actions as people type them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from openenv_gym.errors import InvalidAction
from openenv_gym.spaces import same_value
from openenv_gym.wrappers.answers import Names, describe, names_of, read_action
from openenv_gym.wrappers.parsing import ALPHABET

ANY = Names()


@pytest.mark.parametrize(
    ("space", "said", "action"),
    [
        (Discrete(3), "2", np.int64(2)),
        (Discrete(3, start=-1), "-1", np.int64(-1)),
        (Box(-1, 1, (2,), np.float32), "0.5 -1", np.array([0.5, -1], np.float32)),
        (Box(-1, 1, (2, 1), np.float64), "[0.5, 1]", np.array([[0.5], [1.0]])),
        (MultiDiscrete([2, 5]), "1 4", np.array([1, 4])),
        (MultiBinary(3), "010", np.array([0, 1, 0], np.int8)),
        (MultiBinary(3), "0 1 0", np.array([0, 1, 0], np.int8)),
        (Text(5), "abc", "abc"),
        (Tuple([Discrete(2), Discrete(3)]), "[1, 2]", (np.int64(1), np.int64(2))),
        (Dict(key=Discrete(2)), '{"key": 1}', {"key": np.int64(1)}),
    ],
)
def test_each_space_has_its_natural_form(space: Space[Any], said: str, action: Any) -> None:
    read = read_action(space, said, ANY)
    assert same_value(read, action) and space.contains(read)


@pytest.mark.parametrize(
    ("space", "said", "why"),
    [
        (Discrete(3), "3", "3 is none of them; type a number from 0 to 2"),
        (Discrete(3), "left", "'left' is no action; type a number from 0 to 2"),
        (Box(-1, 1, (2,)), "1", "1 of 2 numbers came; type 2 numbers, -1 to 1"),
        (Box(-1, 1, (2,)), "0 5", "number 2 is 5; it lies between -1 and 1"),
        (Box(-1, 1, (1,)), "nan", "it lies between -1 and 1"),
        (Box(-1, 1, (1,)), "up", "'up' is not numbers alone; type a number, -1 to 1"),
        (MultiDiscrete([2, 5]), "1 5", "outside its range; type 2 whole numbers: 0 to 1, 0 to 4"),
        (MultiDiscrete([2, 5]), "1 0.5", "not numbers alone"),
        (MultiDiscrete([2, 5], dtype=np.int8), "1 260", "outside its range"),
        (MultiBinary(2), "12", "outside its range; type 2 digits, each 0 or 1"),
        (Text(3), "abcd", "type 1 to 3 of the letters"),
        (Text(3, charset=ALPHABET), "abcd", "type 1 to 3 characters"),
        (Dict(key=Discrete(2)), "1", 'type JSON, such as {"key": '),
        (Dict(key=Discrete(2)), "{", "that is no JSON"),
    ],
)
def test_what_is_none_is_refused_with_what_to_type(space: Space[Any], said: str, why: str) -> None:
    with pytest.raises(InvalidAction) as caught:
        read_action(space, said, ANY)
    assert why in str(caught.value)


def test_names_are_taken_beside_numbers() -> None:
    names = Names({0: "NOOP", 1: "FIRE"})
    assert read_action(Discrete(2), "fire", names) == 1
    assert describe(Discrete(2), names) == "type a number or a name: 0 NOOP, 1 FIRE"


def test_a_mask_names_what_is_legal() -> None:
    names = Names({0: "a", 1: "b", 2: "c"}, np.array([1, 0, 1], np.int8))
    assert describe(Discrete(3), names) == "type one of 2: a, c"
    with pytest.raises(InvalidAction, match="1 b is not legal now"):
        read_action(Discrete(3), "b", names)
    many = Names(mask=(np.arange(100) < 90).astype(np.int8))
    assert describe(Discrete(100), many).startswith("type one of 90 legal numbers: 0, 1")


def test_describing_a_space_does_not_move_its_generator() -> None:
    space = Dict(key=Discrete(1000))
    space.seed(1)
    describe(space, ANY)
    drawn = space.sample()
    space.seed(1)
    assert space.sample() == drawn


def test_meanings_come_as_a_list_or_by_name() -> None:
    assert names_of(["up", "down"], 1) == {1: "up", 2: "down"}
    assert names_of({"e2e4": 7, "odd": "x"}, 0) == {7: "e2e4"}
