"""Actions, going out and coming in: what a caller passes becomes columns, columns become actions.

Going out, anything that Gymnasium's batched action space describes is taken as it is or cast
without loss of meaning; what does not fit is refused before a byte leaves the process. Coming in,
the columns come apart into the very values that ``gymnasium.vector.utils.iterate`` would yield.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from numpy import ndarray
from numpy.typing import NDArray

from openenv_gym.spaces.casting import ACTION, limits, overflowed, store, take_apart
from openenv_gym.spaces.layout import Layout, Leaf, Tree
from openenv_gym.types import Columns

__all__ = ["coerce", "coerce_one", "compile_iterator"]

_Split: TypeAlias = Callable[[Columns, int], list[Any]]


def coerce(layout: Layout, columns: Columns, actions: Any) -> None:
    """Write the actions of all rows, batch axis first, into the columns.

    Takes what ``gymnasium.vector.utils.batch_space(space, rows)`` describes: an array, or nested
    lists, or anything that ``np.asarray`` understands; a mapping for ``Dict``, a sequence with one
    batch for each part for ``Tuple``. Casts as :func:`coerce_one` does. Bounds are not checked.

    >>> import numpy as np
    >>> from gymnasium.spaces import Discrete
    >>> from openenv_gym.spaces import layout_of
    >>> layout = layout_of(Discrete(4))
    >>> _, columns = layout.allocate(3)
    >>> coerce(layout, columns, [1, 0, 3])
    >>> columns
    array([1, 0, 3])
    >>> coerce(layout, columns, [1, 0])
    Traceback (most recent call last):
    openenv_gym.errors.InvalidAction: action has shape (2,), action_space wants (3,); see env.action_space

    Raises:
        InvalidAction: the actions do not fit; some columns may have been written by then.
    """
    _coerce(layout.tree, columns, actions)


def coerce_one(layout: Layout, columns: Columns, action: Any, row: int = 0) -> None:
    """Write one action, without a batch axis, into one row of the columns.

    Floats are cast to the width that the space declares. Integers are never wrapped, and floats
    are never cut down to integers: both are refused. Bounds are not checked.

    >>> from gymnasium.spaces import Discrete
    >>> from openenv_gym.spaces import layout_of
    >>> layout = layout_of(Discrete(4))
    >>> _, columns = layout.allocate(1)
    >>> coerce_one(layout, columns, 3)
    >>> coerce_one(layout, columns, 1.5)
    Traceback (most recent call last):
    openenv_gym.errors.InvalidAction: action has dtype float64, action_space wants int64; see env.action_space

    Raises:
        InvalidAction: the action does not fit; other leaves may have been written by then.
    """
    _coerce_one(layout.tree, columns, action, row)


def compile_iterator(layout: Layout) -> Callable[[Columns], list[Any]]:
    """Make a function that takes columns of n rows apart into n actions.

    The actions are those of ``gymnasium.vector.utils.iterate`` on the batched space: NumPy scalars
    where a row is one number, views of the columns where it is an array, dicts and tuples of them.
    So the columns must be writable and belong to the caller. A space without any leaf, such as
    ``Tuple(())``, has no columns that could tell n, and yields no actions.

    >>> from gymnasium.spaces import Discrete
    >>> from openenv_gym.spaces import layout_of
    >>> layout = layout_of(Discrete(4))
    >>> compile_iterator(layout)(layout.allocate(2)[1])
    [np.int64(0), np.int64(0)]
    """
    if not layout.leaves:
        return lambda columns: []
    if layout.tree is layout.leaves[0]:
        return list
    split, first = _split(layout.tree), layout.leaves[0].path

    def actions(columns: Columns) -> list[Any]:
        column = columns
        for key in first:
            column = column[key]
        return split(columns, len(column))

    return actions


def _coerce(tree: Tree, column: Columns, actions: Any) -> None:
    if isinstance(tree, Leaf):
        _store(tree, column, actions)
        return
    parts, _ = take_apart(tree, actions, ACTION, strict=True)
    for key, child, part in zip(tree.keys, tree.children, parts, strict=True):
        _coerce(child, column[key], part)


def _coerce_one(tree: Tree, column: Columns, action: Any, row: int) -> None:
    if isinstance(tree, Leaf):
        _store_one(tree, column, action, row)
        return
    parts, _ = take_apart(tree, action, ACTION, strict=True)
    for key, child, part in zip(tree.keys, tree.children, parts, strict=True):
        _coerce_one(child, column[key], part, row)


def _store_one(leaf: Leaf, column: NDArray[Any], action: Any, row: int) -> None:
    """Store one leaf; the three usual kinds of action never reach the general cast."""
    kind = type(action)
    if kind is ndarray:
        if action.dtype == leaf.dtype and action.shape == leaf.shape:
            column[row] = action
            return
    elif not leaf.shape:
        if kind is leaf.dtype.type:
            column[row] = action
            return
        if kind is int and leaf.dtype.kind in "iu":
            least, greatest = limits(leaf.dtype)
            if least <= action <= greatest:
                column[row] = action
                return
    _store(leaf, column[row, ...], action)


def _store(leaf: Leaf, target: NDArray[Any], value: Any) -> None:
    if not store(target, value, leaf.path, ACTION) and overflowed(value, target):
        raise ACTION.refuse(leaf.path, "holds a finite number that becomes infinite", f"wants {leaf.dtype}")


def _split(tree: Tree) -> _Split:
    if isinstance(tree, Leaf):
        return lambda column, rows: list(column)
    pairs = [(key, _split(child)) for key, child in zip(tree.keys, tree.children, strict=True)]
    pack = tree.pack

    def split(columns: Columns, rows: int) -> list[Any]:
        if not pairs:  # zip of nothing would give no rows at all
            return [pack(()) for _ in range(rows)]
        return [pack(parts) for parts in zip(*[part(columns[key], rows) for key, part in pairs], strict=True)]

    return split
