"""``OpenEnvGym`` over a real socket beside the local environment: the same to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from openenv_gym import OpenEnvGym
from tests.envs.catalogue import World
from tests.envs.worlds import CURIOS, Cabinet, Menagerie, Odd, Recycler
from tests.fidelity import assert_identical, assert_same_episodes, assert_same_faces, assert_same_step

WORLDS = [
    World("CartPole-v1", {"max_episode_steps": 20}),
    World("FrozenLake-v1"),
    World("Taxi-v4", {"max_episode_steps": 30}),
    World("Blackjack-v1"),
    World("CliffWalking-v1"),
    World("Acrobot-v1"),
    World("Pendulum-v1"),
    World("LunarLander-v3", needs="Box2D"),
    World(Menagerie, {"huge": True}),
    World(Odd),
    World(Odd, {"scalar": True}),
    World(Recycler),
    World("ALE/Breakout-v5", needs="ale_py"),
]
ENDLESS = {"CliffWalking-v1", "Acrobot-v1", "Pendulum-v1", "ALE/Breakout-v5"}
"""Those whose random play does not end within the steps of a test."""


@pytest.fixture(scope="module", params=WORLDS, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[tuple[World, str]]:
    world: World = request.param
    if world.needs is not None:
        pytest.importorskip(world.needs)
    with world.serve() as server:
        yield world, server.url


@pytest.fixture(scope="module")
def menagerie() -> Iterator[str]:
    with World(Menagerie).serve() as server:
        yield server.url


def test_spaces_are_the_same(world: tuple[World, str]) -> None:
    served, url = world
    with closing(OpenEnvGym(url)) as remote, closing(served.local()) as local:
        assert_same_faces(remote, local)


def test_episodes_are_the_same(world: tuple[World, str]) -> None:
    served, url = world
    with closing(OpenEnvGym(url)) as remote, closing(served.local()) as local:
        ended = assert_same_episodes(
            remote, local, seeds=(42, None, 7, None), steps=120 if "Lunar" in str(served) else 60
        )
        assert ended or str(served) in ENDLESS


def test_a_session_after_another_is_as_fresh_as_a_new_environment(world: tuple[World, str]) -> None:
    served, url = world
    for _ in range(2):
        with closing(OpenEnvGym(url)) as remote, closing(served.local()) as local:
            assert_same_episodes(remote, local, seeds=(3,), steps=5)


def test_two_sessions_at_once_do_not_disturb_each_other(world: tuple[World, str]) -> None:
    served, url = world
    with closing(OpenEnvGym(url)) as one, closing(OpenEnvGym(url)) as other:
        with closing(served.local()) as local, closing(served.local()) as twin:
            local.action_space.seed(3)
            assert_identical(one.reset(seed=1), local.reset(seed=1), "reset of the one")
            assert_identical(other.reset(seed=2), twin.reset(seed=2), "reset of the other")
            action = local.action_space.sample()
            assert_same_step(one.step(action), local.step(action), "step of the one")
            assert_same_step(other.step(action), twin.step(action), "step of the other")
            assert_identical(other.reset(), twin.reset(), "next reset of the other")
            assert_identical(one.reset(), local.reset(), "next reset of the one")


def test_observations_are_the_callers_own(world: tuple[World, str]) -> None:
    served, url = world
    with closing(OpenEnvGym(url)) as remote, closing(served.local()) as local:
        local.action_space.seed(0)
        first, _ = remote.reset(seed=5)
        local.reset(seed=5)
        _scribble(first)
        again, *_ = remote.step(local.action_space.sample())
        assert again is not first or isinstance(first, int)
        assert_identical(remote.reset(seed=5)[0], local.reset(seed=5)[0], "observation")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"low": -0.01, "high": 0.01, "deep": {"list": [1, None, "x"]}},
        {"tuple": (1, 2.5), "array": np.arange(3, dtype=np.int16), "scalar": np.float32(0.1), "big": 2**80},
    ],
    ids=["empty", "plain", "typed"],
)
def test_options_arrive_as_they_are(menagerie: str, options: dict[str, Any]) -> None:
    with closing(OpenEnvGym(menagerie)) as remote, closing(Menagerie()) as local:
        for seed in (1, None):
            ours, theirs = (env.reset(seed=seed, options=options) for env in (remote, local))
            assert_identical(ours, theirs, "reset")


@pytest.fixture(scope="module")
def cabinet() -> Iterator[str]:
    with World(Cabinet).serve() as server:
        yield server.url


@pytest.mark.parametrize("curio", CURIOS)
def test_an_info_of_any_kind_is_the_same(cabinet: str, curio: str) -> None:
    with closing(OpenEnvGym(cabinet)) as remote, closing(Cabinet()) as local:
        assert_same_episodes(remote, local, seeds=(1,), options=lambda episode: {"curio": curio})


def test_cartpoles_bounds_of_the_first_state_are_options() -> None:
    world, options = World("CartPole-v1"), {"low": -0.2, "high": 0.2}
    with world.serve() as server, closing(OpenEnvGym(server.url)) as remote, closing(world.local()) as local:
        assert_same_episodes(remote, local, seeds=(1, None), steps=9, options=lambda episode: options)


def _scribble(observation: Any) -> None:
    """Write over every array that was handed out."""
    for part in observation.values() if isinstance(observation, dict) else [observation]:
        if isinstance(part, np.ndarray):
            part[...] = 1
        elif isinstance(part, dict):
            _scribble(part)
