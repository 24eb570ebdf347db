"""Which actions are legal, as servers say it: lists of numbers or names, and masks.

They say it in a field of the observation, or of its metadata. The least and the greatest legal action of
one observation bound nothing: at another there may be more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from openenv_gym.errors import LayoutMismatch
from openenv_gym.spaces.casting import shown
from openenv_gym.types import Plain

__all__ = ["LegalMoves", "Mask", "form_of", "mask_reader"]

MASK_LIMIT = 2**20
"""The most actions of which a mask is made."""

Mask: TypeAlias = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class LegalMoves:
    """Where the legal moves are, and in which form.

    Attributes:
        path: the keys that lead there from the fields of an observation.
        form: ``values``, the legal actions themselves, or ``mask``, a flag for each action.
        seen: what stood there so far.
    """

    path: tuple[str, ...]
    form: str
    seen: Sequence[Plain] = ()

    def read(self, fields: Mapping[str, Plain]) -> list[Any] | None:
        """What stands there: a list, or ``None`` if nothing does.

        >>> LegalMoves(("metadata", "legal_moves"), "values").read({"metadata": {"legal_moves": ["e2e4"]}})
        ['e2e4']
        """
        found: Any = fields
        for key in self.path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, list) else None

    @property
    def named(self) -> bool:
        """Whether the legal actions are named, by text."""
        return any(isinstance(move, str) for sample in self.seen for move in sample)

    @property
    def count(self) -> int | None:
        """How many actions there are, if a mask tells it."""
        lengths = {len(sample) for sample in self.seen}
        return lengths.pop() if self.form == "mask" and len(lengths) == 1 else None

    @property
    def greatest(self) -> int | None:
        """The greatest legal action that was seen."""
        moves = [move for sample in self.seen for move in sample if type(move) is int]
        return max(moves, default=None) if self.form == "values" else None


def form_of(name: str, samples: Sequence[Plain], word: str | None = None) -> str | None:
    """``values`` or ``mask``; ``None`` if it cannot be told: ``[0, 1]`` in a field called a mask.

    >>> [form_of("action_mask", [sample]) for sample in ([0, 2, 3], [1, 0, 1], [0, 1])]
    ['values', 'mask', None]
    """
    lists = [sample for sample in samples if isinstance(sample, list)]
    items = [item for sample in lists for item in sample]
    if any(not isinstance(item, str | int | float) for item in items):
        return None
    if word in ("mask", "indices"):
        return "mask" if word == "mask" else "values"
    if any(isinstance(item, float) for item in items):
        return None
    if items and all(isinstance(item, bool) for item in items):
        return "mask"
    if any(isinstance(item, str) or not 0 <= item <= 1 for item in items):
        return "values"
    if any(len(set(sample)) < len(sample) for sample in lists):
        return "mask"
    return None if "mask" in name else "values"


def mask_reader(
    moves: LegalMoves | None, space: Space[Any] | None, labels: Sequence[Any] | None
) -> Callable[[Mapping[str, Plain]], Mask | None] | None:
    """Make ``legal(fields)``: int8, (n,), 1 where an action of a Discrete space is legal; ``None`` if unsaid.

    There is none where the legal moves are not said, or the actions are not those of one Discrete.

    Raises:
        LayoutMismatch: by ``legal``, if an action is legal that the space does not have.
    """
    if moves is None or not isinstance(space, Discrete) or space.n > MASK_LIMIT:
        return None
    count, start = int(space.n), int(space.start)
    numbers = {label: at for at, label in enumerate(labels or ())}
    by_number = all(label is None or isinstance(label, str) for label in numbers)

    def legal(fields: Mapping[str, Plain]) -> Mask | None:
        said = moves.read(fields)
        if said is None:
            return None
        if moves.form == "mask":
            if len(said) != count:
                raise _refuse(f"a mask of {len(said)}", count)
            return np.array(said, np.bool_).astype(np.int8)
        mask = np.zeros(count, np.int8)
        for move in said:
            known = by_number and type(move) is int
            at = move - start if known else numbers.get(move) if isinstance(move, str | int | float) else None
            if at is None or not 0 <= at < count:
                raise _refuse(shown(move), count)
            mask[at] = 1
        return mask

    return legal


def _refuse(said: str, count: int) -> LayoutMismatch:
    return LayoutMismatch(
        f"the server calls {said} legal, and action_space has {count} actions; pass another hint for it"
    )
