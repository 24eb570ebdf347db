"""Steps that are sent and taken apart from each other, in both dialects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete, Text
from gymnasium.vector import SyncVectorEnv

from openenv_gym import OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import Closed, InvalidAction, OutOfTurn
from tests.fidelity import assert_identical

DIALECTS = ["native", "json"]


class Typist(gymnasium.Env[np.int64, str]):
    """Counts letters; its actions are texts, which have no fixed size."""

    observation_space = Discrete(1000)
    action_space = Text(5, charset="ab")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        return np.int64(0), {}

    def step(self, action: str) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        self.count += len(action)
        return np.int64(self.count), 0.0, False, False, {}


@pytest.fixture(scope="module")
def cartpole() -> Iterator[str]:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        yield server.url


@pytest.mark.parametrize("dialect", DIALECTS)
def test_steps_that_are_taken_later_are_the_same(cartpole: str, dialect: str) -> None:
    with (
        closing(OpenEnvVectorEnv(cartpole, 2, dialect=dialect)) as remote,
        closing(SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2)) as local,
    ):
        assert_identical(remote.reset(seed=4), local.reset(seed=4), "reset")
        for step in range(60):
            remote.step_async(np.array([0, 1]))
            expected = local.step(np.array([0, 1]))
            assert_identical(remote.step_wait(), expected, f"step {step}")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_asked_while_a_step_is_to_be_taken(cartpole: str, dialect: str) -> None:
    with closing(OpenEnvVectorEnv(cartpole, 2, dialect=dialect)) as envs:
        envs.reset(seed=1)
        with pytest.raises(OutOfTurn, match="step_async"):
            envs.step_wait()
        envs.step_async(np.array([0, 1]))
        wrong: list[Callable[[], Any]] = [
            envs.reset,
            envs.state,
            envs.render,
            lambda: envs.call("spec"),
            lambda: envs.step(np.array([0, 1])),
        ]
        for call in wrong:
            with pytest.raises(OutOfTurn, match="step_wait"):
                call()
        envs.step_wait()
        assert envs.state()["step_count"] == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_environment_may_be_closed_while_a_step_is_to_be_taken(cartpole: str, dialect: str) -> None:
    envs = OpenEnvVectorEnv(cartpole, 2, dialect=dialect)
    envs.reset(seed=1)
    envs.step_async(np.array([0, 1]))
    envs.close()
    with pytest.raises(Closed):
        envs.step_wait()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_actions_that_do_not_fit_leave_no_answer_behind(dialect: str) -> None:
    with (
        serve_gym(Typist, port=0, block=False) as server,
        closing(OpenEnvVectorEnv(server.url, 2, dialect=dialect)) as envs,
    ):
        envs.reset()
        for _ in range(2):
            with pytest.raises(InvalidAction):
                envs.step(("ab", 7))
        assert envs.step(("ab", "b"))[0].tolist() == [2, 1]
