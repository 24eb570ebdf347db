"""One row, and one batch, in and out of columns: compiled once, then called for every step.

A single environment's observation goes through :func:`compile_writer` on one end and
:func:`compile_reader` on the other, so both sit on the hot path: what can be decided from the
space is decided when the closure is made, and a call does only the store itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray
from numpy.typing import NDArray

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces.casting import OBSERVATION, limits, shown, store, take_apart
from openenv_gym.spaces.layout import Branch, Layout, Leaf, Tree
from openenv_gym.types import Columns

__all__ = [
    "Kind",
    "Reader",
    "Writer",
    "assign_rows",
    "compile_reader",
    "compile_writer",
    "kinds_of",
    "read_batch",
    "write_batch",
]

Writer: TypeAlias = Callable[[int, Any], bool]
Reader: TypeAlias = Callable[[int], Any]


class Kind(StrEnum):
    """As what an environment hands out the value of one leaf."""

    ARRAY = "array"
    """An array of the leaf's dtype and shape."""
    SCALAR = "scalar"
    """A NumPy scalar of the leaf's dtype, which has shape ()."""
    INT = "int"
    """Python's own int, for an integer leaf of shape ()."""
    FLOAT = "float"
    """Python's own float, for a floating leaf of shape ()."""
    BOOL = "bool"
    """Python's own bool, for a boolean leaf of shape ()."""


# Python's own numbers come back as themselves only from a dtype of their own kind.
_PYTHON_KINDS = {Kind.INT: "iu", Kind.FLOAT: "f", Kind.BOOL: "b"}
_KINDS = frozenset(Kind)
_KIND_OF_TYPE = {int: Kind.INT, float: Kind.FLOAT, bool: Kind.BOOL, ndarray: Kind.ARRAY}


def kinds_of(layout: Layout, value: Any) -> tuple[Kind, ...]:
    """Learn from one example observation as what each leaf comes.

    A leaf that the example lacks, or has as something else, counts as an array (shape other than
    ``()``) or a NumPy scalar (shape ``()``).

    >>> from gymnasium.spaces import Box, Discrete, Tuple
    >>> from openenv_gym.spaces import layout_of
    >>> layout = layout_of(Tuple([Discrete(5), Discrete(5), Box(0, 1, (2,))]))
    >>> [str(kind) for kind in kinds_of(layout, (3, np.int64(3), np.zeros(2, np.float32)))]
    ['int', 'scalar', 'array']
    """
    return tuple([_kind_of(leaf, value) for leaf in layout.leaves])


def compile_writer(layout: Layout, columns: Columns, kinds: Sequence[Kind | str]) -> Writer:
    """Make ``write(row, value)``, which stores one observation into one row of the columns.

    ``write`` returns True when a reader of the same kinds gives the value back to the bit, with
    its types, its containers and the order of their keys. It returns False when the row holds
    what Gymnasium's ``concatenate`` would have cast the value to; the exact value must then travel
    another way. The value is copied; bounds are not checked; ``row`` must be one of the columns'.

    ``write`` raises :class:`~openenv_gym.errors.LayoutMismatch` when the row cannot hold the value
    (wrong shape, missing key, unsafe cast, integer out of range); other leaves of the row may
    have been written by then.

    >>> from gymnasium.spaces import Box
    >>> from openenv_gym.spaces import layout_of
    >>> layout = layout_of(Box(-1, 1, (2,)))
    >>> _, columns = layout.allocate(4)
    >>> write = compile_writer(layout, columns, ["array"])
    >>> write(0, np.array([0.5, 1], np.float32)), write(1, np.array([0.5, 1], np.float64))
    (True, False)

    Raises:
        ProtocolViolation: ``kinds`` do not fit the layout.
    """
    return _writer(layout.tree, columns, iter(_checked(layout, kinds)))


def compile_reader(layout: Layout, columns: Columns, kinds: Sequence[Kind | str]) -> Reader:
    """Make ``read(row)``, which gives one row as a value of its own: fresh, writable, C-contiguous.

    >>> from gymnasium.spaces import Discrete
    >>> from openenv_gym.spaces import layout_of
    >>> layout = layout_of(Discrete(9))
    >>> _, columns = layout.allocate(2)
    >>> columns[1] = 7
    >>> compile_reader(layout, columns, ["int"])(1), compile_reader(layout, columns, ["scalar"])(1)
    (7, np.int64(7))

    Raises:
        ProtocolViolation: ``kinds`` do not fit the layout.
    """
    return _reader(layout.tree, columns, iter(_checked(layout, kinds)))


