"""Environments that the command line is pointed at, as ``tests.cli.worlds:Name``."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text

__all__ = ["Doors", "Grumpy", "Parrot"]


class Doors(gymnasium.Env[Any, Any]):
    """Three doors: only the next one may be opened, the others are masked; the third ends it."""

    def __init__(self, reward: float = 1.0) -> None:
        self.observation_space = Dict(door=Discrete(4), key=MultiDiscrete([2, 2]), sign=Text(20))
        self.action_space = Discrete(3)
        self._reward, self._door = reward, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._door = 0
        return self._seen()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action != self._door:
            raise RuntimeError("a locked door")
        self._door += 1
        observation, info = self._seen()
        return observation, self._reward, self._door == 3, False, info

    def get_action_meanings(self) -> list[str]:
        return ["RED", "GREEN", "BLUE"]

    def _seen(self) -> tuple[Any, dict[str, Any]]:
        seen = {"door": self._door, "key": np.array([1, 0]), "sign": f"door{self._door}"}
        mask = np.arange(3) == self._door
        return seen, {"action_mask": mask.astype(np.int8), "mood": "calm", "map": np.zeros(9)}


class Grumpy(gymnasium.Env[Any, Any]):
    """Raises at the action 1, and at the 21st step of an episode; a probe ends before."""

    def __init__(self) -> None:
        self.observation_space = Discrete(100)
        self.action_space = Box(-1, 1, (1,))
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return 0, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        if action == 1 or self._steps > 20:
            raise RuntimeError("not today")
        return self._steps, 0.0, False, False, {}


class Parrot(gymnasium.Env[Any, Any]):
    """Says what it is told."""

    def __init__(self) -> None:
        self.observation_space = self.action_space = Text(3)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return "hi", {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return action, 0.0, False, False, {}
