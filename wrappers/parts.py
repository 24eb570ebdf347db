"""Actions of several parts, and moves that list a value for each: ``[row, column]``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Dict, Discrete, MultiDiscrete, Tuple

from openenv_gym.errors import InvalidArgument, LayoutMismatch
from openenv_gym.wrappers.fields import listed

__all__ = ["Parts", "parts_of"]

_MOST = 2**16


class Parts:
    """Between moves that list values and the actions of a space.

    Args:
        space: of the actions.
        parts: the space of each value, in the order in which a move lists them.
        names: the fields that they are of; of a Dict alone.
    """

    def __init__(self, space: Space[Any], parts: Sequence[Space[Any]], names: Sequence[str] | None) -> None:
        self._space, self._parts, self._names = space, parts, names

    @property
    def count(self) -> int | None:
        """How many actions there are, if they are few enough to be numbered."""
        if not all(isinstance(part, Discrete) for part in self._parts):
            return None
        count = math.prod([int(part.n) for part in self._parts if isinstance(part, Discrete)])
        return count if count <= _MOST else None

    def __iter__(self) -> Iterator[Any]:
        """All actions there are; the last value changes first."""
        ranges = [
            range(int(part.start), int(part.start + part.n))
            for part in self._parts
            if isinstance(part, Discrete)
        ]
        return map(self._action, product(*ranges))

    def key(self, move: Any) -> tuple[Any, ...] | None:
        """What tells a move from others, in whichever form it comes; ``None`` if it lists no values."""
        if isinstance(move, Mapping):
            if self._names is None or move.keys() != set(self._names):
                return None
            values = [move[name] for name in self._names]
        elif isinstance(move, (list, tuple, np.ndarray)) and len(move) == len(self._parts):
            values = list(move)
        else:
            return None
        key = tuple([value.item() if isinstance(value, np.generic) else value for value in values])
        # Of flags, it is a row of a mask.
        plain = all(isinstance(value, (str, int, float)) and not isinstance(value, bool) for value in key)
        return key if plain else None

    def action(self, move: Any) -> Any:
        """A move as an action of the space, if it lists values; else the same."""
        key = self.key(move)
        return move if key is None else self._action(key)

    def actions(self, told: Sequence[Any]) -> list[Any]:
        """Legal moves as actions of the space.

        Raises:
            LayoutMismatch: if one is none of its actions.
        """
        actions = [self.action(move) for move in told]
        for action in actions:
            if not self._space.contains(action):
                raise LayoutMismatch(
                    f"{action!r:.40} is told to be legal, and is no action of {self._space!r:.80}; see legal="
                )
        return actions

    def _action(self, values: tuple[Any, ...]) -> Any:
        if self._names is not None:
            return dict(zip(self._names, values, strict=True))
        return values if isinstance(self._space, Tuple) else np.array(values, self._space.dtype)


def parts_of(space: Space[Any], order: Sequence[str] | None) -> Parts | None:
    """The parts of a MultiDiscrete or Tuple, or those of a Dict in a stated order; else ``None``.

    >>> parts = parts_of(Dict(row=Discrete(3), column=Discrete(3)), ["row", "column"])
    >>> parts.action([2, 0]), parts.count
    ({'row': 2, 'column': 0}, 9)

    Raises:
        InvalidArgument: if ``order`` does not name each field of a Dict once.
    """
    if order is not None:
        fields = list(space.spaces) if isinstance(space, Dict) else []
        if isinstance(order, str) or not fields or sorted(order) != sorted(fields):
            raise InvalidArgument(
                f"order={order!r:.60} names each field of a Dict action once; they are {listed(fields)}"
            )
        assert isinstance(space, Dict)
        return Parts(space, [space.spaces[name] for name in order], list(order))
    if isinstance(space, Tuple):
        return Parts(space, space.spaces, None)
    if isinstance(space, MultiDiscrete) and len(space.shape) == 1:
        counts = zip(space.nvec.tolist(), space.start.tolist(), strict=True)
        return Parts(space, [Discrete(count, start=start) for count, start in counts], None)
    return None
