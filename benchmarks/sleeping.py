"""An environment whose step takes 100 ms and no processor: all of it is waiting."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

__all__ = ["STEP_SECONDS", "Sleeping"]

STEP_SECONDS = 0.1


class Sleeping(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Sleeps in each step, and never ends."""

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = Box(0, np.inf, (1,), np.float32)
        self.action_space = Discrete(2)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin again."""
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Sleep, and count."""
        time.sleep(STEP_SECONDS)
        self._steps += 1
        return np.array([self._steps], np.float32), 1.0, False, False, {}
