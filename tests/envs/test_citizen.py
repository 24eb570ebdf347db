"""What a face tells beside observations: what it cost, its episode, its random numbers, its spec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import seeding
from gymnasium.wrappers import TimeLimit

from openenv_gym import OpenEnvGym, OpenEnvPool, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.known import Spaces
from openenv_gym.envs.options import Options
from openenv_gym.envs.place import place_of
from openenv_gym.envs.remote import Remote
from tests.environments import Sleeper
from tests.fidelity import assert_identical


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        yield server.url


# what it cost


def session(url: str, **options: Any) -> Remote:
    """A session whose clock ticks once a look, and whose episodes are numbered."""
    ticks, names = count(), count(1)
    return Remote(
        url,
        lanes=options.pop("lanes", 1),
        autoreset="Disabled",
        exact=True,
        spaces=Spaces(None, None),
        options=Options(**options),
        clock=lambda: float(next(ticks)),
        name_episode=lambda: f"episode {next(names)}",
    )


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_resets_and_steps_are_counted_and_timed(url: str, dialect: str) -> None:
    with closing(session(url, dialect=dialect)) as remote:
        assert (remote.stats.resets, remote.stats.steps, remote.stats.seconds) == (0, 0, 0.0)
        remote.reset(None, [1], None)
        for _ in range(3):
            remote.step_one(1)
        remote.send_step(np.array([1]))
        remote.receive_rows()
        before = remote.stats
        remote.lanes.state(0)
        assert (before.resets, before.steps, before.seconds) == (1, 4, 5.0)
        assert remote.stats.bytes_sent > before.bytes_sent > 0
        assert remote.stats.bytes_received > before.bytes_received > 0
        assert (before.environment_seconds is None) == (dialect == "json")
    assert remote.stats.steps == 4


def test_the_environments_time_is_part_of_the_whole() -> None:
    with serve_gym(Sleeper, port=0, block=False) as server:
        with closing(OpenEnvGym(server.url)) as env, closing(OpenEnvVectorEnv(server.url, 2)) as envs:
            for face, actions in ((env, 1), (envs, np.array([1, 1]))):
                face.reset(options={"seconds": 0.003})
                for _ in range(5):
                    face.step(actions)
            alone, both = env.stats, envs.stats
    assert (alone.steps, both.steps) == (5, 5)
    for stats in (alone, both):  # the lanes of both sleep side by side
        assert stats.environment_seconds is not None
        assert 0.015 <= stats.environment_seconds <= stats.seconds


# its episode


def test_an_episode_is_named_on_this_side(url: str) -> None:
    with closing(session(url)) as remote:
        assert remote.episode_id is None
        for name in ("episode 1", "episode 2"):
            remote.reset(None, None, None)
            sent = remote.stats.bytes_sent
            assert remote.episode_id == name
            assert remote.stats.bytes_sent == sent
            assert remote.lanes.state(0)["episode_id"] == name


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_face_says_its_episode(url: str, dialect: str) -> None:
    with closing(gymnasium.make("openenv/gym", base_url=url, dialect=dialect)) as made:
        env: Any = made.unwrapped
        assert env.episode_id is None
        made.reset()
        first = env.episode_id
        made.step(1)
        assert env.state() == {"episode_id": first, "step_count": 1}
        made.reset()
        assert env.state()["episode_id"] == env.episode_id != first


# its random numbers


def test_np_random_is_this_sides_and_follows_the_seed(url: str) -> None:
    with closing(OpenEnvGym(url)) as env, closing(gymnasium.make("CartPole-v1")) as local:
        env.reset(seed=5)
        assert env.np_random_seed == 5
        assert env.np_random.random() == seeding.np_random(5)[0].random()
        state = env.np_random.bit_generator.state
        env.reset()
        env.step(0)
        assert env.np_random.bit_generator.state == state, "nothing draws from it"
        local.reset(seed=5)
        env.reset(seed=5)
        env.np_random = np.random.default_rng(0)
        assert_identical(env.reset(), local.reset(), "the environment's own state is the server's")


# its spec


def limits(env: gymnasium.Env[Any, Any]) -> int:
    """How many time limits there are on this side."""
    found = 0
    while isinstance(env, gymnasium.Wrapper):
        found, env = found + isinstance(env, TimeLimit), env.env
    return found


def test_a_time_limit_of_this_side_truncates_once(url: str) -> None:
    with closing(gymnasium.make("openenv/gym", base_url=url, max_episode_steps=10)) as env:
        assert limits(env) == 1
        assert env.spec is not None and env.spec.max_episode_steps == 10
        for _ in range(2):
            env.reset(seed=1)
            assert [env.step(step % 2)[3] for step in range(10)] == [False] * 9 + [True]
        assert env.unwrapped.state()["step_count"] == 10  # type: ignore[attr-defined]


def test_the_limit_of_the_server_is_the_servers() -> None:
    with serve_gym("CartPole-v1", port=0, block=False, kwargs={"max_episode_steps": 4}) as server:
        given: list[dict[str, Any]] = [{}, {"max_episode_steps": 10}]
        for arguments in given:
            with closing(gymnasium.make("openenv/gym", base_url=server.url, **arguments)) as env:
                assert limits(env) == len(arguments)
                assert env.spec is not None
                assert env.spec.max_episode_steps == arguments.get("max_episode_steps")
                assert (env.spec.id, env.spec.kwargs["base_url"]) == ("openenv/gym", server.url)
                env.reset(seed=1)
                assert [env.step(step % 2)[3] for step in range(4)] == [False] * 3 + [True]


@pytest.mark.slow
def test_sb3_is_content(url: str) -> None:
    from stable_baselines3.common.env_checker import check_env

    with closing(OpenEnvGym(url)) as env:
        check_env(env)


# what it shows of itself


def test_a_face_says_what_it_plays_and_where(url: str) -> None:
    spelled = url.replace("//", "//name:sesame@")
    with (
        closing(OpenEnvGym(url)) as env,
        closing(OpenEnvVectorEnv([spelled, spelled], 3)) as envs,
        OpenEnvPool(url, 3, 2) as pool,
    ):
        assert repr(env) == str(env) == f"<OpenEnvGym<CartPole-v1 at {url}>>"
        assert str(TimeLimit(env, 5)) == f"<TimeLimit<OpenEnvGym<CartPole-v1 at {url}>>>"
        assert repr(envs) == str(envs) == f"OpenEnvVectorEnv(CartPole-v1 at {url}, num_envs=3)"
        assert repr(pool) == f"OpenEnvPool(CartPole-v1 at {url}, num_envs=3, batch_size=2)"
    assert "CartPole-v1" in repr(env) and "CartPole-v1" in repr(envs)  # closed, too


@pytest.mark.parametrize("make", [OpenEnvGym, OpenEnvVectorEnv, OpenEnvPool])
def test_a_face_that_was_never_made_can_be_printed(make: Any) -> None:
    assert make.__name__ in repr(make.__new__(make))


def test_of_many_servers_a_few_are_named(url: str) -> None:
    with closing(session(url)) as remote:
        said = place_of(remote.signature, [f"http://{host}" for host in "abcde"])
    assert said == "CartPole-v1 at http://a, http://b, http://c and 2 more"
    unnamed = replace(remote.signature, env_id="http://user:sesame@a")
    assert place_of(unnamed, ["http://user:sesame@a"]) == "http://a"
