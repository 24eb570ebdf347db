"""JSON-RPC on the WebSocket ``/mcp``, and in ``mcp`` messages on ``/ws``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openenv_gym import serve_gym
from openenv_gym.envs.serving import GymServer
from tests import web
from tests.environments import Counter, Sleeper
from tests.served import eventually
from tests.sockets import JsonSocket


@pytest.fixture(params=[Counter, Sleeper], ids=["inline", "own-thread"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    with serve_gym(request.param, port=0, block=False, max_lanes=2) as server:
        yield server
        assert eventually(lambda: server.house.active_lanes == 0)


def call(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def answered(said: Any) -> Any:
    assert (said["jsonrpc"], said["id"]) == ("2.0", 7)
    return said.get("result", said.get("error"))


def test_the_connection_has_a_session_for_as_long_as_it_lasts(server: GymServer) -> None:
    with JsonSocket(server.url, "/mcp") as socket:
        session_id = answered(socket.ask(call("openenv/session/create")))["session_id"]
        assert answered(socket.ask(call("openenv/session/create")))["session_id"] == session_id
        assert server.house.active_lanes == 1
        with JsonSocket(server.url, session_id=session_id) as player:
            assert player.ask({"type": "reset"})["type"] == "observation"
            socket.close()
            assert player.receive()["data"]["code"] == "SESSION_ERROR"
            assert player.is_closed()
    assert eventually(lambda: server.house.active_lanes == 0)


def test_there_are_no_tools(server: GymServer) -> None:
    with JsonSocket(server.url, "/mcp") as socket:
        assert answered(socket.ask(call("tools/list"))) == {"tools": []}
        # The session of the connection is meant, whichever is named.
        assert answered(socket.ask(call("tools/list", session_id="nobody"))) == {"tools": []}
        assert answered(socket.ask(call("tools/call", name="hammer")))["code"] == -32602
        assert answered(socket.ask(call("tools/call")))["code"] == -32602


def test_other_sessions_can_be_closed_but_not_its_own(server: GymServer) -> None:
    with web.Client(base_url=server.url) as http, JsonSocket(server.url, "/mcp") as socket:
        other = http.post("/reset").json()["session_id"]
        said = answered(socket.ask(call("openenv/session/close", session_id=other)))
        assert said == {"session_id": other, "closed": True}
        own = answered(socket.ask(call("openenv/session/create")))["session_id"]
        assert answered(socket.ask(call("openenv/session/close", session_id=own)))["code"] == -32600
        assert answered(socket.ask(call("openenv/session/close", session_id=other)))["code"] == -32602
        assert answered(socket.ask(call("openenv/session/close")))["code"] == -32602


def test_the_connection_ends_with_a_session_that_was_closed_elsewhere(server: GymServer) -> None:
    with web.Client(base_url=server.url) as http, JsonSocket(server.url, "/mcp") as socket:
        own = answered(socket.ask(call("openenv/session/create")))["session_id"]
        assert http.post("/close", json={"session_id": own}).json()["closed"] is True
        assert socket.ask(call("tools/list"))["error"]["code"] == -32000
        assert socket.is_closed()


MISTAKES = [
    ({}, -32600),
    ({"jsonrpc": "1.0", "method": "tools/list"}, -32600),
    ({"jsonrpc": "2.0", "method": "tools/list", "params": []}, -32600),
    ({"jsonrpc": "2.0", "method": "nothing"}, -32601),
    ('{"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "\\ud800"}}', -32602),
]


@pytest.mark.parametrize(
    ("sent", "code"), [*MISTAKES, ("nope", -32700), ("", -32700), (b"\xff", -32700), ("[" * 100_000, -32700)]
)
def test_what_is_wrong_is_said_and_the_connection_goes_on(server: GymServer, sent: Any, code: int) -> None:
    with JsonSocket(server.url, "/mcp") as socket:
        said = socket.ask(sent)
        assert (said["jsonrpc"], said["id"], said["error"]["code"]) == ("2.0", None, code)
        assert answered(socket.ask(call("tools/list"))) == {"tools": []}


@pytest.mark.parametrize("sent", ["[]", "null", "7"])
def test_json_that_is_no_object_ends_the_connection_as_upstream_does(server: GymServer, sent: str) -> None:
    with JsonSocket(server.url, "/mcp") as socket:
        assert socket.ask(sent)["error"]["code"] == -32000
        assert socket.is_closed()


def test_a_full_server_says_so_and_closes(server: GymServer) -> None:
    with JsonSocket(server.url, "/mcp") as first, JsonSocket(server.url, "/mcp") as second:
        for socket in (first, second):
            socket.ask(call("tools/list"))
        with JsonSocket(server.url, "/mcp") as late:
            error = late.receive()["error"]
            assert (error["code"], error["data"]) == (-32000, {"active_sessions": 2, "max_sessions": 2})
            assert late.is_closed()


@pytest.mark.parametrize(("sent", "code"), MISTAKES)
def test_a_message_of_a_session_says_the_same(server: GymServer, sent: Any, code: int) -> None:
    message = sent if isinstance(sent, dict) else None
    with JsonSocket(server.url) as socket:
        said = socket.ask(
            {"type": "mcp", "data": message} if message is not None else f'{{"type":"mcp","data":{sent}}}'
        )
        assert said["type"] == "mcp"
        assert (said["data"]["id"], said["data"]["error"]["code"]) == (None, code)


def test_messages_of_a_session_come_between_its_steps(server: GymServer) -> None:
    with JsonSocket(server.url) as socket:
        socket.ask({"type": "reset"})
        own = answered(socket.ask({"type": "mcp", "data": call("openenv/session/create")})["data"])
        assert list(server.house.sessions) == [own["session_id"]]
        for count in (1, 2):
            tools = socket.ask({"type": "mcp", "data": call("tools/list")})
            assert answered(tools["data"]) == {"tools": []}
            said = socket.ask({"type": "step", "data": {"action": 1}})
            assert said["data"]["observation"]["observation"] == [count]


@pytest.mark.parametrize(
    "message", [{"type": "mcp"}, {"type": "mcp", "data": []}, {"type": "mcp", "data": {}, "id": 1}]
)
def test_a_message_that_is_none_is_refused(server: GymServer, message: dict[str, Any]) -> None:
    with JsonSocket(server.url) as socket:
        assert socket.ask(message)["data"]["code"] == "VALIDATION_ERROR"
        assert socket.ask({"type": "reset"})["type"] == "observation"
