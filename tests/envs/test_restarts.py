"""After its server has restarted, a client says that its session is gone; it never begins another unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from openenv_gym import AsyncClient, Client, OpenEnvClient, OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import Closed, ConnectionLost, ServerClosed
from tests.environments import Counter

ENDED = (ServerClosed, ConnectionLost)


class Restarting:
    """A server that can be replaced by a fresh one on its port."""

    def __init__(self) -> None:
        self.server = serve_gym(Counter, port=0, block=False)
        self.url = self.server.url

    def restart(self) -> None:
        self.server.close()
        self.server = serve_gym(Counter, port=urlsplit(self.url).port or 0, block=False)
        assert self.server.url == self.url

    def sessions(self) -> int:
        return len(self.server.house.sessions)


@pytest.fixture
def restarting() -> Any:
    server = Restarting()
    yield server
    server.server.close()


def says_that_it_is_over(first: Callable[[], object], *others: Callable[[], object]) -> None:
    with pytest.raises(ENDED):
        first()
    for use in (first, *others):
        with pytest.raises((Closed, *ENDED)):
            use()


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_blocking_client(restarting: Restarting, dialect: str) -> None:
    client = Client.to(restarting.url, dialect=dialect)
    client.reset()
    restarting.restart()
    action = 1 if dialect == "native" else {"action": 1}
    says_that_it_is_over(lambda: client.step_one(action), client.reset, client.state)
    client.close()
    assert restarting.sessions() == 0


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_an_asynchronous_client(restarting: Restarting, dialect: str) -> None:
    with asyncio.Runner() as runner:
        client = runner.run(AsyncClient.to(restarting.url, dialect=dialect))
        runner.run(client.reset())
        restarting.restart()
        says_that_it_is_over(lambda: runner.run(client.reset()), lambda: runner.run(client.state()))
        runner.run(client.close())
    assert restarting.sessions() == 0


def test_a_typed_client(restarting: Restarting) -> None:
    with asyncio.Runner() as runner:
        client, blocking = OpenEnvClient(restarting.url), OpenEnvClient(restarting.url).sync()
        runner.run(client.reset())
        blocking.reset()
        restarting.restart()
        says_that_it_is_over(
            lambda: runner.run(client.step({"action": 1})),
            lambda: runner.run(client.reset()),
            lambda: runner.run(client.state()),
        )
        says_that_it_is_over(
            lambda: blocking.step({"action": 1}), blocking.reset, lambda: blocking.connect().state()
        )
        runner.run(client.close())
        blocking.close()
    assert restarting.sessions() == 0


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_the_faces_of_gymnasium(restarting: Restarting, dialect: str) -> None:
    env = OpenEnvGym(restarting.url, dialect=dialect)
    envs = OpenEnvVectorEnv(restarting.url, 2, dialect=dialect)
    env.reset()
    envs.reset()
    restarting.restart()
    says_that_it_is_over(lambda: env.step(1), env.reset, env.state)
    says_that_it_is_over(lambda: envs.step(np.array([1, 1])), envs.reset)
    env.close()
    envs.close()
    assert restarting.sessions() == 0
