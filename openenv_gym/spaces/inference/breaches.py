"""How an answer breaks the schema that its server publishes."""

from __future__ import annotations

from collections.abc import Mapping

from openenv_gym.spaces.casting import shown
from openenv_gym.spaces.inference.nodes import Node
from openenv_gym.types import Plain

__all__ = ["breaches_of", "may_be"]

_BESIDE = frozenset({"reward", "done", "metadata"})
"""Travels beside the observation, or may."""


def breaches_of(node: Node, fields: Mapping[str, Plain]) -> tuple[str, ...]:
    """Each field that is missing, surplus, or of another type than it is declared.

    >>> node = Node("object", fields={"x": Node("integer")}, required=frozenset({"x"}), closed=True)
    >>> breaches_of(node, {"x": "1", "y": 0})
    ("observation.x is '1', declared as integer", 'observation.y is not declared')
    """
    found = []
    for name, child in node.fields.items():
        if name not in fields:
            found += [f"observation.{name} is missing"] if name in node.required - _BESIDE else []
        elif not may_be(child, fields[name]):
            declared = "one of its values" if child.kind == "choice" else child.kind
            found.append(f"observation.{name} is {shown(fields[name])}, declared as {declared}")
    if node.closed:
        found += [
            f"observation.{name} is not declared"
            for name in fields
            if name not in node.fields and name not in _BESIDE
        ]
    return tuple(found)


def may_be(node: Node, plain: Plain) -> bool:
    """Say whether a value is of the type that a node declares; what it holds is not looked at.

    >>> may_be(Node("integer"), 3.0), may_be(Node("integer"), "3")
    (True, False)
    """
    if plain is None:
        # Not-a-number and infinity become null on their way.
        return node.nullable or node.kind in ("null", "anything", "number")
    if node.kind == "choice":
        return plain in node.choices
    wanted = _TYPES.get(node.kind)
    if node.kind == "integer" and isinstance(plain, float):
        return plain.is_integer()
    return wanted is None or (
        isinstance(plain, wanted) and (isinstance(plain, bool) <= (node.kind in ("boolean", "number")))
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
