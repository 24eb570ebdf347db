"""Lanes that are sessions of the JSON dialect: what befalls one is told of it, and no answer stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from openenv_gym import OpenEnvPool, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import (
    Closed,
    EnvironmentRaised,
    InvalidArgument,
    LayoutMismatch,
    ResetNeeded,
)
from tests import web
from tests.typed import Counting

TOTALS = Dict(total=Box(0, 100, (), np.int64))


@pytest.fixture(scope="module")
def counting() -> Iterator[str]:
    """A typed environment that counts from its seed to ten; by -1 it raises."""
    with serve_gym(Counting, port=0, block=False, max_sessions=8) as server:
        web.get(f"{server.url}/metadata")  # begins a thread of the server's, which stays
        yield server.url


def add(by: Any) -> dict[str, Any]:
    return {"by": int(by)}


def spaces(**others: Any) -> dict[str, Any]:
    actions = Discrete(11, start=-1)
    return {"action_space": actions, "observation_space": TOTALS, "encode_action": add, **others}


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_lanes_of_several_servers_end_by_themselves(counting: str, mode: str) -> None:
    with closing(OpenEnvVectorEnv([counting, counting], 3, autoreset_mode=mode, **spaces())) as envs:
        assert envs.reset(seed=2)[0]["total"].tolist() == [2, 3, 4]
        observations, rewards, terminations, _, infos = envs.step([1, 1, 8])
        assert rewards.tolist() == [0.0, 0.0, 1.0] and terminations.tolist() == [False, False, True]
        if mode == "SameStep":
            assert observations["total"].tolist() == [3, 4, 0]
            assert infos["final_obs"][2] == {"total": 12}
            return
        assert observations["total"].tolist() == [3, 4, 12]
        if mode == "NextStep":
            assert envs.step([1, 1, 5])[0]["total"].tolist() == [4, 5, 0]
            return
        with pytest.raises(ResetNeeded, match="lane 2 cannot step: its episode has ended"):
            envs.step([1, 1, 5])
        mask = np.array([False, False, True])
        assert envs.reset(seed=0, options={"reset_mask": mask})[0]["total"].tolist() == [
            3,
            4,
            2,
        ]  # as shown last


def test_a_lane_that_raises_takes_no_other_with_it(counting: str) -> None:
    with closing(OpenEnvVectorEnv(counting, 3, **spaces())) as envs:
        envs.reset(seed=0)
        with pytest.raises(EnvironmentRaised, match="counting backwards") as caught:
            envs.step([1, -1, 1])
        assert caught.value.fields["lane"] == 1
        assert envs.step([1, 1, 1])[0]["total"].tolist() == [2, 2, 4]


def test_an_observation_that_cannot_be_decoded_is_told_of_its_lane(counting: str) -> None:
    def decode(fields: dict[str, Any]) -> Any:
        return {"total": [np.int64(0), np.int64(1)][fields["total"]]}

    with closing(OpenEnvVectorEnv(counting, 2, **spaces(decode_observation=decode))) as envs:
        with pytest.raises(InvalidArgument, match="decode_observation raised IndexError") as caught:
            envs.reset(seed=1)
        assert caught.value.fields["lane"] == 1 and "in decode" in caught.value.__notes__[0]
        assert envs.reset(seed=0)[0]["total"].tolist() == [0, 1]
    with OpenEnvPool(counting, 2, 1, **spaces(decode_observation=decode)) as pool:
        pool.async_reset(seed=1)
        with pytest.raises(InvalidArgument, match="decode_observation raised IndexError"):
            for _ in range(2):
                pool.recv()
        pool.async_reset([1], seed=[0])
        assert pool.recv()[0]["total"].tolist() in ([0], [1])


def test_an_observation_that_its_space_cannot_hold_is_told_of_its_lane(counting: str) -> None:
    lists = Dict(total=Box(0, 100, (2,), np.int64))
    with closing(OpenEnvVectorEnv(counting, 2, **spaces(observation_space=lists))) as envs:
        with pytest.raises(LayoutMismatch) as caught:
            envs.reset()
        assert caught.value.fields["lane"] == 0


def test_an_action_that_cannot_be_encoded_is_not_sent(counting: str) -> None:
    def encode(by: Any) -> dict[str, Any]:
        return {"by": [1, 1][by]}

    with closing(OpenEnvVectorEnv(counting, 2, **spaces(encode_action=encode))) as envs:
        envs.reset(seed=0)
        with pytest.raises(IndexError):
            envs.step_async([1, 2])
        assert envs.step([0, 1])[0]["total"].tolist() == [1, 2]


def test_after_an_interruption_no_answer_is_taken_for_another(counting: str) -> None:
    def decode(fields: dict[str, Any]) -> Any:
        if fields["total"] == 7:
            raise KeyboardInterrupt
        return {"total": np.int64(fields["total"])}

    with closing(OpenEnvVectorEnv(counting, 3, **spaces(decode_observation=decode))) as envs:
        envs.reset(seed=0)
        with pytest.raises(KeyboardInterrupt):
            envs.step([1, 6, 1])
        with pytest.raises(Closed):
            envs.reset(seed=0)


def test_seeds_are_as_many_as_the_lanes(counting: str) -> None:
    with OpenEnvPool(counting, 2, **spaces()) as pool, pytest.raises(InvalidArgument, match="3 seeds for 2"):
        pool.async_reset(seed=[1, 2, 3])
