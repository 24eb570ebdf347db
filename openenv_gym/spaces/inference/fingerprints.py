"""A short name for what a server publishes, by which hints are known to be about it.

Prose does not count, nor the order of keys: a server that explains itself better is still the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from openenv_gym.errors import ProtocolViolation
from openenv_gym.types import Plain

__all__ = ["fingerprint"]

DEPTH_LIMIT = 100
_PROSE = frozenset({"title", "description", "examples", "example", "$comment", "deprecated", "gymnasium"})
_NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_LITERAL = frozenset({"const", "enum", "default"})


def fingerprint(schema: Mapping[str, Plain] | None) -> str:
    """Name the action and observation schemas of a ``/schema`` answer, by 16 hexadecimal digits.

    >>> one = {"action": {"type": "integer", "title": "Move"}, "observation": {"type": "object"}}
    >>> fingerprint(one) == fingerprint({**one, "action": {"type": "integer"}, "state": {}})
    True

    Raises:
        ProtocolViolation: it is nested deeper than any schema is.
    """
    parts = {part: _bare((schema or {}).get(part), 0) for part in ("action", "observation")}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bare(schema: Plain, depth: int, *, named: bool = False) -> Any:
    """A schema without prose; ``named`` if its keys are names that somebody chose."""
    if depth > DEPTH_LIMIT:
        raise ProtocolViolation(f"the server's schema is nested deeper than {DEPTH_LIMIT}; pass the spaces")
    if isinstance(schema, list):
        return [_bare(part, depth + 1) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value
        if key in _LITERAL and not named
        else _bare(value, depth + 1, named=key in _NAMED and not named)
        for key, value in schema.items()
        if named or key not in _PROSE
    }
