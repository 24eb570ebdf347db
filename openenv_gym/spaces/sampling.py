"""Random actions that are legal: where an info names them, in Gymnasium's ``action_mask`` or as texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Discrete, Text
from numpy.typing import NDArray

__all__ = ["legal_mask", "sample_legal"]


def legal_mask(space: Space[Any], info: Mapping[str, Any]) -> NDArray[np.int8] | None:
    """Which actions of a Discrete space are legal, int8, (n,); ``None`` if the info does not say it."""
    mask = info.get("action_mask")
    if not isinstance(space, Discrete) or not isinstance(mask, np.ndarray) or mask.shape != (space.n,):
        return None
    legal: NDArray[np.int8] = (mask != 0).astype(np.int8)
    return legal


def sample_legal(space: Space[Any], info: Mapping[str, Any]) -> Any:
    """An action, drawn with the space's own generator; a legal one if the info says which are.

    >>> sample_legal(Discrete(3), {"action_mask": np.array([0, 1, 0], np.int8)})
    np.int64(1)
    >>> sample_legal(Text(4), {"legal_moves": ["e2e4"]})
    'e2e4'
    """
    mask = legal_mask(space, info)
    if mask is not None:
        return space.sample(mask)
    moves = _texts(info.get("legal_moves")) if isinstance(space, Text) else []
    legal = [move for move in moves if move in space]
    return legal[int(space.np_random.integers(len(legal)))] if legal else space.sample()


def _texts(said: Any) -> list[str]:
    return [each for each in said if type(each) is str] if isinstance(said, list | tuple) else []
