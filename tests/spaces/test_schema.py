"""A space survives its schema to the bit, and a hostile schema is a typed error that costs nothing."""

from __future__ import annotations

import json
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
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
)
from hypothesis import given, settings

from openenv_gym.errors import ProtocolViolation, UnsupportedSpace
from openenv_gym.spaces import from_schema, identical, to_schema
from tests.spaces.strategies import BOOL, all_spaces


def over_the_wire(space: Space[Any]) -> Space[Any]:
    text = json.dumps(to_schema(space), allow_nan=False, sort_keys=True)
    return from_schema(json.loads(text))


@settings(max_examples=200, deadline=None)
@given(all_spaces)
def test_every_space_comes_back_identical(space: Space[Any]) -> None:
    assert identical(over_the_wire(space), space)


@pytest.mark.parametrize(
    "space",
    [
        Box(-np.inf, np.inf, (4,)),
        Box(-0.0, 0.0, (2, 2), np.float64),
        Box(0, 2**64 - 1 - 2**12, (1,), np.uint64),
        Box(0, 255, (210, 160, 3), np.uint8),
        Box(np.float32(0.1), np.float32(0.2), (), np.float32),
        Box(np.arange(200.0), np.arange(200.0) + 0.1, dtype=np.float64),
        Box(np.full(3, np.longdouble(1) / 3), np.full(3, np.longdouble(2) / 3), dtype=np.longdouble),
        Box(np.arange(3).astype(np.longdouble) / 3, np.full(3, np.longdouble(2)), dtype=np.longdouble),
        Box(np.array([-np.inf, 3.0]), np.array([4.0, np.inf]), dtype=np.int16),
        Box(-np.inf, 9, (100,), np.int64),
        Box(0, 1, (0, 3), np.dtype(">f4")),
        Box(0, 1, (3,), BOOL),
        Discrete(200, start=-7, dtype=np.dtype(">i2")),
        MultiDiscrete(np.arange(1, 101).reshape(10, 10), start=-np.arange(100).reshape(10, 10)),
        MultiBinary(1),
        MultiBinary([1]),
        Dict(),
        Tuple([]),
        Dict([("z", Discrete(2)), ("a", Tuple([Dict()]))], sort_keys=False),
        Text(2**62, charset="zyx-]\\^[é\U0001f600"),
        Text(0, min_length=0, charset=""),
        Sequence(Dict(a=Discrete(3), b=Text(4)), stack=True),
        Graph(Box(0, 1, (3,)), None),
        Graph(Tuple([Discrete(2), Text(3)]), Dict(weight=Box(0, 1, ()))),
        OneOf([Discrete(2), Sequence(OneOf([Text(2)]))]),
    ],
    ids=str,
)
def test_notable_spaces_come_back_identical(space: Space[Any]) -> None:
    assert identical(over_the_wire(space), space)


def test_standard_keywords_say_what_they_can() -> None:
    schema = to_schema(Dict(at=Box(np.array([-1.0, -np.inf]), np.array([1.0, 2.0]), dtype=np.float64)))
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["at"], False)
    assert schema["properties"]["at"]["prefixItems"] == [
        {"type": "number", "minimum": -1.0, "maximum": 1.0},
        {"type": "number", "maximum": 2.0},
    ]
    image = to_schema(Box(0, 255, (84, 84), np.uint8))
    assert (image["minItems"], image["items"]["maxItems"]) == (84, 84)
    assert image["items"]["items"] == {"type": "integer", "minimum": 0, "maximum": 255}
    assert (
        to_schema(MultiDiscrete(np.array([255, 2], np.uint8), np.uint8))["prefixItems"][0]["maximum"] == 254
    )


