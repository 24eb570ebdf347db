"""Fields of observations and infos, named by the caller: where they are, and what there is instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from gymnasium import Space
from gymnasium.spaces import Dict

from openenv_gym.errors import InvalidArgument

__all__ = ["Field", "listed", "look_up", "replaced", "space_at", "value_at"]

Field: TypeAlias = str | Callable[[Any, Mapping[str, Any]], Any]
"""A name, with dots into what is nested, or a function of observation and info."""

_MOST = 12


def look_up(field: Field, observation: Any, info: Mapping[str, Any]) -> Any:
    """The value of a field: of the observation, or else of the info; ``None`` where neither has it.

    >>> look_up("turn", {"turn": 1}, {"turn": 2})
    1
    >>> look_up("info.turn", {"turn": 1}, {"turn": 2})
    2
    >>> look_up("board.turn", {"board": {"turn": 3}}, {})
    3
    """
    if not isinstance(field, str):
        return field(observation, info)
    for place in (observation, info, {"observation": observation, "info": info}):
        found = value_at(place, field)
        if found is not None:
            return found
    return None


def value_at(value: Any, path: str) -> Any:
    """What lies at a path of nested dicts, or Dict spaces; a key that has dots goes before a path.

    Returns:
        ``None`` if nothing lies there.
    """
    if isinstance(value, Dict):
        value = value.spaces
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    head, dot, rest = path.partition(".")
    return value_at(value.get(head), rest) if dot else None


def space_at(space: Space[Any], path: str) -> Space[Any]:
    """The part of a Dict space at a path.

    Raises:
        InvalidArgument: if there is none, with the fields that there are.
    """
    found: Space[Any] | None = value_at(space, path)
    if found is None:
        has = f"only {listed(space.spaces)}" if isinstance(space, Dict) else f"none, being {space!r:.80}"
        raise InvalidArgument(f"the observation has no field {path!r:.40}; it has {has}")
    return found


def replaced(whole: Mapping[str, Any], path: str, part: Any) -> dict[str, Any]:
    """A copy of nested dicts with another value at a path that they have."""
    if path in whole:
        return {**whole, path: part}
    head, _, rest = path.partition(".")
    return {**whole, head: replaced(whole[head], rest, part)}


def listed(names: Iterable[Any]) -> str:
    """Some names, for the message of an error."""
    known = [f"{name!r:.40}" for name in names]
    return ", ".join(known[:_MOST]) + (f", ... ({len(known)})" if len(known) > _MOST else "") or "none"
