"""The memory layout of a batch: one block of bytes, one column for each leaf of a space.

A space is a tree of containers (``Dict``, ``Tuple``) over leaves that hold numbers. A batch of
rows lies in one block: the columns one after the other, batch axis first, each beginning at a
multiple of 16 bytes. Both ends compute the same offsets from the space alone, so a message needs
no header for each column. May be imported from ``spaces`` and from every floor above it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from numpy.typing import NDArray

from openenv_gym.errors import InvalidArgument, ProtocolViolation
from openenv_gym.types import Columns, Plain

__all__ = ["ALIGNMENT", "Branch", "Layout", "Leaf", "Path", "Tree", "columns_in", "layout_of"]

ALIGNMENT = 16
"""Every column begins at a multiple of this: the widest item (longdouble) stays aligned."""

Path: TypeAlias = tuple[str | int, ...]
"""The keys of ``Dict`` and the positions in ``Tuple`` that lead from the root to a node."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One array (or number) of a space: where it is, and what one row of it looks like."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    nbytes: int = field(init=False, repr=False, compare=False)
    """The bytes of one row, without padding."""

    def __post_init__(self) -> None:
        """Multiply once what every batch asks for."""
        object.__setattr__(self, "nbytes", int(self.dtype.itemsize) * math.prod(self.shape))


@dataclass(frozen=True, slots=True)
class Branch:
    """One container of a space, its children in the order in which the space declares them."""

    path: Path
    container: type[dict[Any, Any]] | type[tuple[Any, ...]]
    keys: tuple[str | int, ...]
    children: tuple[Tree, ...]

    def pack(self, parts: Sequence[Any]) -> Any:
        """Put one value for each child into a fresh dict or tuple."""
        if self.container is dict:
            return dict(zip(self.keys, parts, strict=True))
        return tuple(parts)


Tree: TypeAlias = Leaf | Branch


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """How the rows of one space lie in memory; make one with :func:`layout_of`.

    Attributes:
        space: the space of one row.
        tree: its containers and leaves.
        leaves: the leaves alone, depth first, in the order of the columns.
    """

    space: Space[Any]
    tree: Tree
    leaves: tuple[Leaf, ...]

    def offsets(self, rows: int) -> tuple[int, ...]:
        """Say where each column begins, in bytes from the start of a block of ``rows`` rows."""
        ends = accumulate([_padded(leaf.nbytes * rows) for leaf in self.leaves], initial=0)
        return tuple(ends)[:-1]

    def nbytes(self, rows: int) -> int:
        """Say how many bytes a block of ``rows`` rows takes, padding included."""
        return sum([_padded(leaf.nbytes * rows) for leaf in self.leaves])

    def views(self, buffer: bytes | bytearray | memoryview, rows: int, offset: int = 0) -> Columns:
        """Read a block in place: arrays of rows that share the buffer's memory.

        The tree is that of ``gymnasium.vector.utils.create_empty_array(space, rows)``, each array
        of shape ``(rows, *shape)`` and the leaf's dtype, byte order included. The arrays can be
        written exactly when the buffer can, and keep it alive. Nothing is copied.

        Args:
            buffer: contiguous memory that holds the block.
            rows: how many rows the block has.
            offset: where in the buffer the block begins, in bytes.

        Raises:
            InvalidArgument: ``rows`` or ``offset`` is negative.
            ProtocolViolation: the buffer ends before the block does.
        """
        if rows < 0 or offset < 0:
            raise InvalidArgument(f"rows and offset count from 0, got rows={rows} and offset={offset}")
        ends = [*accumulate([_padded(leaf.nbytes * rows) for leaf in self.leaves], initial=offset)]
        wanted, held = ends[-1] - offset, memoryview(buffer).nbytes - offset
        if held < wanted:
            raise ProtocolViolation(
                f"{rows} rows take {wanted} bytes, the buffer holds {max(held, 0)} from offset {offset}; "
                "the peer sent too few bytes or laid out another space",
                wanted=wanted,
                held=max(held, 0),
            )
        arrays = [
            np.ndarray((rows, *leaf.shape), leaf.dtype, buffer, begin)
            for leaf, begin in zip(self.leaves, ends, strict=False)
        ]
        return _assemble(self.tree, iter(arrays))

    def compile_views(self, rows: int, offset: int = 0) -> Callable[[Any], Columns]:
        """Make ``views(buffer)`` for blocks of one size at one place; the caller checks the length.

        >>> from gymnasium.spaces import Discrete
        >>> views = layout_of(Discrete(3)).compile_views(rows=2, offset=16)
        >>> views(bytearray(32))
        array([0, 0])
        """
        ends = accumulate([_padded(leaf.nbytes * rows) for leaf in self.leaves], initial=offset)
        plans = [
            ((rows, *leaf.shape), leaf.dtype, begin) for leaf, begin in zip(self.leaves, ends, strict=False)
        ]
        if isinstance(self.tree, Leaf):
            shape, dtype, begin = plans[0]
            return lambda buffer: np.ndarray(shape, dtype, buffer, begin)
        tree = self.tree
        return lambda buffer: _assemble(
            tree, iter([np.ndarray(shape, dtype, buffer, begin) for shape, dtype, begin in plans])
        )

    def allocate(self, rows: int) -> tuple[memoryview, Columns]:
        """Make a zeroed block and the columns that view it, for a sender to fill and send."""
        block = memoryview(bytearray(self.nbytes(rows)))
        return block, self.views(block, rows)

    def columns(self, rows: int) -> Columns:
        """Make columns for a receiver to fill: what is in them before is whatever memory held."""
        return self.views(np.empty(self.nbytes(rows), np.uint8).data, rows)

    def describe(self) -> list[dict[str, Plain]]:
        """List the columns as plain data, so that a peer can check that it lays out the same."""
        return [
            {"path": list(leaf.path), "dtype": leaf.dtype.str, "shape": list(leaf.shape)}
            for leaf in self.leaves
        ]


