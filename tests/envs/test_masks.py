"""``action_masks``: the mask of the last info, in the shape in which MaskablePPO asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import CallRefused, ResetNeeded
from tests.environments import Counter


class Gated(Counter):
    """Of three actions, one is illegal: the one with the number of its steps; an episode has four."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = Discrete(3)

    def mask(self) -> Any:
        return (np.arange(3) != self.steps % 3).astype(np.int8)

    def reset(self, **kwargs: Any) -> Any:
        observation, _ = super().reset(**kwargs)
        return observation, {"action_mask": self.mask()}

    def step(self, action: Any) -> Any:
        observation, reward, *_ = super().step(action)
        return observation, reward, self.steps == 4, False, {"action_mask": self.mask()}


class Twice(Gated):
    """The same of two actions at once."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = MultiDiscrete([3, 3])

    def mask(self) -> Any:
        return super().mask(), np.ones(3, np.int8)

    def step(self, action: Any) -> Any:
        return super().step(action[0])


class Told(Counter):
    """Tells by a method alone what is legal."""

    def action_masks(self) -> list[bool]:
        return [self.steps % 2 == 0, True]


class Late(Counter):
    """Tells only from its first step on what is legal."""

    def step(self, action: Any) -> Any:
        return *super().step(action)[:4], {"action_mask": np.array([1, 0], np.int8)}


def served(env: Any, **options: Any) -> Iterator[str]:
    with serve_gym(env, port=0, block=False, **options) as server:
        yield server.url


@pytest.fixture(scope="module")
def gated() -> Iterator[str]:
    yield from served(Gated)


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    yield from served(Counter)


@pytest.fixture(scope="module")
def told() -> Iterator[str]:
    yield from served(Told, calls=["action_masks"])


def allowed(masks: Any) -> list[int]:
    """The legal actions of a mask, which is of bools."""
    assert masks.dtype == np.bool_
    legal: list[int] = np.flatnonzero(masks).tolist()
    return legal


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_mask_is_that_of_the_last_info(gated: str, dialect: str) -> None:
    with closing(OpenEnvGym(gated, dialect=dialect)) as env:
        with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
            env.action_masks()
        _, info = env.reset()
        info.pop("action_mask")  # is the caller's
        assert allowed(env.action_masks()) == [1, 2]
        env.action_masks()[:] = False
        assert allowed(env.action_masks()) == [1, 2]
        env.step(2)
        assert allowed(env.action_masks()) == [0, 2]


def test_masks_of_several_actions_follow_each_other() -> None:
    with serve_gym(Twice, port=0, block=False) as server, closing(OpenEnvGym(server.url)) as env:
        env.reset()
        assert allowed(env.action_masks()) == [1, 2, 3, 4, 5]


def test_an_environments_own_method_is_asked_if_it_is_offered(told: str) -> None:
    with closing(OpenEnvGym(told)) as env:
        env.reset()
        assert allowed(env.action_masks()) == [0, 1]
        env.step(1)
        assert allowed(env.action_masks()) == [1]
    with closing(OpenEnvVectorEnv(told, 2)) as envs:
        envs.reset()
        envs.step(np.array([0, 1]))
        assert envs.action_masks().tolist() == [[False, True]] * 2


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_an_environment_without_masks_does_not_look_as_if_it_had_some(plain: str, dialect: str) -> None:
    with closing(OpenEnvGym(plain, dialect=dialect)) as env:
        assert not hasattr(env, "action_masks")
        env.reset()
        with pytest.raises(CallRefused, match=r"info\['action_mask'\].*calls=\['action_masks'\]"):
            env.action_masks()
    with closing(OpenEnvVectorEnv(plain, 2)) as envs:
        assert not hasattr(envs, "action_masks")


def test_masks_that_come_late_are_found_when_they_come() -> None:
    with serve_gym(Late, port=0, block=False) as server, closing(OpenEnvGym(server.url)) as env:
        env.reset()
        assert not hasattr(env, "action_masks")
        env.step(0)
        assert allowed(env.action_masks()) == [0]
        env.reset()
        assert not hasattr(env, "action_masks")


def test_masks_are_reached_through_wrappers(gated: str, plain: str) -> None:
    with closing(OrderEnforcing(TimeLimit(OpenEnvGym(gated), 3))) as env:
        env.reset()
        assert allowed(env.get_wrapper_attr("action_masks")()) == [1, 2]
        bare: Any = env.unwrapped
        assert allowed(bare.action_masks()) == [1, 2]
    with closing(TimeLimit(OpenEnvGym(plain), 3)) as env:
        assert not env.has_wrapper_attr("action_masks")


@pytest.mark.slow
def test_maskable_learners_find_masks_and_miss_none(gated: str, plain: str) -> None:
    from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    from openenv_gym.envs.sb3 import OpenEnvVecEnv

    with closing(Monitor(OpenEnvGym(gated))) as env:
        assert is_masking_supported(env)
        env.reset()
        assert get_action_masks(env).tolist() == [False, True, True]
    makers: list[Any] = [lambda: Monitor(OpenEnvGym(gated))] * 2
    with closing(DummyVecEnv(makers)) as envs:
        assert is_masking_supported(envs)
        envs.reset()
        for step in range(1, 6):  # past an end, where it resets by itself
            envs.step(np.array([(step + 1) % 3] * 2))
            legal = [action for action in range(3) if action != step % 4 % 3]
            assert [allowed(row) for row in get_action_masks(envs)] == [legal] * 2
            assert len(envs.env_method("action_masks")) == 2
    with closing(DummyVecEnv([lambda: Monitor(OpenEnvGym(plain))])) as envs:
        assert not is_masking_supported(envs)
    for url in (gated, plain):
        with closing(OpenEnvVecEnv(url, 2)) as lanes:
            assert is_masking_supported(lanes) == (url == gated)


@pytest.mark.parametrize("dialect", ["native", "json"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_lanes_have_a_row_of_masks_each(gated: str, mode: AutoresetMode, dialect: str) -> None:
    with closing(OpenEnvVectorEnv(gated, 3, autoreset_mode=mode, dialect=dialect)) as envs:
        with pytest.raises(ResetNeeded):
            envs.action_masks()
        observation, _ = envs.reset()
        for _ in range(3):
            assert envs.action_masks().dtype == np.bool_
            assert [allowed(row) for row in envs.action_masks()] == expected(observation)
            observation, *_ = envs.step(np.zeros(3, np.int64))
        observation, _ = envs.reset(options={"reset_mask": np.array([False, True, False])})
        assert observation.ravel().tolist() == [3, 0, 3]
        assert [allowed(row) for row in envs.action_masks()] == expected(observation)
        observation, *_ = envs.step(np.zeros(3, np.int64))  # the end of two
        assert [allowed(row) for row in envs.action_masks()] == expected(observation)


def expected(observation: Any) -> list[list[int]]:
    """The legal actions of each lane, by what it observes."""
    return [[action for action in range(3) if action != steps % 3] for steps in observation.ravel().tolist()]


def test_a_native_vector_environments_masks_are_its_own() -> None:
    class Lanes(gymnasium.vector.SyncVectorEnv):
        def __init__(self, num_envs: int = 1) -> None:
            super().__init__([Gated] * num_envs)

    with serve_gym(Lanes, port=0, block=False) as server, closing(OpenEnvVectorEnv(server.url, 2)) as envs:
        observation, _ = envs.reset()
        for _ in range(6):
            assert [allowed(row) for row in envs.action_masks()] == expected(observation)
            observation, *_ = envs.step(np.zeros(2, np.int64))
