"""Choices that do not exist are refused, one by one and in columns; bounds of a Box are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidAction
from openenv_gym.spaces import compile_iterator, compile_range_check, from_plain, layout_of, to_plain
from tests.spaces.strategies import all_spaces


@pytest.mark.parametrize(
    ("space", "action", "said"),
    [
        (Discrete(3), np.int64(3), "action holds 3, action_space wants 0 to 2"),
        (Discrete(3, start=-1), np.int64(-2), "wants -1 to 1"),
        (Discrete(3), np.array([0, -1, 2]), "action holds -1"),
        (MultiDiscrete([2, 3]), np.array([1, 3]), r"holds 3 at \[1\], action_space wants 0 to 2 there"),
        (MultiDiscrete([2, 3], start=[5, 0]), np.array([[5, 0], [4, 0]]), r"holds 4 at \[0\]"),
        (MultiBinary((2, 2)), np.array([[0, 1], [2, 0]], np.int8), r"holds 2 at \[1, 0\]"),
        (Text(3), "abcd", "wants 1 to 3"),
        (Text(3, charset="ab"), "c", "holds 'c'"),
        (
            Dict(arm=Box(0, 1), hand=Tuple([Discrete(2)])),
            {"arm": 0, "hand": (np.int64(2),)},
            r"\['hand'\]\[0\]",
        ),
        (OneOf([Discrete(2), Discrete(3)]), (0, np.int64(2)), "wants 0 to 1"),
        (Sequence(Discrete(2)), (np.int64(0), np.int64(2)), "holds 2"),
        (Sequence(Discrete(2), stack=True), np.array([0, 2]), "holds 2"),
    ],
    ids=str,
)
def test_what_the_space_does_not_count_is_refused(space: Space[Any], action: Any, said: str) -> None:
    check = compile_range_check(space)
    assert check is not None
    with pytest.raises(InvalidAction, match=said):
        check(action)


def test_bounds_are_left_to_the_environment() -> None:
    assert compile_range_check(Box(0, 1, (2,))) is None
    assert compile_range_check(Tuple([Box(0, 1, (2,)), Dict(a=Box(0, 1))])) is None


@settings(max_examples=150, deadline=None)
@given(all_spaces, st.integers(0, 2**32 - 1))
def test_every_sample_passes_alone_and_in_columns(space: Space[Any], seed: int) -> None:
    check = compile_range_check(space)
    if check is None:
        return
    space.seed(seed)
    try:
        with np.errstate(over="raise"):
            drawn = space.sample()
    except (ArithmeticError, TypeError, ValueError):  # Gymnasium's own draw: of float128, of 0.0 to -0.0, ...
        return
    check(from_plain(space, to_plain(space, drawn)))  # as a server has it: of the space's own types
    layout = layout_of(space)
    if layout is not None:
        _, columns = layout.allocate(0)
        check(columns)
        assert compile_iterator(layout)(columns) == []
