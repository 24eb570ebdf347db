"""``OpenEnvVectorEnv`` over a real socket beside ``SyncVectorEnv``: the same to the bit, infos included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from openenv_gym import OpenEnvVectorEnv
from openenv_gym.errors import InvalidArgument, ResetNeeded
from tests.envs.catalogue import World
from tests.envs.worlds import CURIOS, UNBATCHED, Cabinet, Menagerie, Recycler
from tests.fidelity import assert_identical, assert_same_vector_play, assert_same_vector_spaces

WORLDS = [
    World("CartPole-v1", {"max_episode_steps": 14}),
    World("FrozenLake-v1", {"max_episode_steps": 9}),
    World("Taxi-v4", {"max_episode_steps": 9}),
    World("Blackjack-v1", {"sab": True}),
    World(Menagerie),
]
MODES = list(AutoresetMode)


@pytest.fixture(scope="module", params=WORLDS, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[tuple[World, str]]:
    with request.param.serve() as server:
        yield request.param, server.url


def local_lanes(world: World, num_envs: int, mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([world.local] * num_envs, autoreset_mode=mode)


def ended_and_some_others(step: int, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What a trainer without autoreset must reset, and at times a lane in the middle of its episode."""
    mask = ended.copy()
    if step % 25 == 3:
        mask[step % len(mask)] = True
    return mask


