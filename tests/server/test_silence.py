"""A trainer that thinks for longer than any period of server or kernel finds its session as it left it.

The periods are shortened here, so that seconds do for the minute that they take otherwise.
"""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest
import uvicorn

from openenv_gym import Client, OpenEnvGym, serve_gym
from openenv_gym.client import sockets
from openenv_gym.client.transports import SocketTransport
from openenv_gym.server import listening
from openenv_gym.server.listening import WebServer

SILENCE_SECONDS = 3.5
"""For kernels to ask twice whether the other is there, and for pings three times over."""
PINGS = {"ws_ping_interval": 0.5, "ws_ping_timeout": 0.5, "timeout_keep_alive": 1}
"""A fortieth of uvicorn's own, a fifth of the last."""


class HastyConfig(uvicorn.Config):
    """uvicorn's own periods are short; what it is asked for holds."""

    def __init__(self, app: Any, **asked: Any) -> None:
        super().__init__(app, **{**PINGS, **asked})


class PingingConfig(uvicorn.Config):
    """They are, whatever it is asked for."""

    def __init__(self, app: Any, **asked: Any) -> None:
        super().__init__(app, **{**asked, **PINGS})


@pytest.fixture
def hasty_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends ask after a second whether the other is there, and again every second."""
    monkeypatch.setattr(listening, "_KEEPALIVE_IDLE_SECONDS", 1)
    monkeypatch.setattr(listening, "_KEEPALIVE_INTERVAL_SECONDS", 1)
    monkeypatch.setattr(sockets, "_KEEPALIVE", (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1)))


def socket_of(client: Any) -> Any:
    assert isinstance(client, Client)
    assert isinstance(client._transport, SocketTransport)
    return client._transport._socket


@pytest.mark.slow
@pytest.mark.usefixtures("hasty_kernel")
def test_silence_does_not_lose_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "Config", HastyConfig)
    with serve_gym("CartPole-v1", port=0, block=False, idle_timeout=1.0, resume_grace=1.0) as server:
        env = OpenEnvGym(server.url)
        text = Client.to(server.url, dialect="json")
        env.reset(seed=1)
        env.step(0)
        text.reset(seeds=[1])
        connections = [socket_of(client) for client in (env._remote.lanes, text)]
        # Not a byte, so no ping either: nobody would answer it while the trainer thinks.
        assert select.select(connections, [], [], SILENCE_SECONDS) == ([], [], [])
        env.step(0)
        assert env.state()["step_count"] == 2
        assert text.step_one({"action": 1}).reward[0] == 1.0
        text.close()
        env.close()


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_ping_would_have_been_heard(monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    monkeypatch.setattr(uvicorn, "Config", PingingConfig)
    with (
        serve_gym("CartPole-v1", port=0, block=False) as server,
        Client.to(server.url, dialect=dialect) as client,
    ):
        client.reset()
        heard, _, _ = select.select([socket_of(client)], [], [], 20)
        assert heard == [socket_of(client)]


def test_nobody_is_pinged_and_kernels_look_for_the_dead_within_a_minute() -> None:
    periods = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    with serve_gym("CartPole-v1", port=0, block=False) as server, Client.to(server.url) as client:
        assert isinstance(server._web, WebServer)
        assert server._web._config.ws_ping_interval is None
        for each in (*server._web._listeners, socket_of(client)):
            assert each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            for name, value in periods.items():
                if hasattr(socket, name):
                    assert each.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
