"""An argument of a wrong type is refused at construction, with what it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest

from openenv_gym import AsyncClient, Client, OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import InvalidArgument


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        yield server.url


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"port": "8000"}, "port is a whole number"),
        ({"port": 1.5}, "port is a whole number"),
        ({"host": 5}, "host is an address"),
        ({"kwargs": 5}, "constructor's arguments by name"),
        ({"mode": 5}, "simulation or production"),
    ],
)
def test_a_server_is_not_opened(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        serve_gym("CartPole-v1", **{"port": 0, "block": False, **arguments})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"timeout": "x"}, "timeout is more than 0 seconds, or None"),
    ({"timeout": -1}, "timeout is more than 0 seconds"),
    ({"timeout": float("nan")}, "timeout is more than 0 seconds"),
    ({"connect_timeout": "x"}, "connect_timeout is more than 0 seconds"),
    ({"wait_timeout": "x"}, "wait_timeout is 0 or more seconds"),
    ({"proxy": 5}, "proxy is an address like"),
]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *WRONG,
        ({"env_kwargs": 5}, "env_kwargs are names and values"),
        ({"action_space": 5}, "action_space is a space"),
        ({"observation_space": "Box"}, "observation_space is a space"),
        ({"encode_action": 5}, "encode_action is a function"),
    ],
)
def test_an_environment_is_not_made(url: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        OpenEnvGym(url, **arguments)
    with pytest.raises(InvalidArgument, match=said):
        OpenEnvVectorEnv(url, num_envs=2, **arguments)


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_nor_is_a_client(url: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        Client.to(url, **arguments)
    with pytest.raises(InvalidArgument, match=said):
        asyncio.run(AsyncClient.to(url, **arguments))


def test_nor_by_an_id() -> None:
    with pytest.raises(InvalidArgument, match="env_kwargs are names and values"):
        gymnasium.make("openenv/gym", env_id="CartPole-v1", env_kwargs=5)
