"""Values survive plain data with their dtype and shape, and plain data never become what they are not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Text, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidAction, LayoutMismatch, ProtocolViolation, UnsupportedSpace
from openenv_gym.spaces import from_plain, to_plain
from tests.spaces.strategies import BOOL, bits, example, spaces

NESTED = Dict([("b", Box(0, 1, (2,))), ("a", Tuple([Discrete(9), Box(0, 1, ())]))], sort_keys=False)


def canonical(space: Space[Any], value: Any) -> Any:
    """Replace what plain data cannot carry: the payload of a NaN, and more bits than a double has."""
    if isinstance(space, Dict):
        return {key: canonical(child, value[key]) for key, child in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(canonical(child, part) for child, part in zip(space.spaces, value, strict=True))
    if not isinstance(space, Box) or space.dtype.kind != "f":
        return value
    value = np.where(np.isnan(value), np.nan, value)
    return value.astype(np.float64).astype(space.dtype)


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and is_plain(part) for key, part in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return type(value) in (bool, int, float)


@settings(max_examples=200, deadline=None)
@given(spaces, st.integers(0, 2**32))
def test_a_value_survives_plain_data(space: Space[Any], seed: int) -> None:
    with np.errstate(all="ignore"):
        value = canonical(space, example(space, np.random.default_rng(seed)))
    plain = to_plain(space, value)
    assert is_plain(plain)
    assert bits(from_plain(space, plain)) == bits(value)


def test_lost_zero_dimensions_are_restored_from_the_space() -> None:
    for shape in ((0, 3), (3, 0), (2, 0, 2)):
        space = Box(0, 1, shape)
        assert bits(from_plain(space, to_plain(space, np.zeros(shape, np.float32)))) == bits(
            np.zeros(shape, np.float32)
        )


@pytest.mark.parametrize(
    ("space", "plain", "value"),
    [
        (Discrete(5), 2.0, np.int64(2)),
        (Discrete(5), True, np.int64(1)),
        (Discrete(5, dtype=np.uint8), 255, np.uint8(255)),
        (MultiBinary(2), [True, 0.0], np.array([1, 0], np.int8)),
        (Box(0, 1, (2,), np.uint64), [2**64 - 1, 1.0], np.array([2**64 - 1, 1], np.uint64)),
        (Box(0, 1, (2,)), [1, 0.1], np.array([1, 0.1], np.float32)),
        (Box(0, 1, (2,)), (float("inf"), True), np.array([np.inf, 1], np.float32)),
        (Box(0, 1, (2,), BOOL), [1, False], np.array([True, False])),
        (Box(0, 1, ()), 0.5, np.array(0.5, np.float32)),
    ],
)
def test_lenient_forms_are_understood(space: Space[Any], plain: Any, value: Any) -> None:
    assert bits(from_plain(space, plain)) == bits(value)


@pytest.mark.parametrize(
    ("space", "plain", "message"),
    [
        (Discrete(5), "1", "^action holds a str, action_space wants int64; see env.action_space$"),
        (Discrete(5), 1.5, "holds 1.5"),
        (Discrete(5), float("nan"), "holds nan"),
        (Discrete(5), float("inf"), "holds inf"),
        (Discrete(5), 1e300, "integer of 997 bits"),
        (Discrete(5), 2**63, "holds 9223372036854775808"),
        (Discrete(5), None, "holds a NoneType"),
        (Discrete(5), [1], "holds a list"),
        (Box(0, 1, (2,)), ["0.5", 1], "holds a str"),
        (Box(0, 1, (2,)), [None, 1], "holds a NoneType"),
        (Box(0, 1, (2,)), [1e300, 1], "becomes infinite"),
        (Box(0, 1, (2,)), [10**400, 1], "beyond every float"),
        (Box(0, 1, (2,)), [[1], [2]], "holds a list"),
        (Box(0, 1, (2,)), [1], r"has 1 items on axis 0, action_space wants shape \(2,\)"),
        (Box(0, 1, (2,)), 1, "has a int on axis 0"),
        (Box(0, 1, (2,)), "ab", "has a str on axis 0"),
        (Box(0, 1, (2, 1)), [[1], [1, 2]], "has 2 items on axis 1"),
        (Box(0, 1, (1,), BOOL), [2], r"holds 2, action_space wants bool \(0 to 1\)"),
        (NESTED, {"b": [0, 0]}, r"has keys \['b'\], action_space wants keys \['b', 'a'\]"),
        (NESTED, {"b": [0, 0], "a": [1, 0], "c": 0}, "has keys"),
        (NESTED, [1, 2], "is a list"),
        (NESTED, {"b": [0, 0], "a": [1]}, r"action\['a'\] has 1 parts, action_space\['a'\] wants 2"),
        (NESTED, {"b": [0, 0], "a": {"0": 1, "1": 2}}, r"action\['a'\] has 2 parts"),
        (NESTED, {"b": [0, 0], "a": 3}, r"action\['a'\] is a int"),
    ],
)
def test_wrong_data_are_refused(space: Space[Any], plain: Any, message: str) -> None:
    with pytest.raises(InvalidAction, match=message):
        from_plain(space, plain)


def test_an_integer_too_long_to_print_is_refused_all_the_same() -> None:
    with pytest.raises(InvalidAction, match="an integer of 16610 bits"):
        from_plain(Discrete(5), 10**5000)


def test_the_caller_chooses_whom_to_blame() -> None:
    with pytest.raises(ProtocolViolation, match=r"^value holds a str, its space wants int64; see the space"):
        from_plain(Discrete(2), "x", error=ProtocolViolation)
    with pytest.raises(LayoutMismatch, match="value has shape"):
        to_plain(Box(0, 1, (2,)), np.zeros(3), error=LayoutMismatch)


@pytest.mark.parametrize(
    "value", [{"b": [0, 0]}, {"b": [0], "a": (1, 2)}, {"b": "xy", "a": (1, 2)}, {"b": [0, 0], "a": 3}, None]
)
def test_a_value_without_the_structure_of_its_space_has_no_plain_form(value: Any) -> None:
    with pytest.raises(InvalidAction):
        to_plain(NESTED, value)


def test_numbers_are_taken_as_the_value_has_them() -> None:
    plain = to_plain(NESTED, {"b": [0.1, 1], "a": (np.int8(3), np.float64(0.1)), "unknown": 1})
    assert plain == {"b": [0.1, 1], "a": [3, 0.1]}


def test_a_space_without_plain_form_is_refused_by_name() -> None:
    for call in (to_plain, from_plain):
        with pytest.raises(UnsupportedSpace, match=r"the space at \['t'\] is a Text"):
            call(Dict(t=Text(3)), {"t": "x"})


def test_a_long_string_among_numbers_costs_nothing() -> None:
    plain: list[Any] = [0.0] * 50_000
    plain[7] = "x" * 100_000
    space = Box(0, 1, (50_000,))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidAction, match="holds a str"):
            from_plain(space, plain)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
