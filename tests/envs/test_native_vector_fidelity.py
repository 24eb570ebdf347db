"""Native vector environments over a real socket beside themselves in process: the same to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from openenv_gym import OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import UnsupportedAutoreset
from tests.envs.catalogue import active_lanes
from tests.fidelity import assert_identical, assert_same_vector_play, assert_same_vector_spaces
from tests.served import eventually

HAD_BY_PONG = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]


@dataclass(frozen=True)
class Native:
    """An id with a vector environment of its own."""

    env_id: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def serve(self) -> Any:
        return serve_gym(self.env_id, port=0, block=False, kwargs=self.kwargs, vectorization="native")

    def local(self, num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
        return gymnasium.make_vec(
            self.env_id, num_envs, vectorization_mode="vector_entry_point", **self.kwargs, **kwargs
        )


CARTPOLE = Native("CartPole-v1", {"max_episode_steps": 12})
PONG = Native(
    "ALE/Pong-v5", {"img_height": 32, "img_width": 24, "max_num_frames_per_episode": 100, "noop_max": 9}
)


def no_lanes(step: int, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.zeros_like(ended)


def some_lanes(step: int, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Ended or not."""
    return np.arange(len(ended)) % 2 == step % 2 if step % 9 == 5 else np.zeros_like(ended)


def seed_of_the_masked(step: int, mask: NDArray[np.bool_]) -> Any:
    """As ALE wants it: a number, or an array with one for each lane that is reset."""
    return step if step % 2 else np.arange(step, step + mask.sum())


@pytest.fixture(scope="module")
def cartpole() -> Iterator[str]:
    with CARTPOLE.serve() as server:
        yield server.url


@pytest.fixture(scope="module")
def pong() -> Iterator[str]:
    gymnasium.register_envs(pytest.importorskip("ale_py"))
    with PONG.serve() as server:
        yield server.url


@pytest.mark.parametrize("num_envs", [1, 7, 64])
@pytest.mark.parametrize("sutton_barto_reward", [False, True])
def test_cartpoles_own_is_the_same(num_envs: int, sutton_barto_reward: bool) -> None:
    native = Native("CartPole-v1", {**CARTPOLE.kwargs, "sutton_barto_reward": sutton_barto_reward})
    with native.serve() as server:
        with (
            closing(OpenEnvVectorEnv(server.url, num_envs, autoreset_mode="NextStep")) as remote,
            closing(native.local(num_envs)) as local,
        ):
            assert_same_vector_spaces(remote, local)
            assert assert_same_vector_play(remote, local, steps=40) >= 1


@pytest.mark.parametrize("seed", [None, 5])
def test_cartpoles_own_takes_seeds_and_options_as_in_process(cartpole: str, seed: int | None) -> None:
    with closing(OpenEnvVectorEnv(cartpole, 2)) as remote, closing(CARTPOLE.local(2)) as local:
        for envs in (remote, local):
            envs.reset(seed=1)
        assert_same_vector_play(remote, local, steps=5, seed=seed, options={"low": -0.02, "high": 0.2})


@pytest.mark.parametrize(
    "mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED], ids=lambda mode: mode.value
)
def test_a_mode_that_cartpoles_own_lacks_is_refused_and_takes_no_lanes(
    cartpole: str, mode: AutoresetMode
) -> None:
    with pytest.raises(UnsupportedAutoreset, match="NextStep") as refused:
        OpenEnvVectorEnv(cartpole, 3, autoreset_mode=mode)
    assert refused.value.fields["supported"] == ["NextStep"]
    assert eventually(lambda: active_lanes(cartpole) == 0)
    with closing(OpenEnvVectorEnv(cartpole, 3)) as remote:
        remote.reset(seed=1)
        assert active_lanes(cartpole) == 3


@pytest.mark.parametrize("mode", HAD_BY_PONG, ids=lambda mode: mode.value)
@pytest.mark.parametrize("masked", [False, True], ids=["by itself", "with resets of some lanes"])
def test_pongs_own_is_the_same(pong: str, mode: AutoresetMode, masked: bool) -> None:
    with (
        closing(OpenEnvVectorEnv(pong, 3, autoreset_mode=mode)) as remote,
        closing(PONG.local(3, autoreset_mode=mode)) as local,
    ):
        assert_same_vector_spaces(remote, local)
        masks = some_lanes if masked else no_lanes
        ended = assert_same_vector_play(
            remote, local, steps=45, seed=np.array([3, 4, 5]), masks=masks, seeds=seed_of_the_masked
        )
        assert masked or ended >= 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", HAD_BY_PONG, ids=lambda mode: mode.value)
def test_pong_as_it_is_registered_is_the_same(mode: AutoresetMode) -> None:
    gymnasium.register_envs(pytest.importorskip("ale_py"))
    native = Native("ALE/Pong-v5")
    with native.serve() as server:
        with (
            closing(OpenEnvVectorEnv(server.url, 5, autoreset_mode=mode)) as remote,
            closing(native.local(5, autoreset_mode=mode)) as local,
        ):
            assert_same_vector_spaces(remote, local)
            assert_same_vector_play(remote, local, steps=50)


def test_a_mode_that_pongs_own_lacks_is_refused_and_takes_no_lanes(pong: str) -> None:
    with pytest.raises(ValueError, match="autoreset_mode: Disabled"):
        PONG.local(3, autoreset_mode=AutoresetMode.DISABLED)
    try:
        with pytest.raises(UnsupportedAutoreset, match="NextStep, SameStep"):
            OpenEnvVectorEnv(pong, 3, autoreset_mode=AutoresetMode.DISABLED)
    finally:
        assert eventually(lambda: active_lanes(pong) == 0)


def test_rewards_keep_the_dtype_of_the_environment(cartpole: str, pong: str) -> None:
    for url, dtype in ((cartpole, np.float32), (pong, np.int32)):
        with closing(OpenEnvVectorEnv(url, 2)) as remote:
            remote.reset(seed=1)
            rewards = remote.step(np.zeros(2, np.int64))[1]
            assert rewards.dtype == dtype and rewards.flags.writeable


def test_infos_are_the_environments_own_columns(pong: str) -> None:
    with closing(OpenEnvVectorEnv(pong, 2)) as remote, closing(PONG.local(2)) as local:
        _, infos = remote.reset(seed=2)
        assert_identical(infos, local.reset(seed=2)[1], "infos")
        assert not [key for key in infos if key.startswith("_")], "no masks of Gymnasium's"
