"""Lanes over several servers are those of one, in process or not, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from openenv_gym import OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import (
    Closed,
    InvalidAction,
    InvalidArgument,
    OpenEnvGymError,
    ResetNeeded,
)
from openenv_gym.hosting import source
from tests.environments import Counter, Painter
from tests.envs.catalogue import World
from tests.envs.test_vector_fidelity import ended_and_some_others, local_lanes, now_and_then
from tests.envs.worlds import Menagerie
from tests.fidelity import assert_same_vector_play, assert_same_vector_spaces
from tests.served import eventually

MODES = list(AutoresetMode)
WORLDS = [
    World("CartPole-v1", {"max_episode_steps": 14}),
    World("FrozenLake-v1", {"max_episode_steps": 9}),
    World("Blackjack-v1", {"sab": True}),
    World(Menagerie),
]


@pytest.fixture(scope="module", params=WORLDS, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[tuple[World, list[str]]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(request.param.serve()) for _ in range(2)]
        yield request.param, [server.url for server in servers]


@pytest.mark.parametrize("dialect", ["native", "json"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_play_is_the_same(world: tuple[World, list[str]], mode: AutoresetMode, dialect: str) -> None:
    served, urls = world
    masks = ended_and_some_others if mode is AutoresetMode.DISABLED else now_and_then
    with (
        closing(OpenEnvVectorEnv([*urls, urls[0]], 7, autoreset_mode=mode, dialect=dialect)) as remote,
        closing(local_lanes(served, 7, mode)) as local,
    ):
        assert_same_vector_spaces(remote, local)
        assert assert_same_vector_play(remote, local, steps=45, masks=masks) >= 1


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_play_of_slow_lanes_is_the_same(
    world: tuple[World, list[str]], mode: AutoresetMode, servers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_INLINE_STEP_SECONDS", 0.0)  # so that lanes are stepped side by side
    served, urls = world
    masks = ended_and_some_others if mode is AutoresetMode.DISABLED else now_and_then
    with (
        closing(OpenEnvVectorEnv(urls[:servers], 5, autoreset_mode=mode)) as remote,
        closing(local_lanes(served, 5, mode)) as local,
    ):
        assert assert_same_vector_play(remote, local, steps=30, masks=masks) >= 1


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("on_failure", ["raise", "restart"])
def test_what_the_caller_writes_into_a_batch_is_nobody_elses(servers: int, on_failure: str) -> None:
    """A reset of some lanes shows the others' last observation, as the environment gave it."""
    mode = AutoresetMode.DISABLED
    with (
        serve_gym("CartPole-v1", port=0, block=False) as server,
        closing(
            OpenEnvVectorEnv([server.url] * servers, 4, autoreset_mode=mode, on_failure=on_failure)
        ) as envs,
    ):
        envs.reset(seed=3)
        shown = envs.step(np.ones(4, int))[0]
        kept = shown.copy()
        shown[:] = 99
        again, _ = envs.reset(options={"reset_mask": np.array([True, False, False, True])})
        assert (again[1:3] == kept[1:3]).all()
        assert not (again[[0, 3]] == 99).any()


def test_play_of_a_process_a_lane_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_INLINE_STEP_SECONDS", 0.0)
    with (
        serve_gym(Menagerie, port=0, block=False, isolation="process") as server,
        closing(OpenEnvVectorEnv(server.url, 3, autoreset_mode="SameStep")) as remote,
        closing(local_lanes(World(Menagerie), 3, AutoresetMode.SAME_STEP)) as local,
    ):
        assert assert_same_vector_play(remote, local, steps=30, masks=now_and_then) >= 1


@pytest.mark.parametrize("seed", [None, 5, [3, None, 11]], ids=["none", "int", "list"])
def test_seeds_reach_their_lanes(world: tuple[World, list[str]], seed: Any) -> None:
    served, urls = world
    with (
        closing(OpenEnvVectorEnv(urls, 3)) as remote,
        closing(local_lanes(served, 3, AutoresetMode.NEXT_STEP)) as local,
    ):
        for envs in (remote, local):
            envs.reset(seed=[7, 8, 9])
        assert_same_vector_play(remote, local, steps=5, seed=seed)


@pytest.fixture(scope="module")
def painters() -> Iterator[list[str]]:
    with ExitStack() as stack:
        options: dict[str, Any] = {"port": 0, "block": False, "calls": ["steps"]}
        yield [stack.enter_context(serve_gym(Painter, **options)).url for _ in range(2)]


