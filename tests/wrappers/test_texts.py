"""Observations in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Sequence, Text, Tuple, unflatten
from gymnasium.wrappers import FlattenObservation

from openenv_gym.errors import InvalidArgument
from openenv_gym.wrappers import TextObservation
from openenv_gym.wrappers.texts import rendered
from tests.wrappers.games import ConnectFour
from tests.wrappers.showing import Showing, first

GRID = Box(-1, 1, (2, 3), np.int8)


@pytest.mark.parametrize(
    ("space", "value", "said"),
    [
        (Discrete(9), np.int64(4), "4"),
        (Box(-1, 1, ()), np.float32(0.25), "0.25"),
        (Box(-1, 1, (3,)), np.array([0.123456, -1, 0], np.float32), "[0.1235, -1, 0]"),
        (GRID, np.array([[0, 1, -1], [1, 0, 0]], np.int8), " 0  1 -1\n 1  0  0"),
        (MultiBinary(3), np.array([1, 0, 1], np.int8), "[1, 0, 1]"),
        (MultiDiscrete([3, 9]), np.array([2, 8]), "[2, 8]"),
        (Text(9), "e2e4", "e2e4"),
        (Tuple([Discrete(2), Text(3)]), (1, "abc"), "[1, abc]"),
        (Sequence(Discrete(9)), (1, 2, 3), "[1, 2, 3]"),
        (Sequence(Discrete(9), stack=True), np.array([1, 2]), "[1, 2]"),
        (Sequence(Text(4)), (), "[]"),
        (Tuple([GRID]), (np.zeros((2, 3), np.int8),), "0:\n  0 0 0\n  0 0 0"),
        (
            Box(0, 255, (84, 84, 3), np.uint8),
            np.full((84, 84, 3), 7, np.uint8),
            "84 x 84 x 3 numbers from 7 to 7, mean 7",
        ),
        (
            Dict(board=GRID, score=Box(0, 9, ()), who=Dict(name=Text(9), of=Text(9))),
            {"board": np.zeros((2, 3), np.int8), "score": 1.5, "who": {"name": "x", "of": "y"}},
            "board:\n  0 0 0\n  0 0 0\nscore: 1.5\nwho:\n  name: x\n  of: y",
        ),
    ],
)
def test_each_space_has_its_words(space: Space[Any], value: Any, said: str) -> None:
    assert rendered(space, value) == said
    assert first(TextObservation(Showing(space, value))) == said


def test_a_board_shows_its_pieces() -> None:
    pieces = {"board": {0: ".", 1: "X", -1: "O"}, "current_player": {1: "X", -1: "O"}}
    env = TextObservation(ConnectFour(rows=2, columns=3), symbols=pieces)
    env.reset()
    said, *_ = env.step(1)
    assert said == "board:\n  . . .\n  . X .\nlegal_actions: [0, 1, 2]\ncurrent_player: O"


def test_symbols_can_be_those_of_all_fields() -> None:
    env = TextObservation(Showing(Dict(a=Discrete(2), b=Discrete(2)), {"a": 0, "b": 1}), symbols={1: "yes"})
    assert first(env) == "a: 0\nb: yes"


def test_a_template_has_the_fields_in_braces() -> None:
    env = TextObservation(ConnectFour(rows=1, columns=2), template="Columns: {legal_actions}.\n{board}")
    assert first(env) == "Columns: [0, 1].\n0 0"
    for template in ("{nothing}", "{", "{}", "{board.shape}"):
        with pytest.raises(InvalidArgument, match=r"fields of the observation: 'board', 'legal_actions'"):
            TextObservation(ConnectFour(), template=template)


def test_text_is_shown_as_it_is() -> None:
    env = TextObservation(Showing(Text(9, charset="♞é"), "♞é"))
    assert first(env) == "♞é"
    board = TextObservation(Showing(GRID, np.ones((2, 3), np.int8)), symbols={1: "王"})
    assert first(board) == "王 王 王\n王 王 王"
    flat = FlattenObservation(board)
    assert unflatten(board.observation_space, first(flat)) == "王 王 王\n王 王 王"


def test_characters_that_it_has_not_are_escaped() -> None:
    env = TextObservation(Showing(Text(9, charset="♞é"), "♞é"), charset="\\uxe0123456789")
    assert first(env) == "\\u265e\\xe9"
    assert first(TextObservation(Showing(Text(9, charset="♞a"), "♞a"), charset="abc")) == "a"


def test_what_is_too_long_says_that_it_is_cut_off() -> None:
    env = TextObservation(Showing(Text(500), "a" * 500), max_length=60)
    assert first(env) == "a" * 31 + "... (cut off, 500 characters)"
    assert len(first(TextObservation(Showing(Text(500), "a" * 500), max_length=5))) == 5
