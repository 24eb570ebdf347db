"""Frames over the wire are the local ones, and Gymnasium's own checker finds no fault with the face."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv
from openenv_gym.errors import InvalidArgument
from tests.envs.catalogue import World, active_lanes
from tests.fidelity import assert_identical
from tests.served import eventually


@pytest.fixture(scope="module")
def cartpole() -> Iterator[str]:
    pytest.importorskip("pygame")
    with World("CartPole-v1").serve() as server:
        yield server.url


@pytest.fixture(scope="module")
def frozen_lake() -> Iterator[str]:
    with World("FrozenLake-v1").serve() as server:
        yield server.url


def test_frames_are_the_local_ones(cartpole: str) -> None:
    with (
        closing(OpenEnvGym(cartpole, render_mode="rgb_array")) as remote,
        closing(gymnasium.make("CartPole-v1", render_mode="rgb_array")) as local,
    ):
        assert remote.render_mode == "rgb_array"
        for env in (remote, local):
            env.reset(seed=3)
        for _ in range(3):
            for env in (remote, local):
                env.step(1)
            frame = remote.render()
            assert_identical(frame, local.render(), "frame")
            assert isinstance(frame, np.ndarray) and frame.flags.writeable


def test_frames_of_lanes_are_the_local_ones(cartpole: str) -> None:
    with (
        closing(OpenEnvVectorEnv(cartpole, 2, render_mode="rgb_array")) as remote,
        closing(SyncVectorEnv([lambda: gymnasium.make("CartPole-v1", render_mode="rgb_array")] * 2)) as local,
    ):
        for envs in (remote, local):
            envs.reset(seed=3)
            envs.step(np.array([0, 1]))
        assert_identical(remote.render(), local.render(), "frames")


def test_frames_of_text_are_the_local_ones(frozen_lake: str) -> None:
    with (
        closing(OpenEnvGym(frozen_lake, render_mode="ansi")) as remote,
        closing(gymnasium.make("FrozenLake-v1", render_mode="ansi")) as local,
    ):
        for env in (remote, local):
            env.reset(seed=3)
            env.step(2)
        assert_identical(remote.render(), local.render(), "frame")


@pytest.mark.parametrize("mode", ["ansi", "human", "depth_array", ""])
def test_a_render_mode_that_the_environment_lacks_is_refused(cartpole: str, mode: str) -> None:
    with pytest.raises(InvalidArgument, match="renders as rgb_array"):
        OpenEnvGym(cartpole, render_mode=mode)
    assert eventually(lambda: active_lanes(cartpole) == 0)


@pytest.mark.parametrize("face", [OpenEnvGym, OpenEnvVectorEnv])
def test_rendering_without_a_mode_is_refused_and_the_episode_goes_on(cartpole: str, face: type) -> None:
    with closing(face(cartpole)) as remote:
        remote.reset(seed=1)
        with pytest.raises(InvalidArgument, match="render_mode"):
            remote.render()
        remote.step(1 if face is OpenEnvGym else [1])


def test_gymnasiums_own_checker_finds_no_fault(cartpole: str) -> None:
    with closing(OpenEnvGym(cartpole)) as remote, warnings.catch_warnings():
        # CartPole's own: bounds of infinity, and no spec to try other render modes with.
        warnings.filterwarnings("ignore", message=".*(infinity|spec|precision).*")
        check_env(remote)


def test_gymnasiums_own_checker_finds_no_fault_when_frames_are_wanted(cartpole: str) -> None:
    with closing(OpenEnvGym(cartpole, render_mode="rgb_array")) as remote, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(infinity|spec|precision).*")
        check_env(remote)
