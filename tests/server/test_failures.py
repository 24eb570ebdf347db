"""What a served environment raises reaches its own client, by name, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from openenv_gym import Client, OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import EnvironmentRaised, ResetNeeded
from tests.environments import Fragile
from tests.served import eventually, health


@pytest.fixture(scope="module")
def fragile() -> Iterator[GymServer]:
    with serve_gym(Fragile, port=0, block=False) as server:
        yield server


@pytest.fixture(params=["native", "json"])
def env(request: pytest.FixtureRequest, fragile: GymServer) -> Iterator[OpenEnvGym]:
    env = OpenEnvGym(fragile.url, dialect=request.param)
    yield env
    env.close()


def test_a_reset_that_raises(env: OpenEnvGym) -> None:
    with pytest.raises(EnvironmentRaised, match="broken in reset") as caught:
        env.reset(options={"fail": "reset"})
    assert caught.value.fields["exception"] == "ZeroDivisionError"
    assert caught.value.fields["during"] == "reset"
    with pytest.raises(ResetNeeded):
        env.step(1)
    env.reset()
    assert env.step(1)[0].tolist() == [1.0]


def test_a_step_that_raises(env: OpenEnvGym) -> None:
    env.reset(options={"fail": "step"})
    with pytest.raises(EnvironmentRaised, match="broken in step") as caught:
        env.step(1)
    assert caught.value.fields["during"] == "step"
    env.reset()
    assert env.step(1)[0].tolist() == [1.0]


def test_the_remote_cause_is_a_note(fragile: GymServer) -> None:
    env = OpenEnvGym(fragile.url)
    env.reset(options={"fail": "step"})
    with pytest.raises(EnvironmentRaised) as caught:
        env.step(1)
    assert "ZeroDivisionError: broken in step" in "".join(caught.value.__notes__)
    env.close()


def test_a_close_that_raises_frees_the_lanes(fragile: GymServer) -> None:
    client = Client.to(fragile.url)
    client.reset(options={"fail": "close"})
    client.close()
    assert eventually(lambda: health(fragile.url)["active_lanes"] == 0)
    assert health(fragile.url)["sessions"] == 0


def test_one_lane_fails_and_the_others_go_on(fragile: GymServer) -> None:
    envs = OpenEnvVectorEnv(fragile.url, 3)
    envs.reset()
    envs.reset(options={"reset_mask": np.array([False, True, False]), "fail": "step"})
    with pytest.raises(EnvironmentRaised) as caught:
        envs.step(np.ones(3, int))
    assert caught.value.fields["lane"] == 1
    observations, _ = envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert observations[1].tolist() == [0.0]
    observations, *_ = envs.step(np.ones(3, int))
    assert observations.tolist() == [[2.0], [1.0], [2.0]]
    envs.close()
