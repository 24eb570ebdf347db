"""A published JSON Schema, read into small frozen nodes: what may stand in a field.

A schema comes over the wire, so the reader trusts nothing: it follows references within the document
alone, each at most once on its way down, counts what it visits, and builds nothing that is larger than
the schema. It reads more than this package writes, and knows less than JSON Schema: keywords that say
nothing of types, bounds and shapes are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces.casting import shown
from openenv_gym.spaces.schema_reader import DEPTH_LIMIT
from openenv_gym.types import Plain

__all__ = ["CHOICE_LIMIT", "MISSING", "NODE_LIMIT", "Node", "NodeReader"]

NODE_LIMIT = 2**12
"""The most nodes of one schema."""
CHOICE_LIMIT = 2**13
"""The most values among which a field may choose by name."""
LENGTH_LIMIT = 2**24
"""The most items that a list may be told to have."""

MISSING: Final = object()
"""That there is no default, for ``None`` is one."""


@dataclass(frozen=True, slots=True)
class Node:
    """What may stand in one field.

    Attributes:
        kind: ``integer``, ``number``, ``string``, ``boolean``, ``array``, ``object``, ``choice`` (of
            values), ``union`` (of objects), ``null`` or ``anything``.
        nullable: whether ``null`` may, too.
        default: what stands there if nothing is sent, or :data:`MISSING`.
        choices: the values of a choice; one alone is a constant.
        low: the least number; of floats, one that a float64 holds.
        high: the greatest number, likewise.
        items: what an array holds, as far as ``prefix`` does not say it.
        prefix: what its first items are, one by one.
        least: the fewest items, or characters.
        most: the most items, or characters.
        fields: of an object.
        required: which of them must be there.
        values: what further fields of an object hold; ``None`` if nothing is said of them.
        closed: whether an object may have no further fields.
        variants: of a union.
        tag: the field whose value tells the variants of a union apart.
    """

    kind: str
    nullable: bool = False
    default: Any = MISSING
    choices: tuple[Any, ...] = ()
    low: int | float | None = None
    high: int | float | None = None
    items: Node | None = None
    prefix: tuple[Node, ...] = ()
    least: int = 0
    most: int | None = None
    fields: Mapping[str, Node] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    values: Node | None = None
    closed: bool = False
    variants: tuple[Node, ...] = ()
    tag: str | None = None

    @property
    def constant(self) -> bool:
        """Whether one value alone may stand there."""
        return self.kind == "choice" and len(self.choices) == 1 and not self.nullable

    def may_be(self, plain: Plain) -> bool:
        """Say whether a value that is not null is of this type; what it holds is not looked at.

        >>> Node("integer").may_be(3.0), Node("integer").may_be("3")
        (True, False)
        """
        if self.kind == "choice":
            return plain in self.choices
        wanted = _TYPES.get(self.kind)
        if self.kind == "integer" and isinstance(plain, float):
            return plain.is_integer()
        return wanted is None or (
            isinstance(plain, wanted) and (isinstance(plain, bool) <= (self.kind in ("boolean", "number")))
        )


_TYPES: dict[str, type | tuple[type, ...]] = {
    "integer": int,
    "number": (int, float),
    "string": str,
    "boolean": bool,
    "array": list,
    "object": dict,
    "union": dict,
}

ANYTHING: Final = Node("anything")


class NodeReader:
    """Reads the nodes of one document, and keeps count of them.

    >>> NodeReader({"type": "integer", "minimum": 0, "exclusiveMaximum": 7}).read().high
    6

    Args:
        document: the schema whose references are followed.
        name: what to call it in an error.
        spared: the top-level fields that may be unreadable, because a hint says all of them.
    """

    def __init__(
        self, document: Plain, name: str = "schema", spared: frozenset[str] | set[str] = frozenset()
    ) -> None:
        self._document, self._name, self._spared = document, name, spared
        self._count = 0

    def read(self) -> Node:
        """Read the document's root.

        Raises:
            ProtocolViolation: the schema is malformed, refers to itself or elsewhere, or is too large.
        """
        return self._read(self._document, self._name, 0, ())

    def _read(self, schema: Plain, path: str, depth: int, references: tuple[str, ...]) -> Node:
        self._count += 1
        if depth > DEPTH_LIMIT:
            raise self._refuse(path, f"at most {DEPTH_LIMIT} schemas within one another")
        if self._count > NODE_LIMIT:
            raise self._refuse(path, f"at most {NODE_LIMIT} schemas in all")
        if schema is True or schema is None:
            return ANYTHING
        if not isinstance(schema, dict):
            raise self._refuse(path, "an object", schema)
        schema, references = self._resolved(schema, path, references)
        alternatives = schema.get("anyOf", schema.get("oneOf"))
        if alternatives is not None and "properties" not in schema:
            return self._union(schema, alternatives, path, depth, references)
        return self._plain(schema, path, depth, references)

    def _resolved(
        self, schema: dict[str, Any], path: str, references: tuple[str, ...]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """A schema without ``$ref`` and ``allOf``: what they lead to, under what stands beside them."""
        while "$ref" in schema or "allOf" in schema:
            beside = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
            merged: dict[str, Any] = {}
            for part in self._list(schema.get("allOf", []), path, "allOf"):
                if not isinstance(part, dict):
                    raise self._refuse(path, "objects under 'allOf'", part)
                merged |= part
            if "$ref" in schema:
                reference = schema["$ref"]
                if reference in references:
                    raise self._refuse(path, f"a schema that ends, and {shown(reference)} holds itself")
                merged |= self._target(reference, path)
                references = (*references, reference)
            schema = merged | beside
            self._count += 1
            if self._count > NODE_LIMIT:
                raise self._refuse(path, f"at most {NODE_LIMIT} schemas in all")
        return schema, references

    def _target(self, reference: Plain, path: str) -> dict[str, Any]:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise self._refuse(path, "a reference within the schema, '#/...'; nothing is fetched", reference)
        found: Any = self._document
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise self._refuse(path, "a reference to what is there", reference)
            found = found[key]
        if not isinstance(found, dict):
            raise self._refuse(path, "a reference to an object", reference)
        return found

    def _union(
        self, schema: dict[str, Any], alternatives: Plain, path: str, depth: int, references: tuple[str, ...]
    ) -> Node:
        chosen = self._list(alternatives, path, "anyOf or oneOf")
        nodes = [self._read(part, f"{path}|{at}", depth + 1, references) for at, part in enumerate(chosen)]
        nullable = any(node.kind == "null" or node.nullable for node in nodes)
        nodes = [node for node in nodes if node.kind != "null"]
        kinds = {node.kind for node in nodes}
        default = schema.get("default", MISSING)
        if len(nodes) == 1:
            only = nodes[0]
            return replace(only, nullable=nullable, default=only.default if default is MISSING else default)
        if kinds == {"choice"}:
            choices = tuple([value for node in nodes for value in node.choices])
            return Node("choice", nullable, default, choices=choices)
        if kinds and kinds <= {"integer", "number", "boolean"}:
            return Node("number", nullable, default)
        if kinds and kinds <= {"object", "union"}:
            variants = tuple([part for node in nodes for part in (node.variants or (node,))])
            return Node("union", nullable, default, variants=variants, tag=_tag(schema, variants))
        return replace(ANYTHING, nullable=nullable, default=default)

    def _plain(self, schema: dict[str, Any], path: str, depth: int, references: tuple[str, ...]) -> Node:
        default = schema.get("default", MISSING)
        if "const" in schema:
            const = schema["const"]
            if isinstance(const, dict | list):
                return replace(ANYTHING, default=const)
            return Node("null") if const is None else Node("choice", default=default, choices=(const,))
        if "enum" in schema:
            return self._choice(schema["enum"], default, path)
        kind, nullable = self._kind(schema, path)
        node = Node(kind, nullable, default)
        if kind in ("integer", "number"):
            low, high = [self._bound(kind, schema, end, path) for end in ("inimum", "aximum")]
            return replace(node, low=low, high=high)
        if kind == "string":
            return replace(
                node,
                least=self._length(schema, "minLength", path) or 0,
                most=self._length(schema, "maxLength", path),
            )
        if kind == "array":
            return self._array(node, schema, path, depth, references)
        if kind == "object":
            return self._object(node, schema, path, depth, references)
        return node

    def _kind(self, schema: dict[str, Any], path: str) -> tuple[str, bool]:
        said = schema.get("type")
        if said is None:
            has = [kind for key, kind in _TELLING.items() if key in schema]
            return (has[0] if has else "anything"), False
        kinds = said if isinstance(said, list) else [said]
        if not all(isinstance(kind, str) and kind in _KINDS for kind in kinds):
            raise self._refuse(path, f"a type among {', '.join(_KINDS)}", said)
        rest = [kind for kind in kinds if kind != "null"]
        if len(rest) > 1:
            kind = "number" if set(rest) <= {"integer", "number", "boolean"} else "anything"
        else:
            kind = rest[0] if rest else "null"
        return kind, "null" in kinds and kind != "null"

    def _choice(self, values: Plain, default: Any, path: str) -> Node:
        values = self._list(values, path, "enum")
        if len(values) > CHOICE_LIMIT:
            raise self._refuse(path, f"at most {CHOICE_LIMIT} values of an enum", len(values))
        if not all(isinstance(value, str | int | float | bool | None) for value in values):
            return replace(ANYTHING, default=default)
        rest = [value for value in values if value is not None]
        if not rest:
            return Node("null")
        return Node("choice", len(rest) < len(values), default, choices=tuple(dict.fromkeys(rest)))

    def _array(
        self, node: Node, schema: dict[str, Any], path: str, depth: int, references: tuple[str, ...]
    ) -> Node:
        parts = self._list(schema.get("prefixItems", []), path, "prefixItems")
        prefix = [self._read(part, f"{path}[{at}]", depth + 1, references) for at, part in enumerate(parts)]
        further = schema.get("items", True)
        items = None if further is False else self._read(further, f"{path}[]", depth + 1, references)
        least = self._length(schema, "minItems", path) or 0
        most = self._length(schema, "maxItems", path)
        if further is False and most is None:
            most = len(prefix)
        return replace(node, items=items, prefix=tuple(prefix), least=least, most=most)

    def _object(
        self, node: Node, schema: dict[str, Any], path: str, depth: int, references: tuple[str, ...]
    ) -> Node:
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise self._refuse(path, "an object under 'properties'", properties)
        fields = {
            name: self._field(name, child, path, depth, references) for name, child in properties.items()
        }
        required = self._list(schema.get("required", []), path, "required")
        names = frozenset([name for name in required if isinstance(name, str) and name in fields])
        further = schema.get("additionalProperties")
        values = None
        if isinstance(further, dict) and further:
            values = self._read(further, f"{path}.*", depth + 1, references)
        return replace(node, fields=fields, required=names, values=values, closed=further is False)

    def _field(self, name: str, schema: Plain, path: str, depth: int, references: tuple[str, ...]) -> Node:
        count = self._count
        try:
            return self._read(schema, f"{path}.{name[:40]}", depth + 1, references)
        except ProtocolViolation:
            if depth > 0 or name not in self._spared:
                raise
            self._count = count
            return ANYTHING

    def _bound(self, kind: str, schema: dict[str, Any], end: str, path: str) -> int | float | None:
        """The tighter of both bounds; an exclusive one is made inclusive."""
        step = 1 if end == "inimum" else -1
        inclusive = self._number(schema.get(f"m{end}"), path)
        exclusive = self._number(schema.get(f"exclusiveM{end}"), path)
        if kind == "integer":
            rounding = math.ceil if step > 0 else math.floor
            inclusive = None if inclusive is None else rounding(inclusive)
            if exclusive is not None:
                exclusive = (math.floor(exclusive) if step > 0 else math.ceil(exclusive)) + step
        else:
            inclusive = None if inclusive is None else _within(inclusive, step)
            exclusive = None if exclusive is None else _within(exclusive, step, without=True)
        found = [bound for bound in (inclusive, exclusive) if bound is not None]
        return (max if step > 0 else min)(found) if found else None

    def _number(self, plain: Plain, path: str) -> int | float | None:
        if plain is None or isinstance(plain, bool):  # Draft 4 had booleans for the exclusive ones
            return None
        if not isinstance(plain, int | float) or plain != plain:
            raise self._refuse(path, "a number for a bound", plain)
        beyond = math.isinf(plain) if isinstance(plain, float) else plain.bit_length() > 1023
        return None if beyond else plain

    def _length(self, schema: dict[str, Any], key: str, path: str) -> int | None:
        length = schema.get(key)
        if length is None:
            return None
        if isinstance(length, float) and length.is_integer():
            length = int(length)
        if not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise self._refuse(path, f"a count under {key!r}", length)
        if length > LENGTH_LIMIT:
            if key.startswith("max"):
                return None
            raise self._refuse(path, f"at most {LENGTH_LIMIT} under {key!r}", length)
        return length

    def _list(self, plain: Plain, path: str, key: str) -> list[Any]:
        if not isinstance(plain, list):
            raise self._refuse(path, f"a list under {key!r}", plain)
        return plain

    def _refuse(self, path: str, wanted: str, got: Any = MISSING) -> ProtocolViolation:
        where = path if len(path) <= 80 else f"{path[:80]}..."
        has = "" if got is MISSING else f", got {shown(got)}"
        return ProtocolViolation(
            f"the server's schema, at {where}: expected {wanted}{has}; correct it there, or pass the spaces"
        )


def _within(bound: float, step: int, *, without: bool = False) -> float:
    """The float64 next to a bound on its inner side, or the bound itself, unless that is left out."""
    nearest = float(bound)
    outside = nearest < bound if step > 0 else nearest > bound
    if outside or (without and nearest == bound):
        nearest = math.nextafter(nearest, math.inf * step)
    return bound if nearest == bound or math.isinf(nearest) else nearest


def _tag(schema: dict[str, Any], variants: tuple[Node, ...]) -> str | None:
    """The field that tells variants apart: the one that is named, or one that is constant in each."""
    named = schema.get("discriminator")
    if isinstance(named, dict) and isinstance(named.get("propertyName"), str):
        return str(named["propertyName"])
    common = [
        name
        for name in (variants[0].fields if variants else ())
        if all(name in each.fields and each.fields[name].constant for each in variants)
    ]
    return common[0] if common else None


_KINDS = ("integer", "number", "string", "boolean", "array", "object", "null")
_TELLING = {"properties": "object", "items": "array", "prefixItems": "array"}
