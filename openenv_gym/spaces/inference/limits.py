"""What a caller's hint allows, held against what the server's schema allows, before anything is sent.

A server refuses what its schema forbids, and would do so at some step, long after the hint was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.spaces import Sequence as SequenceSpace

from openenv_gym.errors import InvalidArgument
from openenv_gym.spaces.casting import shortened, shown
from openenv_gym.spaces.inference.hints import Hint
from openenv_gym.spaces.inference.nodes import MISSING, Node
from openenv_gym.types import Plain

__all__ = ["refuse_outside", "refuse_value", "rounded_bounds"]


def refuse_outside(
    path: str, hint: Hint, node: Node, space: Space[Any], labels: tuple[Any, ...] | None = None
) -> None:
    """Refuse a hint of the caller's that allows what the schema does not.

    Lengths of texts are left to the server: Gymnasium's Text must name a greatest one.

    Args:
        path: of the field.
        hint: about it.
        node: what its schema says.
        space: what the hint came to.
        labels: of a choice among named values, the value of each number.

    Raises:
        InvalidArgument: it does; the message names the field and both bounds.
    """
    if not hint.of_caller:
        return
    if labels is None:
        found = next(_outside(space, node), None)
    else:
        found = next((said for label in labels if (said := _value_outside(label, node))), None)
    if found is not None:
        raise InvalidArgument(
            f"{hint.source} for {path} {found}: the server would refuse it; pass one within its schema"
        )


def refuse_value(path: str, hint: Hint, node: Node) -> None:
    """Refuse a value of the caller's that the schema does not allow.

    Raises:
        InvalidArgument: it does not.
    """
    said = hint.of_caller and hint.value is not MISSING
    found = _value_outside(hint.value, node) if said else None
    if found is not None:
        raise InvalidArgument(f"{hint.source} for {path} {found}; pass another value")


def rounded_bounds(space: Space[Any], node: Node) -> dict[float, float]:
    """A bound as the floats of a space round it -> the bound, where the schema does not allow the former.

    >>> rounded_bounds(Box(0, 0.1, (1,), np.float32), Node("number", low=0, high=0.1))
    {0.10000000149011612: 0.1}
    """
    node = _innermost(node)
    if not isinstance(space, Box) or space.dtype.kind != "f":
        return {}
    pairs = [(_rounded(bound, space.dtype), bound) for bound in (node.low, node.high) if bound is not None]
    return {rounded: bound for rounded, bound in pairs if _beyond(rounded, rounded, node)}


def _outside(space: Space[Any], node: Node) -> Iterator[str]:
    """How a space goes beyond what may stand in a field."""
    if node.kind == "object" and isinstance(space, Dict):
        for name, child in space.spaces.items():
            if name in node.fields:
                yield from (f"has a {name} that {said}" for said in _outside(child, node.fields[name]))
    elif node.kind == "array":
        yield from _outside_array(space, node)
    elif node.kind == "choice" and isinstance(space, Discrete):
        values = range(int(space.start), int(space.start) + min(int(space.n), len(node.choices) + 1))
        yield from (said for value in values if (said := _value_outside(value, node)))
    elif node.kind in ("integer", "number"):
        found = _range(space)
        if found is not None:
            low, high = found
            beyond = _beyond(low, high, node)
            if beyond and not (isinstance(space, Box) and _by_rounding(low, high, node, space.dtype)):
                yield f"allows {low:g} to {high:g}, and the schema {_allowed(node)}"


def _outside_array(space: Space[Any], node: Node) -> Iterator[str]:
    count = len(space.spaces) if isinstance(space, Tuple) else space.shape[0] if space.shape else None
    if count is not None and not node.least <= count <= (count if node.most is None else node.most):
        yield f"has {count} items, and the schema {node.least} to {'any' if node.most is None else node.most}"
    if node.items is None or node.prefix:
        return
    if isinstance(space, Tuple | SequenceSpace):
        for child in space.spaces if isinstance(space, Tuple) else (space.feature_space,):
            yield from _outside(child, node.items)
    else:
        yield from _outside(space, _innermost(node))


def _innermost(node: Node) -> Node:
    while node.kind == "array" and node.items is not None:
        node = node.items
    return node


def _range(space: Space[Any]) -> tuple[Any, Any] | None:
    """The least and the greatest number of a space of numbers."""
    if isinstance(space, Discrete):
        return int(space.start), int(space.start) + int(space.n) - 1
    if isinstance(space, MultiBinary):
        return 0, 1
    if isinstance(space, MultiDiscrete):
        return int(space.start.min()), int((space.start + space.nvec).max()) - 1
    if isinstance(space, Box) and space.low.size:
        return space.low.min().item(), space.high.max().item()
    return None


def _beyond(low: float, high: float, node: Node) -> bool:
    return (node.low is not None and low < node.low) or (node.high is not None and high > node.high)


def _by_rounding(low: float, high: float, node: Node, dtype: np.dtype[Any]) -> bool:
    """Whether bounds are beyond those of the schema only as far as their dtype rounds these."""
    if dtype.kind != "f":
        return False
    lows = node.low is None or low >= _rounded(node.low, dtype)
    return lows and (node.high is None or high <= _rounded(node.high, dtype))


def _rounded(bound: float, dtype: np.dtype[Any]) -> float:
    with np.errstate(all="ignore"):
        return float(dtype.type(bound))


def _value_outside(value: Plain, node: Node) -> str | None:
    """How a value is none that may stand in a field; of types the server judges itself."""
    if node.kind == "choice" and value not in node.choices and not (value is None and node.nullable):
        return f"has {shown(value)}, and the schema only {shortened(map(str, node.choices), 12)}"
    numeric = node.kind in ("integer", "number") and isinstance(value, int | float)
    if numeric and _beyond(value, value, node):
        return f"has {shown(value)}, and the schema {_allowed(node)}"
    return None


def _allowed(node: Node) -> str:
    low, high = ["any" if bound is None else f"{bound:g}" for bound in (node.low, node.high)]
    return f"{low} to {high}"
