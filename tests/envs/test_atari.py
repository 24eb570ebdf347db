"""Atari's wrappers, Gymnasium's and SB3's, over a served game: to the bit as over the local one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import AtariPreprocessing

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import CallRefused, InvalidArgument
from tests.fidelity import assert_identical

GAME = "ALE/Breakout-v5"
ARGUMENTS: dict[str, Any] = {"frameskip": 1}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym(GAME, port=0, block=False, kwargs=ARGUMENTS) as server:
        yield server.url


@pytest.fixture
def remote(url: str) -> Iterator[Any]:
    with closing(gymnasium.make("openenv/gym", base_url=url)) as env:
        yield env


@pytest.fixture
def local() -> Iterator[Any]:
    gymnasium.register_envs(importlib.import_module("ale_py"))
    with closing(gymnasium.make(GAME, **ARGUMENTS)) as env:
        yield env


def assert_same_play(remote: Any, local: Any, *, steps: int) -> int:
    """Play two episodes on both, the second without a seed; gives how many of them ended."""
    local.action_space.seed(1)
    ended = 0
    for seed in (3, None):
        assert_identical(remote.reset(seed=seed), local.reset(seed=seed), f"reset of {seed}")
        for step in range(steps):
            action = local.action_space.sample()
            theirs = local.step(action)
            assert_identical(remote.step(action), theirs, f"step {step}")
            if theirs[2] or theirs[3]:
                ended += 1
                break
    return ended


def gymnasiums(**arguments: Any) -> Callable[[Any], Any]:
    """Gymnasium's preprocessing."""
    return lambda env: AtariPreprocessing(env, **arguments)


def sb3s(name: str, *arguments: Any) -> Callable[[Any], Any]:
    """One of SB3's wrappers."""
    wrapper = getattr(importlib.import_module("stable_baselines3.common.atari_wrappers"), name)
    return lambda env: wrapper(env, *arguments)


@pytest.mark.parametrize("arguments", [{}, {"terminal_on_life_loss": True, "grayscale_obs": False}])
def test_gymnasiums_preprocessing_is_the_same(arguments: Any, remote: Any, local: Any) -> None:
    wrapped = gymnasiums(**arguments)
    assert_same_play(wrapped(remote), wrapped(local), steps=25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("NoopResetEnv", ()),
        ("FireResetEnv", ()),
        ("MaxAndSkipEnv", ()),
        ("ClipRewardEnv", ()),
        ("StickyActionEnv", (0.3,)),
        ("WarpFrame", ()),
        ("AtariWrapper", ()),
    ],
)
def test_sb3s_wrappers_are_the_same(name: str, arguments: Any, remote: Any, local: Any) -> None:
    wrapped = sb3s(name, *arguments)
    assert_same_play(wrapped(remote), wrapped(local), steps=25)


@pytest.mark.slow
def test_the_end_of_a_life_is_the_same(remote: Any, local: Any) -> None:
    wrapped = sb3s("EpisodicLifeEnv")
    assert assert_same_play(wrapped(remote), wrapped(local), steps=200)


def test_noops_are_drawn_alike_until_a_seed_says_otherwise(remote: Any, local: Any) -> None:
    for env in (remote, local):
        env.reset(seed=11)
    draws = [[env.unwrapped.np_random.integers(1, 31) for _ in range(9)] for env in (remote, local)]
    assert draws[0] == draws[1]
    for env in (remote, local):
        env.reset()
    assert remote.unwrapped.np_random.random() == local.unwrapped.np_random.random()
    assert remote.unwrapped.np_random_seed == local.unwrapped.np_random_seed == 11


