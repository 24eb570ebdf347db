"""What servers tell of their actions beside the schema: specs, counts, and lists of names."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from openenv_gym.spaces.inference.conclusions import Confidence
from openenv_gym.spaces.inference.evidence import Evidence
from openenv_gym.spaces.inference.nodes import Node
from openenv_gym.spaces.inference.shapes import flat_items
from openenv_gym.spaces.inference.writers import writer_for
from openenv_gym.spaces.inference.writings import Writing
from openenv_gym.spaces.plain import to_plain

__all__ = ["NONE", "told_writing"]

NONE: Final = object()
"""That the server says that there is nothing to choose in a field."""

SIZE_LIMIT = 2**16
"""The most numbers of an action."""

_PLACES = ("state", "reset", "reset.metadata")
_SPECS = ("action_spec", "action_spec_info", "action_space")
_COUNTS = ("num_actions", "n_actions", "action_count", "num_distinct_actions", "action_space_size")
_NAMES = ("action_meanings", "action_names", "action_labels")


def told_writing(node: Node, evidence: Evidence) -> Writing | Any | None:
    """The choices of the only field whose schema does not tell them, if the server does elsewhere.

    Returns:
        Them, or :data:`NONE` if there are none, or ``None`` if it does not say it.
    """
    item = node.items
    if node.kind == "array" and item is not None and item.kind in ("integer", "number"):
        return _array(item, evidence)
    return _count(evidence) if node.kind == "integer" else None


def _array(item: Node, evidence: Evidence) -> Writing | Any | None:
    for place in _PLACES:
        for name in _SPECS:
            spec = evidence.fact(f"{place}.{name}")
            if isinstance(spec, dict):
                found = _bounded(spec, f"{place}.{name}") or _mlagents(item, spec, f"{place}.{name}")
                if found is not None:
                    return found
    return None


def _bounded(spec: dict[str, Any], where: str) -> Writing | None:
    """dm_env's form, and Gymnasium's: a shape, and bounds of that shape or one for all."""
    shape = spec.get("shape")
    if not isinstance(shape, list) or not all(type(length) is int and 0 < length for length in shape):
        return None
    if math.prod(shape) > SIZE_LIMIT:
        return None
    bounds = []
    for names in (("minimum", "low"), ("maximum", "high")):
        said = flat_items(next((spec[name] for name in names if name in spec), None))
        if len(said) not in (1, math.prod(shape)) or not all(
            isinstance(number, int | float) for number in said
        ):
            return None
        bounds.append(np.broadcast_to(np.array(said, np.float64), math.prod(shape)).reshape(shape))
    if not (bounds[0] <= bounds[1]).all():
        return None
    space = Box(bounds[0], bounds[1], dtype=np.float64)
    return Writing(space, partial(to_plain, space), where, Confidence.HIGH)


def _mlagents(item: Node, spec: dict[str, Any], where: str) -> Writing | Any | None:
    """Unity's form: the branches of discrete actions, and the number of continuous ones, within -1 and 1."""
    branches, size = spec.get("discrete_branches"), spec.get("continuous_size")
    if (item.kind == "integer" and branches == []) or (
        item.kind == "number" and type(size) is int and size == 0
    ):
        return NONE
    if item.kind == "integer" and isinstance(branches, list) and 0 < len(branches) <= SIZE_LIMIT:
        if all(type(count) is int and 0 < count < 2**31 for count in branches):
            many = MultiDiscrete(branches)
            return Writing(many, partial(to_plain, many), where, Confidence.HIGH)
    if item.kind == "number" and type(size) is int and 0 < size <= SIZE_LIMIT:
        space = Box(-1.0, 1.0, (size,), np.float64)
        return Writing(space, partial(to_plain, space), where, Confidence.MEDIUM)
    return None


def _count(evidence: Evidence) -> Writing | None:
    for place in _PLACES:
        for name in (*_COUNTS, *_NAMES):
            said = evidence.fact(f"{place}.{name}")
            count = len(said) if isinstance(said, list) and name in _NAMES else said
            if type(count) is int and 0 < count < 2**31:
                space = Discrete(count)
                evidence_said = f"{place}.{name}" + (f", of {count}" if name in _NAMES else "")
                return Writing(space, writer_for(space, Node("integer")), evidence_said, Confidence.MEDIUM)
    return None
