"""Recorded servers, replayed on a port: each is a ``gym.Env`` that sends what was sent to the real one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from openenv_gym import OpenEnvGym
from openenv_gym.catalogue import shipped_hints
from openenv_gym.spaces import identical
from openenv_gym.spaces.inference import infer
from tests import web
from tests.recorded import CAPTURES, recorded
from tests.spaces.inference.test_captures import HINTS, action_for
from tests.testing.little import Little, Refused, running


class Player:
    """A session that goes the recorded way, and no other."""

    def __init__(self, name: str) -> None:
        self.recorded, self.steps = recorded(name), 0

    def reset(self, data: dict[str, Any]) -> Any:
        self.steps = 0
        return self.recorded.evidence.reset

    def step(self, action: dict[str, Any]) -> Any:
        if json.dumps(action) != json.dumps(self.recorded.actions[self.steps]):
            raise Refused(
                "VALIDATION_ERROR", f"{self.recorded.actions[self.steps]} was recorded, not {action}"
            )
        self.steps += 1
        observation = self.recorded.observations[self.steps]
        return {"observation": observation, "reward": 0.5, "done": False}

    def state(self) -> Any:
        return self.recorded.evidence.state


class Replay(Little):
    """The server of one capture; it has room for one session."""

    max_sessions = 1

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def environment(self) -> Any:
        return Player(self.name)

    def check_action(self, action: dict[str, Any]) -> None:
        pass

    def schema(self) -> Any:
        return recorded(self.name).evidence.schema

    def route(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        path = path.removeprefix(f"/{self.name}")
        return (
            (200, {"name": recorded(self.name).evidence.name})
            if path == "/metadata"
            else super().route(method, path, body)
        )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """All of them, each below its name."""
    servers = {name: Replay(name) for name in CAPTURES}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await servers[scope["path"].split("/")[1]](scope, receive, send)

    with running(application) as address:
        web.get(f"{address}/{CAPTURES[0]}/health")  # its loop has opened its own sockets then
        yield address


@pytest.mark.parametrize("name", CAPTURES)
def test_a_recorded_server_is_played_as_it_was(url: str, name: str) -> None:
    expected = infer(recorded(name).evidence, HINTS.get(name), shipped=shipped_hints())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = OpenEnvGym(f"{url}/{name}", hints=HINTS.get(name))
    with closing(env):
        assert identical(env.action_space, expected.action_space)
        assert identical(env.observation_space, expected.observation_space)
        said = [str(each.message) for each in caught]
        assert len(said) == (name != "connect4") and all("does not tell its spaces" in each for each in said)
        assert str(env.inference) == str(expected)
        observation, info = env.reset()
        labels = next(row.labels for row in expected.fields if row.role == "decision")
        for fields in recorded(name).actions:
            assert observation in env.observation_space
            assert ("action_mask" in info) == expected.masks
            action = action_for(env.action_space, fields, labels)
            observation, reward, terminated, truncated, info = env.step(action)
            assert (reward, terminated, truncated) == (0.5, False, False)
        assert observation in env.observation_space
