"""From values of a space to JSON: closures, compiled once, that are called for every step.

What does not fit raises :class:`~openenv_gym.errors.InvalidAction`, and nothing is sent. Bounds of numbers
are for the server to check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text

from openenv_gym.errors import InvalidAction
from openenv_gym.spaces.casting import shown
from openenv_gym.spaces.inference.limits import rounded_bounds
from openenv_gym.spaces.inference.nodes import Node
from openenv_gym.spaces.plain import to_plain
from openenv_gym.types import Plain

__all__ = [
    "OMITTED",
    "Writer",
    "all_writer",
    "choice_writer",
    "choices_writer",
    "discrete_writer",
    "each_writer",
    "one_of_writer",
    "one_writer",
    "scalar_writer",
    "variant_writer",
    "write_json",
    "write_text",
    "writer_for",
]

OMITTED: Final = object()
"""What a :data:`Writer` gives for a field that is left out, so that the server's default holds."""

Writer: TypeAlias = Callable[[Any], Plain]
"""Writes a value of a space as JSON."""


def writer_for(space: Space[Any], node: Node) -> Writer:
    """A writer of values of a space that somebody chose, as the schema wants them.

    >>> writer_for(Box(-1, 1, (1,)), Node("number"))(np.array([0.5], np.float32))
    0.5
    """
    if isinstance(space, Discrete):
        return discrete_writer(int(space.start), int(space.n))
    if isinstance(space, Text):
        return write_json if node.kind in ("object", "array", "union") else write_text
    if isinstance(space, Box):
        alone = space.shape in ((), (1,)) and node.kind in ("integer", "number")
        write = scalar_writer(node.kind == "integer") if alone else partial(to_plain, space)
        bounds = rounded_bounds(space, node)
        return partial(_write_unrounded, write, bounds) if bounds else write
    if isinstance(space, Dict) and node.kind == "object":
        parts = [(key, writer_for(child, node.fields.get(key, node))) for key, child in space.spaces.items()]
        return all_writer(parts, {})
    return partial(to_plain, space)


def _write_unrounded(write: Writer, bounds: Mapping[float, float], action: Any) -> Plain:
    """Write a bound of the schema's where the space holds the nearest that its dtype has."""
    return _unrounded(bounds, write(action))


def _unrounded(bounds: Mapping[float, float], plain: Plain) -> Plain:
    if isinstance(plain, list):
        return [_unrounded(bounds, item) for item in plain]
    return bounds.get(plain, plain) if isinstance(plain, float) else plain


def discrete_writer(start: int, count: int) -> Writer:
    """A writer of the numbers of a Discrete space."""
    return lambda action: _number(action, start, count)


def choice_writer(labels: Sequence[Any]) -> Writer:
    """A writer of values that have names, by their numbers; ``None`` is the name of leaving the field out.

    >>> choice_writer(["up", "down"])(np.int64(1))
    'down'
    """
    named = [OMITTED if label is None else label for label in labels]
    return lambda action: named[_number(action, 0, len(named))]


def choices_writer(space: MultiDiscrete, labels: Sequence[Any]) -> Writer:
    """A writer of lists of values that have names."""
    return lambda action: _named(labels, to_plain(space, action))


def scalar_writer(whole: bool) -> Writer:
    """A writer of one number, however it comes; ``whole`` if the server wants an integer."""

    def write(action: Any) -> Plain:
        value = np.asarray(action)
        if value.size != 1 or value.dtype.kind not in "biuf":
            raise InvalidAction(
                f"action is {shown(action)}, action_space wants one number; see env.action_space"
            )
        number = value.reshape(-1)[0].item()
        if whole and number != number // 1:
            raise InvalidAction(f"action is {number}, the server wants an integer; see env.action_space")
        return int(number) if whole else number

    return write


def write_text(action: Any) -> Plain:
    """A text as it is."""
    if not isinstance(action, str):
        raise InvalidAction(
            f"action is a {type(action).__name__}, action_space wants a str; see env.action_space"
        )
    return str(action)


def write_json(action: Any) -> Plain:
    """What a text says as JSON.

    >>> write_json('{"a": [1]}')
    {'a': [1]}
    """
    try:
        return json.loads(write_text(action) or "null")
    except (ValueError, RecursionError) as error:
        raise InvalidAction(
            f"action is no JSON ({error}); this field of it is free-form: write it as JSON"
        ) from error


def each_writer(write_item: Writer, least: int, most: int | None) -> Writer:
    """A writer of lists, as long as the server takes them."""

    def write(action: Any) -> Plain:
        if isinstance(action, str) or not isinstance(action, Sequence | np.ndarray):
            raise InvalidAction(
                f"action is a {type(action).__name__}, action_space wants a tuple; see env.action_space"
            )
        if len(action) < least or (most is not None and len(action) > most):
            wanted = f"at least {least}" if most is None else f"{least} to {most}" if least < most else least
            raise InvalidAction(f"action has {len(action)} items, the server wants {wanted}")
        return [None if (part := write_item(item)) is OMITTED else part for item in action]

    return write


def one_writer(name: str, write_field: Writer, constants: Mapping[str, Plain]) -> Writer:
    """A writer of an object of which one field is chosen, and the others are constant."""

    def write(action: Any) -> Plain:
        value = write_field(action)
        return dict(constants) if value is OMITTED else {**constants, name: value}

    return write


def all_writer(writers: Sequence[tuple[str, Writer]], constants: Mapping[str, Plain]) -> Writer:
    """A writer of an object of which several fields are chosen, and the others are constant."""

    def write(action: Any) -> Plain:
        fields = dict(constants)
        for name, write_field in writers:
            try:
                part = action[name]
            except (KeyError, IndexError, TypeError) as error:
                raise InvalidAction(
                    f"action lacks {name!r}, which action_space has; see env.action_space"
                ) from error
            value = write_field(part)
            if value is not OMITTED:
                fields[name] = value
        return fields

    return write


def variant_writer(variants: Sequence[dict[str, Plain]]) -> Writer:
    """A writer of one of several constant objects, by its number."""
    return lambda action: dict(variants[_number(action, 0, len(variants))])


def one_of_writer(writers: Sequence[Writer]) -> Writer:
    """A writer of values of a OneOf space."""

    def write(action: Any) -> Plain:
        if not isinstance(action, tuple | list) or len(action) != 2:
            raise InvalidAction(
                f"action is {shown(action)}, action_space wants a number and its value; see env.action_space"
            )
        return writers[_number(action[0], 0, len(writers))](action[1])

    return write


def _number(action: Any, start: int, count: int) -> int:
    """A number of a Discrete space, wherever its face got it from: Python's, NumPy's, or an array of one."""
    if isinstance(action, np.ndarray) and action.size == 1:
        action = action.reshape(-1)[0]
    if isinstance(action, bool) or not isinstance(action, int | np.integer):
        raise InvalidAction(f"action is {shown(action)}, action_space wants an integer; see env.action_space")
    if not start <= action < start + count:
        raise InvalidAction(
            f"action is {shown(int(action))}, action_space wants {start} to {start + count - 1}; "
            "see env.action_space"
        )
    return int(action)


def _named(labels: Sequence[Any], plain: Plain) -> Plain:
    if isinstance(plain, list):
        return [_named(labels, part) for part in plain]
    return labels[_number(plain, 0, len(labels))]
