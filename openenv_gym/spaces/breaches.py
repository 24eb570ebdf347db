"""Where a value breaks a JSON Schema: field by field, and for schemas that nobody has checked.

Enough of the standard (https://json-schema.org/draft/2020-12) to hold a server's answers against what it
publishes: types, constants, bounds, fields, lists, alternatives, references inside the document. What is
not known here is not checked, patterns and formats among it. Of a long list the first items stand for all.
Whatever a schema says, little is done: it may refer to itself, and be as large as whoever wrote it likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from reprlib import repr as shown
from typing import Any, NamedTuple

from openenv_gym.types import Plain

__all__ = ["Breach", "breaches", "breaches_of_answer"]

_MOST_STEPS = 5000
"""Parts of the schema that are looked at for one value, however often for the same part."""
_NAMES_A_STEP = 50
"""So many constants, or names of required fields, cost as much as a part."""
_MOST_BREACHES = 32
_DEEPEST = 50
_ITEMS = 16
"""Of a list, so many are looked at."""
_BESIDE = ("reward", "done", "metadata")
_BOUNDS: dict[str, tuple[str, Any]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("more than", lambda value, bound: value > bound),
    "exclusiveMaximum": ("less than", lambda value, bound: value < bound),
}


class Breach(NamedTuple):
    """What is wrong with a value.

    Attributes:
        field: where, ``board[].x``; empty for the value itself.
        said: what is there, and what the schema wants.
    """

    field: str
    said: str


def breaches(schema: Any, value: Plain) -> list[Breach]:
    """What of a value breaks its schema; of two things wrong with one field, the first.

    >>> schema = {"properties": {"at": {"items": {"type": "integer"}}, "name": {"type": "string"}}}
    >>> breaches({**schema, "required": ["name"]}, {"at": [1, 2.5]})
    [Breach(field='name', said='is missing'), Breach(field='at[]', said='is 2.5, not of type integer')]
    """
    found: dict[str, Breach] = {}
    try:
        for breach in islice(_Document(schema).breaches(schema, value, "", 0), _MOST_BREACHES):
            found.setdefault(breach.field, breach)
    except _TooMuch:
        pass
    return list(found.values())


def breaches_of_answer(schema: Any, body: Mapping[str, Plain]) -> list[Breach]:
    """What of an answer to a reset or step breaks the schema of observations.

    Reward, end and metadata travel beside the fields, and are looked at where the schema declares them.

    >>> breaches_of_answer({"required": ["x", "done"]}, {"observation": {"metadata": {}}, "done": False})
    [Breach(field='x', said='is missing')]
    """
    if type(schema) is not dict:
        return []
    declared = schema.get("properties")
    declared = declared if type(declared) is dict else {}
    required = _list(schema, "required")
    there = {**body, **body["observation"]}
    beside = {
        name: there[name] for name in _BESIDE if (name in declared or name in required) and name in there
    }
    fields = {name: value for name, value in body["observation"].items() if name != "metadata"}
    return breaches(schema, {**fields, **beside})


class _TooMuch(Exception):
    """More than is worth doing."""


class _Document:
    """A schema, and how much of it may be looked at still."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MOST_STEPS

    def breaches(self, schema: Any, value: Plain, field: str, depth: int) -> Iterator[Breach]:
        """What of a value breaks a part of the schema."""
        if schema is False:
            yield Breach(field, "is there, and may not be")
        if type(schema) is not dict:
            return
        named = len(_list(schema, "enum")) + len(_list(schema, "required"))
        self._left -= 1 + named // _NAMES_A_STEP
        if self._left < 0 or depth > _DEEPEST:
            raise _TooMuch
        if type(reference := schema.get("$ref")) is str:
            yield from self.breaches(self._resolved(reference), value, field, depth + 1)
        for part in _list(schema, "allOf"):
            yield from self.breaches(part, value, field, depth + 1)
        for name in ("anyOf", "oneOf"):
            if type(schema.get(name)) is list:
                yield from self._alternatives(schema[name], value, field, depth + 1)
        yield from _of_itself(schema, value, field)
        if type(value) is dict:
            yield from self._fields(schema, value, field, depth + 1)
        elif type(value) is list:
            yield from self._items(schema, value, field, depth + 1)

    def _resolved(self, reference: str) -> Any:
        """The part of this document that is meant; nothing for another document's."""
        part: Any = self._root
        if not reference.startswith("#"):
            return None
        for name in reference[1:].split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            part = part.get(name) if type(part) is dict else None
        return part

    def _alternatives(self, parts: list[Any], value: Plain, field: str, depth: int) -> Iterator[Breach]:
        """Nothing if one of them fits; else what is wrong by the only one that could be meant."""
        likely: list[list[Breach]] = []
        for part in parts:
            found = list(islice(self.breaches(part, value, field, depth), _MOST_BREACHES))
            if not found:
                return
            if found[0].field != field:  # it is of the right type, and something in it is wrong
                likely.append(found)
        if len(likely) == 1:
            yield from likely[0]
        elif parts:
            types = sorted({str(part["type"]) for part in parts if type(part) is dict and "type" in part})
            yield Breach(field, f"is {shown(value)}, none of {', '.join(types)[:60] or 'the alternatives'}")

    def _fields(
        self, schema: dict[str, Any], value: dict[str, Any], field: str, depth: int
    ) -> Iterator[Breach]:
        prefix = f"{field}." if field else ""
        known = schema.get("properties")
        known = known if type(known) is dict else {}
        for name in _list(schema, "required"):
            if name not in value:
                yield Breach(f"{prefix}{name!s:.60}", "is missing")
        others = schema.get("additionalProperties", True)
        for name, each in value.items():
            if name in known:
                yield from self.breaches(known[name], each, f"{prefix}{name:.60}", depth)
            elif others is False:
                yield Breach(f"{prefix}{name:.60}", "is not declared")
            elif type(others) is dict:
                yield from self.breaches(others, each, f"{prefix}{name:.60}", depth)

    def _items(self, schema: dict[str, Any], value: list[Any], field: str, depth: int) -> Iterator[Breach]:
        count, inside = len(value), f"{field}[]"
        least, most = schema.get("minItems"), schema.get("maxItems")
        if (type(least) is int and count < least) or (type(most) is int and count > most):
            yield Breach(field, f"has {count} items, not {least if least is not None else 0} to {most}")
        first = _list(schema, "prefixItems")
        for part, each in zip(first[:_ITEMS], value, strict=False):
            yield from self.breaches(part, each, inside, depth)
        if "items" in schema:
            for each in value[len(first) : len(first) + _ITEMS]:
                yield from self.breaches(schema["items"], each, inside, depth)


