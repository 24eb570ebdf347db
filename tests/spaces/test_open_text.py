"""A text of any characters is a space of its own: it holds all, draws little, and survives its schema."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from gymnasium.spaces import Text
from gymnasium.spaces.utils import flatten_space

from openenv_gym.errors import InvalidArgument, ProtocolViolation
from openenv_gym.spaces import OpenText, from_plain, from_schema, identical, layout_of, to_plain, to_schema

SPACES = [OpenText(), OpenText(3), OpenText(0, 10), OpenText(100, 100)]


@pytest.mark.parametrize("space", SPACES)
def test_what_is_drawn_is_inside_and_drawn_again_from_the_same_seed(space: OpenText) -> None:
    space.seed(3)
    drawn = [space.sample() for _ in range(20)]
    assert all(text in space and len(text) <= max(64, space.min_length) for text in drawn)
    space.seed(3)
    assert [space.sample() for _ in range(20)] == drawn


def test_any_characters_are_inside_and_nothing_else() -> None:
    assert all(text in OpenText() for text in ("", "\0", "♜\n", "\ud800", "x" * 10**6))
    assert all(value not in OpenText() for value in (None, 3, b"x", ["x"]))
    assert "" not in OpenText(1) and "abc" not in OpenText(0, 2)


@pytest.mark.parametrize("space", SPACES)
def test_it_survives_its_schema_a_copy_and_plain_data(space: OpenText) -> None:
    schema = json.loads(json.dumps(to_schema(space)))
    assert identical(from_schema(schema), space)
    for again in (copy.deepcopy(space), pickle.loads(pickle.dumps(space))):
        assert identical(again, space) and again == space
    assert from_plain(space, to_plain(space, "♜")) == "♜" and layout_of(space) is None
    assert not identical(space, Text(5)) and not identical(Text(5), space)


def test_a_mask_of_characters_is_gymnasiums() -> None:
    space = OpenText()
    mask = np.array([character == "a" for character in space.character_list], np.int8)
    assert space.sample((3, mask)) == "aaa"


@pytest.mark.parametrize(
    "bounds", [{"min_length": -1}, {"min_length": 2**40}, {"max_length": 2**70}, {"max_length": "9"}]
)
def test_a_schema_with_impossible_lengths_is_refused(bounds: dict[str, int]) -> None:
    node = {"space": "OpenText", "version": 1, "min_length": 0, "max_length": 5, **bounds}
    with pytest.raises(ProtocolViolation):
        from_schema({"type": "string", "gymnasium": node})


def test_a_text_without_bounds_cannot_be_flat() -> None:
    with pytest.raises(InvalidArgument, match="TextObservation"):
        flatten_space(OpenText())
    assert flatten_space(OpenText(max_length=8)).shape == (8,)