def write_batch(layout: Layout, columns: Columns, values: Any) -> bool:
    """Store a whole batch, arrays of shape ``(rows, *shape)``, into the columns.

    The arrays may have any memory order, and be slices of others.

    >>> from gymnasium.spaces import Box
    >>> from openenv_gym.spaces import layout_of
    >>> layout = layout_of(Box(-1, 1, (2,)))
    >>> _, columns = layout.allocate(4)
    >>> write_batch(layout, columns, np.ones((2, 4), np.float32).T)
    True

    Returns:
        Whether containers, dtypes and shapes were those of the columns; False when Gymnasium's
        cast was needed.

    Raises:
        LayoutMismatch: the columns cannot hold the batch; some may have been written by then.
    """
    return _write_batch(layout.tree, columns, values)


def read_batch(columns: Columns) -> Columns:
    """Copy a tree of columns into fresh, writable, C-contiguous arrays.

    >>> read_batch({"a": np.frombuffer(b"ab", np.uint8)})["a"].flags.writeable
    True
    """
    if isinstance(columns, dict):
        return {key: read_batch(column) for key, column in columns.items()}
    if isinstance(columns, tuple):
        return tuple([read_batch(column) for column in columns])
    return columns.copy()


def assign_rows(target: Columns, into: Any, source: Columns, rows: Any) -> None:
    """Copy some rows of one batch into places of another, leaf by leaf; indices as NumPy's.

    >>> target, source = {"x": np.zeros(3)}, {"x": np.array([5.0, 6.0])}
    >>> assign_rows(target, 2, source, 1)
    >>> target["x"]
    array([0., 0., 6.])
    """
    if isinstance(target, dict):
        for key, column in target.items():
            assign_rows(column, into, source[key], rows)
    elif isinstance(target, tuple):
        for column, other in zip(target, source, strict=True):
            assign_rows(column, into, other, rows)
    else:
        target[into] = source[rows]


def _kind_of(leaf: Leaf, value: Any) -> Kind:
    try:
        for key in leaf.path:
            value = value[key]
    except (KeyError, IndexError, TypeError):
        return _fallback(leaf)
    kind = _KIND_OF_TYPE.get(type(value), _fallback(leaf))
    return kind if _fits(kind, leaf) else _fallback(leaf)


def _fallback(leaf: Leaf) -> Kind:
    return Kind.ARRAY if leaf.shape else Kind.SCALAR


def _fits(kind: Kind, leaf: Leaf) -> bool:
    if kind is Kind.ARRAY:
        return True
    return leaf.shape == () and leaf.dtype.kind in _PYTHON_KINDS.get(kind, "biuf")


def _checked(layout: Layout, kinds: Sequence[Kind | str]) -> list[Kind]:
    """Check kinds that may have come over the wire."""
    for kind in kinds:
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ProtocolViolation(f"each kind is one of {', '.join(Kind)}, got {shown(kind)}")
    known = [Kind(kind) for kind in kinds]
    if len(known) != len(layout.leaves):
        raise ProtocolViolation(f"got {len(known)} kinds for {len(layout.leaves)} leaves, want one for each")
    for kind, leaf in zip(known, layout.leaves, strict=True):
        if not _fits(kind, leaf):
            raise ProtocolViolation(
                f"kind {kind} does not fit the leaf at {list(leaf.path)}, "
                f"which has dtype {leaf.dtype} and shape {leaf.shape}"
            )
    return known


def _writer(tree: Tree, column: Columns, kinds: Iterator[Kind]) -> Writer:
    if isinstance(tree, Leaf):
        return _LEAF_WRITERS[next(kinds)](tree, column)
    children = [
        (key, _writer(child, column[key], kinds)) for key, child in zip(tree.keys, tree.children, strict=True)
    ]
    return _dict_writer(tree, children) if tree.container is dict else _tuple_writer(tree, children)


def _dict_writer(branch: Branch, children: list[tuple[Any, Writer]]) -> Writer:
    keys = branch.keys

    def write(row: int, value: Any) -> bool:
        if type(value) is not dict or tuple(value) != keys:
            return _write_parts(branch, children, row, value)
        exact = True
        for key, child in children:
            if not child(row, value[key]):
                exact = False
        return exact

    return write


def _tuple_writer(branch: Branch, children: list[tuple[Any, Writer]]) -> Writer:
    count = len(children)

    def write(row: int, value: Any) -> bool:
        if type(value) is not tuple or len(value) != count:
            return _write_parts(branch, children, row, value)
        exact = True
        for at, child in children:
            if not child(row, value[at]):
                exact = False
        return exact

    return write