def _of_itself(schema: dict[str, Any], value: Plain, field: str) -> Iterator[Breach]:
    """What is wrong whatever is inside."""
    types = schema.get("type")
    names = types if type(types) is list else [types]
    if types is not None and not any(_is_of(value, name) for name in names):
        yield Breach(field, f"is {shown(value)}, not of type {' or '.join(map(str, names)):.60}")
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield Breach(field, f"is {shown(value)}, not {shown(schema['const'])}")
    constants = schema.get("enum")
    if type(constants) is list and not any(_same(value, each) for each in constants):
        yield Breach(field, f"is {shown(value)}, none of {shown(constants)}")
    if type(value) in (int, float):
        for name, (words, holds) in _BOUNDS.items():
            bound = schema.get(name)
            if type(bound) in (int, float) and not holds(value, bound):
                yield Breach(field, f"is {shown(value)}, not {words} {shown(bound)}")


def _list(schema: dict[str, Any], name: str) -> list[Any]:
    part = schema.get(name)
    return part if type(part) is list else []


def _same(value: Plain, constant: Any) -> bool:
    """Equal as JSON has it, where ``true`` is not 1."""
    return (type(value) is bool) == (type(constant) is bool) and bool(value == constant)


def _is_of(value: Plain, name: Any) -> bool:
    match name:
        case "null":
            return value is None
        case "boolean":
            return type(value) is bool
        case "integer":
            return type(value) is int or (type(value) is float and value.is_integer())
        case "number":
            return type(value) in (int, float)
        case "string":
            return type(value) is str
        case "array":
            return type(value) is list
        case "object":
            return type(value) is dict
    return True
