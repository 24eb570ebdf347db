"""The shape of nested lists, and what stands beside flat ones to give theirs away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, product
from typing import Any

from openenv_gym.spaces.schema_reader import DEPTH_LIMIT
from openenv_gym.types import Plain

__all__ = ["common_shape", "flat_items", "shape_beside", "shape_of"]

_PAIRS = (
    ("height", "width"),
    ("rows", "cols"),
    ("rows", "columns"),
    ("num_rows", "num_cols"),
    ("size", "size"),
)


def shape_of(value: Plain) -> tuple[int, ...] | None:
    """The shape of nested lists; ``None`` if their lengths differ, or they are nested too deep.

    >>> shape_of([[1, 2], [3, 4]]), shape_of([[1], [2, 3]]), shape_of([]), shape_of(7)
    ((2, 2), None, (0,), ())
    """
    shape: list[int] = []
    level: list[Any] = [value]
    while level and all(isinstance(item, list) for item in level):
        lengths = set(map(len, level))
        if len(lengths) > 1 or len(shape) == DEPTH_LIMIT:
            return None
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    return None if any(isinstance(item, list) for item in level) else tuple(shape)


def flat_items(value: Plain) -> list[Any]:
    """The innermost items of nested lists, however long each is."""
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT):
        if not any(isinstance(item, list) for item in level):
            break
        level = list(chain.from_iterable(item if isinstance(item, list) else [item] for item in level))
    return level


def shape_beside(
    name: str, count: int, fields: Mapping[str, Plain], state: Mapping[str, Plain] | None
) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
    """The shape of a flat list of ``count`` items that fields beside it tell, and which fields those are.

    >>> shape_beside("screen", 6, {"screen_shape": [2, 3]}, None)
    ((2, 3), ('screen_shape',))
    >>> shape_beside("grid", 6, {"width": 3, "height": 2}, None)
    ((2, 3), ('height', 'width'))
    """
    for where, said in (("", fields), ("state.", state or {})):
        shape = said.get(f"{name}_shape")
        if isinstance(shape, list) and all(map(_is_length, shape)) and math.prod(shape) == count:
            return tuple(shape), (f"{where}{name}_shape",)
    for where, said in (("", fields), ("state.", state or {})):
        for prefix, (down, across) in product(("", f"{name}_"), _PAIRS):
            found = _planes(said.get(prefix + down), said.get(prefix + across), count)
            if found is not None:
                return found, tuple(dict.fromkeys([where + prefix + down, where + prefix + across]))
    return None


def _planes(tall: Plain, wide: Plain, count: int) -> tuple[int, ...] | None:
    """The shape of a plane, of one number a place, or of three or four."""
    if not _is_length(tall) or not _is_length(wide) or count < 2:
        return None
    shapes: list[tuple[int, ...]] = [(tall, wide), (tall, wide, 3), (tall, wide, 4)]
    return next((shape for shape in shapes if math.prod(shape) == count), None)


def common_shape(samples: Sequence[Plain]) -> tuple[int, ...] | None:
    """The one shape of all samples, if they have one and each axis has items.

    >>> common_shape([[1], [2]]), common_shape([[1], [1, 2]]), common_shape([[]]), common_shape([])
    ((1,), None, None, None)
    """
    shapes = {shape_of(sample) for sample in samples}
    only = shapes.pop() if len(shapes) == 1 else None
    return None if only is None or 0 in only else only


def _is_length(plain: Plain) -> bool:
    return type(plain) is int and 0 < plain <= 2**24
