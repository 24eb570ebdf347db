"""What is known of a server: what it published, and what it answered so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openenv_gym.types import Plain

__all__ = ["Evidence"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a server; all of it is JSON as it came, and any of it may be missing.

    >>> evidence = Evidence(reset={"observation": {"board": [0, 0]}, "done": False}, state={"size": 2})
    >>> evidence.observations, evidence.fact("state.size")
    ([{'board': [0, 0]}], 2)
    """

    schema: Mapping[str, Plain] | None = None
    """The answer of ``/schema``."""
    name: str | None = None
    """``name`` of ``/metadata``."""
    version: str | None = None
    """``version`` of ``/metadata``."""
    reset: Mapping[str, Plain] | None = None
    """The first reset's answer: ``observation``, ``reward``, ``done``, ``metadata``."""
    steps: Sequence[Mapping[str, Plain]] = ()
    """Further answers, of the same form; arrays that grow show in them."""
    state: Mapping[str, Plain] | None = None
    """The ``/ws`` state after the reset."""
    tools: Sequence[Mapping[str, Plain]] | None = None
    """The tools that ``tools/list`` or a ``list_tools`` step named: name, description, input schema."""

    def published(self, part: str) -> Plain:
        """The schema of ``action``, ``observation`` or ``state``; an empty one if there is none."""
        schema = self.schema if isinstance(self.schema, Mapping) else {}
        found = schema.get(part)
        return found if found is not None else {}

    @property
    def observations(self) -> list[dict[str, Any]]:
        """The fields of each answer so far, the reset's first, with its metadata wherever they came."""
        answers = ([] if self.reset is None else [self.reset]) + list(self.steps)
        found = []
        for answer in answers:
            fields = answer.get("observation")
            if isinstance(fields, dict):
                beside = answer.get("metadata")
                if isinstance(beside, dict) and not fields.get("metadata"):
                    fields = {**fields, "metadata": beside}
                found.append(fields)
        return found

    def fact(self, path: str) -> Plain:
        """What is said at ``state...`` or ``reset...`` (fields of the first observation); else ``None``.

        A path that ends in ``#`` asks for the length of the list there.
        """
        if path.endswith("#"):
            listed = self.fact(path[:-1])
            return len(listed) if isinstance(listed, list) else None
        root, *rest = path.split(".")
        first = self.observations[:1]
        found: Any = {"state": self.state, "reset": first[0] if first else None}.get(root)
        for key in rest:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found