def layout_of(space: Space[Any]) -> Layout | None:
    """Lay out a space, or say ``None`` when anything in it has no fixed size.

    >>> from gymnasium.spaces import Box, Dict, Discrete, Text
    >>> layout = layout_of(Dict(goal=Discrete(4), speed=Box(-1, 1, (3,))))
    >>> layout.describe()[1]
    {'path': ['speed'], 'dtype': '<f4', 'shape': [3]}
    >>> layout.offsets(5), layout.nbytes(5)
    ((0, 48), 112)
    >>> block, columns = layout.allocate(5)
    >>> columns["speed"].shape, len(block)
    ((5, 3), 112)
    >>> layout_of(Text(8)) is None
    True
    """
    tree = _tree(space, ())
    if tree is None:
        return None
    return Layout(space=space, tree=tree, leaves=tuple(_leaves(tree)))


def columns_in(tree: Tree, columns: Columns) -> Iterator[tuple[Leaf, NDArray[Any]]]:
    """Walk a tree of columns together with its leaves.

    >>> from gymnasium.spaces import Discrete, Tuple
    >>> layout = layout_of(Tuple([Discrete(2), Discrete(3)]))
    >>> [(leaf.path, column.shape) for leaf, column in columns_in(layout.tree, layout.allocate(4)[1])]
    [((0,), (4,)), ((1,), (4,))]
    """
    if isinstance(tree, Leaf):
        yield tree, columns
        return
    for key, child in zip(tree.keys, tree.children, strict=True):
        yield from columns_in(child, columns[key])


def _padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _leaves(tree: Tree) -> Iterator[Leaf]:
    if isinstance(tree, Leaf):
        yield tree
        return
    for child in tree.children:
        yield from _leaves(child)


def _assemble(tree: Tree, arrays: Iterator[NDArray[Any]]) -> Columns:
    if isinstance(tree, Leaf):
        return next(arrays)
    return tree.pack([_assemble(child, arrays) for child in tree.children])


@singledispatch
def _tree(space: Space[Any], path: Path) -> Tree | None:
    """Turn a space into a tree; a space that is not registered has no fixed layout."""
    return None


@_tree.register(Box)
@_tree.register(Discrete)
@_tree.register(MultiBinary)
@_tree.register(MultiDiscrete)
def _tree_leaf(space: Space[Any], path: Path) -> Tree | None:
    if space.dtype is None or space.shape is None:
        return None
    return Leaf(path, space.dtype, space.shape)


@_tree.register(Dict)
def _tree_dict(space: Dict, path: Path) -> Tree | None:
    # Keys other than strings have no place in a schema, so neither has their layout in a hello.
    if not all(type(key) is str for key in space.spaces):
        return None
    return _branch(dict, path, tuple(space.spaces), tuple(space.spaces.values()))


@_tree.register(Tuple)
def _tree_tuple(space: Tuple[Any], path: Path) -> Tree | None:
    return _branch(tuple, path, tuple(range(len(space.spaces))), tuple(space.spaces))


def _branch(
    container: type[dict[Any, Any]] | type[tuple[Any, ...]],
    path: Path,
    keys: tuple[str | int, ...],
    spaces: tuple[Space[Any], ...],
) -> Branch | None:
    children = [_tree(space, (*path, key)) for key, space in zip(keys, spaces, strict=True)]
    fixed = tuple([child for child in children if child is not None])
    return Branch(path, container, keys, fixed) if len(fixed) == len(keys) else None