def test_a_large_schema_stays_small_when_its_bounds_are_uniform() -> None:
    assert len(json.dumps(to_schema(Box(0, 255, (1000, 1000, 3), np.uint8)))) < 600


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Box(0, 1, (2,)), Box(0, np.nextafter(np.float32(1), np.float32(2)), (2,))),
        (Box(-np.inf, 5, (2,), np.int8), Box(-128, 5, (2,), np.int8)),
        (Box(0, 1, (2,), np.dtype("<f4")), Box(0, 1, (2,), np.dtype(">f4"))),
        (Dict([("a", Discrete(2)), ("b", Discrete(2))]), Dict([("b", Discrete(2)), ("a", Discrete(2))])),
        (Dict({}), Dict({}, sort_keys=False)),
        (Discrete(2), MultiBinary(2)),
        (Discrete(2), Discrete(2, start=1)),
        (MultiBinary(3), MultiBinary([3])),
        (Tuple([Discrete(2)]), Tuple([Discrete(2), Discrete(2)])),
        (Text(3), Text(4)),
        (Text(3), Text(3, min_length=2)),
        (Text(3, charset="ab"), Text(3, charset="ba")),
        (Sequence(Box(0, 1, (2,))), Sequence(Box(-0.0, 1, (2,)))),
        (Sequence(Discrete(2)), Sequence(Discrete(2), stack=True)),
        (Graph(Box(0, 1, (2,)), None), Graph(Box(-0.0, 1, (2,)), None)),
        (Graph(Discrete(2), None), Graph(Discrete(2), Discrete(2))),
        (Graph(Discrete(2), Discrete(2)), Graph(Discrete(2), Discrete(3))),
        (OneOf([Discrete(2)]), OneOf([Discrete(2), Discrete(2)])),
    ],
    ids=str,
)
def test_spaces_that_differ_in_a_bit_are_not_identical(one: Space[Any], other: Space[Any]) -> None:
    assert identical(one, one) and identical(other, other)
    assert not identical(one, other)


class Subclass(Discrete):
    """Something that behaves otherwise than its base, for all we know."""


class Custom(Space[int]):
    """A space that Gymnasium does not have."""


def deep(levels: int) -> Space[Any]:
    space: Space[Any] = Discrete(2)
    for _ in range(levels):
        space = Tuple([space])
    return space


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Custom(), r"the space at \$ is a Custom, which has no schema; use one of Gymnasium's own"),
        (Dict(a=Tuple([Custom()])), r"the space at \$.a\[0\] is a Custom"),
        (OneOf([Sequence(Graph(Discrete(2), Subclass(3)))]), r"at \$\[0\]\[\].edges is a Subclass"),
        (Text(3, charset="\ud800"), "half of a surrogate pair"),
        (Text(2**63 - 1), "longer than any peer may read"),
        (Subclass(3), "is a Subclass"),
        (
            Dict({1: Discrete(2)}),  # type: ignore[dict-item]  # the case at hand
            r"key 1, a int",
        ),
        (deep(33), "deeper than 32"),
    ],
    ids=["custom", "nested", "within", "surrogate", "long", "subclass", "key", "deep"],
)
def test_a_space_without_a_schema_is_refused_by_name(space: Space[Any], message: str) -> None:
    with pytest.raises(UnsupportedSpace, match=message):
        to_schema(space)


def test_the_deepest_space_that_is_written_can_be_read() -> None:
    assert identical(over_the_wire(deep(32)), deep(32))


def box(**changes: Any) -> dict[str, Any]:
    node = {"space": "Box", "version": 1, "dtype": "<f4", "shape": [2], "low": 0.0, "high": 1.0}
    return {"gymnasium": {**node, **changes}}


def described(**node: Any) -> dict[str, Any]:
    return {"gymnasium": {"version": 1, **node}}


def nested_tuples(levels: int) -> Any:
    schema: Any = box()
    for _ in range(levels):
        schema = {**described(space="Tuple"), "prefixItems": [schema]}
    return schema


