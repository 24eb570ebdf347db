"""Actions as people type them, in the natural form of their space, and what may be typed."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Text
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction, OpenEnvGymError
from openenv_gym.spaces import from_plain, to_plain

__all__ = ["Names", "describe", "names_of", "read_action"]

_MOST = 24
_LONGEST_ADVICE = 120
_LOW, _HIGH = -1e6, 1e6


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers of a Discrete space are called, and which of them are legal now.

    Attributes:
        meanings: names by numbers, as many as are known.
        mask: int8, (n,); ``None``: all are legal.
    """

    meanings: Mapping[int, str] = field(default_factory=dict)
    mask: NDArray[np.int8] | None = None

    def legal(self, space: Discrete) -> list[int]:
        """The numbers that may be typed."""
        numbers = range(int(space.n)) if self.mask is None else np.flatnonzero(self.mask).tolist()
        return [int(space.start) + number for number in numbers]

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
        plain = json.loads(said)
    except ValueError as error:
        raise InvalidAction(f"that is no JSON; {describe(space, names)}") from error
    try:
        return from_plain(space, plain)
    except OpenEnvGymError as error:
        raise InvalidAction(f"{error.message}; {describe(space, names)}") from error


@read_action.register
def _read_discrete(space: Discrete, said: str, names: Names) -> Any:
    legal = names.legal(space)
    by_name = {name.lower(): number for number, name in names.meanings.items()}
    number = by_name.get(said.lower())
    if number is None:
        try:
            number = int(said)
        except ValueError as error:
            raise InvalidAction(f"{said!r:.40} is no action; {_advice(space, names)}") from error
    if number not in legal:
        known = int(space.start) <= number < int(space.start) + int(space.n)
        why = "is not legal now" if known else "is none of them"
        raise InvalidAction(f"{names.of(number)} {why}; {_advice(space, names)}")
    return np.asarray(number, space.dtype)[()]


@read_action.register
def _read_box(space: Box, said: str, names: Names) -> Any:
    values = _numbers(space, said, float, describe(space, names))
    outside = np.flatnonzero(~((space.low.ravel() <= values) & (values <= space.high.ravel())))
    if outside.size:
        index = int(outside[0])
        low, high = space.low.ravel()[index], space.high.ravel()[index]
        raise InvalidAction(f"number {index + 1} is {values[index]:g}; it lies between {low:g} and {high:g}")
    return values.astype(space.dtype).reshape(space.shape)


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
    action = values.astype(space.dtype)
    if not (action == values).all() or not space.contains(action):
        raise InvalidAction(f"a number is outside its range; {describe(space, names)}")
    return action


def _numbers(space: Space[Any], said: str, kind: type[int] | type[float], advice: str) -> NDArray[Any]:
    words = said.replace(",", " ").strip("[]() ").split()
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
    return said if len(said) <= _LONGEST_ADVICE else "? says what may be typed"


@singledispatch
def describe(space: Space[Any], names: Names) -> str:
    """How an action of a space is typed."""
    return f"type JSON, such as {_example(space)}"


@describe.register
def _describe_discrete(space: Discrete, names: Names) -> str:
    legal = names.legal(space)
    if not legal:
        return "no action is legal"
    if len(legal) == int(space.n) and not names.meanings:
        return f"type a number from {legal[0]} to {legal[-1]}"
    if len(legal) > _MOST and not names.meanings:
        some = ", ".join(map(str, legal[:8]))
        return f"type one of {len(legal)} legal numbers: {some}, …"
    if names.mask is not None and names.meanings:
        return f"type one of {len(legal)}: {', '.join(names.meanings.get(each, str(each)) for each in legal)}"
    kind = "a number or a name" if names.meanings else "a number"
    return f"type {kind}: {', '.join(map(names.of, legal))}"


@describe.register
def _describe_box(space: Box, names: Names) -> str:
    count = int(np.prod(space.shape))
    if count > _MOST:
        return f"type {count} numbers"
    ranges = dict.fromkeys(
        f"{low:g} to {high:g}" if low > _LOW and high < _HIGH else "any"
        for low, high in zip(space.low.ravel(), space.high.ravel(), strict=True)
    )
    if len(ranges) > 1:
        each = [
            f"{low:g} to {high:g}" for low, high in zip(space.low.ravel(), space.high.ravel(), strict=True)
        ]
        return f"type {count} numbers: {', '.join(each)}"
    return f"type {'a number' if count == 1 else f'{count} numbers'}, {next(iter(ranges))}"


@describe.register
def _describe_multi_discrete(space: MultiDiscrete, names: Names) -> str:
    lows, counts = space.start.ravel(), space.nvec.ravel()
    each = [f"{low} to {low + count - 1}" for low, count in zip(lows, counts, strict=True)]
    return f"type {len(each)} whole numbers: {', '.join(each)}"


@describe.register
def _describe_multi_binary(space: MultiBinary, names: Names) -> str:
    return f"type {int(np.prod(space.shape))} digits, each 0 or 1"


@describe.register
def _describe_text(space: Text, names: Names) -> str:
    letters = "".join(sorted(space.character_set))
    return f"type {space.min_length} to {space.max_length} of the letters {letters}"


def _example(space: Space[Any]) -> str:
    """A value of the space as JSON, the same each time."""
    own = copy.deepcopy(space)
    own.seed(0)
    return json.dumps(to_plain(own, own.sample()))


def names_of(said: Sequence[Any] | Mapping[Any, Any], start: int) -> dict[int, str]:
    """Meanings by numbers, from a list of them or from numbers by names; what cannot be one is left out."""
    if isinstance(said, Mapping):
        return {number: str(name) for name, number in said.items() if type(number) is int}
    return {start + index: str(name) for index, name in enumerate(said)}
