"""Equal to the bit: what the demo asks of a served environment beside the local one.

Arrays are compared by dtype, shape and bytes, scalars by kind and value, containers item by item.
NaN equals NaN, whatever its payload; ``0.0`` and ``-0.0`` differ, and so do ``1`` and ``1.0``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_difference", "reset_difference", "step_difference"]

RESET = ("observation", "info")
STEP = ("observation", "reward", "terminated", "truncated", "info")


def reset_difference(local: tuple[Any, ...], remote: tuple[Any, ...]) -> str | None:
    """Say where two answers to ``reset`` differ first, or nothing when they are equal."""
    return first_difference(dict(zip(RESET, local, strict=True)), dict(zip(RESET, remote, strict=True)))


def step_difference(local: tuple[Any, ...], remote: tuple[Any, ...]) -> str | None:
    """Say where two answers to ``step`` differ first, or nothing when they are equal.

    Of one lane, the reward is a float64 and the other two are Python's own bool, whatever kind of
    number the local environment returns; so Gymnasium defines ``step``.
    """
    if not isinstance(local[1], np.ndarray):
        observation, reward, terminated, truncated, info = local
        local = (observation, float(reward), bool(terminated), bool(truncated), info)
    return first_difference(dict(zip(STEP, local, strict=True)), dict(zip(STEP, remote, strict=True)))


def first_difference(local: Any, remote: Any, where: str = "") -> str | None:
    """Say where two values differ first, or nothing when they are equal to the bit.

    >>> first_difference({"info": {"prob": 1}}, {"info": {"prob": 1.0}})
    'info.prob: local is int 1, remote is float 1.0'
    >>> first_difference(np.zeros(2), np.zeros(2), "observation")
    """
    return next(_differences(local, remote, where), None)


def _differences(local: Any, remote: Any, where: str) -> Iterator[str]:
    if type(local) is not type(remote):
        yield _both(where, local, remote)
    elif isinstance(local, dict):
        if local.keys() != remote.keys():
            yield f"{where}: local has {_names(local)}, remote has {_names(remote)}"
            return
        for key in local:
            yield from _differences(local[key], remote[key], f"{where}.{key}" if where else str(key))
    elif isinstance(local, (tuple, list)):
        yield from _items(list(local), list(remote), where)
    elif isinstance(local, np.ndarray):
        yield from _arrays(local, remote, where)
    elif isinstance(local, (np.generic, float)):
        if next(_unequal(np.asarray(local), np.asarray(remote)), None) is not None:
            yield _both(where, local, remote)
    elif local != remote:
        yield _both(where, local, remote)


def _items(local: list[Any], remote: list[Any], where: str) -> Iterator[str]:
    if len(local) != len(remote):
        yield f"{where}: local has {len(local)} items, remote has {len(remote)}"
        return
    for index, (ours, theirs) in enumerate(zip(local, remote, strict=True)):
        yield from _differences(ours, theirs, f"{where}[{index}]")


def _arrays(local: NDArray[Any], remote: NDArray[Any], where: str) -> Iterator[str]:
    if local.dtype != remote.dtype or local.shape != remote.shape:
        yield f"{where}: local is {local.dtype} {local.shape}, remote is {remote.dtype} {remote.shape}"
    elif local.dtype == object:
        yield from _items(list(local.flat), list(remote.flat), where)
    elif local.tobytes() != remote.tobytes():
        for index in _unequal(local, remote):
            spot = f"{where}[{', '.join(map(str, index))}]" if index else where
            yield _both(spot, local[index], remote[index])


def _unequal(local: NDArray[Any], remote: NDArray[Any]) -> Iterator[tuple[int, ...]]:
    """Where the bytes of two items differ and they are not both NaN."""
    for index in np.ndindex(local.shape):
        ours, theirs = local[index], remote[index]
        if ours.tobytes() != theirs.tobytes() and not (ours != ours and theirs != theirs):
            yield index


def _both(where: str, local: Any, remote: Any) -> str:
    return f"{where}: local is {_shown(local)}, remote is {_shown(remote)}"


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, np.generic) else repr(value)
    return f"{type(value).__name__} {text:.80}"


def _names(mapping: dict[Any, Any]) -> str:
    return ", ".join(map(str, mapping)) or "nothing"
