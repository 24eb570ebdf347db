"""Actions as people type them and models write them, in the natural form of their space, and what that is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Text
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction
from openenv_gym.wrappers.plain import array_of, example, from_json

__all__ = ["Names", "describe", "names_of", "read_action"]

_MOST = 24
_TYPE = "type"
_LONGEST_ADVICE = 120
_LONGEST_TEXT = 2**32
_MOST_LETTERS = 62
"""The alphabet twice and the digits, as Text has them by default."""
_LOW, _HIGH = -1e6, 1e6
_BETWEEN = str.maketrans(dict.fromkeys(",;[]()", " "))


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers of a Discrete space are called, and which of them are legal now.

    Attributes:
        meanings: names by numbers, as many as are known.
        mask: int8, (n,); ``None``: all are legal.
        verb: how an action is given: one can ``type`` it, or ``answer with`` it.
    """

    meanings: Mapping[int, str] = field(default_factory=dict)
    mask: NDArray[np.int8] | None = None
    verb: str = _TYPE

    def legal(self, space: Discrete) -> Sequence[int]:
        """The numbers that may be typed."""
        first = int(space.start)
        if self.mask is None:
            return range(first, first + int(space.n))
        return [first + number for number in np.flatnonzero(self.mask).tolist()]

    def of(self, number: int) -> str:
        """A number, with its name."""
        return f"{number} {self.meanings[number]}" if number in self.meanings else str(number)