def now_and_then(step: int, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """At times every other lane, ended or not."""
    mask = np.zeros_like(ended)
    if step % 25 in (5, 12):
        mask[step % 3 :: 2] = True
    return mask


@pytest.mark.parametrize("num_envs", [1, 7])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_play_is_the_same(world: tuple[World, str], num_envs: int, mode: AutoresetMode) -> None:
    assert_plays_the_same(*world, num_envs, mode)


@pytest.mark.parametrize(
    ("world", "mode"), list(zip(WORLDS, cycle(MODES), strict=False)), indirect=["world"], ids=str
)
def test_play_of_many_lanes_is_the_same(world: tuple[World, str], mode: AutoresetMode) -> None:
    """In each world and in each mode; every pair of the two plays with fewer lanes."""
    assert_plays_the_same(*world, 64, mode)


def assert_plays_the_same(served: World, url: str, num_envs: int, mode: AutoresetMode) -> None:
    masks = ended_and_some_others if mode is AutoresetMode.DISABLED else now_and_then
    with (
        closing(OpenEnvVectorEnv(url, num_envs, autoreset_mode=mode)) as remote,
        closing(local_lanes(served, num_envs, mode)) as local,
    ):
        assert_same_vector_spaces(remote, local)
        ended = assert_same_vector_play(remote, local, steps=24 if num_envs == 64 else 45, masks=masks)
        assert ended >= 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_frames_of_atari_are_the_same(mode: AutoresetMode) -> None:
    pytest.importorskip("ale_py")
    world = World("ALE/Pong-v5", {"max_episode_steps": 4}, needs="ale_py")
    with (
        world.serve() as server,
        closing(OpenEnvVectorEnv(server.url, 3, autoreset_mode=mode)) as remote,
        closing(local_lanes(world, 3, mode)) as local,
    ):
        assert_same_vector_spaces(remote, local)
        assert assert_same_vector_play(remote, local, steps=11, masks=ended_and_some_others) >= 3


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_autoreset_modes_go_by_name(world: tuple[World, str], mode: AutoresetMode) -> None:
    _, url = world
    with closing(OpenEnvVectorEnv(url, 2, autoreset_mode=mode.value)) as remote:
        assert remote.metadata["autoreset_mode"] is mode
        assert remote.autoreset_mode is mode


@pytest.mark.parametrize("seed", [None, 5, [3, None, 11]], ids=["none", "int", "list"])
def test_seeds_reach_their_lanes(world: tuple[World, str], seed: Any) -> None:
    served, url = world
    with (
        closing(OpenEnvVectorEnv(url, 3)) as remote,
        closing(local_lanes(served, 3, AutoresetMode.NEXT_STEP)) as local,
    ):
        for envs in (remote, local):
            envs.reset(seed=[7, 8, 9])
        assert_same_vector_play(remote, local, steps=5, seed=seed)


def test_options_reach_every_lane() -> None:
    world = World(Menagerie)
    with (
        world.serve() as server,
        closing(OpenEnvVectorEnv(server.url, 3, autoreset_mode="Disabled")) as remote,
        closing(local_lanes(world, 3, AutoresetMode.DISABLED)) as local,
    ):
        options = {"goal": (1, 2)}
        assert_same_vector_play(remote, local, steps=20, masks=ended_and_some_others, options=options)


@pytest.fixture(scope="module")
def cabinet() -> Iterator[str]:
    with World(Cabinet).serve() as server:
        yield server.url


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("curio", [curio for curio in CURIOS if curio not in UNBATCHED])
def test_an_info_of_any_kind_is_the_same(cabinet: str, curio: str, num_envs: int) -> None:
    with (
        closing(OpenEnvVectorEnv(cabinet, num_envs, autoreset_mode="SameStep")) as remote,
        closing(local_lanes(World(Cabinet), num_envs, AutoresetMode.SAME_STEP)) as local,
    ):
        # A curio stays for all episodes until the next options.
        assert_same_vector_play(remote, local, steps=9, options={"curio": curio})


@pytest.mark.parametrize(
    "mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.value
)
def test_infos_are_those_of_their_step_when_an_environment_reuses_its_dict(mode: AutoresetMode) -> None:
    world = World(Recycler)
    with (
        world.serve() as server,
        closing(OpenEnvVectorEnv(server.url, 3, autoreset_mode=mode)) as remote,
        closing(local_lanes(world, 3, mode)) as local,
    ):
        for envs in (remote, local):
            envs.reset(seed=1)
        for step in range(8):
            *ours, our_infos = remote.step(np.zeros(3, np.int64))
            *theirs, their_infos = local.step(np.zeros(3, np.int64))
            assert_identical(ours, theirs, f"step {step}")
            for infos in (our_infos, their_infos):
                # SyncVectorEnv's is the environment's own array, which the reset has overwritten.
                infos.pop("final_obs", None)
            assert_identical(our_infos, their_infos, f"infos of step {step}", ordered=False)


def test_a_final_observation_is_that_of_the_last_step_when_an_environment_reuses_its_array() -> None:
    world = World(Recycler)
    with world.serve() as server:
        with closing(OpenEnvVectorEnv(server.url, 1, autoreset_mode="SameStep")) as remote:
            remote.reset(seed=1)
            for _ in range(3):
                observations, *_, infos = remote.step(np.zeros(1, np.int64))
        with closing(world.local()) as local:
            local.reset(seed=1)
            for _ in range(3):
                final = local.step(0)[0].copy()
            begun = local.reset()[0]
        assert_identical(infos["final_obs"][0], final, "final observation")
        assert_identical(observations[0], begun, "observation")


@pytest.fixture(scope="module")
def short_cartpole() -> Iterator[str]:
    with World("CartPole-v1", {"max_episode_steps": 2}).serve() as server:
        yield server.url


def test_without_autoreset_a_step_after_the_end_is_refused(short_cartpole: str) -> None:
    with closing(OpenEnvVectorEnv(short_cartpole, 3, autoreset_mode="Disabled")) as remote:
        remote.reset(seed=1)
        remote.step([0, 1, 0])
        assert remote.step([0, 1, 0])[3].all()
        remote.reset(options={"reset_mask": np.array([True, False, True])})
        with pytest.raises(ResetNeeded, match="lane 1 cannot step: its episode has ended"):
            remote.step([0, 1, 0])


@pytest.mark.parametrize(
    "mask",
    [[True, False, True], np.array([1, 0, 1]), np.array([True]), np.zeros(3, np.bool_)],
    ids=["list", "integers", "too short", "no lane"],
)
def test_a_mask_that_is_none_is_refused(short_cartpole: str, mask: Any) -> None:
    with closing(OpenEnvVectorEnv(short_cartpole, 3)) as remote:
        with pytest.raises(InvalidArgument, match="reset_mask"):
            remote.reset(options={"reset_mask": mask})
        remote.reset(seed=1)


def test_the_callers_options_stay_as_they_are(short_cartpole: str) -> None:
    with closing(OpenEnvVectorEnv(short_cartpole, 2)) as remote:
        options = {"reset_mask": np.array([True, False])}
        remote.reset(seed=1)
        remote.reset(options=options)
        assert list(options) == ["reset_mask"]
