"""Message by message: what a stock server without tools says over WebSockets about MCP, ours says too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from openenv_gym import serve_gym
from tests import web
from tests.environments import Counter
from tests.peers.scaffold import make_scaffold, served
from tests.served import eventually
from tests.sockets import JsonSocket

pytestmark = pytest.mark.slow

SESSIONS = 2


@pytest.fixture(scope="module")
def stock(awake_stock: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scaffold = make_scaffold(awake_stock, tmp_path_factory.mktemp("scaffold"), SESSIONS)
    with served(awake_stock, scaffold) as url:
        yield url


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    with serve_gym(Counter, port=0, block=False, max_lanes=SESSIONS) as server:
        yield server.url


def shape_of(said: Any, names: dict[str, str]) -> Any:
    """An answer without its prose, and with session ids by their names."""
    if isinstance(said, dict):
        prose = {"message", "error_code", "errors", "side"}
        return {name: shape_of(value, names) for name, value in sorted(said.items()) if name not in prose}
    if isinstance(said, list):
        return [shape_of(value, names) for value in said]
    return names.get(said, said) if isinstance(said, str) else said


def call(method: str, identity: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


CREATE, CLOSE = "openenv/session/create", "openenv/session/close"

CALLS: list[Any] = [
    call(CREATE),
    call(CREATE, "text"),
    call(CLOSE),
    call(CLOSE, session_id=None),
    call(CLOSE, session_id="nobody"),
    call("tools/call"),
    call("tools/call", name=""),
    call("resources/list"),
    call("openenv/session/list", None),
    {},
    {"jsonrpc": "2.0"},
    {"jsonrpc": "1.0", "method": "tools/list"},
    {"jsonrpc": "2.0", "method": "tools/list", "params": []},
    {"jsonrpc": "2.0", "method": "tools/list", "params": None},
    {"jsonrpc": "2.0", "method": "tools/list", "more": 1},
    {"jsonrpc": "2.0", "method": 7},
    {"jsonrpc": "2.0", "method": "nothing", "id": 1.5},
    {"jsonrpc": "2.0", "method": "nothing", "id": "x"},
]


@contextmanager
def seated(url: str, count: int = 1) -> Iterator[list[tuple[JsonSocket, str]]]:
    """Sockets on ``/mcp`` that have a session each, and its id; whoever left before gives up his in time."""
    with ExitStack() as stack:

        def sit_down() -> bool:
            stack.close()
            seats.clear()
            for _ in range(count):
                socket = stack.enter_context(JsonSocket(url, "/mcp"))
                answer = socket.ask(call(CREATE))
                if "result" not in answer:
                    return False
                seats.append((socket, answer["result"]["session_id"]))
            return True

        seats: list[tuple[JsonSocket, str]] = []
        assert eventually(sit_down)
        yield seats


def on_mcp(url: str) -> list[Any]:
    """What is said on the WebSocket ``/mcp``."""
    with seated(url) as [(socket, own)]:
        asked = [*CALLS, call(CLOSE, session_id=own), "nope", "", "{"]
        said = [shape_of(socket.ask(message), {own: "own"}) for message in asked]
        said.append(shape_of(socket.ask("[]"), {own: "own"}))
        assert socket.is_closed()
    return said


def on_ws(url: str, **query: Any) -> list[Any]:
    """What is said in ``mcp`` messages on ``/ws``."""
    if not query:
        wait_until_empty(url)
    with JsonSocket(url, **query) as socket:
        own = socket.ask({"type": "mcp", "data": call(CREATE)})["data"]["result"]["session_id"]
        asked: list[Any] = [{"type": "mcp", "data": data} for data in [*CALLS, call(CLOSE, session_id=own)]]
        asked += [{"type": "mcp"}, {"type": "mcp", "data": []}, {"type": "mcp", "data": {}, "id": 3}]
        return [shape_of(socket.ask(message), {own: "own"}) for message in asked]


def attached(url: str) -> list[Any]:
    """What is said to sockets that join a session of ``POST /mcp``."""
    wait_until_empty(url)
    with web.Client(base_url=url) as http:
        own = http.post("/mcp", json=call(CREATE)).json()["result"]["session_id"]
        said = on_ws(url, session_id=own)
        for refused in ("nobody", own):
            with JsonSocket(url, session_id=own) as first:
                first.ask({"type": "state"})
                with JsonSocket(url, session_id=refused) as second:
                    said.append(shape_of(second.receive()["data"]["code"], {}))
                    assert second.is_closed()
                assert first.ask({"type": "reset"})["type"] == "observation"
                first.send({"type": "close"})
                assert first.is_closed()
        said.append(shape_of(http.post("/mcp", json=call(CLOSE, session_id=own)).json(), {own: "own"}))
        with JsonSocket(url, session_id=own) as late:
            said.append(late.receive()["data"]["code"])
            assert late.is_closed()
    return said


def when_full(url: str) -> list[Any]:
    """What the third of two sessions hears."""
    said = []
    with seated(url, SESSIONS):
        for path in ("/mcp", "/ws"):
            with JsonSocket(url, path) as late:
                said.append(shape_of(late.receive(), {}))
                assert late.is_closed()
    return said


def wait_until_empty(url: str) -> None:
    """A session over HTTP can be had, and is given up when the answer says so."""

    def begin_and_end() -> bool:
        answers = [web.post(f"{url}/mcp", json=call(CREATE)).json() for _ in range(SESSIONS)]
        for answer in answers:
            if "result" in answer:
                close = call(CLOSE, session_id=answer["result"]["session_id"])
                assert web.post(f"{url}/mcp", json=close).json()["result"]["closed"]
        return all("result" in answer for answer in answers)

    assert eventually(begin_and_end)


@pytest.mark.parametrize("talk", [on_mcp, on_ws, attached, when_full])
def test_ours_says_what_a_stock_server_says(talk: Any, stock: str, ours: str) -> None:
    assert talk(ours) == talk(stock)


# Knowingly better: an environment without tools has an empty list of them, and a tool that is asked for
# is not found; upstream calls both an internal error.


@pytest.mark.parametrize(
    ("message", "theirs", "answer"),
    [
        (call("tools/list"), -32603, {"tools": []}),
        (call("tools/list", session_id="nobody"), -32603, {"tools": []}),
        (call("tools/call", name="hammer"), -32603, -32602),
    ],
)
def test_where_ours_is_knowingly_better(
    message: dict[str, Any], theirs: int, answer: Any, stock: str, ours: str
) -> None:
    with seated(stock) as [(socket, _)]:
        assert socket.ask(message)["error"]["code"] == theirs
    with seated(ours) as [(socket, _)]:
        said = socket.ask(message)
        assert said.get("result", said.get("error", {}).get("code")) == answer


def test_who_closes_a_session_under_a_socket_means_it(stock: str, ours: str) -> None:
    """Upstream puts the end off until the socket leaves; ours is at once, and the socket is told."""
    said = {}
    for url in (stock, ours):
        wait_until_empty(url)
        with web.Client(base_url=url) as http:
            own = http.post("/mcp", json=call(CREATE)).json()["result"]["session_id"]
            with JsonSocket(url, session_id=own) as socket:
                socket.ask({"type": "state"})
                said[url] = http.post("/mcp", json=call(CLOSE, session_id=own)).json()["result"]
                if url == ours:
                    assert socket.receive()["data"]["code"] == "SESSION_ERROR"
                    assert socket.is_closed()
                else:
                    assert socket.ask({"type": "state"})["type"] == "state"
        assert said[url].pop("session_id") == own
    assert said == {stock: {"closed": False, "closing": True}, ours: {"closed": True}}
