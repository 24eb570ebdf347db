"""A hostile schema is a typed error that costs nothing, and what a hint says need not be readable."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gymnasium.spaces import Discrete

from openenv_gym.errors import LayoutMismatch, OpenEnvGymError, ProtocolViolation, SpaceUnknown
from openenv_gym.spaces.inference import Evidence, fingerprint, infer
from openenv_gym.spaces.inference.nodes import CHOICE_LIMIT, NODE_LIMIT

MEGABYTE = 2**20


@contextmanager
def little_memory(limit: int = 4 * MEGABYTE) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def nested(depth: int, keyword: str = "items") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema} if keyword == "items" else {keyword: [schema, schema]}
    return schema


def laughs() -> dict[str, Any]:
    """A schema that doubles with each of its references."""
    definitions: dict[str, Any] = {"l0": {"type": "integer"}}
    for at in range(1, 31):
        below = {"$ref": f"#/$defs/l{at - 1}"}
        definitions[f"l{at}"] = fields(a=below, b=below)
    return {**fields(go={"$ref": "#/$defs/l30"}), "$defs": definitions}


HOSTILE: dict[str, Any] = {
    "deep arrays": fields(go=nested(5_000)),
    "deep unions": fields(go={"anyOf": [{"anyOf": [nested(100)]}]}),
    "a reference to itself": {"$ref": "#"},
    "references in a ring": {
        **fields(go={"$ref": "#/$defs/a"}),
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    },
    "a tree": {**fields(go={"$ref": "#/$defs/t"}), "$defs": {"t": fields(t={"$ref": "#/$defs/t"})}},
    "merged with itself": {"allOf": [{"$ref": "#"}]},
    "doubling references": laughs(),
    "a remote reference": fields(go={"$ref": "http://127.0.0.1:9/schema.json#/a"}),
    "a file reference": fields(go={"$ref": "file:///etc/passwd"}),
    "a reference to nothing": fields(go={"$ref": "#/$defs/none"}),
    "a megabyte of enum": fields(go={"enum": [f"value {at}" for at in range(MEGABYTE // 16)]}),
    "too many choices": fields(go={"enum": list(range(CHOICE_LIMIT + 1))}),
    "too many fields": fields(**{f"f{at}": {"type": "string"} for at in range(NODE_LIMIT + 1)}),
    "an array of a trillion": fields(
        go={"items": {"type": "number"}, "minItems": 10**12, "maxItems": 10**12}
    ),
    "a negative length": fields(go={"type": "string", "maxLength": -1}),
    "a text for a bound": fields(go={"type": "integer", "minimum": "0"}),
    "not-a-number for a bound": fields(go={"type": "number", "minimum": float("nan")}),
    "no such type": fields(go={"type": "tensor"}),
    "a list for an object": fields(go=[1, 2]),
    "properties in a list": {"type": "object", "properties": ["go"]},
    "a list for all of it": [],
    "a text for all of it": "schema",
}


@pytest.mark.parametrize("part", ["action", "observation"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_refused_and_costs_nothing(part: str, name: str) -> None:
    harmless = fields(go={"type": "boolean"})
    schema = {"action": harmless, "observation": harmless, part: HOSTILE[name]}
    with little_memory(), pytest.raises(ProtocolViolation, match=part):
        infer(Evidence(schema=schema, reset={"observation": {"go": True}}))


ABSURD: dict[str, dict[str, Any]] = {
    "more integers than there are": {"type": "integer", "minimum": 0, "maximum": 10**30},
    "integers of many digits": {"type": "integer", "minimum": -(10**400), "maximum": 10**400},
    "half of all integers": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "no integers": {"type": "integer", "minimum": 3, "maximum": 1},
    "a big cube": {**nested(3), "minItems": 2**20, "maxItems": 2**20},
    "floats of many digits": {"type": "number", "minimum": 0, "maximum": 10**400},
    "floats without end": {"type": "number", "minimum": 0, "maximum": float("inf")},
    "a big vector": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1},
                     "minItems": 2**23, "maxItems": 2**23},
}  # fmt: skip


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_bounds_and_shapes_stay_open(name: str) -> None:
    with little_memory():
        inference = infer(Evidence(schema={"action": fields(go=ABSURD[name])}))
        assert "action.go" in inference.open and inference.table()
        with pytest.raises(SpaceUnknown):
            _ = inference.action_space


def test_an_absurd_shape_of_an_observation_stays_open() -> None:
    big = {"type": "array", "items": {"type": "number"}, "minItems": 2**23, "maxItems": 2**23}
    with little_memory():
        assert "observation.go" in infer(Evidence(schema={"observation": fields(go=big)})).open


@pytest.mark.parametrize(
    "spec",
    [
        {"shape": [10**12], "minimum": [-1], "maximum": [1]},
        {"shape": [2**40, 2**40], "minimum": -1, "maximum": 1},
        {"shape": [2], "minimum": [1, 1], "maximum": [0, 0]},
        {"shape": [2], "minimum": ["a", None], "maximum": [1, 1]},
        {"discrete_branches": [2**80], "continuous_size": 10**12},
        {"shape": "wide"},
    ],
)
def test_an_absurd_spec_is_not_believed(spec: dict[str, Any]) -> None:
    schema = {"action": fields(go={"type": "array", "items": {"type": "number"}})}
    with little_memory():
        assert "action.go" in infer(Evidence(schema=schema, state={"action_spec": spec})).open


@pytest.mark.parametrize("shape", [[10**6, 10**6], [0], [-1, -4], [2, 3], ["4"], [True, 4], 4])
def test_an_absurd_shape_beside_an_array_is_not_believed(shape: Any) -> None:
    reset = {"observation": {"screen": [1, 2, 3, 4], "screen_shape": shape}}
    space = infer(Evidence(reset=reset, schema={"action": fields(go={"type": "boolean"})})).observation_space
    assert "screen" not in getattr(space, "spaces", {"screen": space}) or (4,) in {
        getattr(space, "spaces", {}).get("screen", space).shape
    }


def test_a_field_that_a_hint_explains_may_be_unreadable() -> None:
    schema = {"action": fields(go={"$ref": "http://127.0.0.1:9/x"})}
    inference = infer(Evidence(schema=schema), {"action.go": Discrete(3), "seen": Discrete(2)})
    assert inference.action_space == Discrete(3) and inference.encode_action(1) == {"go": 1}


def test_a_deep_answer_is_read_or_refused() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    evidence = Evidence(
        schema={"action": fields(go={"type": "boolean"})}, reset={"observation": {"deep": deep}}
    )
    try:
        infer(evidence).decode_observation({"deep": deep})
    except OpenEnvGymError:
        pass


def test_a_fingerprint_of_a_deep_schema_is_refused() -> None:
    with pytest.raises(ProtocolViolation, match="deeper"):
        fingerprint({"action": nested(5_000)})


@pytest.mark.parametrize(
    "fields_of_step",
    [{}, *({"at": value} for value in (None, "x", [1, 2, 3], [[1], [2]], {"a": 1}, [10**400, 1], 10**400))],
)
def test_an_answer_that_is_not_what_was_inferred_is_the_servers_fault(fields_of_step: dict[str, Any]) -> None:
    evidence = Evidence(
        schema={"action": fields(go={"type": "boolean"})}, reset={"observation": {"at": [1, 2]}}
    )
    inference = infer(evidence)
    if fields_of_step.get("at") is None:
        assert inference.decode_observation(fields_of_step).tolist() == [0, 0]
    else:
        with pytest.raises(LayoutMismatch, match=r"observation\.at .*pass hints"):
            inference.decode_observation(fields_of_step)
