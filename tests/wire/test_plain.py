"""Any value becomes ordinary JSON with a map beside it, and comes back exactly from both."""

from __future__ import annotations

import enum
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openenv_gym.errors import ProtocolViolation
from openenv_gym.wire.plain import describe, restore
from tests.wire.ends import exactly
from tests.wire.strategies import arrays, describable


class Colour(enum.IntEnum):
    RED = 3


class Fruit(enum.StrEnum):
    PEAR = "pear"


@settings(max_examples=400, deadline=None)
@given(describable)
@example({"a/b": {"~": (1,)}, "": (2,), "a": {"b": np.float32(1)}})
@example(np.zeros((2, 0, 3), ">i2"))
@example(np.zeros(0, complex))
@example(np.array([np.nan, 1.5, -np.inf], "<f4"))
@example({1: "a", (2,): np.float16("nan")})
def test_a_value_comes_back_through_strict_json(value: Any) -> None:
    plain, types = describe(value)
    crossed = json.loads(json.dumps([plain, types], allow_nan=False))
    assert exactly(restore(*crossed)) == exactly(value)


@settings(max_examples=100, deadline=None)
@given(arrays(["|S1", "|S5", "<U1", ">U7"]))
@example(np.array([""]))
@example(np.array([b"", b"a"]))
@example(np.array([[1, [2]], [None, "x"]], object))
def test_text_and_objects_come_back_as_arrays(value: Any) -> None:
    assert exactly(restore(*json.loads(json.dumps(describe(value))))) == exactly(value)


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "a", [1, [2.5]], {"a": {"b": None}}])
def test_plain_data_is_itself_and_needs_no_types(value: Any) -> None:
    assert describe(value) == (value, {})


@pytest.mark.parametrize(
    ("value", "plain", "types"),
    [
        ((1, 2), [1, 2], {"": ["tuple"]}),
        (np.array([1, 2], np.uint8), [1, 2], {"": ["array", "|u1", [2]]}),
        (np.float32(0.5), 0.5, {"": ["scalar", "<f4"]}),
        (float("inf"), None, {"": ["float", "inf"]}),
        (2**70, str(2**70), {"": ["int"]}),
        (b"ab", "YWI=", {"": ["bytes"]}),
        ({1: 2}, [[1, 2]], {"": ["pairs"]}),
        ({"a/b~": [np.int8(1)]}, {"a/b~": [1]}, {"/a~1b~0/0": ["scalar", "|i1"]}),
        (np.array([np.nan, 1.0]), [None, 1.0], {"": ["array", "<f8", [2], "AAAAAAAA+H8AAAAAAADwPw=="]}),
    ],
)
def test_the_forms_are_those_of_the_documentation(value: Any, plain: Any, types: Any) -> None:
    assert describe(value) == (plain, types)


def test_enums_arrive_as_what_they_are_a_kind_of() -> None:
    assert describe({"a": Colour.RED, "b": Fruit.PEAR}) == ({"a": 3, "b": "pear"}, {})


@pytest.mark.parametrize("value", [object, {1}, 1j, np.datetime64("2020-01-01")])
def test_an_object_without_a_form_arrives_as_its_text(value: Any) -> None:
    plain, types = describe([value])
    assert plain == [repr(value)] and restore(plain, types) == [repr(value)]


@pytest.mark.parametrize("digits", [3000, 10_000])
def test_no_integer_is_too_long_to_be_described(digits: int) -> None:
    assert restore(*describe(10**digits)) in (10**digits, hex(10**digits))


@pytest.mark.parametrize(
    ("plain", "tag"),
    [
        (1, ["what"]),
        (1, [[]]),
        (1, {"a": 1}),
        (1, 5),
        (1, ["tuple"]),
        (1, ["scalar"]),
        (1, ["scalar", "|O"]),
        (1, ["scalar", 3]),
        (300, ["scalar", "|u1"]),
        ([1, 2], ["scalar", "<f4"]),
        ("a", ["scalar", "<f4"]),
        (None, ["scalar", "<f4", "!"]),
        (None, ["scalar", "<f4", "AAA="]),
        (None, ["scalar", "<f4", 3]),
        ([1, 2], ["array", "<f4", [3]]),
        ([1, 2], ["array", "<f4", ["x"]]),
        ([1, 2], ["array", "<f4"]),
        ([[1], [1, 2]], ["array", "<f4", [3]]),
        ([], ["array", "<f8", [2**62, 0]]),
        ([], ["array", "<f8", [2**40]]),
        ([1], ["array", "M8[s]", [1]]),
        (None, ["float"]),
        (None, ["float", "x"]),
        ("x", ["int"]),
        ("9" * 5000, ["int"]),
        ("!", ["bytes"]),
        (3, ["bytes"]),
        ([1], ["pairs"]),
        ([[[], 1]], ["pairs"]),
    ],
)
def test_types_that_do_not_fit_are_a_violation(plain: Any, tag: Any) -> None:
    with pytest.raises(ProtocolViolation):
        restore(plain, {"": tag})


@pytest.mark.parametrize("types", [[1], "x", 3, None])
def test_types_that_are_no_map_are_a_violation(types: Any) -> None:
    with pytest.raises(ProtocolViolation):
        restore({"a": 1}, types)


@pytest.mark.parametrize(
    ("plain", "tag"),
    [
        (None, ["array", "<U1", [1], "/////w=="]),
        (None, ["scalar", "<U1", "/////w=="]),
        (["a"] * 99, ["array", "<U999999", [99]]),
        (["a"] * 99, ["array", "|S999999", [99]]),
    ],
)
def test_text_that_numpy_could_not_show_or_would_blow_up_is_a_violation(plain: Any, tag: Any) -> None:
    with pytest.raises(ProtocolViolation):
        repr(restore(plain, {"": tag}))


def test_a_number_that_overflows_its_dtype_is_infinite_and_says_nothing() -> None:
    assert restore(1e300, {"": ["scalar", "<f4"]}) == np.float32(np.inf)


_tags = st.lists(
    st.sampled_from(
        [
            "tuple",
            "array",
            "scalar",
            "float",
            "int",
            "bytes",
            "pairs",
            "opaque",
            "<f4",
            "|u1",
            "<c8",
            "nan",
            "AAAA",
        ]
    )
    | st.lists(st.integers(-2, 2**63), max_size=3),
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3),
    ),
    st.dictionaries(st.sampled_from(["", "/0", "/1", "/0/0", "x"]), _tags, max_size=3),
)
def test_a_hostile_map_restores_something_or_is_a_violation(plain: Any, types: dict[str, Any]) -> None:
    try:
        restore(plain, types)
    except ProtocolViolation:
        return
