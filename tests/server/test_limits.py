"""Each limit of a server ends in a typed error that names its setting, and is told beforehand."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from openenv_gym import AsyncClient, Client, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CapacityReached, Closed, InvalidArgument, InvalidMessage, MessageTooLarge
from tests import web
from tests.environments import Counter, Sleeper
from tests.served import eventually, health

MAX_BYTES = 1 << 16
MAX_DEPTH = 8


@pytest.fixture(scope="module", params=[Counter, Sleeper], ids=["inline", "own-thread"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    with serve_gym(
        request.param, port=0, block=False, max_message_bytes=MAX_BYTES, max_json_depth=MAX_DEPTH
    ) as server:
        yield server


def refused(answer: httpx.Response, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["error_code"] == code
    return error


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/reset", "/step", "/mcp", "/nowhere"])
@pytest.mark.parametrize("size", [MAX_BYTES + 1, 64 * MAX_BYTES])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_is_too_long(server: GymServer, path: str, size: int, chunked: bool) -> None:
    chunk = b" " * 4096
    body: Any = (chunk for _ in range(size // 4096 + 1)) if chunked else b" " * size
    answer = web.post(server.url + path, content=body, headers={"Content-Type": "application/json"})
    error = refused(answer, 413, "MESSAGE_TOO_LARGE")
    assert error["fields"] == {"max_message_bytes": MAX_BYTES}
    assert "--max-message-bytes" in error["message"]


def test_a_length_is_not_waited_for(server: GymServer) -> None:
    address = urlsplit(server.url)
    assert address.port is not None
    with socket.create_connection((str(address.hostname), address.port), 5) as connection:
        head = b"POST /step HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: 999999999999\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_just_the_limit_is_read(server: GymServer) -> None:
    body = b'{"seed": 1}'.ljust(MAX_BYTES)
    answer = web.post(f"{server.url}/reset", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    web.post(f"{server.url}/close")


def test_the_blocking_client_names_the_setting(server: GymServer) -> None:
    with Client.to(server.url, dialect="json") as client:
        client.reset()
        with pytest.raises(MessageTooLarge, match="--max-message-bytes") as caught:
            client.step_one({"action": "x" * (4 * MAX_BYTES)})
        assert caught.value.fields["code"] == 1009
        with pytest.raises(Closed):
            client.reset()
    with Client.to(server.url) as native, pytest.raises(InvalidArgument, match="max_message_bytes"):
        native.reset(options={"x": "x" * MAX_BYTES})
    assert eventually(lambda: health(server.url)["sessions"] == 0)


def test_the_async_client_names_the_setting(server: GymServer) -> None:
    async def play() -> None:
        async with await AsyncClient.to(server.url, dialect="json") as client:
            await client.reset()
            with pytest.raises(MessageTooLarge, match="--max-message-bytes"):
                await client.step_one({"action": "x" * (64 * MAX_BYTES)})
            with pytest.raises(Closed):
                await client.reset()

    asyncio.run(play())
    assert eventually(lambda: health(server.url)["sessions"] == 0)


# depth ------------------------------------------------------------------------------------------


def test_json_that_is_nested_too_deep_leaves_the_session_as_it_was(server: GymServer) -> None:
    with Client.to(server.url, dialect="json") as client:
        client.reset()
        with pytest.raises(InvalidMessage, match="--max-json-depth") as caught:
            client.step_one({"action": nested(MAX_DEPTH)})
        assert caught.value.fields["max_json_depth"] == MAX_DEPTH
        assert caught.value.fields["openenv_code"] == "VALIDATION_ERROR"
        assert client.step_one({"action": 1}).reward[0] == 1.0
        client.reset(options={"wide": [[1]] * 100, "text": "[{" * 100 + '"\\'})


def test_a_body_that_is_nested_too_deep(server: GymServer) -> None:
    error = refused(
        web.post(f"{server.url}/reset", json={"options": {"x": nested(MAX_DEPTH)}}), 422, "INVALID_MESSAGE"
    )
    assert error["fields"]["max_json_depth"] == MAX_DEPTH
    rpc = {"jsonrpc": "2.0", "method": "tools/list", "id": 1, "params": {"x": nested(MAX_DEPTH)}}
    said = web.post(f"{server.url}/mcp", json=rpc).json()
    assert said["error"]["code"] == -32700
    assert "--max-json-depth" in said["error"]["message"]
    assert web.post(f"{server.url}/reset", json={"options": {"x": nested(MAX_DEPTH - 2)}}).status_code == 200
    web.post(f"{server.url}/close")


# sessions ---------------------------------------------------------------------------------------


def test_sessions_are_counted_beside_lanes() -> None:
    with serve_gym(Counter, port=0, block=False, max_sessions=2) as server:
        with Client.to(server.url), Client.to(server.url, dialect="json") as text:
            text.reset()
            assert health(server.url)["sessions"] == health(server.url)["max_sessions"] == 2
            with pytest.raises(CapacityReached, match="--max-sessions") as caught:
                Client.to(server.url)
            assert caught.value.fields == {"active_sessions": 2, "max_sessions": 2}
            with Client.to(server.url, dialect="json") as late:
                with pytest.raises(CapacityReached, match="--max-sessions") as caught:
                    late.reset()
            assert caught.value.fields["max_sessions"] == 2
            error = refused(web.post(f"{server.url}/reset"), 503, "CAPACITY_REACHED")
            assert error["fields"] == {"active_sessions": 2, "max_sessions": 2}
            rpc = {"jsonrpc": "2.0", "method": "openenv/session/create", "id": 1}
            said = web.post(f"{server.url}/mcp", json=rpc).json()["error"]
            assert said["data"] == {"active_sessions": 2, "max_sessions": 2}
        assert eventually(lambda: health(server.url)["sessions"] == 0)
        Client.to(server.url).close()


def test_a_session_that_nobody_named_makes_room_for_another() -> None:
    with serve_gym(Counter, port=0, block=False, max_sessions=1) as server:
        web.post(f"{server.url}/reset").raise_for_status()
        with Client.to(server.url) as client:
            client.reset()
        assert eventually(lambda: health(server.url)["sessions"] == 0)


def test_an_idle_session_ends_and_its_error_names_the_setting() -> None:
    with serve_gym(Counter, port=0, block=False, idle_timeout=0.1) as server:
        session_id = web.post(f"{server.url}/reset").json()["session_id"]
        assert eventually(lambda: health(server.url)["sessions"] == 0)
        error = refused(
            web.get(f"{server.url}/state", params={"session_id": session_id}), 404, "UNKNOWN_SESSION"
        )
        assert "--idle-timeout" in error["message"]


# what is told -----------------------------------------------------------------------------------


def test_health_and_the_welcome_tell_the_limits() -> None:
    options: dict[str, Any] = {
        "max_lanes": 7,
        "max_sessions": 3,
        "max_message_bytes": 5000,
        "max_json_depth": 9,
        "idle_timeout": 5.0,
        "resume_grace": 3.0,
        "step_timeout": 2.5,
        "isolation": "thread",
    }
    with serve_gym(Counter, port=0, block=False, **options) as server:
        assert health(server.url)["limits"] == options
        with Client.to(server.url) as client:
            assert client.protocol.limits == options
        json.dumps(options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_lanes": 0},
        {"max_sessions": 0},
        {"max_message_bytes": -1},
        {"max_json_depth": 0},
        {"idle_timeout": 0},
        {"resume_grace": -1},
        {"resume_grace": float("inf")},
        {"step_timeout": 0.0},
        {"step_timeout": float("nan")},
        {"isolation": "container"},
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(options))):
        serve_gym(Counter, port=0, block=False, **options)


@pytest.mark.parametrize("setting", ["idle_timeout", "step_timeout"])
@pytest.mark.parametrize("seconds", ["5", [], True])
def test_seconds_that_are_no_number(setting: str, seconds: Any) -> None:
    with pytest.raises(InvalidArgument, match=setting):
        serve_gym(Counter, port=0, block=False, **{setting: seconds})


@pytest.mark.parametrize(
    "setting", ["calls", "client_ids", "client_kwargs", "allowed_hosts", "allowed_origins"]
)
@pytest.mark.parametrize("names", ["render", [5], None])
def test_names_that_are_no_list_of_texts(setting: str, names: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"{setting} is a list of names"):
        serve_gym(Counter, port=0, block=False, **{setting: names})
