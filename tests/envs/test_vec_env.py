"""``OpenEnvVecEnv`` beside Stable-Baselines3's own ``DummyVecEnv``: the same to the bit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize, VecVideoRecorder

from openenv_gym import OpenEnvVecEnv, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.embedded import close_servers
from openenv_gym.errors import (
    EnvironmentRaised,
    InvalidAction,
    InvalidArgument,
    OutOfTurn,
    ResetNeeded,
    UnsupportedAutoreset,
)
from tests.environments import Fragile
from tests.envs.catalogue import World
from tests.fidelity import assert_identical


class Masked(gymnasium.Env[dict[str, Any], np.int64]):
    """Dict observations, and infos with a mask, an option and whatever a lane says by itself."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium's own shape

    def __init__(self, render_mode: str | None = None) -> None:
        self.observation_space = Dict({"at": Discrete(9), "field": Box(0, 1, (2, 2), np.float32)})
        self.action_space = Discrete(3)
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        self.end = 4 + int(self.np_random.integers(4))
        return self._seen(), {**self._said(), "options": options}

    def step(self, action: np.int64) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        self.at += 1
        info = {**self._said(), "only": {"at": self.at}} if self.at % 2 else self._said()
        over = self.at >= self.end
        cut = over and self.end % 2 == 0
        return self._seen(), 0.1 * self.at, over and not cut, cut, info

    def render(self) -> Any:
        return np.full((8, 6, 3), self.at, np.uint8)

    def score(self, by: int) -> int:
        """Offered to clients."""
        return by * self.at

    def _seen(self) -> dict[str, Any]:
        return {"at": self.at, "field": self.np_random.random((2, 2), np.float32)}

    def _said(self) -> dict[str, Any]:
        return {"action_mask": np.array([1, self.at % 2, 1], np.int8)}


WORLDS = [
    World("CartPole-v1", {"max_episode_steps": 14}),
    World("FrozenLake-v1", {"max_episode_steps": 9}),
    World("Blackjack-v1"),
    World("Pendulum-v1", {"max_episode_steps": 12}),
    World(Masked),
]


@pytest.fixture(scope="module")
def masked() -> Iterator[str]:
    with serve_gym(Masked, port=0, block=False, calls=["at", "score"]) as server:
        yield server.url


@pytest.mark.parametrize("dialect", ["native", "json"])
@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_play_is_the_same(world: World, dialect: str) -> None:
    ended = 0
    with (
        world.serve() as server,
        closing(OpenEnvVecEnv(server.url, 3, dialect=dialect)) as remote,
        closing(DummyVecEnv([world.local] * 3)) as local,
    ):
        for envs in (remote, local):
            envs.seed(11)
            envs.action_space.seed(1)
        assert_identical(remote.reset(), as_dict(local.reset()), "reset")
        for step in range(40):
            actions = np.array([local.action_space.sample() for _ in range(3)])
            theirs, ours = as_dict(local.step(actions)), remote.step(actions)
            assert_identical(ours, theirs, f"step {step}")
            assert_identical(remote.reset_infos, local.reset_infos, f"reset infos {step}")
            ended += int(theirs[2].sum())
        assert_identical(remote.reset(), as_dict(local.reset()), "second reset")
        assert_identical(remote.reset_infos, local.reset_infos, "second reset's infos")
    assert ended >= 3


def as_dict(result: Any) -> Any:
    """Dummy's OrderedDicts as the dicts that a Dict space gives."""
    if isinstance(result, tuple):
        return tuple(map(as_dict, result))
    return dict(result) if isinstance(result, dict) else result


def test_each_lane_has_options_of_its_own(masked: str) -> None:
    with closing(OpenEnvVecEnv(masked, 2)) as remote, closing(DummyVecEnv([Masked] * 2)) as local:
        for options in ({"level": 1}, [{"level": 1}, {}]):
            for envs in (remote, local):
                envs.seed(3)
                envs.set_options(options)
            assert_identical(remote.reset(), as_dict(local.reset()), "reset")
            assert_identical(remote.reset_infos, local.reset_infos, "reset infos")


def test_masks_are_those_of_what_is_to_move_now(masked: str) -> None:
    with closing(OpenEnvVecEnv(masked, 3)) as remote, closing(DummyVecEnv([Masked] * 3)) as local:
        assert remote.has_attr("action_masks")
        for envs in (remote, local):
            envs.seed(0)
            envs.reset()
        for _ in range(12):
            at = local.get_attr("at")
            assert remote.get_attr("at") == at
            masks = remote.env_method("action_masks")
            assert [mask.dtype for mask in masks] == [np.dtype(bool)] * 3
            assert [mask.tolist() for mask in masks] == [[True, bool(each % 2), True] for each in at]
            for envs in (remote, local):
                envs.step(np.zeros(3, np.int64))
        assert [mask() is not None for mask in remote.get_attr("action_masks", indices=[2])] == [True]


