"""The short way to plain data gives what the long way gives, or hands the value back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidAction
from openenv_gym.spaces import (
    INEXACT,
    Kind,
    compile_plain_reader,
    compile_plain_writer,
    compile_reader,
    compile_writer,
    from_plain,
    kinds_of,
    to_plain,
)
from tests.spaces.strategies import bits, example, spaces
from tests.spaces.test_layout import laid_out


def written(space: Space[Any], value: Any, kinds: tuple[Kind, ...] | None = None) -> Any:
    layout = laid_out(space)
    return compile_plain_writer(layout, kinds or kinds_of(layout, value))(value)


def restored(space: Space[Any], plain: Any, kinds: tuple[Kind, ...]) -> Any:
    """What a client makes of a plain value."""
    layout = laid_out(space)
    _, columns = layout.allocate(1)
    compile_writer(layout, columns, kinds)(0, from_plain(space, plain))
    return compile_reader(layout, columns, kinds)(0)


def is_sayable(value: Any) -> bool:
    """Whether JSON has all numbers of a value of a space."""
    if isinstance(value, dict | tuple):
        return all(map(is_sayable, value.values() if isinstance(value, dict) else value))
    array = np.asarray(value)
    return array.dtype.kind != "f" or (array.dtype.itemsize <= 8 and bool(np.isfinite(array).all()))


def holds_longdouble(space: Space[Any]) -> bool:
    return any(leaf.dtype.kind == "f" and leaf.dtype.itemsize > 8 for leaf in laid_out(space).leaves)


@settings(max_examples=300, deadline=None)
@given(spaces, st.integers(0, 2**32))
def test_a_value_of_the_space_has_the_plain_form_that_restores_it(space: Space[Any], seed: int) -> None:
    value = example(space, np.random.default_rng(seed))
    plain = written(space, value)
    if holds_longdouble(space) or not is_sayable(value):
        assert plain is INEXACT
        return
    assert bits(plain) == bits(to_plain(space, value))
    assert bits(restored(space, plain, kinds_of(laid_out(space), value))) == bits(value)


@pytest.mark.parametrize(
    ("space", "value", "kind", "plain"),
    [
        (Discrete(5), 3, Kind.INT, 3),
        (Discrete(5, dtype=np.dtype("u1")), 255, Kind.INT, 255),
        (Discrete(5), np.int64(3), Kind.SCALAR, 3),
        (Discrete(5), np.array(3), Kind.ARRAY, 3),
        (Box(0, 1, ()), 0.5, Kind.FLOAT, 0.5),
        (Box(0, 1, ()), 1e-45, Kind.FLOAT, INEXACT),
        (Box(0, 1, ()), 0.1, Kind.FLOAT, INEXACT),
        (Box(0, 1, ()), 1e300, Kind.FLOAT, INEXACT),
        (Box(0, 1, (), np.float64), 0.1, Kind.FLOAT, 0.1),
        (Box(0, 1, (), np.float64), float("inf"), Kind.FLOAT, INEXACT),
        (Box(0, 1, (), np.float64), np.float64("nan"), Kind.SCALAR, INEXACT),
        (Box(0, 1, (2,), np.float64), np.full(2, 1.7e308), Kind.ARRAY, [1.7e308] * 2),
        (Box(0, 1, (2,), np.float64), np.array([np.inf, -np.inf]), Kind.ARRAY, INEXACT),
        (Box(0, 1, (65,)), np.zeros(65, np.float32), Kind.ARRAY, [0.0] * 65),
        (Box(0, 1, (65,)), np.full(65, np.nan, np.float32), Kind.ARRAY, INEXACT),
        # What is not of the very type that the space and the kind say.
        (Discrete(5), True, Kind.INT, INEXACT),
        (Discrete(5), 2**63, Kind.INT, INEXACT),
        (Discrete(5), 3, Kind.SCALAR, INEXACT),
        (Discrete(5), np.int32(3), Kind.SCALAR, INEXACT),
        (Box(0, 1, (2,)), np.zeros(2), Kind.ARRAY, INEXACT),
        (Box(0, 1, (2,)), np.zeros((2, 1), np.float32), Kind.ARRAY, INEXACT),
        (Box(0, 1, (2,)), [0.0, 1.0], Kind.ARRAY, INEXACT),
        (MultiBinary(2), np.array([0, 1]), Kind.ARRAY, INEXACT),
    ],
)
def test_a_number_is_plain_only_as_its_kind(space: Space[Any], value: Any, kind: Kind, plain: Any) -> None:
    got = written(space, value, (kind,))
    assert got is plain if plain is INEXACT else bits(got) == bits(plain)


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (Dict(a=Discrete(5), b=Discrete(5)), {"b": np.int64(1), "a": np.int64(2)}),
        (Dict(a=Discrete(5)), {"a": np.int64(2), "more": 1}),
        (Dict(a=Discrete(5)), {}),
        (Dict(a=Dict(b=Discrete(5))), {"a": {"b": 1.5}}),
        (Tuple([Discrete(5)]), [np.int64(1)]),
        (Tuple([Discrete(5)]), (np.int64(1), np.int64(1))),
        (Tuple([Tuple([Discrete(5)])]), ((1.5,),)),
    ],
)
def test_other_containers_are_handed_back(space: Space[Any], value: Any) -> None:
    kinds = (Kind.SCALAR,) * len(laid_out(space).leaves)
    assert written(space, value, kinds) is INEXACT


def assert_read_as_from_plain_reads_it(space: Space[Any], plain: Any) -> None:
    """To the same value, or refused in the same words."""
    read = compile_plain_reader(space)
    try:
        expected = from_plain(space, plain)
    except InvalidAction as error:
        with pytest.raises(InvalidAction) as refusal:
            read(plain)
        assert refusal.value.message == error.message
    else:
        assert bits(read(plain)) == bits(expected)


@pytest.mark.parametrize("plain", [2, -7, 255, 256, 2.0, True, 2.5, "2", None, [2], 10**30])
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">i2"])
def test_an_action_is_read_as_from_plain_reads_it(dtype: str, plain: Any) -> None:
    space = Discrete(3, dtype=np.dtype(dtype))
    assert_read_as_from_plain_reads_it(space, plain)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "plain",
    [
        [0.1, -1.5],
        [1, 0.5],
        [True, 0.5],
        [1e-50, -0.0],
        [3.4028235677973366e38, 0.0],
        [0.0, -1e300],
        [0.0, 65504.0],
        [0.0, 65519.0],
        [INF, 0.0],
        [0.0, -INF],
        [NAN, INF],
        [1e300, NAN],
        [NAN, 1e300],
        [NAN, 0.5],
        [0.5],
        [0.5, 0.5, 0.5],
        (0.5, 0.5),
        ["0.5", 0.5],
        [[0.5], 0.5],
        [],
        0.5,
        [10**400, 0.5],
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", np.dtype(np.longdouble).str])
def test_a_vector_is_read_as_from_plain_reads_it(dtype: str, plain: Any) -> None:
    space = Box(-1, 1, (2,), np.dtype(dtype).type) if dtype[0] != ">" else swapped()
    assert space.dtype == np.dtype(dtype)
    with np.errstate(all="raise"):
        assert_read_as_from_plain_reads_it(space, plain)


def swapped() -> Box:
    return Box(np.full(2, -1, ">f4"), np.full(2, 1, ">f4"), dtype=np.dtype(">f4"))


@pytest.mark.parametrize("shape", [(0,), (), (1, 2)])
def test_a_box_of_another_shape_is_read_too(shape: tuple[int, ...]) -> None:
    space = Box(-1, 1, shape)
    value = np.full(shape, 0.5, np.float32)
    assert bits(compile_plain_reader(space)(value.tolist())) == bits(value)
