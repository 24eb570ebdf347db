"""Legal moves as environments tell them: by number, by name, or by a mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from openenv_gym.errors import InvalidArgument, LayoutMismatch
from openenv_gym.wrappers.fields import Field, listed, look_up

__all__ = ["Form", "Mask", "Teller", "actions_of", "is_mask"]

Form: TypeAlias = Literal["mask", "moves"]
Mask: TypeAlias = NDArray[np.int8]

_NUMBERS = (int, float, np.integer, np.floating)
_USUAL = ("action_mask", "legal_actions", "legal_moves")


class Teller:
    """Reads the legal moves of a position out of an observation and its info.

    Args:
        field: which of their fields tells; by default ``action_mask``, ``legal_actions`` or
            ``legal_moves``, whichever there is.
        form: ``mask``: the field has a truth for each action; ``moves``: it lists those that are legal.
            By default :func:`is_mask` tells them apart.
        count: how many actions there are, if that is fixed.
        rows: whether an array may have a row for each move.

    Raises:
        InvalidArgument: if ``form`` is neither.
    """

    def __init__(
        self, field: Field | None, form: Form | None, count: int | None, *, rows: bool = False
    ) -> None:
        if form not in (None, *get_args(Form)):
            raise InvalidArgument(f"form is {' or '.join(map(repr, get_args(Form)))}, not {form!r:.40}")
        self._fields: tuple[Field, ...] = _USUAL if field is None else (field,)
        self._form = form
        self._count = count
        self._depth = 2 if rows else 1

    def tell(self, observation: Any, info: Mapping[str, Any]) -> Mask | list[Any] | None:
        """A mask, int8, (count,); or the legal moves as they are listed; or ``None`` if nothing is told.

        Raises:
            LayoutMismatch: if a mask has not the length of the actions, or a field is no list at all.
        """
        for field in self._fields:
            told = look_up(field, observation, info)
            if told is not None:
                return self._read(field, told)
        return None

    def missing(self, observation: Any, info: Mapping[str, Any]) -> LayoutMismatch:
        """The error to raise where nothing is told."""
        wanted = " or ".join(f"{field!r:.60}" for field in self._fields)
        fields = listed(observation) if isinstance(observation, Mapping) else "none"
        return LayoutMismatch(
            f"no field {wanted} tells the legal moves; fields of the observation: {fields}, of the info: "
            f"{listed(info)}; pass legal= the one that does, or a function of observation and info"
        )

    def _read(self, field: Field, told: Any) -> Mask | list[Any]:
        listed = isinstance(told, (list, tuple))
        if not listed and not (isinstance(told, np.ndarray) and 1 <= told.ndim <= self._depth):
            raise LayoutMismatch(
                f"{field!r:.60} holds {told!r:.60}, neither a list of legal moves nor a mask; pass "
                "legal= a function of observation and info that returns one"
            )
        if not (self._form == "mask" if self._form else is_mask(told, self._count)):
            return list(told)
        if self._count is not None and len(told) != self._count:
            raise LayoutMismatch(
                f"{field!r:.60} is a mask of {len(told)} actions where there are {self._count}; if it lists "
                "the legal ones, pass form='moves'"
            )
        mask: Mask = (np.asarray(told) != 0).astype(np.int8)
        return mask


def is_mask(told: Any, count: int | None) -> bool:
    """Whether a list holds a truth for each of ``count`` actions, rather than the legal ones.

    It does if it holds bools, or if it is of that length and holds zeros and ones, some of them twice, which
    no list of legal moves has. An array of int8 or uint8 needs no such proof.

    >>> is_mask([0, 2], 3), is_mask([0, 1, 1], 3), is_mask([0, 1], 2), is_mask(np.array([0, 1], np.int8), 2)
    (False, True, False, True)
    """
    if len(told) and isinstance(told[0], (bool, np.bool_)):
        return True
    if len(told) != count or not all(isinstance(each, _NUMBERS) and each in (0, 1) for each in told):
        return False
    return getattr(told, "dtype", None) in (np.int8, np.uint8) or len(set(told)) < len(told)


def actions_of(told: Mask | list[Any], space: Space[Any]) -> list[Any]:
    """What was told, as actions of the space that it was told of.

    Raises:
        LayoutMismatch: if a mask was told and the space is no Discrete, or a number is none of its.
    """
    if not isinstance(space, Discrete):
        if isinstance(told, np.ndarray):
            raise LayoutMismatch(
                f"a mask was told, and the actions of {space!r:.80} have no numbers; see legal="
            )
        return told
    if isinstance(told, np.ndarray):
        return [space.dtype.type(space.start + place) for place in np.flatnonzero(told)]
    for each in told:
        if not space.contains(each):
            raise LayoutMismatch(f"{each!r:.40} is told to be legal, and is no action of {space}; see legal=")
    return [space.dtype.type(each) for each in told]
