"""What breaks a schema is said by field, as the ``jsonschema`` package would find it, and quickly."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field

from openenv_gym.spaces import breaches


class Inner(BaseModel):
    x: int = Field(ge=0)
    name: str | None = None


class Seen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    board: list[list[int]]
    inner: Inner
    pair: tuple[int, str] | None = None
    share: float = Field(default=0.5, lt=1)
    scores: dict[str, float] = Field(default_factory=dict)
    reward: bool | int | float | None = None
    free: Any = None


SCHEMA = Seen.model_json_schema()
SOUND: dict[str, Any] = {"board": [[0, 1], [2]], "inner": {"x": 1}}
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    (
        {"board": [], "inner": {"x": 1.0, "name": None, "more": 1}, "pair": [1, "a"], "free": {"y": [None]}},
        [],
    ),
    ({"reward": True, "share": 0, "scores": {"a": 1}}, []),
    ({"board": [[0, 1.5]]}, ["board[][]"]),
    ({"board": None, "inner": [1]}, ["board", "inner"]),
    ({"inner": {"x": -1}}, ["inner.x"]),
    ({"inner": {"name": 3}}, ["inner.x", "inner.name"]),
    ({"pair": [1, 2]}, ["pair[]"]),
    ({"pair": [1]}, ["pair"]),
    ({"pair": 1}, ["pair"]),
    ({"share": 1.0, "scores": {"a": "b"}}, ["share", "scores.a"]),
    ({"reward": "1.0", "surprise": 1}, ["reward", "surprise"]),
]


@pytest.mark.parametrize(("change", "fields"), CASES, ids=str)
def test_fields_that_break_the_schema_are_named(change: dict[str, Any], fields: list[str]) -> None:
    value = {**SOUND, **change}
    found = breaches(SCHEMA, value)
    assert sorted(breach.field for breach in found) == sorted(fields)
    assert Draft202012Validator(SCHEMA).is_valid(value) == (not found)


VALUES = [None, True, False, 0, 1, 2.0, 2.5, "", "a", "RED", [], [1], [1, "a"], {}, {"a": 1}, {"b": None}]
PARTS: list[Any] = [
    True,
    False,
    {},
    {"type": ["string", "null"]},
    {"enum": ["RED", 1, None]},
    {"const": 1},
    {"minimum": 1, "exclusiveMaximum": 2.5},
    {"maximum": 2, "exclusiveMinimum": 0},
    {"oneOf": [{"type": "string"}, {"type": "array"}]},
    {"allOf": [{"type": "integer"}, {"minimum": 1}]},
    {"items": {"type": "integer"}, "maxItems": 1},
    {"prefixItems": [{"const": 1}], "items": False, "minItems": 1},
    {"required": ["a"], "additionalProperties": {"type": "integer"}},
    {"properties": {"a": {"$ref": "#/$defs/word"}}, "$defs": {"word": {"type": "string"}}},
    {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "array"}}},
]


@pytest.mark.parametrize("schema", PARTS, ids=str)
def test_each_part_means_what_the_standard_says(schema: Any) -> None:
    for value in VALUES:
        assert Draft202012Validator(schema).is_valid(value) == (not breaches(schema, value)), value


def deep(levels: int) -> Any:
    schema: Any = {"type": "integer"}
    for _ in range(levels):
        schema = {"allOf": [schema]}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}] * 100},
        {"$ref": "https://elsewhere.test/schema.json"},
        {"$ref": "#/nowhere"},
        {"$ref": 7, "type": 7, "enum": "x", "required": 1, "properties": [], "items": 3, "anyOf": {}},
        deep(400),
        {"anyOf": [{"enum": list(range(100_000))}] * 1000},
        {"required": [str(number) for number in range(500_000)]},
    ],
    ids=["loop", "bomb", "choices", "elsewhere", "nowhere", "nonsense", "deep", "constants", "names"],
)
def test_of_a_hostile_schema_little_is_looked_at(schema: Any) -> None:
    values: list[Any] = ["x", {"a": [1]}, [[]]]
    for value in values:
        assert len(breaches(schema, value)) <= 1


def test_of_much_that_is_wrong_some_is_said() -> None:
    schema = {"additionalProperties": False}
    assert len(breaches(schema, dict.fromkeys(map(str, range(10_000))))) == 32
    found = breaches({"items": {"type": "integer"}}, ["x" * 10**6] * 10**5)
    assert [breach.field for breach in found] == ["[]"] and len(found[0].said) < 100