def _write_parts(branch: Branch, children: list[tuple[Any, Writer]], row: int, value: Any) -> bool:
    """Write what is not the very container of the space, which makes the row inexact."""
    parts, _ = take_apart(branch, value, OBSERVATION)
    for (_, child), part in zip(children, parts, strict=True):
        child(row, part)
    return False


def _array_writer(leaf: Leaf, column: NDArray[Any]) -> Writer:
    dtype, shape = leaf.dtype, leaf.shape

    def write(row: int, value: Any) -> bool:
        if type(value) is ndarray and value.shape == shape and (value.dtype is dtype or value.dtype == dtype):
            column[row] = value
            return True
        store(column[row, ...], value, leaf.path, OBSERVATION)
        return False

    return write


def _scalar_writer(leaf: Leaf, column: NDArray[Any]) -> Writer:
    scalar = leaf.dtype.type

    def write(row: int, value: Any) -> bool:
        if type(value) is scalar:
            column[row] = value
            return True
        store(column[row, ...], value, leaf.path, OBSERVATION)
        return False

    return write


def _int_writer(leaf: Leaf, column: NDArray[Any]) -> Writer:
    least, greatest = limits(leaf.dtype)

    def write(row: int, value: Any) -> bool:
        if type(value) is int and least <= value <= greatest:
            column[row] = value
            return True
        store(column[row, ...], value, leaf.path, OBSERVATION)
        return False

    return write


def _float_writer(leaf: Leaf, column: NDArray[Any]) -> Writer:
    if leaf.dtype.itemsize >= 8:
        return _double_writer(leaf, column)
    # Outside of these NumPy reports an overflow or underflow, as a warning or an error at its user's choice.
    least, greatest = float(np.finfo(leaf.dtype).tiny), float(np.finfo(leaf.dtype).max)

    def write(row: int, value: Any) -> bool:
        if type(value) is not float:
            store(column[row, ...], value, leaf.path, OBSERVATION)
            return False
        if least <= abs(value) <= greatest:
            column[row] = value
        else:
            store(column[row, ...], value, leaf.path, OBSERVATION)
        return column.item(row) == value or value != value

    return write


def _double_writer(leaf: Leaf, column: NDArray[Any]) -> Writer:
    def write(row: int, value: Any) -> bool:
        if type(value) is float:
            column[row] = value
            return True
        store(column[row, ...], value, leaf.path, OBSERVATION)
        return False

    return write


def _bool_writer(leaf: Leaf, column: NDArray[Any]) -> Writer:
    def write(row: int, value: Any) -> bool:
        if type(value) is bool:
            column[row] = value
            return True
        store(column[row, ...], value, leaf.path, OBSERVATION)
        return False

    return write


_LEAF_WRITERS: dict[Kind, Callable[[Leaf, NDArray[Any]], Writer]] = {
    Kind.ARRAY: _array_writer,
    Kind.SCALAR: _scalar_writer,
    Kind.INT: _int_writer,
    Kind.FLOAT: _float_writer,
    Kind.BOOL: _bool_writer,
}


def _reader(tree: Tree, column: Columns, kinds: Iterator[Kind]) -> Reader:
    if isinstance(tree, Leaf):
        return _leaf_reader(tree, column, next(kinds))
    pairs = [
        (key, _reader(child, column[key], kinds)) for key, child in zip(tree.keys, tree.children, strict=True)
    ]
    if tree.container is dict:
        return lambda row: {key: read(row) for key, read in pairs}
    return lambda row: tuple([read(row) for _, read in pairs])


def _leaf_reader(leaf: Leaf, column: NDArray[Any], kind: Kind) -> Reader:
    if kind is Kind.SCALAR:
        return column.__getitem__  # of a column with one axis: a fresh NumPy scalar
    if kind is Kind.ARRAY:
        if leaf.shape:
            return lambda row: column[row].copy()
        return lambda row: column[row, ...].copy()
    if kind is Kind.FLOAT and leaf.dtype.itemsize > 8:
        return lambda row: float(column[row])  # item() of a longdouble is a longdouble
    return column.item


def _write_batch(tree: Tree, column: Columns, value: Any) -> bool:
    if isinstance(tree, Leaf):
        return store(column, value, tree.path, OBSERVATION)
    parts, exact = take_apart(tree, value, OBSERVATION)
    for key, child, part in zip(tree.keys, tree.children, parts, strict=True):
        if not _write_batch(child, column[key], part):
            exact = False
    return exact