def nested_lists(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def nested_stacks(levels: int) -> Any:
    schema: Any = described(space="Discrete", dtype="<i8", n=2, start=0)
    for _ in range(levels):
        schema = described(space="Sequence", stack=True, feature=schema)
    return schema


def text(**changes: Any) -> dict[str, Any]:
    return described(**{"space": "Text", "min_length": 0, "max_length": 5, "characters": "ab", **changes})


def one_of(*choices: Any) -> dict[str, Any]:
    return {**described(space="OneOf"), "oneOf": list(choices)}


HOSTILE: list[tuple[Any, str]] = [
    (None, r"at \$: expected an object"),
    ([], "expected an object"),
    ({"type": "integer"}, "under 'gymnasium'"),
    (box(version=2), "expected version 1"),
    (box(version=True), "expected version 1"),
    (box(version=1.0), "expected version 1"),
    (box(space="Custom"), "expected a space among Box, Dict"),
    (box(space=["Box"]), "expected a space among"),
    (box(space=10**5000), "got an integer of 16610 bits"),
    (box(version=nested_lists(5000)), "got a list"),
    (box(dtype=nested_lists(5000)), "got a list"),
    (box(dtype="O"), "expected a dtype"),
    (box(dtype="|O8"), "expected a dtype"),
    (box(dtype="f4,f4"), "expected a dtype"),
    (box(dtype="<f3"), "expected a dtype"),
    (box(dtype="<f4\n"), "expected a dtype"),
    (box(dtype=["<f4"]), "expected a dtype"),
    (box(dtype=None), "expected a dtype"),
    (box(shape=None), r"at \$.shape: expected a list"),
    (box(shape=[-1]), "expected 0 to"),
    (box(shape=[True]), "expected an integer"),
    (box(shape=[2.0]), "expected an integer"),
    (box(shape=[2**24 + 1]), "expected 0 to"),
    (box(shape=[2**20, 2**20]), "elements in all"),
    (box(shape=[0, 2**24, 2**24]), "elements in all"),
    (box(shape=[2**24] * 33), "at most 32 lengths"),
    (box(shape=[10**5000]), "an integer of 16610 bits"),
    (box(low=[0.0]), "expected 2 items, got 1"),
    (box(low="0"), "expected a number"),
    (box(low=True), "expected a number"),
    (box(low=float("nan")), "expected a finite float32"),
    (box(low=1e300), "expected a finite float32"),
    (box(low=10**400), "expected a finite float32"),
    (box(low=2.0), "Box refuses"),
    (box(low=None), "expected a number"),
    (box(low={"base64": "AAAA"}), "expected base64 of 8 bytes, got 4 characters"),
    (box(low={"base64": "AAAAAAAAAA=="}), "expected 8 bytes, got 7"),
    (box(low={"base64": "!!!!!!!!!!!!"}), "expected base64"),
    (box(low={"base64": "ééééééééééé="}), "expected base64"),
    (box(low={"base64": 8}), "one key 'base64'"),
    (box(low={"base64": "AAAAAAAAAAA=", "x": 1}), "one key 'base64'"),
    (box(low={"base64": "AADAfwAAwH8="}), "Box refuses"),
    (box(dtype="|u1", low=0.5), "expected an integer of uint8"),
    (box(dtype="|u1", low=-1), r"uint8 \(0 to 255\), got -1"),
    (box(dtype="|b1", low=0), "expected true or false"),
    (box(dtype="|b1", low={"base64": "AAI="}, high=True), "bytes 0 and 1"),
    (box(bounded_below=1), "bounded_below: expected true or false"),
    (box(bounded_above=[True]), "bounded_above: expected 2 items"),
    (box(dtype=np.dtype(np.longdouble).str, mantissa=1), "another format|expected"),
    (box(dtype=np.dtype(np.longdouble).str, mantissa=int(np.finfo(np.longdouble).nmant)), "base64"),
    (described(space="Discrete", dtype="<i8", n=0, start=0), r"at \$.n: expected 1 to"),
    (described(space="Discrete", dtype="<i8", n=2**63, start=0), r"at \$.n: expected 1 to"),
    (described(space="Discrete", dtype="<f8", n=2, start=0), "kinds 'iu'"),
    (described(space="Discrete", dtype="<i8", n=2, start=None), r"\$.start"),
    (described(space="MultiDiscrete", dtype="<i8", shape=[2], nvec=[1, 0], start=0), "MultiDiscrete refuses"),
    (described(space="MultiDiscrete", dtype="<i8", shape=[2**24, 2], nvec=1, start=0), "elements in all"),
    (described(space="MultiBinary", n=0), "MultiBinary refuses"),
    (described(space="MultiBinary", n=[0]), "MultiBinary refuses"),
    (described(space="MultiBinary", n=2**40), "expected 0 to"),
    (described(space="MultiBinary", n=[2**23, 4]), "elements in all"),
    (described(space="Dict", keys=[], sort_keys=True), "under 'properties'"),
    ({**described(space="Dict", keys=["a"], sort_keys=True), "properties": {}}, r"expected keys \[\]"),
    ({**described(space="Dict", keys=["a", "a"], sort_keys=True), "properties": {"a": box()}}, "each once"),
    ({**described(space="Dict", keys=[1], sort_keys=True), "properties": {}}, "list of strings"),
    ({**described(space="Dict", keys=["a"], sort_keys=1), "properties": {"a": box()}}, "'sort_keys'"),
    ({**described(space="Dict", keys=["a"], sort_keys=True), "properties": {"a": 3}}, r"at \$.a: expected"),
    ({**described(space="Tuple"), "prefixItems": {}}, "list under 'prefixItems'"),
    (text(characters=None), "a string of characters"),
    (text(characters=["a"]), "a string of characters"),
    (text(characters="aa"), "each once"),
    (text(min_length=-1), r"min_length: expected 0 to"),
    (text(min_length=2**29), r"min_length: expected 0 to"),
    (text(min_length=2**24, max_length=2**24), "elements in all"),
    (text(min_length=6), r"max_length: expected 6 to"),
    (text(max_length=True), r"max_length: expected an integer"),
    (text(max_length=2**63), r"max_length: expected 0 to"),
    (one_of(), "OneOf refuses"),
    (described(space="OneOf"), "list under 'oneOf'"),
    (one_of(3), r"at \$\[0\]: expected an object"),
    (one_of(box()), "index and value"),
    (one_of({"prefixItems": [{"const": 0}, 3]}), r"at \$\[0\]: expected an object"),
    (described(space="Sequence"), "'stack'"),
    (described(space="Sequence", stack=1), "'stack'"),
    (described(space="Sequence", stack=False), r"at \$\[\]: expected an object"),
    (described(space="Sequence", stack=True, feature=[]), r"at \$\[\]: expected an object"),
    (described(space="Graph"), r"at \$.nodes: expected an object"),
    (described(space="Graph", node=box(), edge=3), r"at \$.edges: expected an object"),
    (nested_stacks(14), "copies at most 4096 times"),
    (nested_stacks(31), "copies at most 4096 times"),
    (nested_tuples(40), "at most 32 nested"),
    (nested_tuples(5000), "at most 32 nested"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_schema_is_a_violation_that_says_where(schema: Any, message: str) -> None:
    with pytest.raises(ProtocolViolation, match=message) as caught:
        from_schema(schema)
    assert len(caught.value.message) < 600


def test_the_limit_of_elements_holds_for_all_leaves_together() -> None:
    schema = to_schema(Tuple([Box(0, 1, (4,)), MultiBinary(5), Discrete(2)]))
    assert isinstance(from_schema(schema, max_elements=10), Tuple)
    with pytest.raises(ProtocolViolation, match=r"at \$\[2\]: expected at most 9 elements in all"):
        from_schema(schema, max_elements=9)
    graph = described(space="Graph", node=box(shape=[5]), edge=None)  # Gymnasium copies its parts
    assert isinstance(from_schema(graph, max_elements=10), Graph)
    with pytest.raises(ProtocolViolation, match="elements in all"):
        from_schema(graph, max_elements=9)


def test_a_huge_shape_is_refused_before_it_is_allocated() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolViolation):
            from_schema(box(shape=[2**14, 2**14, 2]))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "space",
    [
        Dict(
            properties=Discrete(2), gymnasium=Box(0, 1, (2,)), items=Tuple([Text(3), Dict(oneOf=Discrete(3))])
        ),
        OneOf([Discrete(2), Sequence(Box(np.zeros(3), np.arange(3.0) + 1, dtype=np.float64))]),
    ],
    ids=str,
)
def test_without_the_extension_it_is_standard_json_schema(space: Space[Any]) -> None:
    def keywords(schema: Any) -> set[str]:
        """Of the schema and of those within it; names of properties are none."""
        nested = [*schema.get("properties", {}).values(), *schema.get("prefixItems", ())]
        nested += [*schema.get("oneOf", ()), *([schema["items"]] if schema.get("items") else ())]
        return set(schema).union(*map(keywords, nested))

    assert "gymnasium" in keywords(to_schema(space))
    assert "gymnasium" not in keywords(to_schema(space, exact=False))
    assert set(to_schema(space, exact=False).get("properties", {})) == set(
        to_schema(space).get("properties", {})
    )


def test_a_large_box_with_bounds_of_its_own_for_each_number_stays_small() -> None:
    low = np.random.default_rng(0).normal(size=(210, 160, 3)).astype(np.float32)
    assert len(json.dumps(to_schema(Box(low, low + 1, dtype=np.float32), exact=False))) < 500