@singledispatch
def read_action(space: Space[Any], said: str, names: Names) -> Any:
    """The action that was typed; of a space without a simpler form, JSON.

    Raises:
        InvalidAction: if it is none, with a sentence that says how one is typed.
    """
    try:
        return from_json(space, json.loads(said))
    except InvalidAction as error:
        raise InvalidAction(f"{error.message}; {describe(space, names)}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidAction(f"that is no JSON; {describe(space, names)}") from error


@read_action.register
def _read_discrete(space: Discrete, said: str, names: Names) -> Any:
    legal = names.legal(space)
    exact = {name: number for number, name in names.meanings.items()}
    any_case = {name.lower(): number for name, number in exact.items()}
    number = exact.get(said, any_case.get(said.lower()))
    if number is None:
        try:
            number = int(said)
        except ValueError as error:
            raise InvalidAction(f"{said!r:.40} is no action; {_advice(space, names)}") from error
    if number not in legal:
        known = int(space.start) <= number < int(space.start) + int(space.n)
        why = "is not legal now" if known else "is none of them"
        raise InvalidAction(f"{names.of(number):.40} {why}; {_advice(space, names)}")
    return np.asarray(number, space.dtype)[()]


@read_action.register
def _read_box(space: Box, said: str, names: Names) -> Any:
    values = _numbers(space, said, float, describe(space, names))
    outside = np.flatnonzero(~((space.low.ravel() <= values) & (values <= space.high.ravel())))
    if outside.size:
        index = int(outside[0])
        low, high = space.low.ravel()[index], space.high.ravel()[index]
        raise InvalidAction(f"number {index + 1} is {values[index]:g}; it lies between {low:g} and {high:g}")
    return _contained(space, values.reshape(space.shape), names)


@read_action.register
def _read_multi_discrete(space: MultiDiscrete, said: str, names: Names) -> Any:
    values = _numbers(space, said, int, describe(space, names)).reshape(space.shape)
    return _contained(space, values, names)


@read_action.register
def _read_multi_binary(space: MultiBinary, said: str, names: Names) -> Any:
    values = _numbers(space, " ".join(said) if said.isdigit() else said, int, describe(space, names))
    return _contained(space, values.reshape(space.shape), names)


@read_action.register
def _read_text(space: Text, said: str, names: Names) -> Any:
    if not space.contains(said):
        raise InvalidAction(f"{said!r:.40} is none of its texts; {describe(space, names)}")
    return said


def _contained(space: Space[Any], values: NDArray[Any], names: Names) -> NDArray[Any]:
    try:
        return array_of(space, values)
    except InvalidAction as error:
        raise InvalidAction(f"{error.message}; {describe(space, names)}") from error


def _numbers(space: Space[Any], said: str, kind: type[int] | type[float], advice: str) -> NDArray[Any]:
    words = said.translate(_BETWEEN).split()
    wanted = int(np.prod(space.shape or ()))
    try:
        values = np.array([kind(word) for word in words])
    except ValueError as error:
        raise InvalidAction(f"{said!r:.40} is not numbers alone; {advice}") from error
    if len(values) != wanted:
        raise InvalidAction(f"{len(values)} of {wanted} numbers came; {advice}")
    return values


def _advice(space: Discrete, names: Names) -> str:
    """What to type, if that is short enough to be said at each mistake."""
    said = describe(space, names)
    at_a_terminal = names.verb == _TYPE
    return "? says what may be typed" if at_a_terminal and len(said) > _LONGEST_ADVICE else said


@singledispatch
def describe(space: Space[Any], names: Names) -> str:
    """How an action of a space is typed."""
    return f"{names.verb} JSON, such as {example(space)}"


@describe.register
def _describe_discrete(space: Discrete, names: Names) -> str:
    legal = names.legal(space)
    if not legal:
        return "no action is legal"
    if len(legal) == int(space.n) and not names.meanings:
        return f"{names.verb} a number from {legal[0]} to {legal[-1]}"
    if len(legal) > _MOST and not names.meanings:
        some = ", ".join(map(str, legal[:8]))
        return f"{names.verb} one of {len(legal)} legal numbers: {some}, …"
    if names.mask is not None and names.meanings:
        called = ", ".join(names.meanings.get(each, str(each)) for each in legal)
        return f"{names.verb} one of {len(legal)}: {called}"
    kind = "a number or a name" if names.meanings else "a number"
    return f"{names.verb} {kind}: {', '.join(map(names.of, legal))}"


@describe.register
def _describe_box(space: Box, names: Names) -> str:
    count = int(np.prod(space.shape))
    if count > _MOST:
        return f"{names.verb} {count} numbers"
    ranges = dict.fromkeys(
        f"{low:g} to {high:g}" if low > _LOW and high < _HIGH else "any"
        for low, high in zip(space.low.ravel(), space.high.ravel(), strict=True)
    )
    if len(ranges) > 1:
        each = [
            f"{low:g} to {high:g}" for low, high in zip(space.low.ravel(), space.high.ravel(), strict=True)
        ]
        return f"{names.verb} {count} numbers: {', '.join(each)}"
    return f"{names.verb} {'a number' if count == 1 else f'{count} numbers'}, {next(iter(ranges))}"


@describe.register
def _describe_multi_discrete(space: MultiDiscrete, names: Names) -> str:
    lows, counts = space.start.ravel(), space.nvec.ravel()
    each = [f"{low} to {low + count - 1}" for low, count in zip(lows, counts, strict=True)]
    return f"{names.verb} {len(each)} whole numbers: {', '.join(each)}"


@describe.register
def _describe_multi_binary(space: MultiBinary, names: Names) -> str:
    return f"{names.verb} {int(np.prod(space.shape))} digits, each 0 or 1"


@describe.register
def _describe_text(space: Text, names: Names) -> str:
    letters = "".join(sorted(space.character_set))
    which = f"of the letters {letters}" if len(letters) <= _MOST_LETTERS else "characters"
    if space.max_length > _LONGEST_TEXT:
        least = f"at least {space.min_length} {which}" if space.min_length else "any text"
        return f"{names.verb} {least}"
    return f"{names.verb} {space.min_length} to {space.max_length} {which}"


def names_of(said: Sequence[Any] | Mapping[Any, Any], start: int) -> dict[int, str]:
    """Meanings by numbers, from a list of them or from numbers by names; what cannot be one is left out."""
    if isinstance(said, Mapping):
        return {number: str(name) for name, number in said.items() if type(number) is int}
    return {start + index: str(name) for index, name in enumerate(said)}
