"""Equal to the bit: arrays by dtype, shape and bytes, scalars by value and kind, containers part by part.

Only the payload of a NaN is free. ``0.0`` and ``-0.0`` differ, and so do ``1``, ``1.0`` and ``True``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["differences"]


def differences(ours: Any, theirs: Any, path: str = "value", *, ordered: bool = True) -> Iterator[str]:
    """Describe each place at which two values are not equal to the bit.

    >>> list(differences({"a": (1, 2.0)}, {"a": (1, 2)}, "info"))
    ["info['a'][1]: float 2.0 is not int 2"]

    Args:
        ours: one value.
        theirs: the other.
        path: what they are, for the descriptions.
        ordered: whether the keys of dicts come in the same order, too.
    """
    if type(ours) is not type(theirs):
        yield f"{path}: {_named(ours)} is not {_named(theirs)}"
    elif isinstance(theirs, dict):
        yield from _differing_dicts(ours, theirs, path, ordered=ordered)
    elif isinstance(theirs, (list, tuple)):
        yield from _differing_sequences(ours, theirs, path, ordered=ordered)
    elif isinstance(theirs, np.ndarray):
        yield from _differing_arrays(ours, theirs, path, ordered=ordered)
    elif isinstance(theirs, np.generic):
        if not _same_numbers(np.asarray(ours), np.asarray(theirs)):
            yield f"{path}: {ours!r} is not {theirs!r}"
    elif not (_same_float(ours, theirs) if isinstance(theirs, float) else ours == theirs):
        yield f"{path}: {ours!r} is not {theirs!r}"


def _differing_dicts(
    ours: dict[Any, Any], theirs: dict[Any, Any], path: str, *, ordered: bool
) -> Iterator[str]:
    if ours.keys() != theirs.keys():
        yield f"{path}: has the keys {list(ours)}, not {list(theirs)}"
        return
    if ordered and list(ours) != list(theirs):
        yield f"{path}: has its keys in the order {list(ours)}, not {list(theirs)}"
    kinds = {key: type(key) for key in theirs}
    for key, part in ours.items():
        if type(key) is not kinds[key]:
            yield f"{path}: has the key {_named(key)}, not a {kinds[key].__name__}"
        yield from differences(part, theirs[key], f"{path}[{key!r}]", ordered=ordered)


def _differing_sequences(
    ours: Sequence[Any], theirs: Sequence[Any], path: str, *, ordered: bool
) -> Iterator[str]:
    if len(ours) != len(theirs):
        yield f"{path}: has {len(ours)} items, not {len(theirs)}"
        return
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        yield from differences(one, other, f"{path}[{index}]", ordered=ordered)


def _differing_arrays(ours: NDArray[Any], theirs: NDArray[Any], path: str, *, ordered: bool) -> Iterator[str]:
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        yield f"{path}: is {ours.dtype} {ours.shape}, not {theirs.dtype} {theirs.shape}"
    elif theirs.dtype == object:
        for index in np.ndindex(theirs.shape):
            yield from differences(ours[index], theirs[index], f"{path}{list(index)}", ordered=ordered)
    elif not _same_numbers(ours, theirs):
        yield f"{path}: {ours!r} is not {theirs!r}"


def _same_numbers(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    if theirs.dtype.kind != "f":
        return ours.tobytes() == theirs.tobytes()
    # Value and sign are the bits, but for the padding of a longdouble and the payload of a NaN.
    same = (ours == theirs) & (np.signbit(ours) == np.signbit(theirs))
    return bool((same | (np.isnan(ours) & np.isnan(theirs))).all())


def _same_float(ours: float, theirs: float) -> bool:
    if math.isnan(theirs):
        return math.isnan(ours)
    return ours == theirs and math.copysign(1, ours) == math.copysign(1, theirs)


def _named(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.100}"
