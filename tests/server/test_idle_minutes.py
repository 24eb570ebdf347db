"""Ten idle minutes in virtual time: the clocks of a real server, and of its clients, are moved on."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from openenv_gym import AsyncClient, Client
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import ConnectionLost
from openenv_gym.hosting.source import open_source
from openenv_gym.server.app import Application
from openenv_gym.server.episodes import Episodes
from openenv_gym.server.house import House
from openenv_gym.server.limits import Limits
from openenv_gym.server.listening import WebServer, listen, url_of
from tests import web
from tests.environments import Counter, Sleeper
from tests.served import eventually, health
from tests.sockets import JsonSocket

TEN_MINUTES = 600
GRACE, IDLE = 60.0, 900.0
"""What the limits are unless an operator says otherwise."""


@dataclass
class Shift:
    """By how many seconds the clocks that know it are ahead."""

    seconds: float = 0.0
    loops: list[asyncio.AbstractEventLoop] = field(default_factory=list)

    def now(self) -> float:
        return time.monotonic() + self.seconds

    def loop(self) -> asyncio.AbstractEventLoop:
        """An event loop whose timers follow this clock."""
        shift = self

        class Loop(asyncio.SelectorEventLoop):
            def time(self) -> float:
                return shift.now()

        self.loops.append(Loop())
        return self.loops[-1]

    def advance(self, seconds: int) -> None:
        """Let time pass in steps of a second; all that is due at each is done before the next."""
        for _ in range(seconds):
            self.seconds += 1
            for loop in self.loops:
                for _ in range(3):  # what is due, what follows from it, and what follows from that
                    done = threading.Event()
                    loop.call_soon_threadsafe(done.set)
                    assert done.wait(20)


@contextmanager
def served(env: type[Counter], shift: Shift) -> Iterator[GymServer]:
    house = House(open_source(env), Limits())
    assert (house.limits.resume_grace, house.limits.idle_timeout) == (GRACE, IDLE)
    application = Application(house, Episodes(house, clock=shift.now))
    listener = listen("127.0.0.1", 0)
    web_server = WebServer(application, listener)
    web_server._config.get_loop_factory = lambda: shift.loop  # type: ignore[method-assign]
    with GymServer(web_server, url_of(listener), house).start() as server:
        yield server
    assert house.active_lanes == 0


def socket_of(client: Any) -> Any:
    transport = client._transport
    assert isinstance(transport, SocketTransport)
    return transport._socket


@pytest.mark.parametrize("env", [Counter, Sleeper])
def test_ten_idle_minutes_end_nothing_that_is_connected(env: type[Counter]) -> None:
    shift = Shift()
    with (
        served(env, shift) as server,
        Client.to(server.url) as native,
        Client.to(server.url, dialect="json") as text,
        JsonSocket(server.url, "/mcp") as mcp,
        web.Client(base_url=server.url) as http,
    ):
        native.reset()
        text.reset()
        create = {"jsonrpc": "2.0", "id": 1, "method": "openenv/session/create"}
        attached = mcp.ask(create)["result"]["session_id"]
        named = http.post("/reset").json()["session_id"]
        gone = Client.to(server.url)
        gone.reset()
        gone.abandon()
        assert eventually(lambda: server.house.parked == 1)
        shift.advance(int(GRACE) - 1)
        assert health(server.url)["sessions"] == 5
        shift.advance(2)
        assert eventually(lambda: health(server.url)["sessions"] == 4)

        connections = [socket_of(client) for client in (native, text, mcp)]
        shift.advance(TEN_MINUTES)
        # Not a byte, so no ping either: nobody would answer it while the trainer thinks.
        assert select.select(connections, [], [], 0) == ([], [], [])
        assert native.step_one(1).observation[0].tolist() == [1.0]
        assert text.step_one({"action": 1}).reward[0] == 1.0
        said = http.post("/step", json={"action": {"action": 1}, "session_id": named})
        assert said.json()["observation"]["observation"] == [1.0]

        shift.advance(int(IDLE) + 30)  # the session of HTTP alone has nobody who is connected
        assert eventually(lambda: health(server.url)["sessions"] == 3)
        assert http.get("/state", params={"session_id": named}).status_code == 404
        assert native.step_one(1).observation[0].tolist() == [2.0]
        assert text.step_one({"action": 1}).reward[0] == 1.0
        with JsonSocket(server.url, session_id=attached) as joined:
            assert joined.ask({"type": "reset"})["data"]["done"] is False


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_ten_minutes_of_an_event_loop_that_only_waits(dialect: str) -> None:
    """Nor does an asynchronous client, whose loop runs, end anything or say a word."""

    async def play(url: str, shift: Shift) -> None:
        async with await AsyncClient.to(url, dialect=dialect) as client:
            action: Any = 1 if dialect == "native" else {"action": 1}
            await client.reset()
            await client.step_one(action)
            for _ in range(TEN_MINUTES):
                shift.seconds += 1
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert (await client.step_one(action)).reward[0] == 1.0
            assert (await client.state())["step_count"] == 2

    clients, servers = Shift(), Shift()
    with served(Counter, servers) as server, asyncio.Runner(loop_factory=clients.loop) as runner:
        runner.run(play(server.url, clients))


def test_a_cut_after_idle_minutes_is_resumed_and_one_that_lasts_is_not() -> None:
    shift = Shift()
    with served(Counter, shift) as server:
        patient, late = Client.to(server.url), Client.to(server.url)
        for client in (patient, late):
            client.reset()
        shift.advance(TEN_MINUTES)
        drop(patient)
        assert patient.step_one(1).observation[0].tolist() == [1.0]
        drop(late)
        assert eventually(lambda: server.house.parked == 1)
        shift.advance(int(GRACE) + 1)
        with pytest.raises(ConnectionLost, match="does not have the session"):
            late.step_one(1)
        patient.close()


def drop(client: Client) -> None:
    """Break its connection without a word."""
    socket_of(client).shutdown(socket.SHUT_RDWR)
