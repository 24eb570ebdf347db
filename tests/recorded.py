"""What eleven stock servers published and answered, and the evidence in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Discrete, Text

from openenv_gym.spaces.inference import Evidence

__all__ = ["CAPTURES", "Recorded", "action_for", "capture_of", "recorded"]

_FOLDER = Path(__file__).parent / "captures"
CAPTURES = sorted(path.stem for path in _FOLDER.glob("*.json"))


@dataclass(frozen=True)
class Recorded:
    """One server's evidence, the fields of each observation, and those of each action."""

    evidence: Evidence
    observations: list[dict[str, Any]]
    actions: list[dict[str, Any]]


@cache
def capture_of(name: str) -> dict[str, Any]:
    """One of :data:`CAPTURES` as it was written down."""
    capture: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
    return capture


@cache
def recorded(name: str) -> Recorded:
    """Read one of :data:`CAPTURES`."""
    capture = capture_of(name)
    evidence = Evidence(
        schema=capture["schema"],
        name=capture["metadata"]["name"],
        version=capture["metadata"]["version"],
        reset=capture["reset"]["response"]["data"],
        state=capture["state"]["response"]["data"],
    )
    exchanges = [capture["reset"], *capture["steps"]]
    return Recorded(
        evidence,
        [exchange["response"]["data"]["observation"] for exchange in exchanges],
        [exchange["request"]["data"] for exchange in capture["steps"]],
    )


def action_for(space: Space[Any], fields: dict[str, Any], labels: tuple[Any, ...] | None) -> Any:
    """The action of a space of one decision that is written as ``fields``."""
    (value,) = fields.values()
    if isinstance(space, Discrete):
        return np.int64(value if labels is None else labels.index(value))
    return value if isinstance(space, Text) else np.array(value)
