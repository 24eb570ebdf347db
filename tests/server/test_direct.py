"""Texts are answered where they arrive, and still one by one, in order, and only while the session lives."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.utils import apply_mask

from openenv_gym import OpenEnvGym, serve_gym
from openenv_gym.client.addresses import websocket_url
from openenv_gym.envs.serving import GymServer
from openenv_gym.server import direct
from openenv_gym.server.direct import DirectWebSocket
from openenv_gym.server.vigil import Vigil
from tests.environments import Counter, Sleeper
from tests.served import eventually, health


@pytest.fixture(scope="module", params=[Counter, Sleeper], ids=["inline", "own-thread"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    with serve_gym(request.param, port=0, block=False) as server:
        yield server


@pytest.fixture
def stock(server: GymServer) -> Iterator[ClientConnection]:
    """A connection as a stock client opens it, after its first reset."""
    with connect(websocket_url(server.url), proxy=None) as connection:
        connection.send('{"type": "reset", "data": {}}')
        connection.recv(5)
        yield connection
    assert eventually(lambda: health(server.url)["sessions"] == 0)


def step(action: Any) -> str:
    return json.dumps({"type": "step", "data": {"action": action}})


def answers(connection: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(connection.recv(5)) for _ in range(count)]


def write_frames(connection: ClientConnection, frames: list[bytes]) -> None:
    """Text frames in one segment, so that all of them have arrived before the first is answered."""
    for frame in frames:
        connection.protocol.send_text(frame)
    connection.socket.sendall(b"".join(connection.protocol.data_to_send()))


def test_requests_that_arrive_together_are_answered_in_order(stock: ClientConnection) -> None:
    messages = [step(1), "no json", step(1), step("left"), '{"type": "state"}', step(1)]
    write_frames(stock, [message.encode() for message in messages])
    got = answers(stock, len(messages))
    kinds = ["observation", "error", "observation", "error", "state", "observation"]
    assert [answer["type"] for answer in got] == kinds
    assert got[1]["data"]["code"] == "INVALID_JSON"
    assert got[4]["data"]["step_count"] == 2


def test_a_goodbye_behind_requests_ends_the_session_when_they_are_answered(stock: ClientConnection) -> None:
    write_frames(stock, [step(1).encode(), b'{"type": "close"}', step(1).encode()])
    assert answers(stock, 1)[0]["type"] == "observation"
    with pytest.raises(ConnectionClosed) as ended:
        stock.recv(5)
    assert ended.value.rcvd is not None and ended.value.rcvd.code == 1000


def test_json_that_is_no_object_ends_the_session_after_what_came_before(stock: ClientConnection) -> None:
    write_frames(stock, [step(1).encode(), b"[]"])
    first, last = answers(stock, 2)
    assert first["type"] == "observation" and last["data"]["code"] == "SESSION_ERROR"
    with pytest.raises(ConnectionClosed) as ended:
        stock.recv(5)
    assert ended.value.rcvd is not None and ended.value.rcvd.code == 1000


def test_a_text_in_fragments_is_one_request(stock: ClientConnection) -> None:
    text = step(1)
    stock.send([text[:5], text[5:9], text[9:]])
    stock.send(step(1))
    stock.send('{"type": "state"}')
    assert answers(stock, 3)[2]["data"]["step_count"] == 2


def test_a_text_that_is_no_utf8_ends_the_connection(stock: ClientConnection) -> None:
    write_frames(stock, [b'{"type": "state\xff"}'])
    with pytest.raises(ConnectionClosed) as ended:
        stock.recv(5)
    assert ended.value.rcvd is not None and ended.value.rcvd.code == 1007


def test_a_close_in_the_same_segment_as_a_message(
    server: GymServer, stock: ClientConnection, caplog: pytest.LogCaptureFixture
) -> None:
    stock.protocol.send_text(step(1).encode())
    stock.protocol.send_close(1000)
    stock.socket.sendall(b"".join(stock.protocol.data_to_send()))
    with pytest.raises(ConnectionClosed):
        while True:
            stock.recv(5)
    assert stock.close_code == 1000
    assert eventually(lambda: health(server.url)["sessions"] == 0)
    assert caplog.records == []


def test_a_message_in_one_piece_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    handle = DirectWebSocket.handle_bytes

    def seen(self: DirectWebSocket, event: Frame) -> None:
        parsed.append(bytes(event.data))
        handle(self, event)

    monkeypatch.setattr(DirectWebSocket, "handle_bytes", seen)
    with serve_gym(Counter, port=0, block=False) as server, closing(OpenEnvGym(server.url)) as env:
        env.reset()
        parsed.clear()
        assert [env.step(1)[1] for _ in range(3)] == [1.0, 1.0, 1.0]
        assert parsed == []


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_the_loop_stays_awake_after_an_answer_by_the_long_way_too(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[int] = []
    monkeypatch.setattr(direct, "_payload_of", lambda data: 0)
    monkeypatch.setattr(Vigil, "answered", lambda self, loop, nbytes: answered.append(nbytes))
    with (
        serve_gym(Counter, port=0, block=False) as server,
        closing(OpenEnvGym(server.url, dialect=dialect)) as env,
    ):
        env.reset()
        answered.clear()
        env.step(1)
        assert len(answered) == 1 and answered[0] > 0


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_heads_are_those_of_the_library(opcode: Opcode, length: int) -> None:
    data = bytes(length)
    ours = Frame(opcode, data).serialize(mask=False)
    assert direct._head(0x80 | opcode, length) + data == ours
    theirs = Frame(opcode, data).serialize(mask=True)
    start = direct._payload_of(theirs)
    assert apply_mask(theirs[start:], theirs[start - 4 : start]) == data
    assert start == len(theirs) - length


def test_what_is_not_one_whole_message_is_left_to_the_library() -> None:
    whole = Frame(Opcode.BINARY, b"hello").serialize(mask=True)
    others = [
        b"",
        whole[:1],
        whole[:5],
        whole[:-1],
        whole + b"x",
        whole + whole,
        Frame(Opcode.BINARY, b"hello").serialize(mask=False),
        Frame(Opcode.BINARY, b"hello", fin=False).serialize(mask=True),
        Frame(Opcode.CONT, b"hello").serialize(mask=True),
        Frame(Opcode.PING, b"hello").serialize(mask=True),
        bytes([whole[0] | 0x40]) + whole[1:],  # a reserved bit
        Frame(Opcode.BINARY, bytes(300)).serialize(mask=True)[:3],
    ]
    assert direct._payload_of(whole) == 6
    assert [direct._payload_of(data) for data in others] == [0] * len(others)


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 6, 9])
def test_a_message_in_two_pieces_is_one_request(stock: ClientConnection, cut: int) -> None:
    stock.protocol.send_text(step(1).encode())
    stock.protocol.send_text(step(1).encode())
    first, second = stock.protocol.data_to_send()
    stock.socket.sendall(first[:cut])
    time.sleep(0.02)
    stock.socket.sendall(first[cut:] + second[:cut])
    time.sleep(0.02)
    stock.socket.sendall(second[cut:])
    assert [answer["type"] for answer in answers(stock, 2)] == ["observation"] * 2
    stock.send('{"type": "state"}')
    assert answers(stock, 1)[0]["data"]["step_count"] == 2
