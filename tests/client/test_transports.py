"""How soon an answer came is told by its first piece; the others say nothing of the next answer."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from openenv_gym import Client, serve_gym
from openenv_gym.client.transports import SocketTransport


class Wide(gymnasium.Env[Any, Any]):
    """Shows 4 MB, and takes longer over a step than anybody looks."""

    observation_space = Box(0, 255, (4 << 20,), np.uint8)
    action_space = Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._shown(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        time.sleep(0.005)
        return self._shown(), 0.0, False, False, {}

    def _shown(self) -> Any:
        return np.full(4 << 20, 7, np.uint8)


def test_pieces_of_a_slow_answer_make_no_client_look() -> None:
    with serve_gym(Wide, port=0, block=False) as server, Client.to(server.url) as client:
        assert isinstance(client._transport, SocketTransport)
        lookout, frames = client._transport._lookout, client._transport._frames
        client.reset()
        for _ in range(5):
            rows = client.step(None, [1])
            assert bool((rows.observation == 7).all())
            assert lookout.patience == 0
            assert not frames.begun
