"""How a value deviates from its space, field by field, for whoever tells people of it.

Nothing on the road looks: what an environment observes passes as it is, within its bounds or not.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Tuple

from openenv_gym.spaces.casting import shown

__all__ = ["deviations"]


def deviations(space: Space[Any], value: Any, path: str = "observation") -> Iterator[tuple[str, str]]:
    """Each field that its space does not hold, and how it deviates.

    >>> dict(deviations(Dict(speed=Box(0, 1)), {"speed": np.array([1.5], np.float32)}))
    {'observation.speed': 'is 1.5 at [0], not within 0.0 and 1.0'}
    """
    if isinstance(space, Dict) and isinstance(value, dict) and value.keys() == space.spaces.keys():
        for key, child in space.spaces.items():
            yield from deviations(child, value[key], f"{path}.{key}")
    elif isinstance(space, Tuple) and isinstance(value, tuple) and len(value) == len(space.spaces):
        for at, child in enumerate(space.spaces):
            yield from deviations(child, value[at], f"{path}[{at}]")
    elif isinstance(space, Box) and not isinstance(value, np.ndarray):
        yield path, f"is {shown(value)}, no array of {space.dtype} and shape {space.shape}"
    elif not _holds(space, value):
        yield path, _why(space, value)


def _holds(space: Space[Any], value: Any) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gymnasium's, of what it casts to look at it
            return bool(space.contains(value))
    except Exception:  # whatever a value of another kind does in there; OneOf takes a pair apart first
        return False


def _why(space: Space[Any], value: Any) -> str:
    if isinstance(space, Box) and value.shape == space.shape:
        if value.dtype.kind in "fc" and np.isnan(value).any():
            return "is NaN"
        if not np.can_cast(value.dtype, space.dtype):
            return f"has dtype {value.dtype}, not {space.dtype}"
        wrong = (value < space.low) | (value > space.high)
        at = tuple(int(index) for index in next(iter(np.argwhere(wrong)), ()))
        return f"is {value[at]!s} at {list(at)}, not within {space.low[at]!s} and {space.high[at]!s}"
    return f"is {shown(value)}, not in {shown(space)}"
