"""Gymnasium spaces as JSON Schema, exactly: standard keywords for readers, one key for the round trip.

Each node is an ordinary JSON Schema (Draft 2020-12) of the plain value that ``to_plain`` writes, as
far as its keywords reach, and carries under ``"gymnasium"`` what they cannot say. Only that key,
``properties``, ``prefixItems``, ``items`` and ``oneOf`` are read back. A schema comes over the wire,
so the reader trusts nothing: it counts elements and copies before it allocates, and limits depth and
dtypes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gymnasium import Space

from openenv_gym.spaces.identity import identical
from openenv_gym.spaces.schema_reader import DEPTH_LIMIT, ELEMENT_LIMIT, KEY, SchemaReader
from openenv_gym.spaces.schema_writer import write_schema
from openenv_gym.types import Plain

__all__ = ["DEPTH_LIMIT", "ELEMENT_LIMIT", "from_schema", "from_schemas", "identical", "to_schema"]


def to_schema(space: Space[Any], *, exact: bool = True) -> dict[str, Plain]:
    """Write a space as a JSON Schema that :func:`from_schema` turns back into the same space.

    Without ``exact`` it is standard JSON Schema alone, for readers who know nothing of spaces; a large
    Box then has one bound for all its numbers.

    The result is strict JSON (``json.dumps(..., allow_nan=False)``).

    >>> from gymnasium.spaces import Discrete
    >>> to_schema(Discrete(3))
    {'type': 'integer', 'minimum': 0, 'maximum': 2, 'gymnasium': {'space': 'Discrete', 'version': 1, \
'dtype': '<i8', 'n': 3, 'start': 0}}

    Raises:
        UnsupportedSpace: the space, or one within it, has no schema.
    """
    schema = write_schema(space)
    return schema if exact else _standard(schema)


def _standard(schema: dict[str, Plain]) -> dict[str, Plain]:
    """The same without our extension."""
    return {keyword: _nested(keyword, value) for keyword, value in schema.items() if keyword != KEY}


def _nested(keyword: str, value: Plain) -> Plain:
    if keyword == "properties":
        return {name: _standard(child) for name, child in value.items()}
    if keyword in ("prefixItems", "oneOf", "anyOf"):
        return [_standard(child) for child in value]
    return _standard(value) if keyword == "items" and isinstance(value, dict) else value


def from_schema(schema: Plain, *, max_elements: int = ELEMENT_LIMIT) -> Space[Any]:
    """Build the space that a peer described with :func:`to_schema`.

    >>> from gymnasium.spaces import Box
    >>> from_schema(to_schema(Box(-1, 1, (2,))))
    Box(-1.0, 1.0, (2,), float32)
    >>> from_schema({"type": "integer"})
    Traceback (most recent call last):
    openenv_gym.errors.ProtocolViolation: at $: expected an object under 'gymnasium', got a NoneType

    Args:
        schema: a schema, as any JSON decoder gives it.
        max_elements: refuse a space whose row has more numbers than this.

    Raises:
        ProtocolViolation: the schema is malformed, or larger than the limits; the message says where.
    """
    return SchemaReader(max_elements).read(schema)


def from_schemas(schemas: Iterable[Plain], *, max_elements: int = ELEMENT_LIMIT) -> tuple[Space[Any], ...]:
    """Build several spaces that a peer described, whose rows have at most so many numbers in all.

    Raises:
        ProtocolViolation: a schema is malformed, or they are larger than the limits.
    """
    reader = SchemaReader(max_elements)
    return tuple([reader.read(schema) for schema in schemas])