def test_only_a_screen_is_a_round_trip(remote: Any, local: Any) -> None:
    remote.reset(seed=1)
    local.reset(seed=1)
    env = remote.unwrapped
    sent = env.stats.bytes_sent
    assert env.get_action_meanings() == local.unwrapped.get_action_meanings()
    assert env.call("get_action_meanings") == env.get_action_meanings()
    env.get_action_meanings().clear()  # is the caller's
    assert env.get_action_meanings()[1] == "FIRE"
    assert env.ale.lives() == local.unwrapped.ale.lives() == 5
    assert env._frameskip == 1
    assert env.stats.bytes_sent == sent
    assert_identical(env.ale.getScreenRGB(), local.unwrapped.ale.getScreenRGB(), "screen")
    assert env.stats.bytes_sent > sent


def test_a_screen_is_written_into_a_buffer(remote: Any, local: Any) -> None:
    remote.reset(seed=1)
    local.reset(seed=1)
    buffers = np.zeros((2, 210, 160), np.uint8)
    for env, buffer in zip((remote, local), buffers, strict=True):
        assert env.unwrapped.ale.getScreenGrayscale(buffer) is None
    assert buffers.any()
    assert_identical(buffers[0], buffers[1], "screen")
    for odd in (np.zeros((210, 160, 1), np.uint8), np.zeros((210, 160), np.float32)):
        with pytest.raises(InvalidArgument, match=r"gives uint8, \(210, 160\)"):
            remote.unwrapped.ale.getScreenGrayscale(odd)


@pytest.mark.slow
def test_lives_that_no_info_says_are_asked_for() -> None:
    # Its reset gives an empty info, whatever the game's own says.
    make = sb3s("FireResetEnv")
    with serve_gym(lambda: make(gymnasium.make(GAME, **ARGUMENTS)), port=0, block=False) as server:
        with closing(OpenEnvGym(server.url)) as env:
            env.reset(seed=1)
            assert env.ale.lives() == 5


def test_the_emulator_has_what_the_operator_offers_and_no_more(url: str, remote: Any) -> None:
    remote.reset(seed=1)
    emulator = remote.unwrapped.ale
    for name in ("loadROM", "setInt", "act", "cloneState", "__wrapped__", "_lives"):
        assert not hasattr(emulator, name)
        with pytest.raises(CallRefused, match="does not offer"):
            remote.unwrapped.call(f"ale.{name}")
    for args in (["x"], [np.zeros(1, np.uint8)]):  # nothing of a client's reaches the emulator
        with pytest.raises(InvalidArgument, match="takes no arguments"):
            remote.unwrapped.call("ale.getScreenRGB", *args)
    with pytest.raises(CallRefused):
        remote.unwrapped.call("ale")
    with closing(OpenEnvVectorEnv(url, 2)) as envs:
        envs.reset(seed=1)
        assert envs.call("ale.lives") == (5, 5)
        assert envs.call("get_action_meanings") == (["NOOP", "FIRE", "RIGHT", "LEFT"],) * 2


def test_an_operator_offers_more_by_its_full_name(local: Any) -> None:
    with serve_gym(GAME, port=0, block=False, kwargs=ARGUMENTS, calls=["ale.getRAM", "ale.getInt"]) as server:
        with closing(OpenEnvGym(server.url)) as env:
            env.reset(seed=2)
            local.reset(seed=2)
            assert_identical(env.ale.getRAM(), local.unwrapped.ale.getRAM(), "RAM")
            assert env.ale.getInt("random_seed") == local.unwrapped.ale.getInt("random_seed")
            assert hasattr(env.ale, "getScreenRGB")


def test_json_has_no_calls_and_says_so(url: str) -> None:
    with closing(OpenEnvGym(url, dialect="json")) as env:
        assert not hasattr(env, "ale")
        with pytest.raises(CallRefused, match="speaks JSON"):
            env.get_action_meanings()


def test_another_environment_has_none_of_it() -> None:
    with serve_gym("CartPole-v1", port=0, block=False) as server, closing(OpenEnvGym(server.url)) as env:
        assert not any(hasattr(env, name) for name in ("ale", "get_action_meanings", "_frameskip"))
