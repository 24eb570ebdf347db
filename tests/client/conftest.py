"""Servers to connect to, and both twins of the client behind one blocking face."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from openenv_gym import AsyncClient, Client, serve_gym
from openenv_gym.client.asgi import AsgiTransport, AsyncAsgiTransport
from openenv_gym.client.dialects import default_hello
from openenv_gym.envs.serving import GymServer
from openenv_gym.server.app import Application
from tests.environments import Sleeper

OpenClient: TypeAlias = Callable[..., Any]
"""Connects to a URL, or to an application; takes what ``Client.to`` takes."""


class Awaited:
    """An ``AsyncClient`` whose calls run to their end, so that one test serves both twins."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self.client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args, **kwargs: self._runner.run(found(*args, **kwargs))


def _open_blocking(where: str | Application, hello: Any = None, **options: Any) -> Client:
    if isinstance(where, str):
        return Client.to(where, hello, **options)
    return Client(lambda offer: AsgiTransport(where, subprotocols=offer), hello or default_hello(), **options)


async def _open_async(where: str | Application, hello: Any = None, **options: Any) -> AsyncClient:
    if isinstance(where, str):
        return await AsyncClient.to(where, hello, **options)
    return await AsyncClient.over(
        lambda offer: AsyncAsgiTransport.to(where, subprotocols=offer), hello, **options
    )


@pytest.fixture(params=["blocking", "async"])
def open_client(request: pytest.FixtureRequest) -> Iterator[OpenClient]:
    """Opens one twin or the other; whatever it opened is closed after the test."""
    opened: list[Any] = []
    with asyncio.Runner() as runner:

        def open_one(*args: Any, **kwargs: Any) -> Any:
            if request.param == "blocking":
                opened.append(_open_blocking(*args, **kwargs))
            else:
                opened.append(Awaited(runner, runner.run(_open_async(*args, **kwargs))))
            return opened[-1]

        yield open_one
        for client in opened:
            client.close()


@pytest.fixture(scope="module")
def cartpole() -> Iterator[GymServer]:
    """CartPole, stepped on the event loop."""
    with serve_gym("CartPole-v1", port=0, block=False, resume_grace=0.5) as server:
        yield server


@pytest.fixture
def sleeper() -> Iterator[GymServer]:
    """An environment that takes its time, on a thread of its own."""
    with serve_gym(Sleeper, port=0, block=False) as server:
        yield server
