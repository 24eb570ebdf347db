"""How a check acts on a server: by its exact space, by its published schema, or as the caller says.

A schema says less than a space: its actions are guesses, and a server that refuses one is not at
fault.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any, TypeAlias

import numpy as np
from gymnasium import Space

from openenv_gym.errors import InvalidArgument
from openenv_gym.spaces import to_plain
from openenv_gym.testing.findings import Skipped
from openenv_gym.types import Plain

__all__ = ["Actions", "Actor", "sample_schema"]

Actions: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Plain]] | Sequence[Mapping[str, Plain]]
"""From the fields of an observation to those of an action; or actions that are played over and over."""

ADVICE = "pass action=..., a list of actions or a function from observation to action"
LONGEST = 4096
"""The most items of an array that is made up."""
DEEPEST = 16
"""The most schemas within one another that are followed."""


class Actor:
    """Chooses the fields of one action after the other.

    Args:
        choose: from the fields of an observation to those of an action.
        guessed: whether the server may refuse what is chosen.
    """

    def __init__(self, choose: Callable[[dict[str, Any]], Mapping[str, Plain]], *, guessed: bool) -> None:
        self._choose, self.guessed = choose, guessed

    def act(self, observation: dict[str, Any]) -> dict[str, Plain]:
        """The fields of the next action."""
        return dict(self._choose(observation))

    @classmethod
    def of_caller(cls, actions: Actions) -> Actor:
        """What the caller says.

        Raises:
            InvalidArgument: if it is an empty list.
        """
        if callable(actions):
            return cls(actions, guessed=False)
        if not actions:
            raise InvalidArgument("action is an empty list; put the fields of at least one action into it")
        turns = cycle(actions)
        return cls(lambda observation: next(turns), guessed=False)

    @classmethod
    def of_space(cls, space: Space[Any], seed: int) -> Actor:
        """Samples of an exact space, in the one field of a lifted environment."""
        own = copy.deepcopy(space)
        own.seed(seed)
        return cls(lambda observation: {"action": to_plain(own, own.sample())}, guessed=False)

    @classmethod
    def of_schema(cls, schema: Any, seed: int) -> Actor:
        """What a published JSON Schema leaves open; legal moves, where an observation names them.

        Raises:
            Skipped: if the schema leaves too much open.
        """
        if type(schema) is not dict:
            raise Skipped(f"cannot make an action, /schema describes none; {ADVICE}")
        rng = np.random.default_rng(seed)
        only = _only_integer(schema)

        def choose(observation: dict[str, Any]) -> Mapping[str, Plain]:
            fields = sample_schema(schema, rng)
            if not isinstance(fields, dict):
                raise Skipped("it is no object")
            legal = observation.get("legal_actions")
            if only is not None and isinstance(legal, list) and legal and all(type(x) is int for x in legal):
                fields[only] = legal[int(rng.integers(len(legal)))]
            return fields

        try:
            choose({})
        except (Skipped, KeyError, TypeError, ValueError) as error:
            raise Skipped(f"cannot make an action from /schema ({error}); {ADVICE}") from error
        return cls(choose, guessed=True)


def sample_schema(schema: Mapping[str, Any], rng: np.random.Generator) -> Any:
    """A value that a JSON Schema allows: of an unbounded number 0, of a text the empty one.

    >>> sample_schema({"enum": ["left"]}, np.random.default_rng(0))
    'left'
    >>> sample_schema({"type": "array", "items": {"type": "number"}}, np.random.default_rng(0))
    Traceback (most recent call last):
    openenv_gym.testing.findings.Skipped: an array has no fixed length

    Raises:
        Skipped: if it leaves too much open.
    """
    return _sample(schema, schema, rng, 0)


def _sample(schema: Any, root: Mapping[str, Any], rng: np.random.Generator, depth: int) -> Any:
    if type(schema) is not dict or depth > DEEPEST:
        raise Skipped("a schema is no object, or nested too deep")
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][int(rng.integers(len(schema["enum"])))]
    for key in ("oneOf", "anyOf", "allOf"):
        if schema.get(key) and "properties" not in schema:
            return _sample(schema[key][0], root, rng, depth + 1)
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "boolean":
            return bool(rng.integers(2))
        case "null":
            return None
        case "integer":
            return _integer(schema, rng)
        case "number":
            return _number(schema, rng)
        case "string":
            return "a" * int(schema.get("minLength", 0))
        case "array":
            return _array(schema, root, rng, depth)
        case "object":
            return _object(schema, root, rng, depth)
    raise Skipped("a schema names no type")


def _resolved(schema: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """A schema, or the one that it refers to, within the same document."""
    for _ in range(DEEPEST):
        reference = schema.get("$ref")
        if reference is None:
            return schema
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise Skipped("a schema refers to another document")
        found: Any = root
        for part in reference.removeprefix("#").split("/")[1:]:
            found = found[part.replace("~1", "/").replace("~0", "~")]
        schema = found
    raise Skipped("a schema refers to itself")


def _integer(schema: Mapping[str, Any], rng: np.random.Generator) -> int:
    low, high = schema.get("minimum"), schema.get("maximum")
    low = schema["exclusiveMinimum"] + 1 if low is None and "exclusiveMinimum" in schema else low
    high = schema["exclusiveMaximum"] - 1 if high is None and "exclusiveMaximum" in schema else high
    if low is None or high is None:
        return int(max(0, low or 0) if high is None else min(0, high))
    return int(low) + int(rng.integers(int(high) - int(low) + 1))


def _number(schema: Mapping[str, Any], rng: np.random.Generator) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None or high is None or not math.isfinite(high - low):
        return float(max(0.0, low or 0.0) if high is None else min(0.0, high))
    # Not at the ends, which may be excluded.
    return float(low + (high - low) * (0.1 + 0.8 * rng.random()))


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], rng: np.random.Generator, depth: int) -> Any:
    first = schema.get("prefixItems", [])
    length = len(first) if first else schema.get("minItems", 0)
    if not first and length != schema.get("maxItems"):
        raise Skipped("an array has no fixed length")
    if length > LONGEST:
        raise Skipped(f"an array is longer than {LONGEST}")
    items = [*first, *[schema.get("items")] * (length - len(first))]
    return [_sample(item, root, rng, depth + 1) for item in items]


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], rng: np.random.Generator, depth: int) -> Any:
    """The required properties; what has a default is no decision."""
    properties = schema.get("properties", {})
    return {name: _sample(properties[name], root, rng, depth + 1) for name in schema.get("required", [])}


def _only_integer(schema: Mapping[str, Any]) -> str | None:
    """The name of the only required field, if it is an integer."""
    match schema:
        case {"required": [str(name)], "properties": dict(properties)}:
            integer = isinstance(properties.get(name), dict) and properties[name].get("type") == "integer"
            return name if integer else None
    return None