def test_every_question_finds_its_lane(painters: list[str]) -> None:
    with closing(OpenEnvVectorEnv(painters, 3, render_mode="ansi", autoreset_mode="Disabled")) as envs:
        envs.reset(seed=1)
        envs.step(np.ones(3, np.int64))
        envs.reset(options={"reset_mask": np.array([False, True, False])})
        assert envs.render() == ("1 steps", "0 steps", "1 steps")
        assert envs.call("steps") == envs.get_attr("steps") == (1, 0, 1)
        assert [envs.state(lane)["step_count"] for lane in range(3)] == [1, 0, 1]
        with pytest.raises(InvalidArgument, match="there is no lane 3"):
            envs.state(3)


def test_when_one_action_does_not_fit_no_lane_is_stepped(painters: list[str]) -> None:
    with closing(OpenEnvVectorEnv(painters, 4)) as envs:
        envs.reset(seed=1)
        for actions in ([1, 1, 1, 7], [1, 1, 1]):
            with pytest.raises(InvalidAction):
                envs.step(actions)
        assert envs.step([1, 1, 1, 1])[0].tolist() == [[1]] * 4


def test_a_lane_that_fails_has_its_number_among_all(painters: list[str]) -> None:
    with closing(OpenEnvVectorEnv(painters, 4, autoreset_mode="Disabled")) as envs:
        envs.reset(seed=1, options={"reset_mask": np.array([True, True, True, False])})
        with pytest.raises(ResetNeeded, match="lane 3 cannot step") as caught:
            envs.step([1, 1, 1, 1])
        assert caught.value.fields == {"lane": 3}
        envs.reset(seed=1)
        assert envs.step([1, 1, 1, 1])[0].tolist() == [[1]] * 4


def test_an_answer_that_failed_leaves_none_behind(painters: list[str]) -> None:
    with closing(OpenEnvVectorEnv(painters, 2)) as envs:
        envs.reset(seed=1)
        with pytest.raises(OpenEnvGymError, match="whole number of at least 0"):
            envs.reset(seed=[1, -1])
        assert envs.step([1, 1])[0].tolist() == [[1], [1]]


def test_the_end_of_one_server_ends_all(painters: list[str]) -> None:
    with serve_gym(Painter, calls=["steps"], port=0, block=False) as dying:
        envs = OpenEnvVectorEnv([painters[0], dying.url], 2)
        envs.reset()
    with closing(envs):
        with pytest.raises(OpenEnvGymError) as caught:
            envs.step([1, 1])
        assert f"from the server at {dying.url}" in caught.value.__notes__
        with pytest.raises(Closed):
            envs.reset()


class Bounded(Counter):
    """A counter that says how far it may count."""

    def __init__(self, high: float = 10.0) -> None:
        super().__init__()
        self.observation_space = Box(0, np.float32(high), (1,), np.float32)


@pytest.mark.parametrize(
    ("env", "options", "expected"),
    [
        (Counter, {}, "env_id is 'Bounded' at the first and 'Counter' at the other"),
        (Bounded, {"calls": ["steps"]}, r"calls is \[\] at the first and \['steps'\] at the other"),
        (Bounded, {"kwargs": {"high": 10.000001}}, "observation_spaces"),
    ],
    ids=["name", "calls", "one bit of a bound"],
)
def test_servers_that_do_not_serve_the_same_are_refused(
    env: Any, options: dict[str, Any], expected: str
) -> None:
    with (
        serve_gym(Bounded, port=0, block=False) as first,
        serve_gym(env, port=0, block=False, **options) as second,
    ):
        with pytest.raises(InvalidArgument, match=expected) as caught:
            OpenEnvVectorEnv([first.url, second.url], 2)
        assert f"the servers at {first.url} and {second.url} do not serve the same" in str(caught.value)
        assert eventually(lambda: first.house.active_lanes == second.house.active_lanes == 0)


@pytest.mark.parametrize("urls", [[], 3], ids=["none", "more than lanes"])
def test_servers_and_lanes_must_fit(painters: list[str], urls: Any) -> None:
    with pytest.raises(InvalidArgument, match="cannot be spread over"):
        OpenEnvVectorEnv([painters[0]] * urls if urls else [], 2)


def test_a_native_vector_environment_is_one_servers() -> None:
    with serve_gym("CartPole-v1", vectorization="native", port=0, block=False) as server:
        with pytest.raises(InvalidArgument, match="native vector environment"):
            OpenEnvVectorEnv([server.url, server.url], 4)
        assert eventually(lambda: server.house.active_lanes == 0)