def test_calls_reach_the_lanes_that_are_named(masked: str) -> None:
    with closing(OpenEnvVecEnv(masked, 2)) as envs:
        assert repr(envs) == f"OpenEnvVecEnv(Masked at {masked}, num_envs=2)"
        envs.reset()
        envs.step(np.zeros(2, np.int64))
        assert envs.env_method("score", 5, indices=1) == [5]
        assert not envs.has_attr("np_random")
        with pytest.raises(AttributeError, match=r"offers no 'secret'; it offers at, score"):
            envs.env_method("secret")
        with pytest.raises(InvalidArgument, match="by position"):
            envs.env_method("score", by=5)
        with pytest.raises(AttributeError, match="live in the server"):
            envs.set_attr("at", 3)
        assert envs.env_is_wrapped(Monitor) == [False, False]


def test_a_step_and_what_comes_of_it_are_taken_in_turn(masked: str) -> None:
    with closing(OpenEnvVecEnv(masked, 2)) as envs:
        with pytest.raises(ResetNeeded):
            envs.step(np.zeros(2, np.int64))
        envs.reset()
        with pytest.raises(OutOfTurn, match="no step was sent"):
            envs.step_wait()
        envs.step_async(np.zeros(2, np.int64))
        for wrong in (
            envs.reset,
            lambda: envs.step_async(np.zeros(2, np.int64)),
            lambda: envs.get_attr("at"),
        ):
            with pytest.raises(OutOfTurn, match="step_wait"):
                wrong()
        envs.step_wait()
        with pytest.raises(InvalidAction):
            envs.step(np.zeros(3, np.int64))
        assert envs.get_attr("at") == [1, 1]


def test_stable_baselines_own_wrappers_work(
    masked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)  # the video's progress bar has a thread otherwise

    def wrapped(envs: Any) -> Any:
        return VecNormalize(VecMonitor(envs), norm_obs_keys=["field"])

    with (
        closing(wrapped(OpenEnvVecEnv(masked, 2, render_mode="rgb_array"))) as remote,
        closing(wrapped(DummyVecEnv([lambda: Masked("rgb_array")] * 2))) as local,
    ):
        for envs in (remote, local):
            envs.seed(5)
        assert_identical(remote.reset(), as_dict(local.reset()), "reset")
        for _ in range(12):
            ours, theirs = (envs.step(np.array([0, 2])) for envs in (remote, local))
            for info in (*ours[3], *theirs[3]):
                info.pop("episode", None)  # its "t" is a time
            assert_identical(ours, as_dict(theirs), "step")
        assert_identical(remote.render(), local.render(), "render")

        recorder = VecVideoRecorder(remote, str(tmp_path), lambda step: step == 0, video_length=4)
        recorder.reset()
        for _ in range(5):
            recorder.step(np.zeros(2, np.int64))
    assert [file.suffix for file in tmp_path.iterdir()] == [".mp4"]


def test_what_gymnasium_made_can_be_wrapped_as_well() -> None:
    made = gymnasium.make_vec(
        "openenv/gym",
        env_id="CartPole-v1",
        num_envs=2,
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )
    assert isinstance(made, OpenEnvVectorEnv)
    with closing(OpenEnvVecEnv(made)) as envs:
        assert envs.reset().shape == (2, 4)
    close_servers()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda envs: pickle.loads(pickle.dumps(envs))])
def test_a_copy_has_a_session_of_its_own(masked: str, copied: Callable[[Any], Any]) -> None:
    with closing(OpenEnvVecEnv(masked, 2)) as envs:
        envs.reset()
        with closing(copied(envs)) as other:
            other.reset()
            other.step(np.zeros(2, int))
            assert [each.get_attr("at") for each in (envs, other)] == [[0, 0], [1, 1]]
        envs.step(np.zeros(2, int))
        assert envs.get_attr("at") == [1, 1]


def test_what_cannot_be_one_is_refused(masked: str) -> None:
    lanes = OpenEnvVectorEnv(masked, 2)
    with pytest.raises(UnsupportedAutoreset, match="autoreset_mode='SameStep'"):
        OpenEnvVecEnv(lanes)
    assert lanes.closed
    with pytest.raises(InvalidArgument, match="have theirs"):
        OpenEnvVecEnv(lanes, num_envs=4)
    with (
        closing(DummyVecEnv([Masked])) as foreign,
        pytest.raises(InvalidArgument, match="takes a server's URL"),
    ):
        OpenEnvVecEnv(foreign)  # type: ignore[arg-type]


def test_without_masks_it_says_with_what_to_train() -> None:
    with (
        serve_gym(Fragile, port=0, block=False) as server,
        closing(OpenEnvVecEnv(server.url, num_envs=2)) as envs,
    ):
        envs.set_options({"fail": "step"})
        envs.reset()
        with pytest.raises(InvalidArgument, match="not MaskablePPO"):
            envs.env_method("action_masks")
        with pytest.raises(EnvironmentRaised, match="broken in step"):
            envs.step(np.array([0, 1]))
        with pytest.warns(UserWarning, match="rgb_array"):
            assert envs.get_images() == [None, None]
