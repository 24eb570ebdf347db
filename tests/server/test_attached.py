"""A WebSocket on a session that HTTP or MCP began: one request at a time, no end unnoticed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from openenv_gym import Client
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CapacityReached
from openenv_gym.hosting.source import open_source
from openenv_gym.server.app import Application
from openenv_gym.server.episodes import Episodes
from openenv_gym.server.house import House
from openenv_gym.server.limits import Limits
from openenv_gym.server.listening import WebServer, listen, url_of
from openenv_gym.wire.codecs.native import SUBPROTOCOL
from tests import web
from tests.environments import Counter, Fragile, Painter, Sleeper
from tests.served import eventually
from tests.server.plain_http import served
from tests.sockets import JsonSocket

STEP = {"type": "step", "data": {"action": 1}}


def begin(http: httpx.Client, **body: Any) -> str:
    answer = http.post("/reset", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["session_id"])


def create(http: httpx.Client) -> str:
    return str(rpc(http, "openenv/session/create")["session_id"])


def rpc(http: httpx.Client, method: str, **params: Any) -> Any:
    said = http.post("/mcp", json={"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).json()
    return said.get("result", said.get("error"))


def step(http: httpx.Client, session_id: str) -> int:
    answer = http.post("/step", json={"action": {"action": 1}, "session_id": session_id})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["observation"]["observation"][0])


def steps_of(said: Any) -> int:
    """How many steps the episode has, as ``Counter`` observes it."""
    assert said["type"] == "observation", said
    return int(said["data"]["observation"]["observation"][0])


def assert_ended(socket: JsonSocket, code: str) -> None:
    """An error that nobody asked for, then the goodbye."""
    said = socket.receive()
    assert (said["type"], said["data"]["code"], said["data"]["error_code"]) == (
        "error",
        "SESSION_ERROR",
        code,
    )
    assert socket.is_closed()


@pytest.mark.parametrize("env", [Counter, Sleeper], ids=["inline", "own-thread"])
@pytest.mark.parametrize("how", [begin, create])
def test_a_socket_and_http_play_one_session(env: Any, how: Any) -> None:
    with served(env) as (server, http):
        session_id = how(http)
        with JsonSocket(server.url, session_id=session_id) as socket:
            socket.ask({"type": "reset", "data": {"seed": 3, "episode_id": "mine"}})
            assert steps_of(socket.ask(STEP)) == 1
            assert step(http, session_id) == 2
            assert steps_of(socket.ask(STEP)) == 3
            state = http.get("/state", params={"session_id": session_id}).json()
            assert socket.ask({"type": "state"}) == {"type": "state", "data": state}
            assert state == {"episode_id": "mine", "step_count": 3}
            assert server.house.active_lanes == 1
        assert step(http, session_id) == 4


def test_requests_from_both_sides_are_done_one_at_a_time() -> None:
    with served(Sleeper) as (server, http), JsonSocket(server.url, session_id=begin(http)) as socket:
        session_id = next(iter(server.house.sessions))
        for _ in range(10):
            socket.send(STEP)
        with ThreadPoolExecutor(4) as pool:
            over_http = list(pool.map(lambda _: step(http, session_id), range(10)))
        over_socket = [steps_of(socket.receive()) for _ in range(10)]
        assert sorted(over_http + over_socket) == list(range(1, 21))
        assert over_socket == sorted(over_socket)


def test_the_session_outlives_its_sockets() -> None:
    with served(Counter) as (server, http):
        session_id = begin(http)
        for count in (1, 2, 3):
            socket = JsonSocket(server.url, session_id=session_id)
            assert steps_of(socket.ask(STEP)) == count
            if count == 2:
                socket.send({"type": "close"})
                assert socket.is_closed()
            socket.close()
            assert eventually(lambda: can_attach(server.url, session_id))
        assert step(http, session_id) == 4


def can_attach(url: str, session_id: str) -> bool:
    with JsonSocket(url, session_id=session_id) as socket:
        return bool(socket.ask({"type": "state"})["type"] == "state")


def test_an_unknown_session_is_refused() -> None:
    with served(Counter) as (server, _), JsonSocket(server.url, session_id="nobody") as socket:
        assert_ended(socket, "UNKNOWN_SESSION")


def test_a_session_has_one_socket() -> None:
    with served(Counter) as (server, http):
        session_id = begin(http)
        with JsonSocket(server.url, session_id=session_id) as first:
            first.ask({"type": "state"})
            with JsonSocket(server.url, session_id=session_id) as second:
                assert_ended(second, "INVALID_ARGUMENT")
            assert steps_of(first.ask(STEP)) == 1


def test_an_empty_session_id_begins_a_session_as_none_does() -> None:
    with served(Counter) as (server, http):
        begin(http)
        with JsonSocket(server.url, session_id="") as socket:
            assert steps_of(socket.ask({"type": "reset"})) == 0
            assert server.house.active_lanes == 2


def test_json_is_spoken_whatever_is_offered() -> None:
    with served(Counter) as (server, http):
        with JsonSocket(server.url, session_id=begin(http), offer=(SUBPROTOCOL,)) as socket:
            assert socket.subprotocol is None
            assert steps_of(socket.ask(STEP)) == 1


@pytest.mark.parametrize("how", ["close", "mcp"])
def test_a_session_that_is_closed_over_http_ends_its_socket(how: str) -> None:
    """Upstream answers ``closing`` and lets the socket play on; here who closes a session means it."""
    with served(Counter) as (server, http):
        session_id = begin(http)
        with JsonSocket(server.url, session_id=session_id) as socket:
            socket.ask(STEP)
            if how == "close":
                assert http.post("/close", json={"session_id": session_id}).json()["closed"] is True
            else:
                said = rpc(http, "openenv/session/close", session_id=session_id)
                assert said == {"session_id": session_id, "closed": True}
            assert server.house.active_lanes == 0
            assert_ended(socket, "UNKNOWN_SESSION")


def test_a_step_past_its_deadline_ends_the_socket() -> None:
    with served(Sleeper) as (server, http):
        session_id = begin(http, options={"seconds": 0.5})
        with JsonSocket(server.url, session_id=session_id) as socket:
            socket.ask({"type": "state"})
            late = {"action": {"action": 1}, "session_id": session_id, "timeout_s": 0.05}
            assert http.post("/step", json=late).status_code == 504
            assert_ended(socket, "UNKNOWN_SESSION")
        assert eventually(lambda: server.house.active_lanes == 0)


def test_a_session_under_a_socket_is_neither_idle_nor_evicted() -> None:
    now = [0.0]
    house = House(open_source(Counter), Limits(max_lanes=1, idle_timeout=10))
    application = Application(house, Episodes(house, clock=lambda: now[0]))
    listener = listen("127.0.0.1", 0)
    with GymServer(WebServer(application, listener), url_of(listener), house).start() as server:
        with web.Client(base_url=server.url) as http:
            session_id = begin(http)
            with JsonSocket(server.url, session_id=session_id) as socket:
                socket.ask({"type": "state"})
                now[0] += 1000
                assert http.post("/reset").status_code == 503
                with pytest.raises(CapacityReached):
                    Client.to(server.url)
                assert steps_of(socket.ask(STEP)) == 1
                socket.send({"type": "close"})
                assert socket.is_closed()
            now[0] += 5
            assert step(http, session_id) == 2
            now[0] += 11
            assert http.get("/state", params={"session_id": session_id}).status_code == 404
    assert house.active_lanes == 0


def test_a_mistake_leaves_session_and_socket_as_they_were() -> None:
    with served(Fragile) as (server, http):
        with JsonSocket(server.url, session_id=begin(http)) as socket:
            for sent, code in (
                ("nope", "INVALID_JSON"),
                ({"type": "dance"}, "UNKNOWN_TYPE"),
                ({"type": "step"}, "VALIDATION_ERROR"),
                ({"type": "step", "data": {"action": "left"}}, "VALIDATION_ERROR"),
                ({"type": "reset", "data": {"seed": -1}}, "VALIDATION_ERROR"),
                ({"type": "render"}, "VALIDATION_ERROR"),
            ):
                assert socket.ask(sent)["data"]["code"] == code
            assert steps_of(socket.ask(STEP)) == 1
            socket.ask({"type": "reset", "data": {"options": {"fail": "step"}}})
            assert socket.ask(STEP)["data"]["error_code"] == "ENVIRONMENT_RAISED"
            assert socket.ask(STEP)["data"]["error_code"] == "RESET_NEEDED"
            assert steps_of(socket.ask({"type": "reset"})) == 0


def test_json_that_is_no_object_ends_the_socket_but_not_the_session() -> None:
    with served(Counter) as (server, http):
        session_id = begin(http)
        with JsonSocket(server.url, session_id=session_id) as socket:
            socket.send("[]")
            assert_ended(socket, "PROTOCOL_VIOLATION")
        assert step(http, session_id) == 1


def test_a_socket_renders_the_session_that_http_made_to_render() -> None:
    with served(Painter) as (server, http):
        session_id = begin(http, render_mode="rgb_array")
        with JsonSocket(server.url, session_id=session_id) as socket:
            shown = socket.ask({"type": "render"})
            assert shown["type"] == "render"
            assert {**shown["data"], "session_id": session_id} == http.post("/render").json()
        with JsonSocket(server.url, session_id=session_id, render_mode="ansi") as socket:
            assert_ended(socket, "INVALID_ARGUMENT")
        with JsonSocket(server.url, session_id=session_id, view="picture") as socket:
            assert_ended(socket, "INVALID_ARGUMENT")


def test_mcp_messages_know_the_session_that_they_travel_with() -> None:
    with served(Counter) as (server, http):
        session_id = create(http)
        with JsonSocket(server.url, session_id=session_id) as socket:

            def ask(method: str, **params: Any) -> Any:
                call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                return socket.ask({"type": "mcp", "data": call})["data"]

            assert ask("openenv/session/create")["result"] == {"session_id": session_id}
            assert ask("openenv/session/close", session_id=session_id)["error"]["code"] == -32600
            assert ask("tools/list")["result"] == {"tools": []}
            assert rpc(http, "tools/list", session_id=session_id) == {"tools": []}
            steps = socket.ask({"type": "reset"}), socket.ask(STEP)
            assert [steps_of(said) for said in steps] == [0, 1]


@pytest.mark.parametrize("env", [Counter, Sleeper], ids=["inline", "own-thread"])
def test_a_server_that_stops_ends_its_sockets(env: Any) -> None:
    with served(env) as (server, http):
        socket = JsonSocket(server.url, session_id=begin(http))
        socket.ask(STEP)
        server.close()
        assert socket.is_closed()
        socket.close()
