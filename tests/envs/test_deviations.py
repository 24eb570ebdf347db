"""Environments that return something else than they declare: we do as the local wrapper would have done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import LayoutMismatch
from tests.envs.catalogue import World
from tests.envs.worlds import DEVIATIONS, Deviant
from tests.fidelity import assert_same_episodes, assert_same_vector_play

WORLDS = [
    World(Deviant, {"deviation": deviation, "late": late})
    for deviation in DEVIATIONS
    for late in (False, True)
]


def _name(world: World) -> str:
    return f"{world.kwargs['deviation']}, {'after a faithful reset' if world.kwargs['late'] else 'always'}"


@pytest.fixture(scope="module", params=WORLDS, ids=_name)
def world(request: pytest.FixtureRequest) -> Iterator[tuple[World, str]]:
    with request.param.serve() as server:
        yield request.param, server.url


def test_one_environment_gives_exactly_what_was_returned(world: tuple[World, str]) -> None:
    served, url = world
    with closing(OpenEnvGym(url)) as remote, closing(served.local()) as local:
        assert assert_same_episodes(remote, local, seeds=(1, None, 2), steps=4) == 3


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_lanes_give_what_sync_vector_env_gives(world: tuple[World, str], mode: AutoresetMode) -> None:
    served, url = world
    with (
        closing(OpenEnvVectorEnv(url, 3, autoreset_mode=mode)) as remote,
        closing(SyncVectorEnv([served.local] * 3, autoreset_mode=mode)) as local,
    ):
        assert_same_vector_play(remote, local, steps=11, masks=lambda step, ended: ended & (step % 4 == 3))


class Misfit(gymnasium.Env[Any, Any]):
    """From the hundredth step on it returns what its space cannot hold at all."""

    def __init__(self) -> None:
        self.observation_space = Box(-1, 1, (2,), np.float32)
        self.action_space = Discrete(2)
        self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self._shape = 3 if options and options.get("misfit") else 2
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(self._shape, np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("face", [OpenEnvGym, OpenEnvVectorEnv])
def test_what_the_space_cannot_hold_is_the_environments_failure(face: Any) -> None:
    with serve_gym(Misfit, port=0, block=False) as server, closing(face(server.url)) as remote:
        action = 0 if face is OpenEnvGym else [0]
        remote.reset(seed=1, options={"misfit": True})
        with pytest.raises(LayoutMismatch, match="shape"):
            remote.step(action)
        remote.reset(seed=1)
        remote.step(action)
