"""What an environment returned comes out of its row to the bit, or the writer says that it does not."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import LayoutMismatch, ProtocolViolation
from openenv_gym.spaces import (
    Kind,
    compile_reader,
    compile_writer,
    kinds_of,
    layout_of,
    read_batch,
    write_batch,
)
from tests.spaces.strategies import BOOL, batched, bits, example, spaces
from tests.spaces.test_layout import laid_out

NESTED = Dict([("b", Box(0, 1, (2,))), ("a", Tuple([Discrete(9), Box(0, 1, ())]))], sort_keys=False)


def round_trip(space: Space[Any], value: Any, kinds: tuple[Kind, ...] | None = None) -> tuple[bool, Any]:
    """Write a value between two others, and say what the writer said and what the reader reads."""
    layout = laid_out(space)
    _, columns = layout.allocate(3)
    kinds = kinds or kinds_of(layout, value)
    before = bits(read_batch(layout.views(bytes(layout.nbytes(3)), 3)))
    exact = compile_writer(layout, columns, kinds)(1, value)
    read = compile_reader(layout, columns, kinds)
    assert bits(read(0)) == bits(read(2)), "the neighbours are untouched"
    assert before == bits(layout.allocate(3)[1])
    return exact, read(1)


@settings(max_examples=200, deadline=None)
@given(spaces, st.integers(0, 2**32))
def test_a_value_of_the_space_comes_back_to_the_bit(space: Space[Any], seed: int) -> None:
    value = example(space, np.random.default_rng(seed))
    exact, back = round_trip(space, value)
    assert exact and bits(back) == bits(value)


@settings(max_examples=100, deadline=None)
@given(spaces, st.integers(0, 2**32), st.integers(1, 4))
def test_rows_written_one_by_one_are_gymnasiums_batch(space: Space[Any], seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    values = [example(space, rng) for _ in range(rows)]
    layout = laid_out(space)
    _, columns = layout.allocate(rows)
    write = compile_writer(layout, columns, kinds_of(layout, values[0]))
    assert all(write(row, value) for row, value in enumerate(values))
    batch = batched(space, values)
    assert bits(read_batch(columns)) == bits(batch)
    _, others = layout.allocate(rows)
    assert write_batch(layout, others, batch)
    assert bits(read_batch(others)) == bits(batch)


@pytest.mark.parametrize(
    ("space", "value", "kind"),
    [
        (Discrete(5), 3, Kind.INT),
        (Discrete(5), np.int64(3), Kind.SCALAR),
        (Discrete(5), np.array(3), Kind.ARRAY),
        (Discrete(5, dtype=np.dtype(">i2")), np.int16(3), Kind.SCALAR),
        (Discrete(5, dtype=np.dtype(">i2")), np.array(3, ">i2"), Kind.ARRAY),
        (Box(0, 1, (), np.uint64), 2**64 - 1, Kind.INT),
        (Box(0, 1, ()), 0.5, Kind.FLOAT),
        (Box(0, 1, ()), -0.0, Kind.FLOAT),
        (Box(0, 1, ()), float("nan"), Kind.FLOAT),
        (Box(0, 1, ()), float("-inf"), Kind.FLOAT),
        (Box(0, 1, (), np.float64), 0.1, Kind.FLOAT),
        (Box(0, 1, (), np.longdouble), 0.1, Kind.FLOAT),
        (Box(0, 1, (), np.float16), np.float16(0.1), Kind.SCALAR),
        (Box(0, 1, (), BOOL), True, Kind.BOOL),
        (Box(0, 1, (0, 2)), np.zeros((0, 2), np.float32), Kind.ARRAY),
        (Box(0, 1, (2, 3)), np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)), Kind.ARRAY),
        (Box(0, 1, (3,)), np.arange(9, dtype=np.float32)[::3], Kind.ARRAY),
    ],
)
def test_each_kind_comes_back_as_itself(space: Space[Any], value: Any, kind: Kind) -> None:
    assert kinds_of(laid_out(space), value) == (kind,)
    exact, back = round_trip(space, value)
    assert exact and bits(back) == bits(value)


@pytest.mark.parametrize(
    ("space", "kind", "value", "held"),
    [
        (Box(0, 1, (2,)), Kind.ARRAY, np.array([0.1, 1]), np.array([0.1, 1], np.float32)),
        (Box(0, 1, (2,)), Kind.ARRAY, [0.1, 1], np.array([0.1, 1], np.float32)),
        (Box(0, 1, (2,)), Kind.ARRAY, np.array([0.5, 1], ">f4"), np.array([0.5, 1], np.float32)),
        (Box(0, 1, (2,)), Kind.ARRAY, np.array([1e300, 1]), np.array([np.inf, 1], np.float32)),
        (Box(0, 1, (2,)), Kind.ARRAY, np.array([1, 0]), np.array([1, 0], np.float32)),
        (Box(0, 9, (2,), np.uint8), Kind.ARRAY, [1, 255], np.array([1, 255], np.uint8)),
        (Box(0, 9, (2,), np.uint64), Kind.ARRAY, [1, 2**64 - 1], np.array([1, 2**64 - 1], np.uint64)),
        (MultiBinary(2), Kind.ARRAY, np.array([True, False]), np.array([1, 0], np.int8)),
        (Discrete(5), Kind.INT, np.int64(3), 3),
        (Discrete(5), Kind.INT, True, 1),
        (Discrete(5), Kind.SCALAR, 3, np.int64(3)),
        (Discrete(5), Kind.SCALAR, np.array(3), np.int64(3)),
        (Discrete(5), Kind.SCALAR, np.uint8(3), np.int64(3)),
        (Discrete(5), Kind.ARRAY, 3, np.array(3)),
        (Box(0, 1, ()), Kind.FLOAT, 0.1, float(np.float32(0.1))),
        (Box(0, 1, ()), Kind.FLOAT, 1e300, float("inf")),
        (Box(0, 1, ()), Kind.FLOAT, np.float32(0.5), 0.5),
        (Box(0, 1, (), np.float64), Kind.FLOAT, 1, 1.0),
    ],
)
def test_what_is_only_cast_is_stored_and_called_inexact(
    space: Space[Any], kind: Kind, value: Any, held: Any
) -> None:
    exact, back = round_trip(space, value, (kind,))
    assert not exact and bits(back) == bits(held)


def test_containers_other_than_the_spaces_own_are_inexact() -> None:
    box, number, point = np.zeros(2, np.float32), np.int64(3), np.array(1, np.float32)
    kinds = (Kind.ARRAY, Kind.SCALAR, Kind.ARRAY)
    value = {"b": box, "a": (number, point)}
    assert round_trip(NESTED, value, kinds)[0]
    for other in (
        {"a": (number, point), "b": box},
        {"b": box, "a": [number, point]},
        {"b": box, "a": (number, point, point)},
        OrderedDict(value),
        {**value, "more": 1},
    ):
        exact, back = round_trip(NESTED, other, kinds)
        assert not exact and bits(back) == bits(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"b": np.zeros(3), "a": (1, 1.0)},
            r"observation\['b'\] has shape \(3,\), observation_space\['b'\] wants \(2,\)",
        ),
        ({"b": np.zeros(2, complex), "a": (1, 1.0)}, r"has dtype complex128.*wants float32"),
        ({"b": ["x", "y"], "a": (1, 1.0)}, r"has dtype <U1.*wants float32"),
        ({"b": [None, 1], "a": (1, 1.0)}, r"is a list and no array of numbers.*wants float32"),
        ({"b": [[1], [1, 2]], "a": (1, 1.0)}, r"is a list and no array"),
        ({"b": np.zeros(2), "a": (1.5, 1.0)}, r"observation\['a'\]\[0\] has dtype float64.*wants int64"),
        ({"b": np.zeros(2), "a": (2**63, 1.0)}, r"holds 9223372036854775808.*wants int64"),
        ({"b": np.zeros(2), "a": (10**5000, 1.0)}, r"holds an integer of 16610 bits"),
        ({"b": np.zeros(2), "a": (1,)}, r"observation\['a'\] has 1 parts.*wants 2 parts"),
        ({"b": np.zeros(2)}, r"observation has keys \['b'\].*wants keys \['b', 'a'\]; correct the env"),
        (None, "observation is a NoneType"),
        (3, "observation is a int"),
    ],
)
def test_what_a_row_cannot_hold_is_a_mismatch_that_says_where(value: Any, message: str) -> None:
    with pytest.raises(LayoutMismatch, match=message):
        round_trip(NESTED, value, (Kind.ARRAY, Kind.INT, Kind.FLOAT))


@pytest.mark.parametrize("value", [300, -1, np.int64(256), np.array(-1)])
def test_integers_out_of_range_are_never_wrapped(value: Any) -> None:
    with pytest.raises(LayoutMismatch, match=r"wants uint8 \(0 to 255\)"):
        round_trip(Discrete(9, dtype=np.uint8), value)


def test_values_are_copied_in_and_out() -> None:
    layout = laid_out(NESTED)
    _, columns = layout.allocate(1)
    box = np.ones(2, np.float32)
    compile_writer(layout, columns, ["array", "int", "float"])(0, {"b": box, "a": (1, 0.5)})
    read = compile_reader(layout, columns, ["array", "int", "array"])
    box[:] = 9
    first = read(0)
    assert first["b"].tolist() == [1, 1] and first["b"].flags.owndata and first["b"].flags.writeable
    columns["b"][:] = 5
    columns["a"][1][:] = 5
    assert first["b"].tolist() == [1, 1] and first["a"][1] == 0.5


def test_an_array_is_read_c_contiguous_and_writable_from_read_only_columns() -> None:
    layout = laid_out(Box(0, 1, (2, 2), np.dtype(">f4")))
    columns = layout.views(np.arange(8, dtype=">f4").tobytes(), 2)
    for array in (compile_reader(layout, columns, ["array"])(1), read_batch(columns)[1]):
        assert array.dtype.str == ">f4" and array.flags.writeable and array.flags.c_contiguous
        assert array.tolist() == [[4, 5], [6, 7]]


def test_kinds_are_guessed_where_an_example_has_none() -> None:
    layout = laid_out(NESTED)
    guess = (Kind.ARRAY, Kind.SCALAR, Kind.SCALAR)
    for value in (None, {}, {"b": [1, 2], "a": ("x", None)}, {"b": 1, "a": (1.5, True)}):
        assert kinds_of(layout, value) == guess
    assert kinds_of(layout, {"b": 0, "a": (1, 1.5)}) == (Kind.ARRAY, Kind.INT, Kind.FLOAT)


@pytest.mark.parametrize(
    "kinds",
    [
        ["array"],
        ["array"] * 4,
        ["array", "int", "str"],
        [[], {}, None],
        ["int"] * 3,
        ["array", "bool", "int"],
    ],
)
def test_kinds_that_do_not_fit_are_a_violation(kinds: Any) -> None:
    layout = laid_out(NESTED)
    _, columns = layout.allocate(1)
    for compiler in (compile_writer, compile_reader):
        with pytest.raises(ProtocolViolation, match="kind"):
            compiler(layout, columns, kinds)


def test_a_batch_in_any_memory_order_is_exact() -> None:
    layout = laid_out(Box(0, 1, (3,)))
    _, columns = layout.allocate(4)
    values = np.arange(24, dtype=np.float32).reshape(3, 8)[:, ::2].T
    assert write_batch(layout, columns, values)
    assert bits(columns) == bits(np.ascontiguousarray(values))


def test_a_batch_of_another_dtype_is_cast_and_inexact() -> None:
    layout = laid_out(NESTED)
    _, columns = layout.allocate(2)
    batch: dict[str, Any] = {"b": np.full((2, 2), 0.1), "a": (np.array([1, 2]), np.zeros(2, np.float32))}
    assert not write_batch(layout, columns, batch)
    assert columns["b"][0, 0] == np.float32(0.1)
    batch["b"] = np.zeros((2, 2), np.float32)
    assert write_batch(layout, columns, batch)


@pytest.mark.parametrize(
    "batch", [np.zeros((3, 2)), np.zeros(2), np.zeros((2, 2), complex), {"a": np.zeros((2, 2))}]
)
def test_a_batch_that_does_not_fit_is_a_mismatch(batch: Any) -> None:
    layout = layout_of(Box(0, 1, (2,)))
    assert layout is not None
    with pytest.raises(LayoutMismatch):
        write_batch(layout, layout.allocate(2)[1], batch)


def test_numpy_told_to_raise_changes_nothing() -> None:
    tiny = float(np.float32(1e-45))
    with np.errstate(all="raise"):
        for value, exact in (
            (tiny, True),
            (1e-300, False),
            (1e300, False),
            (0.0, True),
            (float("inf"), True),
        ):
            assert round_trip(Box(0, 1, ()), value, (Kind.FLOAT,))[0] is exact
        assert not round_trip(Box(0, 1, (2,)), [1e-300, 1e300])[0]
