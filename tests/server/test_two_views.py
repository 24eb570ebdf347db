"""One server, two views of one game: fields for who speaks JSON, arrays for who wants them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from openenv_gym import OpenEnvClient, OpenEnvGym, OpenEnvVectorEnv, create_app, serve_gym
from openenv_gym.errors import CapacityReached
from tests import web
from tests.sockets import JsonSocket
from tests.typed import Count, Counted, Counting


class CountingArrays(gymnasium.Env[Any, Any]):
    """What ``Counting`` counts, as an array."""

    observation_space = Box(0, 100, (1,), np.int64)
    action_space = Discrete(10)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._total = seed or 0
        return np.array([self._total]), {}

    def step(self, action: Any) -> Any:
        self._total += int(action)
        done = self._total >= 10
        return np.array([self._total]), float(done), done, False, {"added": int(action)}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = create_app(
        Counting, Count, Counted, env_name="counting", max_concurrent_envs=2, gym_env=CountingArrays
    )
    with serve_gym(app, port=0, block=False) as server:
        yield server.url


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_gymnasiums_faces_see_arrays(url: str, dialect: str) -> None:
    env = OpenEnvGym(url, dialect=dialect)
    assert env.observation_space == CountingArrays.observation_space
    assert env.reset(seed=3)[0].tolist() == [3]
    observation, reward, terminated, truncated, info = env.step(np.int64(8))
    assert (observation.tolist(), reward, terminated, truncated, info) == (
        [11],
        1.0,
        True,
        False,
        {"added": 8},
    )
    env.close()


def test_many_lanes_are_one_session(url: str) -> None:
    envs = OpenEnvVectorEnv(url, num_envs=5)
    observations, _ = envs.reset(seed=2)
    assert observations.tolist() == [[2], [3], [4], [5], [6]]
    envs.close()


def test_openenvs_clients_see_fields(url: str) -> None:
    with OpenEnvClient(url, action=Count, observation=Counted).sync() as client:
        assert client.reset(seed=3).observation.total == 3
        assert client.step(Count(by=8)).done
    with JsonSocket(url, view="typed") as socket:
        assert socket.ask({"type": "reset"})["data"]["observation"] == {"metadata": {}, "total": 0}


def test_arrays_in_json_are_asked_for(url: str) -> None:
    with JsonSocket(url, view="array") as socket:
        answer = socket.ask({"type": "reset", "data": {"seed": 4}})["data"]
        assert answer["observation"]["observation"] == [4]
        assert socket.ask({"type": "step", "data": {"action": 3}})["data"]["observation"]["observation"] == [
            7
        ]
        assert socket.ask({"type": "step", "data": {"by": 3}})["data"]["code"] == "VALIDATION_ERROR"
    with web.Client(base_url=url) as http:
        begun = http.post("/reset?view=array", json={"seed": 4}).json()
        assert begun["observation"]["observation"] == [4]
        asked = {"action": {"action": 3}, "session_id": begun["session_id"]}
        assert http.post("/step", json=asked).json()["observation"]["observation"] == [7]
        http.post("/close", json={"session_id": begun["session_id"]})


def test_the_schema_holds_both(url: str) -> None:
    schema = web.get(f"{url}/schema").json()
    assert schema["action"] == Count.model_json_schema()
    assert schema["gymnasium"]["json_view"] == "array"
    assert schema["gymnasium"]["env_id"] == "counting"


def test_sessions_of_both_are_counted_together(url: str) -> None:
    env = OpenEnvGym(url)
    with OpenEnvClient(url).sync() as client:
        client.reset()
        with pytest.raises(CapacityReached, match="max_sessions"):
            OpenEnvGym(url)
    env.close()
