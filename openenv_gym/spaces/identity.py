"""Whether two spaces are the same to the bit, which ``==`` of Gymnasium does not tell.

``Box.__eq__`` is approximate and ignores which sides are bounded; ``Dict.__eq__`` ignores the order
of keys, by which environments flatten; ``Text.__eq__`` that of characters, by which they sample. May
be imported from ``spaces`` and from above it.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
)

from openenv_gym.spaces.bounds import same_bits

__all__ = ["identical"]


def identical(one: Space[Any], other: Space[Any]) -> bool:
    """Say whether two spaces have the same type, dtype, shape, bounds and order of keys, to the bit.

    Spaces that this package does not know are compared with ``==``.

    >>> identical(Box(0, 1, (2,)), Box(0, 1, (2,))), identical(Box(0, 1, (2,)), Box(-0.0, 1, (2,)))
    (True, False)
    """
    return type(one) is type(other) and one.dtype == other.dtype and _identical(one, other)


@singledispatch
def _identical(one: Space[Any], other: Any) -> bool:
    return bool(one == other)


@_identical.register(Box)
def _identical_box(one: Box, other: Box) -> bool:
    return (
        same_bits(one.low, other.low)
        and same_bits(one.high, other.high)
        and np.array_equal(one.bounded_below, other.bounded_below)
        and np.array_equal(one.bounded_above, other.bounded_above)
    )


@_identical.register(Discrete)
def _identical_discrete(one: Discrete, other: Discrete) -> bool:
    return bool(one.n == other.n and one.start == other.start)


@_identical.register(MultiDiscrete)
def _identical_multi_discrete(one: MultiDiscrete, other: MultiDiscrete) -> bool:
    return same_bits(one.nvec, other.nvec) and same_bits(one.start, other.start)


@_identical.register(MultiBinary)
def _identical_multi_binary(one: MultiBinary, other: MultiBinary) -> bool:
    return type(one.n) is type(other.n) and one.n == other.n


@_identical.register(Dict)
def _identical_dict(one: Dict, other: Dict) -> bool:
    # Versions of Gymnasium before `sort_keys` always sorted.
    return (
        list(one.spaces) == list(other.spaces)
        and getattr(one, "sort_keys", True) == getattr(other, "sort_keys", True)
        and all(identical(child, other.spaces[key]) for key, child in one.spaces.items())
    )


@_identical.register(Text)
def _identical_text(one: Text, other: Text) -> bool:
    return (one.min_length, one.max_length, one.character_list) == (
        other.min_length,
        other.max_length,
        other.character_list,
    )


@_identical.register(Sequence)
def _identical_sequence(one: Sequence, other: Sequence) -> bool:
    return bool(one.stack) == bool(other.stack) and identical(one.feature_space, other.feature_space)


@_identical.register(Graph)
def _identical_graph(one: Graph, other: Graph) -> bool:
    if not identical(one.node_space, other.node_space):
        return False
    if one.edge_space is None or other.edge_space is None:
        return one.edge_space is other.edge_space
    return identical(one.edge_space, other.edge_space)


@_identical.register(OneOf)
@_identical.register(Tuple)
def _identical_parts(one: OneOf[Any] | Tuple[Any], other: OneOf[Any] | Tuple[Any]) -> bool:
    return len(one.spaces) == len(other.spaces) and all(map(identical, one.spaces, other.spaces))
