"""One buffer, many columns: Gymnasium's shapes, aligned, shared, and never past the end."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Graph, Sequence, Text, Tuple
from gymnasium.vector.utils import create_empty_array
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidArgument, ProtocolViolation
from openenv_gym.spaces import Layout, layout_of
from openenv_gym.spaces.layout import ALIGNMENT, columns_in
from tests.spaces.strategies import bits, spaces


def laid_out(space: Space[Any]) -> Layout:
    layout = layout_of(space)
    assert layout is not None
    return layout


@settings(max_examples=150, deadline=None)
@given(spaces, st.integers(0, 5))
def test_columns_have_the_shape_of_gymnasiums_own(space: Space[Any], rows: int) -> None:
    _, columns = laid_out(space).allocate(rows)
    assert bits(columns) == bits(create_empty_array(space, rows))


@settings(max_examples=100, deadline=None)
@given(spaces, st.integers(0, 5), st.integers(0, 40))
def test_columns_are_disjoint_aligned_views_of_the_buffer(space: Space[Any], rows: int, offset: int) -> None:
    layout = laid_out(space)
    block = bytearray(offset + layout.nbytes(rows))
    columns = layout.views(block, rows, offset)
    whole = np.frombuffer(block, np.uint8)
    end = 0
    for (leaf, column), at in zip(columns_in(layout.tree, columns), layout.offsets(rows), strict=True):
        assert at % ALIGNMENT == 0 and at >= end
        end = at + rows * leaf.nbytes
        assert column.flags.writeable and column.flags.c_contiguous
        if column.size:
            assert np.shares_memory(column, whole)
            assert column.__array_interface__["data"][0] - whole.__array_interface__["data"][0] == offset + at
    assert end <= layout.nbytes(rows) and layout.nbytes(rows) % ALIGNMENT == 0


def test_writing_a_column_writes_the_block() -> None:
    layout = laid_out(Dict(a=Discrete(4), b=Box(0, 1, (2,), np.dtype(">f4"))))
    block, columns = layout.allocate(2)
    columns["a"][1] = 7
    columns["b"][0] = [1.5, 0]
    assert block[8] == 7 and block[16:20].tobytes() == np.array(1.5, ">f4").tobytes()


@pytest.mark.parametrize("wrap", [bytes, lambda block: memoryview(bytes(block))])
def test_views_of_what_cannot_be_written_cannot_be_written(wrap: Any) -> None:
    layout = laid_out(Box(0, 1, (2,)))
    column = layout.views(wrap(bytearray(16)), 2)
    assert not column.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 1


def test_an_array_keeps_its_buffer_alive() -> None:
    column = laid_out(Box(0, 1, (2,))).views(bytearray(b"\x00\x00\x80\x3f" * 4), 2)
    assert column.tolist() == [[1, 1], [1, 1]]


def test_a_buffer_that_is_too_small_is_a_violation() -> None:
    layout = laid_out(Tuple([Discrete(4), Discrete(4)]))
    assert layout.nbytes(3) == 64
    for held, offset in ((63, 0), (64, 1), (0, 0), (10, 1000)):
        with pytest.raises(ProtocolViolation, match="3 rows take 64 bytes"):
            layout.views(bytes(held), 3, offset)


def test_negative_rows_or_offset_are_refused() -> None:
    layout = laid_out(Discrete(4))
    for rows, offset in ((-1, 0), (1, -8)):
        with pytest.raises(InvalidArgument, match="count from 0"):
            layout.views(bytes(64), rows, offset)


def test_a_space_without_a_fixed_size_has_no_layout() -> None:
    unfixed: list[Space[Any]] = [Text(3), Sequence(Discrete(2)), Graph(Discrete(2), None)]
    for space in unfixed:
        assert layout_of(space) is None
        assert layout_of(Dict(a=Discrete(2), b=Tuple([space]))) is None


def test_a_dict_whose_keys_are_no_strings_has_no_layout() -> None:
    keyed: Any = {1: Discrete(2)}
    assert layout_of(Dict(keyed)) is None


def test_the_description_is_plain_and_keeps_the_byte_order() -> None:
    layout = laid_out(Dict([("b", Tuple([Box(0, 1, (2, 3), np.dtype(">f8"))])), ("a", Discrete(2))]))
    assert json.loads(json.dumps(layout.describe())) == [
        {"path": ["b", 0], "dtype": ">f8", "shape": [2, 3]},
        {"path": ["a"], "dtype": "<i8", "shape": []},
    ]
