"""A client waits for a server that is starting, says so, and gives up when none comes."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from openenv_gym import OpenEnvClient, OpenEnvGym, serve_gym
from openenv_gym.client.refusals import unreachable
from openenv_gym.client.waiting import Patience, keep_trying, keep_trying_async
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import ConnectFailed
from tests.client.conftest import OpenClient
from tests.environments import Counter
from tests.fronts import FrontProxy, saying

# with a clock of the test's own ----------------------------------------------------------------


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class Starting:
    """An attempt that fails until the time comes."""

    def __init__(self, clock: Clock, seconds: float, error: Callable[[], ConnectFailed]) -> None:
        self._clock, self._ready, self._error = clock, clock.now + seconds, error

    def __call__(self) -> str:
        if self._clock.now < self._ready:
            raise self._error()
        return "connected"

    async def later(self) -> str:
        return self()


def from_cause(cause: Exception) -> ConnectFailed:
    try:
        raise unreachable(cause, "game.test", 8000) from cause
    except ConnectFailed as error:
        return error


def nobody() -> ConnectFailed:
    return from_cause(ConnectionRefusedError(111, "Connection refused"))


@pytest.fixture(params=["blocking", "async"])
def try_for(request: pytest.FixtureRequest) -> Callable[[Clock, Starting, float | None], str]:
    def run(clock: Clock, attempt: Starting, seconds: float | None) -> str:
        patience = Patience(seconds, clock=clock)
        if request.param == "blocking":
            return keep_trying(attempt, patience, sleep=clock.sleep)
        return asyncio.run(keep_trying_async(attempt.later, patience, sleep=clock.sleep_async))

    return run


TryFor = Callable[[Clock, Starting, float | None], str]


@pytest.mark.parametrize("patience", [10.0, None])
def test_it_waits_with_growing_pauses(try_for: TryFor, patience: float | None) -> None:
    clock = Clock()
    assert try_for(clock, Starting(clock, 4.0, nobody), patience) == "connected"
    assert clock.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_it_gives_up_when_the_time_is_over_and_says_why(try_for: TryFor) -> None:
    clock = Clock()
    with pytest.raises(ConnectFailed, match=r"refused.*10 seconds; wait_timeout") as failure:
        try_for(clock, Starting(clock, 60.0, nobody), 10.0)
    assert clock.now == pytest.approx(110.0)
    assert failure.value.fields == {"host": "game.test", "port": 8000}


def test_no_patience_is_one_attempt(try_for: TryFor) -> None:
    clock = Clock()
    with pytest.raises(ConnectFailed):
        try_for(clock, Starting(clock, 1.0, nobody), 0)
    assert clock.pauses == []


def test_it_says_that_it_waits(try_for: TryFor, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.WARNING, "openenv_gym.client"):
        try_for(clock, Starting(clock, 1.5, nobody), 30.0)
        assert caplog.messages == []
        try_for(clock, Starting(clock, 25.0, nobody), 30.0)
    assert len(caplog.messages) == 3
    assert "game.test:8000" in caplog.messages[0] and "Connection refused" in caplog.messages[0]


@pytest.mark.parametrize(
    "cause",
    [
        ConnectionRefusedError(111, "refused"),
        ConnectionResetError(104, "reset"),
        socket.gaierror(-2, "no such name"),
        EOFError("hung up"),
        OSError("Multiple exceptions: [Errno 111] refused, [Errno 111] refused"),
    ],
)
def test_a_server_that_is_starting_may_fail_like_this(try_for: TryFor, cause: Exception) -> None:
    clock = Clock()
    assert try_for(clock, Starting(clock, 1.0, lambda: from_cause(cause)), 10.0) == "connected"


@pytest.mark.parametrize("status", [401, 403, 404, 407, 500])
def test_an_answer_is_not_waited_out(try_for: TryFor, status: int) -> None:
    clock = Clock()
    with pytest.raises(ConnectFailed):
        try_for(clock, Starting(clock, 1.0, lambda: ConnectFailed("no", status=status)), None)
    assert clock.pauses == []


# with servers ----------------------------------------------------------------------------------


@contextmanager
def nobody_listens() -> Iterator[int]:
    """A port that refuses connections; whoever says SO_REUSEADDR, as our server does, may have it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def late() -> Iterator[str]:
    """The address of a server that starts once somebody may have asked for it."""
    servers: list[GymServer] = []
    with nobody_listens() as port:
        timer = threading.Timer(0.2, lambda: servers.append(serve_gym(Counter, port=port, block=False)))
        timer.start()
        yield f"http://localhost:{port}"
        timer.join()
        for server in servers:
            server.close()


def test_a_client_waits(open_client: OpenClient, late: str) -> None:
    client = open_client(late, wait_timeout=30)
    client.reset()
    client.close()


def test_a_face_waits(late: str) -> None:
    env = OpenEnvGym(late, wait_timeout=30)
    env.reset()
    env.close()
    with OpenEnvClient(late).sync() as typed:
        typed.reset()


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"])
def test_a_client_waits_for_a_server_behind_a_proxy(
    open_client: OpenClient, cartpole: GymServer, status: str
) -> None:
    answers = [saying(status), b""]

    def rewrite(head: bytes) -> tuple[bytes, bytes | None]:
        answer = answers.pop(0)
        return answer, None if answer else head

    with FrontProxy(cartpole.url, rewrite) as front:
        client = open_client(front.url, wait_timeout=30)
        client.reset()
        client.close()
    assert answers == []


@pytest.mark.parametrize("wait", [0, 0.15])
def test_a_server_that_never_comes(open_client: OpenClient, wait: float) -> None:
    with nobody_listens() as port, pytest.raises(ConnectFailed, match="is it running"):
        open_client(f"http://localhost:{port}", wait_timeout=wait)
