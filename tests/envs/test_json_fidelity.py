"""The JSON dialect, spoken by our own clients, beside the local environments: the same to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv
from openenv_gym.errors import InvalidArgument, OpenEnvGymError
from tests.environments import Painter
from tests.envs.catalogue import World, active_lanes
from tests.envs.worlds import CURIOS, DEVIATIONS, UNBATCHED, Cabinet, Deviant, Menagerie, Odd
from tests.fidelity import (
    assert_identical,
    assert_same_episodes,
    assert_same_faces,
    assert_same_vector_play,
    assert_same_vector_spaces,
)

WORLDS = [
    World("CartPole-v1", {"max_episode_steps": 14}),
    World("FrozenLake-v1", {"max_episode_steps": 9}),
    World("Taxi-v4", {"max_episode_steps": 9}),
    World("Blackjack-v1"),
    World("Pendulum-v1", {"max_episode_steps": 12}),
    World(Menagerie),
    World(Odd),
    World(Odd, {"scalar": True}),
]


@pytest.fixture(scope="module", params=WORLDS, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[tuple[World, str]]:
    with request.param.serve() as server:
        yield request.param, server.url


def test_episodes_are_the_same(world: tuple[World, str]) -> None:
    served, url = world
    with closing(OpenEnvGym(url, dialect="json")) as remote, closing(served.local()) as local:
        assert_same_faces(remote, local)
        assert assert_same_episodes(remote, local, seeds=(42, None, 7), steps=40) >= 1


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_vector_play_is_the_same(world: tuple[World, str], mode: AutoresetMode) -> None:
    served, url = world

    def ended_ones(step: int, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return ended if mode is AutoresetMode.DISABLED else ended & (step % 9 == 4)

    with (
        closing(OpenEnvVectorEnv(url, 3, autoreset_mode=mode, dialect="json")) as remote,
        closing(SyncVectorEnv([served.local] * 3, autoreset_mode=mode)) as local,
    ):
        assert_same_vector_spaces(remote, local)
        assert assert_same_vector_play(remote, local, steps=25, masks=ended_ones) >= 1


@pytest.fixture(scope="module")
def cabinet() -> Iterator[str]:
    with World(Cabinet).serve() as server:
        yield server.url


@pytest.mark.parametrize("curio", CURIOS)
def test_an_info_of_any_kind_is_the_same(cabinet: str, curio: str) -> None:
    with closing(OpenEnvGym(cabinet, dialect="json")) as remote, closing(Cabinet()) as local:
        assert_same_episodes(remote, local, seeds=(1,), options=lambda episode: {"curio": curio})


@pytest.mark.parametrize("curio", [curio for curio in CURIOS if curio not in UNBATCHED])
def test_infos_of_any_kind_are_batched_as_gymnasium_does_it(cabinet: str, curio: str) -> None:
    with (
        closing(OpenEnvVectorEnv(cabinet, 3, autoreset_mode="SameStep", dialect="json")) as remote,
        closing(SyncVectorEnv([Cabinet] * 3, autoreset_mode="SameStep")) as local,
    ):
        assert_same_vector_play(remote, local, steps=6, options={"curio": curio})


@pytest.mark.parametrize("late", [False, True], ids=["always", "after a faithful reset"])
@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_an_observation_that_deviates_from_its_space_is_the_same(deviation: str, late: bool) -> None:
    world = World(Deviant, {"deviation": deviation, "late": late})
    with world.serve() as server:
        with closing(OpenEnvGym(server.url, dialect="json")) as remote, closing(world.local()) as local:
            assert_same_episodes(remote, local, seeds=(1, None), steps=4)


def test_a_face_of_many_lanes_frees_them_all(cabinet: str) -> None:
    with closing(OpenEnvVectorEnv(cabinet, 3, dialect="json")) as remote:
        remote.reset(seed=1)
        assert active_lanes(cabinet) == 3
        remote.step([0, 1, 0])


def test_what_does_not_render_does_not_render_in_json_either(cabinet: str) -> None:
    with pytest.raises(InvalidArgument, match="renders as nothing"):
        OpenEnvGym(cabinet, dialect="json", render_mode="rgb_array")
    with closing(OpenEnvGym(cabinet, dialect="json")) as remote:
        remote.reset(seed=1)
        with pytest.raises(OpenEnvGymError, match="render"):
            remote.render()
        remote.step(0)


@pytest.mark.parametrize("mode", ["rgb_array", "ansi"])
def test_frames_in_json_are_the_local_ones(mode: str) -> None:
    world = World(Painter)
    with (
        world.serve() as server,
        closing(OpenEnvGym(server.url, dialect="json", render_mode=mode)) as remote,
        closing(OpenEnvVectorEnv(server.url, 2, dialect="json", render_mode=mode)) as lanes,
        closing(Painter(mode)) as local,
    ):
        assert remote.render_mode == lanes.render_mode == mode
        for env in (remote, lanes, local):
            env.reset(seed=3)
        for _ in range(3):
            remote.step(1)
            lanes.step([1, 1])
            local.step(1)
            assert_identical(remote.render(), local.render(), "frame")
            assert_identical(lanes.render(), (local.render(),) * 2, "frames")


def test_a_render_mode_that_the_environment_lacks_is_refused_in_json() -> None:
    with World(Painter).serve() as server:
        with pytest.raises(InvalidArgument, match="renders as rgb_array, ansi"):
            OpenEnvGym(server.url, dialect="json", render_mode="depth_array")
        assert active_lanes(server.url) == 0
