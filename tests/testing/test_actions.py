"""Actions made from published schemas, as servers in the wild write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv_gym.errors import InvalidArgument
from openenv_gym.testing.actions import Actor, sample_schema
from openenv_gym.testing.findings import Skipped


def fields(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


@pytest.mark.parametrize(
    ("schema", "allowed"),
    [
        ({"const": 3}, [3]),
        ({"enum": ["a", "b"]}, ["a", "b"]),
        ({"type": "boolean"}, [False, True]),
        ({"type": "integer"}, [0]),
        ({"type": "integer", "minimum": 4}, [4]),
        ({"type": "integer", "maximum": -4}, [-4]),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 4}, [1, 2, 3]),
        ({"type": "number"}, [0.0]),
        ({"type": ["string", "null"]}, [""]),
        ({"type": "string", "minLength": 2}, ["aa"]),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, [None]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, [[1, 2]]),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2}, [[1, 1]]),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": "UP"}}}, ["UP"]),
        (fields({"x": {"const": 1}}), [{"x": 1}]),
        ({"type": "object", "properties": {"game": {"type": "string"}}}, [{}]),
    ],
)
def test_a_sample_is_what_the_schema_allows(schema: dict[str, Any], allowed: list[Any]) -> None:
    rng = np.random.default_rng(0)
    samples = [sample_schema(schema, rng) for _ in range(40)]
    assert all(sample in allowed for sample in samples)
    assert all(each in samples for each in allowed)


def test_a_number_lies_within_its_bounds() -> None:
    schema = {"type": "number", "exclusiveMinimum": -1, "maximum": 1}
    rng = np.random.default_rng(0)
    assert all(-1 < sample_schema(schema, rng) <= 1 for _ in range(50))


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "string"},
        fields({"values": {"type": "array", "items": {"type": "number"}}}),
        fields({"image": {"type": "array", "items": {}, "minItems": 10**9, "maxItems": 10**9}}),
        {"$ref": "#"},
        {"$ref": "http://127.0.0.1:9/action.json"},
        {"$ref": "#/$defs/missing"},
        {"type": "object", "required": ["x"]},
    ],
)
def test_a_schema_that_leaves_too_much_open_is_skipped(schema: Any) -> None:
    with pytest.raises(Skipped, match="pass action="):
        Actor.of_schema(schema, 0)


def test_legal_actions_are_taken_where_an_observation_names_them() -> None:
    actor = Actor.of_schema(fields({"action_id": {"type": "integer"}}), 0)
    assert {actor.act({"legal_actions": [3, 5]})["action_id"] for _ in range(20)} == {3, 5}
    assert actor.act({"legal_actions": []}) == {"action_id": 0}


def test_the_same_seed_makes_the_same_actions() -> None:
    schema = fields({"x": {"type": "integer", "minimum": 0, "maximum": 1000}})
    one, same, other = (Actor.of_schema(schema, seed) for seed in (1, 1, 2))
    drawn = [[actor.act({}) for _ in range(5)] for actor in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_list_of_actions_is_played_over_and_over() -> None:
    actor = Actor.of_caller([{"x": 1}, {"x": 2}])
    assert [actor.act({})["x"] for _ in range(3)] == [1, 2, 1]
    with pytest.raises(InvalidArgument, match="empty"):
        Actor.of_caller([])
