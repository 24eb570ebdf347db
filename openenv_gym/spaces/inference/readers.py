"""From JSON to values of a space: closures, compiled once, that are called for every step.

A field that is null or missing reads as something that is in the space all the same: an empty text,
zeros. What does not fit raises :class:`~openenv_gym.errors.LayoutMismatch`. Bounds are not checked: what
an environment observes passes as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from gymnasium.spaces import Sequence as SequenceSpace
from numpy.typing import NDArray

from openenv_gym.errors import LayoutMismatch
from openenv_gym.spaces.casting import shown
from openenv_gym.spaces.inference.shapes import flat_items
from openenv_gym.spaces.plain import from_plain
from openenv_gym.types import Plain

__all__ = ["Reader", "answer_text", "choice_reader", "dict_reader", "each_reader", "reader_for", "text_of"]

Reader: TypeAlias = Callable[[Plain], Any]
"""Reads the plain value of a field."""

_FLOATS = {float}


def reader_for(space: Space[Any], *, absent: float | None = None) -> Reader:
    """A reader of values of any space.

    Nested lists may come flat, and a single number for a Box of one; a Box of two whose second is from 0 to 1
    reads a number that may be missing, as the number and whether it was there.

    >>> read = reader_for(Box(-1, 1, (2, 2), np.int8))
    >>> read([[0, 1], [-1, 0]]).tolist() == read([0, 1, -1, 0]).tolist() == [[0, 1], [-1, 0]]
    True

    Args:
        space: what is read into.
        absent: the number that stands for null; by default 0, or the bound next to it.
    """
    if isinstance(space, Box):
        return _box_reader(space, absent)
    if isinstance(space, MultiBinary | MultiDiscrete):
        return _array_reader(space, np.zeros(space.shape, space.dtype))
    if isinstance(space, Discrete):
        return _discrete_reader(space, absent)
    if isinstance(space, Text):
        return text_of
    if isinstance(space, Dict):
        return dict_reader({key: reader_for(child) for key, child in space.spaces.items()})
    if isinstance(space, Tuple):
        return _tuple_reader([reader_for(child) for child in space.spaces])
    if isinstance(space, SequenceSpace) and not space.stack:
        return each_reader(reader_for(space.feature_space))
    if isinstance(space, SequenceSpace):
        return partial(_stacked, space)
    return partial(from_plain, space, error=LayoutMismatch)


def text_of(plain: Plain) -> str:
    """A text as it is, nothing as an empty one, and anything else as JSON.

    >>> text_of("a"), text_of(None), text_of({"é": [1]})
    ('a', '', '{"é": [1]}')
    """
    if isinstance(plain, str):
        return plain
    return "" if plain is None else json.dumps(plain, ensure_ascii=False)


def answer_text(plain: Plain) -> str:
    """What a tool answered, as text: its blocks of text, or the message of its error, or all of it as JSON.

    >>> answer_text({"content": [{"type": "text", "text": "AA"}], "data": 1})
    'AA'
    >>> answer_text({"error_type": "tool_not_found", "message": "Unknown tool"}), answer_text(None)
    ('Unknown tool', '')
    """
    if isinstance(plain, dict):
        blocks = plain.get("content")
        if isinstance(blocks, list) and blocks:
            return "\n".join([text_of(_said(block)) for block in blocks])
        if isinstance(plain.get("message"), str):
            return str(plain["message"])
    return text_of(plain)


def _said(block: Plain) -> Plain:
    return block.get("text", block) if isinstance(block, dict) else block


def choice_reader(labels: Sequence[Any], *, absent: Any = None) -> Reader:
    """A reader of values that have names, as the number of the name; ``absent`` is what null stands for.

    >>> choice_reader(["up", "down"])("down")
    np.int64(1)
    """
    # True and 1 are one key of a dict.
    numbers = {(type(label) is bool, label): np.int64(at) for at, label in enumerate(labels)}
    if absent is not None:
        numbers[False, None] = numbers[type(absent) is bool, absent]

    def read(plain: Plain) -> Any:
        try:
            return numbers[type(plain) is bool, plain]
        except (KeyError, TypeError):
            raise LayoutMismatch(
                f"is {shown(plain)}, none of the {len(labels)} values that were named"
            ) from None

    return read


def dict_reader(readers: dict[str, Reader]) -> Reader:
    """A reader of objects, of the fields that have readers; the others are passed over."""
    pairs = list(readers.items())

    def read(plain: Plain) -> Any:
        if plain is None:
            plain = {}
        if not isinstance(plain, dict):
            raise LayoutMismatch(f"is a {type(plain).__name__}, no object")
        return {key: read_part(plain.get(key)) for key, read_part in pairs}

    return read


def each_reader(read_item: Reader) -> Reader:
    """A reader of lists of any length, as a tuple."""

    def read(plain: Plain) -> Any:
        if plain is None:
            return ()
        if not isinstance(plain, list):
            raise LayoutMismatch(f"is a {type(plain).__name__}, no list")
        return tuple(map(read_item, plain))

    return read


def _stacked(space: SequenceSpace, plain: Plain) -> Any:
    """A list of any length as one array; of numbers, a column of them."""
    if plain is None:
        plain = []
    if isinstance(plain, list) and space.feature_space.shape == (1,):
        plain = [item if isinstance(item, list) else [item] for item in plain]
    return from_plain(space, plain, error=LayoutMismatch)


def _tuple_reader(readers: list[Reader]) -> Reader:
    def read(plain: Plain) -> Any:
        if not isinstance(plain, list) or len(plain) != len(readers):
            raise LayoutMismatch(f"is {shown(plain)}, no list of {len(readers)} items")
        return tuple([read_part(part) for read_part, part in zip(readers, plain, strict=True)])

    return read


def _discrete_reader(space: Discrete, absent: float | None) -> Reader:
    nothing = space.dtype.type(space.start if absent is None else absent)
    least, greatest = int(space.start), int(space.start) + int(space.n) - 1

    def read(plain: Plain) -> Any:
        if plain is None:
            return nothing
        if isinstance(plain, str) or not least <= plain <= greatest:
            raise LayoutMismatch(f"is {shown(plain)}, not within {least} and {greatest}")
        return from_plain(space, plain, error=LayoutMismatch)

    return read


def _box_reader(space: Box, absent: float | None) -> Reader:
    nearest = np.clip(0 if absent is None else absent, space.low, space.high)
    read_array = _array_reader(space, nearest.astype(space.dtype))
    if space.shape != (2,) or (space.low[1], space.high[1]) != (0, 1):
        return read_array

    def read(plain: Plain) -> Any:
        if plain is None or isinstance(plain, int | float):
            return read_array([0 if plain is None else plain, int(plain is not None)])
        return read_array(plain)

    return read


def _array_reader(space: Any, nothing: NDArray[Any]) -> Reader:
    shape, dtype, count = space.shape, np.dtype(space.dtype), math.prod(space.shape)
    flat = Box(0, 1, (count,), dtype) if len(shape) != 1 and count <= 2**24 else space
    floats, octets, deep = dtype == np.float64, dtype == np.uint8, len(shape) > 1
    native, least, greatest = _ALONE.get(dtype.str if count == 1 else "", _NEVER)

    def read(plain: Plain) -> Any:
        if plain is None:
            return nothing.copy()
        if not isinstance(plain, list):
            kind: Any = type(plain)
            if kind is native and least <= plain <= greatest:
                return np.full(shape, plain, dtype)
            plain = [plain]
        elif deep and plain and isinstance(plain[0], list):
            return _numbers(space, plain, dtype)
        if floats and len(plain) == count and set(map(type, plain)) == _FLOATS:
            return np.array(plain, np.float64).reshape(shape)
        if octets and len(plain) == count:
            try:
                return np.frombuffer(bytearray(plain), np.uint8).reshape(shape)
            except (TypeError, ValueError):
                pass  # not all of them are bytes, and the long way says which
        return _numbers(flat, plain, dtype).reshape(shape)

    return read


_ALONE: dict[str, tuple[type, float, float]] = {
    np.dtype(np.float64).str: (float, -math.inf, math.inf),
    np.dtype(np.int64).str: (int, -(2**63), 2**63 - 1),
}
"""Of one number alone: its type in JSON, and between which it is at home in the dtype."""
_NEVER: tuple[type, float, float] = (set, 0, 0)


def _numbers(space: Any, plain: Plain, dtype: np.dtype[Any]) -> Any:
    """Numbers as an array; those that JSON cannot say and servers send as null are not-a-number again."""
    if dtype.kind == "f" and None in flat_items(plain):
        plain = _without_null(plain)
    return from_plain(space, plain, error=LayoutMismatch)


def _without_null(plain: Plain) -> Plain:
    if isinstance(plain, list):
        return [_without_null(item) for item in plain]
    return math.nan if plain is None else plain
