"""Several workers look like one server: even, exact in its capacity, and every session is found."""

from __future__ import annotations

import asyncio
import re
from collections import Counter as Counts
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from openenv_gym import AsyncClient, Client, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CapacityReached, InvalidArgument
from openenv_gym.server.workers.heads import worker_of
from openenv_gym.wire.messages import Hello
from tests.environments import Counter
from tests.served import eventually, health
from tests.sockets import JsonSocket

WORKERS = 2
LANES = 40
STEP = {"action": {"action": 1}}


@pytest.fixture(scope="module")
def server() -> Iterator[GymServer]:
    with serve_gym(Counter, port=0, block=False, workers=WORKERS, max_lanes=LANES) as server:
        yield server


class Connections:
    """HTTP connections to a server, each of its own, whose sessions end with the test."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = ExitStack()
        self._begun: set[str] = set()

    def __call__(self) -> httpx.Client:
        """A further one."""
        return self._stack.enter_context(
            httpx.Client(base_url=self._url, event_hooks={"response": [self._note]}, verify=False)
        )

    def begin(self) -> str:
        """A session on the worker that has the fewest connections and sessions."""
        return str(self().post("/reset", json={}).json()["session_id"])

    def begin_on_each(self) -> list[str]:
        """A session on each worker."""
        ids = sorted(self.begin() for _ in range(WORKERS))
        assert [worker_of(session_id) for session_id in ids] == list(range(WORKERS))
        return ids

    def close(self) -> None:
        """End the sessions, and the connections."""
        http = self()
        for session_id in sorted(self._begun):
            http.post("/close", json={"session_id": session_id})
        self._stack.close()

    def _note(self, response: httpx.Response) -> None:
        if response.status_code == 101:
            return
        response.read()
        for found in re.findall(r'"session_id": "(w[01]-[0-9a-f]+)"', response.text):
            self._begun.add(found)


@pytest.fixture
def connect(server: GymServer) -> Iterator[Connections]:
    connections = Connections(server.url)
    yield connections
    connections.close()
    assert eventually(lambda: health(server.url)["active_lanes"] == 0)


def sessions(server: GymServer) -> list[int]:
    """How many sessions each worker has."""
    text = httpx.get(f"{server.url}/metrics").text
    return [int(count) for count in re.findall(r'^openenv_gym_sessions{worker="\d+"} (\d+)$', text, re.M)]


@pytest.mark.parametrize("count", [8, 32])
@pytest.mark.usefixtures("connect")
def test_connections_spread_evenly(server: GymServer, count: int) -> None:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(Client.to(server.url))
        assert sessions(server) == [count / WORKERS] * WORKERS


@pytest.mark.usefixtures("connect")
def test_clients_that_look_before_they_connect_spread_evenly(server: GymServer) -> None:
    with ExitStack() as stack:
        for _ in range(8):
            http = stack.enter_context(httpx.Client())
            assert http.get(f"{server.url}/schema").status_code == 200
            stack.enter_context(JsonSocket(server.url)).ask({"type": "reset"})
        assert sessions(server) == [8 / WORKERS] * WORKERS


@pytest.mark.usefixtures("connect")
def test_vectors_of_lanes_spread_evenly(server: GymServer) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            env = OpenEnvVectorEnv(server.url, num_envs=8)
            stack.callback(env.close)
            env.reset()
        assert sessions(server) == [2, 2]
        assert health(server.url)["active_lanes"] == 32


@pytest.mark.usefixtures("connect")
def test_one_capacity_is_never_exceeded(server: GymServer) -> None:
    async def attach(stay: asyncio.Event, ready: asyncio.Semaphore) -> bool:
        try:
            async with await AsyncClient.to(server.url) as client:
                await client.reset()
                ready.release()
                await stay.wait()
                return True
        except CapacityReached as error:
            assert error.fields == {"active_lanes": LANES, "max_lanes": LANES}
            ready.release()
            return False

    async def crowd() -> list[bool]:
        stay, ready = asyncio.Event(), asyncio.Semaphore(0)
        tasks = [asyncio.create_task(attach(stay, ready)) for _ in range(64)]
        for _ in tasks:
            await ready.acquire()
        assert (await asyncio.to_thread(health, server.url))["active_lanes"] == LANES
        stay.set()
        return await asyncio.gather(*tasks)

    assert Counts(asyncio.run(crowd())) == {True: LANES, False: 64 - LANES}


def test_a_request_for_more_lanes_than_there_are_is_refused(server: GymServer) -> None:
    with pytest.raises(CapacityReached):
        Client.to(server.url, Hello(lanes=LANES + 1))


def test_sessions_over_http_are_found_from_any_connection(connect: Connections) -> None:
    ids = connect.begin_on_each()
    one = connect()
    for steps in (1, 2, 3):
        for session_id in ids:
            said = one.post("/step", json={**STEP, "session_id": session_id}).json()
            assert (said["observation"]["observation"], said["session_id"]) == ([steps], session_id)
            assert one.get("/state", params={"session_id": session_id}).json()["step_count"] == steps
            named = {"X-Session-Id": session_id}
            assert one.get("/state", headers=named).json()["step_count"] == steps
    for session_id in ids:
        assert one.post("/close", json={"session_id": session_id}).json()["closed"] is True
        answer = one.post("/step", json={**STEP, "session_id": session_id})
        assert (answer.status_code, answer.json()["error"]["error_code"]) == (404, "UNKNOWN_SESSION")


def test_calls_without_an_id_mean_the_last_reset_wherever_it_was(connect: Connections) -> None:
    https = [connect() for _ in range(WORKERS)]
    workers = set()
    for http in https:
        session_id = http.post("/reset", json={}).json()["session_id"]
        workers.add(worker_of(session_id))
        for steps, other in enumerate(https, 1):
            said = other.post("/step", json=STEP).json()
            assert (said["session_id"], said["observation"]["observation"]) == (session_id, [steps])
    assert workers == set(range(WORKERS))
    assert https[0].post("/close").json()["closed"] is True
    assert {http.post("/step", json=STEP).status_code for http in https} == {409}


def test_a_repeated_reset_finds_what_it_has_begun(connect: Connections) -> None:
    https = [connect() for _ in range(2 * WORKERS)]
    said = {http.post("/reset", json={"request_id": "mine"}).json()["session_id"] for http in https}
    assert len(said) == 1
    assert {http.post("/step", json=STEP).json()["session_id"] for http in https} == said


@pytest.mark.parametrize(
    "session_id", ["w0-0123", "w1-0123", "w7-0123", "w9999-", "w99999999999-1", "nobody", "w1-\u00fc"]
)
def test_a_forged_id_is_unknown(server: GymServer, session_id: str) -> None:
    for _ in range(WORKERS):
        answer = httpx.post(f"{server.url}/step", json={**STEP, "session_id": session_id})
        assert (answer.status_code, answer.json()["error"]["error_code"]) == (404, "UNKNOWN_SESSION")
        with JsonSocket(server.url, session_id=session_id) as socket:
            assert socket.receive()["data"]["code"] == "SESSION_ERROR"
            assert socket.is_closed()


def test_a_websocket_joins_a_session_on_any_worker(server: GymServer, connect: Connections) -> None:
    for session_id in connect.begin_on_each():
        with JsonSocket(server.url, session_id=session_id) as socket:
            said = socket.ask({"type": "step", "data": {"action": 1}})
            assert said["data"]["observation"]["observation"] == [1]


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
    "Sec-WebSocket-Version": "13",
}


def test_a_websocket_on_a_connection_that_is_kept_alive_joins_too(connect: Connections) -> None:
    for session_id in connect.begin_on_each():
        http = connect()
        http.get("/health")
        with http.stream("GET", f"/ws?session_id={session_id}", headers=UPGRADE) as answer:
            assert answer.status_code == 101
            raw = answer.extensions["network_stream"]
            step = b'{"type": "step", "data": {"action": 1}}'
            raw.write(bytes((0x81, 0x80 | len(step), 0, 0, 0, 0)) + step)
            assert b'"observation": [1' in raw.read(1 << 16).replace(b'"observation":[', b'"observation": [')


def test_a_websocket_finds_its_worker_again(connect: Connections) -> None:
    for keeps_alive in (False, True):
        for worker in ("w1", "w0", "w1", "w1", "w1"):
            http = connect()
            if keeps_alive:
                http.get("/health")
            with http.stream("GET", f"/ws?worker={worker}", headers=UPGRADE) as answer:
                assert (answer.status_code, answer.headers["x-openenv-worker"]) == (101, worker)
        for unknown in ("w7", "nobody", ""):
            with connect().stream("GET", f"/ws?worker={unknown}", headers=UPGRADE) as answer:
                assert answer.status_code == 101


def call(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def test_sessions_over_mcp_are_found_from_any_connection(server: GymServer, connect: Connections) -> None:
    https = [connect() for _ in range(WORKERS)]
    create, close = call("openenv/session/create"), "openenv/session/close"
    ids = [http.post("/mcp", json=create).json()["result"]["session_id"] for http in https]
    assert {worker_of(session_id) for session_id in ids} == set(range(WORKERS))
    for http in https:
        for session_id in ids:
            said = http.post("/mcp", json=call("tools/list", session_id=session_id)).json()
            assert said["result"] == {"tools": []}
    with JsonSocket(server.url, "/mcp") as socket:
        for session_id in ids:
            said = socket.ask(call(close, session_id=session_id))
            assert (said["id"], said["result"]) == (7, {"session_id": session_id, "closed": True})
            assert socket.ask(call(close, session_id=session_id))["error"]["code"] == -32602
        assert socket.ask(call(close, session_id="w7-1"))["error"]["code"] == -32602


def test_a_session_that_nobody_has_named_makes_room_on_another_worker(
    server: GymServer, connect: Connections
) -> None:
    connect.begin_on_each()
    with ExitStack() as stack:
        for _ in range(LANES - WORKERS):
            stack.enter_context(Client.to(server.url))
        http = connect()
        begun = {worker_of(http.post("/reset", json={}).json()["session_id"]) for _ in range(4)}
        assert len(begun) == 1 and health(server.url)["active_lanes"] == LANES
        for _ in range(WORKERS):
            stack.enter_context(Client.to(server.url))
        assert http.post("/reset", json={}).status_code == 503
        assert health(server.url)["active_lanes"] == LANES


def test_a_large_body_is_handed_on(connect: Connections) -> None:
    ids = connect.begin_on_each()
    http = connect()
    for session_id in ids:
        said = http.post("/reset", json={"padding": "x" * 500_000, "session_id": session_id})
        assert said.json()["session_id"] == session_id


def test_pages_are_the_same_from_any_worker(server: GymServer) -> None:
    for path in ("/metadata", "/schema", "/openapi.json"):
        assert len({httpx.get(f"{server.url}{path}").text for _ in range(2 * WORKERS)}) == 1


def test_the_house_is_not_in_this_process(server: GymServer) -> None:
    with pytest.raises(InvalidArgument, match="workers"):
        server.house  # noqa: B018
    assert "workers" in repr(server) and len(server.worker_pids) == WORKERS


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_many_connections_spread_evenly_over_many_workers(workers: int) -> None:
    with serve_gym(Counter, port=0, block=False, workers=workers) as server:
        for count in (8, 64, 256):
            for looks_first in (False, True):
                with ExitStack() as stack:
                    for _ in range(count):
                        if looks_first:
                            http = stack.enter_context(httpx.Client(verify=False))
                            http.get(f"{server.url}/schema")
                        stack.enter_context(Client.to(server.url))
                    assert sessions(server) == [count / workers] * workers
                assert eventually(lambda: health(server.url)["active_lanes"] == 0)
