"""An environment that observes whatever it is given, in whatever space."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium import Space
from gymnasium.spaces import Discrete


class Showing(gymnasium.Env[Any, Any]):
    """Its observation is always the same; it notes the actions that it takes."""

    def __init__(self, space: Space[Any], shown: Any, actions: Space[Any] | None = None) -> None:
        self.observation_space, self.shown = space, shown
        self.action_space = Discrete(2) if actions is None else actions
        self.taken: list[Any] = []
        self.info: dict[str, Any] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.shown, self.info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.taken.append(action)
        return self.shown, 0.0, False, False, self.info


def first(env: gymnasium.Env[Any, Any]) -> Any:
    """What an environment observes at a reset, which lies in its space."""
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space
    return observation
