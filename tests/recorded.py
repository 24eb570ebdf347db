"""What eleven stock servers published and answered, and the evidence in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from openenv_gym.spaces.inference import Evidence

__all__ = ["CAPTURES", "Recorded", "recorded"]

_FOLDER = Path(__file__).parent / "captures"
CAPTURES = sorted(path.stem for path in _FOLDER.glob("*.json"))


@dataclass(frozen=True)
class Recorded:
    """One server's evidence, the fields of each observation, and those of each action."""

    evidence: Evidence
    observations: list[dict[str, Any]]
    actions: list[dict[str, Any]]


@cache
def recorded(name: str) -> Recorded:
    """Read one of :data:`CAPTURES`."""
    capture = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
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
