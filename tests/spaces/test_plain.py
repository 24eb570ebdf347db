"""Values survive plain data with their dtype and shape, and plain data never become what they are not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    GraphInstance,
    MultiBinary,
    OneOf,
    Sequence,
    Text,
    Tuple,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidAction, LayoutMismatch, ProtocolViolation, UnsupportedSpace
from openenv_gym.spaces import from_plain, to_plain
from tests.spaces.strategies import BOOL, all_spaces, bits, example

NESTED = Dict([("b", Box(0, 1, (2,))), ("a", Tuple([Discrete(9), Box(0, 1, ())]))], sort_keys=False)


def canonical(value: Any) -> Any:
    """Replace what plain data cannot carry: the payload of a NaN, and more bits than a double has."""
    if isinstance(value, dict):
        return {key: canonical(part) for key, part in value.items()}
    if isinstance(value, GraphInstance):
        return GraphInstance(*map(canonical, value))
    if isinstance(value, tuple):
        return tuple(map(canonical, value))
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    numbers = np.where(np.isnan(value), np.nan, value)
    return numbers.astype(np.float64).astype(value.dtype)


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and is_plain(part) for key, part in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


@settings(max_examples=200, deadline=None)
@given(all_spaces, st.integers(0, 2**32))
def test_a_value_survives_plain_data(space: Space[Any], seed: int) -> None:
    with np.errstate(all="ignore"):
        value = canonical(example(space, np.random.default_rng(seed)))
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


EDGED = Graph(Box(0, 1, (2,)), Discrete(3))


@pytest.mark.parametrize(
    ("space", "value", "plain"),
    [
        (Text(5), "héé", "héé"),
        (Sequence(Discrete(5)), (np.int64(1), np.int64(4)), [1, 4]),
        (Sequence(Discrete(5), stack=True), np.array([1, 4]), [1, 4]),
        (
            Sequence(Dict(a=Discrete(5), t=Text(3)), stack=True),
            {"a": np.array([1, 4]), "t": ("x", "y")},
            {"a": [1, 4], "t": ["x", "y"]},
        ),
        (
            EDGED,
            GraphInstance(np.ones((1, 2), np.float32), np.array([2]), np.array([[0, 0]], np.int32)),
            {"nodes": [[1.0, 1.0]], "edges": [2], "edge_links": [[0, 0]]},
        ),
        (
            Graph(Text(3), None),
            GraphInstance(("ab", "c"), None, None),
            {"nodes": ["ab", "c"], "edges": None, "edge_links": None},
        ),
        (OneOf([Text(3), Discrete(4)]), (np.int64(1), np.int64(3)), [1, 3]),
    ],
    ids=lambda part: str(part)[:20],
)
def test_a_value_without_a_fixed_size_has_this_plain_form(space: Space[Any], value: Any, plain: Any) -> None:
    assert to_plain(space, value) == plain
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
        (Text(5), 1, "is a int, action_space wants a str"),
        (Text(5), ["a"], "is a list"),
        (Sequence(Discrete(5)), 3, "is a int"),
        (Sequence(Discrete(5)), "12", "is a str"),
        (Sequence(Discrete(5)), [1, "2"], r"action\[1\] holds a str"),
        (Sequence(Discrete(5), stack=True), "12", "is a str"),
        (Sequence(Discrete(5), stack=True), [1, [2]], "holds a list"),
        (Sequence(Dict(a=Text(1)), stack=True), [1], "is a list"),
        (Sequence(Dict(a=Text(1)), stack=True), {"b": []}, r"has keys \['b'\]"),
        (Sequence(Tuple([Text(1)]), stack=True), [], "has 0 parts"),
        (Sequence(Tuple([Text(1)]), stack=True), [["a", 1]], r"action\[0\]\[1\] is a int"),
        (EDGED, [[], None, None], "is a list"),
        (EDGED, {"nodes": []}, r"has keys \['nodes'\]"),
        (EDGED, {"nodes": [], "edges": [1], "edge_links": None}, "edges or edge_links alone"),
        (EDGED, {"nodes": [[0]], "edges": None, "edge_links": None}, r"action\['nodes'\] has 1 items"),
        (EDGED, {"nodes": [], "edges": [0.5], "edge_links": [[0, 0]]}, r"\['edges'\] holds 0.5"),
        (EDGED, {"nodes": [], "edges": [0], "edge_links": [[0, 2**31]]}, r"\['edge_links'\] holds"),
        (EDGED, {"nodes": [], "edges": [0], "edge_links": [[0]]}, r"\['edge_links'\] has 1 items on axis 1"),
        (Graph(Discrete(2), None), {"nodes": [], "edges": [], "edge_links": []}, "wants none"),
        (OneOf([Text(3)]), 1, "is a int"),
        (OneOf([Text(3)]), [0], "has 1 parts"),
        (OneOf([Text(3)]), [1, "a"], "has the index 1, action_space wants an index below 1"),
        (OneOf([Text(3)]), [-1, "a"], "has the index -1"),
        (OneOf([Text(3)]), [True, "a"], "has the index True"),
        (OneOf([Text(3)]), [[], "a"], "has the index a list"),
        (OneOf([Text(3)]), [0, 1], r"action\[0\] is a int"),
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


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (Text(3), 1),
        (Sequence(Text(3)), "abc"),
        (Sequence(Discrete(3), stack=True), np.int64(3)),
        (Sequence(Discrete(3), stack=True), np.zeros((2, 2), int)),
        (Sequence(Discrete(3), stack=True), "abc"),
        (Sequence(Dict(a=Text(1)), stack=True), [1]),
        (Sequence(Tuple([Text(1)]), stack=True), ()),
        (EDGED, np.zeros((2, 2))),
        (EDGED, GraphInstance(np.zeros((1, 2)), np.zeros(1, int), None)),
        (OneOf([Text(3)]), (1, "a")),
        (OneOf([Text(3)]), "a"),
    ],
)
def test_a_value_that_its_space_cannot_have_has_no_plain_form(space: Space[Any], value: Any) -> None:
    with pytest.raises(InvalidAction):
        to_plain(space, value)


class Custom(Space[int]):
    """A space that Gymnasium does not have."""


def test_a_space_without_plain_form_is_refused_by_name() -> None:
    for call in (to_plain, from_plain):
        with pytest.raises(UnsupportedSpace, match=r"the space at \['t'\] is a Custom"):
            call(Dict(t=Custom()), {"t": 1})


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
