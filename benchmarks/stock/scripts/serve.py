"""Serve CartPole or Pong with stock OpenEnv, the way its own environments are written.

Run by the stock interpreter: ``python serve.py cartpole --sessions 64``. Uvicorn prints the
address with the port it was given. The process ends when its standard input does.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from typing import Any
from uuid import uuid4

import gymnasium
import uvicorn
from openenv.core.env_server import Action, Environment, Observation, State, create_app


class GymnasiumEnvironment(Environment):
    """What is the same for both games: seeds, the step count, closing."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    env_id: str

    def __init__(self) -> None:
        super().__init__()
        self._env = gymnasium.make(self.env_id)
        self._state = State(episode_id=str(uuid4()), step_count=0)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        """Begin an episode."""
        observation, _ = self._env.reset(seed=seed)
        self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
        return self.observed(observation, 0.0, False)

    def step(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        """Take one action."""
        observation, reward, terminated, truncated, _ = self._env.step(action.action)
        self._state.step_count += 1
        return self.observed(observation, float(reward), bool(terminated or truncated))

    def observed(self, observation: Any, reward: float, done: bool) -> Observation:
        """Put a Gymnasium observation into the game's own model."""
        raise NotImplementedError

    @property
    def state(self) -> State:
        """Which episode, and how far into it."""
        return self._state

    def close(self) -> None:
        """Let go of the game."""
        self._env.close()


class DiscreteAction(Action):
    """One of the game's actions."""

    action: int


class CartPoleObservation(Observation):
    """Position, velocity, angle and angular velocity."""

    observation: list[float]


class CartPole(GymnasiumEnvironment):
    """CartPole, one instance a session."""

    env_id = "CartPole-v1"

    def observed(self, observation: Any, reward: float, done: bool) -> CartPoleObservation:
        """Four floats."""
        return CartPoleObservation(observation=observation.tolist(), reward=reward, done=done)


class PongObservation(Observation):
    """A screen as upstream's Atari environment sends it: flat, its shape beside it."""

    screen: list[int]
    screen_shape: list[int]


class Pong(GymnasiumEnvironment):
    """Pong from pixels, one instance a session."""

    env_id = "ALE/Pong-v5"

    def observed(self, observation: Any, reward: float, done: bool) -> PongObservation:
        """100,800 ints and three more."""
        return PongObservation(
            screen=observation.flatten().tolist(),
            screen_shape=list(observation.shape),
            reward=reward,
            done=done,
        )


def end_with_standard_input() -> None:
    """Leave no server behind when whoever started it is gone."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Serve one of the two games on a port that the system chooses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("game", choices=("cartpole", "pong"))
    parser.add_argument("--sessions", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.game == "pong":
        import ale_py

        gymnasium.register_envs(ale_py)
    environment, observation = {"cartpole": (CartPole, CartPoleObservation), "pong": (Pong, PongObservation)}[
        arguments.game
    ]
    app = create_app(
        environment,
        DiscreteAction,
        observation,
        env_name=arguments.game,
        # Room for a session that is closing while its successor opens.
        max_concurrent_envs=2 * arguments.sessions,
    )
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    uvicorn.run(app, host="127.0.0.1", port=0)


if __name__ == "__main__":
    main()
