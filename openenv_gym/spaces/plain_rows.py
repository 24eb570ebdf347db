"""Plain data of the values that need no thought: compiled once, then called for every step.

:func:`~openenv_gym.spaces.to_plain` and :func:`~openenv_gym.spaces.from_plain` take whatever comes
and say what is wrong with it. What comes is nearly always just what the space declares, and for
that these closures do the same in a fraction of the time. Anything else they hand back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import isfinite, prod
from typing import Any, Final, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from numpy import ndarray

from openenv_gym.errors import InvalidAction
from openenv_gym.spaces.casting import limits
from openenv_gym.spaces.layout import Layout, Leaf, Tree
from openenv_gym.spaces.plain import from_plain
from openenv_gym.spaces.rows import Kind
from openenv_gym.types import Plain

__all__ = ["INEXACT", "PlainWriter", "compile_plain_reader", "compile_plain_writer"]

PlainWriter: TypeAlias = Callable[[Any], Plain]

INEXACT: Final = object()
"""What a :data:`PlainWriter` gives for a value that is not its own plain form's only meaning."""

_FLOAT: Final = {float}
_FEW = 64
"""Python adds up so many numbers before NumPy has begun."""


def compile_plain_writer(layout: Layout, kinds: Sequence[Kind]) -> PlainWriter:
    """Make ``write(value)``, which gives the plain form of a value, or :data:`INEXACT`.

    A plain form is given only where space and kinds restore the value from it to the bit, with its
    types, its containers and the order of their keys; not-a-number and infinity, which JSON cannot
    say, are inexact.

    >>> from gymnasium.spaces import Box
    >>> from openenv_gym.spaces import layout_of
    >>> write = compile_plain_writer(layout_of(Box(-1, 1, (2,))), [Kind.ARRAY])
    >>> write(np.array([0.5, 1], np.float32)), write(np.array([0.5, 1], np.float64)) is INEXACT
    ([0.5, 1.0], True)
    """
    return _writer(layout.tree, iter(kinds))


def compile_plain_reader(space: Space[Any]) -> Callable[[Plain], Any]:
    """Make ``read(plain)``, which is ``from_plain`` of an action space.

    >>> compile_plain_reader(Discrete(3))(2)
    np.int64(2)
    """
    if type(space) is Discrete:
        return _discrete_reader(space)
    if type(space) is Box and space.dtype.kind == "f" and len(space.shape) == 1:
        return _vector_reader(space)
    return partial(from_plain, space, error=InvalidAction)


def _discrete_reader(space: Discrete) -> Callable[[Plain], Any]:
    scalar = space.dtype.type
    least, greatest = limits(np.dtype(space.dtype))

    def read(plain: Plain) -> Any:
        if type(plain) is int and least <= plain <= greatest:
            return scalar(plain)
        return from_plain(space, plain, error=InvalidAction)

    return read


def _vector_reader(space: Box) -> Callable[[Plain], Any]:
    dtype: np.dtype[Any] = np.dtype(space.dtype)
    count = space.shape[0]
    greatest = float(min(np.finfo(dtype).max, np.finfo(np.float64).max))

    def read(plain: Plain) -> Any:
        if (
            type(plain) is list
            and 0 < len(plain) == count
            and set(map(type, plain)) == _FLOAT
            and -greatest <= min(plain)
            and max(plain) <= greatest
        ):
            with np.errstate(all="ignore"):
                return np.array(plain, dtype)
        return from_plain(space, plain, error=InvalidAction)

    return read


def _writer(tree: Tree, kinds: Iterator[Kind]) -> PlainWriter:
    if isinstance(tree, Leaf):
        return _leaf_writer(tree, next(kinds))
    children = [(key, _writer(child, kinds)) for key, child in zip(tree.keys, tree.children, strict=True)]
    return _dict_writer(tree.keys, children) if tree.container is dict else _tuple_writer(children)


def _dict_writer(keys: tuple[Any, ...], children: list[tuple[Any, PlainWriter]]) -> PlainWriter:
    def write(value: Any) -> Plain:
        if type(value) is not dict or tuple(value) != keys:
            return INEXACT
        plain = {key: child(value[key]) for key, child in children}
        return INEXACT if INEXACT in plain.values() else plain

    return write


def _tuple_writer(children: list[tuple[Any, PlainWriter]]) -> PlainWriter:
    count = len(children)

    def write(value: Any) -> Plain:
        if type(value) is not tuple or len(value) != count:
            return INEXACT
        plain = [child(value[at]) for at, child in children]
        return INEXACT if INEXACT in plain else plain

    return write


def _leaf_writer(leaf: Leaf, kind: Kind) -> PlainWriter:
    if leaf.dtype.kind not in "biuf" or (leaf.dtype.kind == "f" and leaf.dtype.itemsize > 8):
        return lambda value: INEXACT  # a longdouble loses digits on its way
    return _LEAF_WRITERS[kind](leaf)


def _array_writer(leaf: Leaf) -> PlainWriter:
    dtype, shape = leaf.dtype, leaf.shape
    if dtype.kind != "f":

        def write(value: Any) -> Plain:
            if type(value) is ndarray and value.dtype == dtype and value.shape == shape:
                return value.tolist()
            return INEXACT

    elif len(shape) == 1 and prod(shape) <= _FEW:

        def write(value: Any) -> Plain:
            if type(value) is ndarray and value.dtype == dtype and value.shape == shape:
                plain = value.tolist()
                # A sum is finite only if all its parts are; one that overflows wants a second look.
                if isfinite(sum(plain)) or np.isfinite(value).all():
                    return plain
            return INEXACT

    else:

        def write(value: Any) -> Plain:
            if type(value) is ndarray and value.dtype == dtype and value.shape == shape:
                return value.tolist() if np.isfinite(value).all() else INEXACT
            return INEXACT

    return write


def _scalar_writer(leaf: Leaf) -> PlainWriter:
    scalar, is_float = leaf.dtype.type, leaf.dtype.kind == "f"

    def write(value: Any) -> Plain:
        if type(value) is not scalar or (is_float and not isfinite(value)):
            return INEXACT
        return value.item()

    return write


def _int_writer(leaf: Leaf) -> PlainWriter:
    least, greatest = limits(leaf.dtype)
    return lambda value: value if type(value) is int and least <= value <= greatest else INEXACT


def _float_writer(leaf: Leaf) -> PlainWriter:
    if leaf.dtype.itemsize == 8:
        return lambda value: value if type(value) is float and isfinite(value) else INEXACT
    scalar = leaf.dtype.type

    def write(value: Any) -> Plain:
        if type(value) is not float or not isfinite(value):
            return INEXACT
        with np.errstate(all="ignore"):
            return value if scalar(value).item() == value else INEXACT

    return write


def _bool_writer(leaf: Leaf) -> PlainWriter:
    return lambda value: value if type(value) is bool else INEXACT


_LEAF_WRITERS: dict[Kind, Callable[[Leaf], PlainWriter]] = {
    Kind.ARRAY: _array_writer,
    Kind.SCALAR: _scalar_writer,
    Kind.INT: _int_writer,
    Kind.FLOAT: _float_writer,
    Kind.BOOL: _bool_writer,
}
