"""Whether actions are among those that their space counts: choices, and texts of its characters.

A choice that does not exist is refused before the environment sees it, for some environments would
take it for another one (``moves[-1]``). The bounds of a ``Box`` are not checked, here or in
Gymnasium: policies overstep them, and environments clip.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple
from numpy.typing import NDArray

from openenv_gym.spaces.casting import ACTION
from openenv_gym.spaces.layout import Path, layout_of

__all__ = ["compile_range_check"]

Check: TypeAlias = Callable[[Any], None]

_greatest = np.maximum.reduce


def compile_range_check(space: Space[Any]) -> Check | None:
    """Make a function that refuses what the space does not count, in one action or in columns of them.

    ``None`` if there is nothing to refuse.

    >>> check = compile_range_check(Discrete(3))
    >>> check(np.array([0, 2]))
    >>> check(np.array([0, 3]))
    Traceback (most recent call last):
    openenv_gym.errors.InvalidAction: action holds 3, action_space wants 0 to 2; see env.action_space

    The function raises:
        InvalidAction: for a choice that there is not, or a text of other characters or another length.
    """
    return _check_of(space, ())


@singledispatch
def _check_of(space: Space[Any], path: Path) -> Check | None:
    return None


@_check_of.register(Discrete)
def _check_of_discrete(space: Discrete, path: Path) -> Check:
    least, greatest = int(space.start), int(space.start) + int(space.n) - 1
    unsigned = np.dtype(f"u{space.dtype.itemsize}") if least == 0 else None

    def check(actions: Any) -> None:
        if actions.size == 1:
            low = high = actions.item()
        elif not actions.size:
            return
        elif unsigned is not None and _greatest(actions.view(unsigned)) <= greatest:
            return  # in one look: what is negative is huge as an unsigned number
        else:
            low, high = actions.min().item(), actions.max().item()
        if low < least or high > greatest:
            wrong = low if low < least else high
            raise ACTION.refuse(path, f"holds {wrong}", f"wants {least} to {greatest}")

    return check


@_check_of.register(MultiDiscrete)
def _check_of_multi_discrete(space: MultiDiscrete, path: Path) -> Check:
    least = np.asarray(space.start)
    return _elementwise(path, least, least + np.asarray(space.nvec) - 1)


@_check_of.register(MultiBinary)
def _check_of_multi_binary(space: MultiBinary, path: Path) -> Check:
    return _elementwise(path, np.zeros(space.shape, np.int8), np.ones(space.shape, np.int8))


def _elementwise(path: Path, least: NDArray[Any], greatest: NDArray[Any]) -> Check:
    def check(actions: Any) -> None:
        outside = (actions < least) | (actions > greatest)
        if outside.any():
            at = tuple(int(index[0]) for index in np.nonzero(outside))[-least.ndim :]
            wrong = np.asarray(actions)[outside].flat[0].item()
            wants = f"wants {least[at].item()} to {greatest[at].item()} there"
            raise ACTION.refuse(path, f"holds {wrong} at {list(at)}", wants)

    return check


@_check_of.register(Text)
def _check_of_text(space: Text, path: Path) -> Check:
    def check(action: Any) -> None:
        if action not in space:
            wants = f"wants {space.min_length} to {space.max_length} of the characters of its charset"
            raise ACTION.refuse(path, f"holds {action!r:.80}", wants)

    return check


@_check_of.register(Dict)
def _check_of_dict(space: Dict, path: Path) -> Check | None:
    return _each(path, space.spaces.items())


@_check_of.register(Tuple)
def _check_of_tuple(space: Tuple, path: Path) -> Check | None:  # type: ignore[type-arg]
    return _each(path, enumerate(space.spaces))


def _each(path: Path, children: Any) -> Check | None:
    found = ((key, _check_of(child, (*path, key))) for key, child in children)
    checks = [(key, check) for key, check in found if check is not None]
    if not checks:
        return None

    def check(actions: Any) -> None:
        for key, check_child in checks:
            check_child(actions[key])

    return check


@_check_of.register(OneOf)
def _check_of_one_of(space: OneOf, path: Path) -> Check:  # type: ignore[type-arg]
    checks = [_check_of(child, (*path, 1)) for child in space.spaces]

    def check(action: Any) -> None:
        chosen = checks[int(action[0])]
        if chosen is not None:
            chosen(action[1])

    return check


@_check_of.register(Sequence)
def _check_of_sequence(space: Sequence, path: Path) -> Check | None:
    feature = _check_of(space.feature_space, (*path, "[]"))
    if space.stack:  # columns of the feature; one that has none is stacked in ways of its own
        return None if layout_of(space.feature_space) is None else feature
    if feature is None:
        return None

    def check(action: Any) -> None:
        for item in action:
            feature(item)

    return check
