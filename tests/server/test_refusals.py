"""What no client should send ends in a typed error, on its own connection only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from openenv_gym import Client, OpenEnvGymError, serve_gym
from openenv_gym.client.addresses import websocket_url
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import MessageTooLarge, ProtocolViolation, ServerClosed
from openenv_gym.wire.client import ClientProtocol
from openenv_gym.wire.codecs.native import SUBPROTOCOL, NativeCodec
from openenv_gym.wire.messages import Ack, Close, Hello, Message, State
from tests.environments import Counter, Sleeper
from tests.served import eventually, health

MAX_BYTES = 1 << 20


@pytest.fixture(scope="module", params=[Counter, Sleeper], ids=["inline", "own-thread"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    with serve_gym(request.param, port=0, block=False, max_message_bytes=MAX_BYTES) as server:
        yield server


@pytest.fixture
def neighbour(server: GymServer) -> Iterator[Client]:
    """A well-behaved session that must not notice anything."""
    with Client.to(server.url) as client:
        client.reset()
        yield client
        assert client.step_one(1).observation[0].tolist() == [1.0]
        assert eventually(lambda: health(server.url)["sessions"] == 1)


@contextmanager
def connected(server: GymServer, *, native: bool = True) -> Iterator[SocketTransport]:
    offer = (SUBPROTOCOL,) if native else ()
    transport = SocketTransport(websocket_url(server.url), subprotocols=offer)
    try:
        yield transport
    finally:
        transport.close()


def encode(message: Message) -> Any:
    return NativeCodec().encode(message)


def assert_broken_off(
    transport: SocketTransport, expected: type[OpenEnvGymError] = ProtocolViolation
) -> None:
    """A typed error comes, and then the close frame that says whose fault it is."""
    machine = ClientProtocol(NativeCodec())
    machine.hello(Hello())
    with pytest.raises(expected):
        machine.receive(transport.receive(5))
    with pytest.raises(ProtocolViolation) as caught:
        transport.receive(5)
    assert caught.value.fields["code"] == 1002


@pytest.mark.parametrize(
    "first",
    [
        "text",
        "",
        json.dumps({"type": "reset"}),
        b"",
        b"short",
        b"\xff" * 64,
        b"\x00" * 32,
        encode(State(1)),
        encode(Ack(0)),
        encode(Hello())[:-3],
        encode(Hello()) + b"\xc1",
    ],
    ids=["text", "no-text", "json", "no-bytes", "short", "ones", "zeros", "state", "ack", "cut", "more"],
)
def test_a_first_message_that_is_no_hello(server: GymServer, neighbour: Client, first: Any) -> None:
    with connected(server) as transport:
        transport.send(first)
        assert_broken_off(transport)


def test_a_step_before_the_hello(server: GymServer, neighbour: Client) -> None:
    codec = NativeCodec()
    codec.agree(1, None, None)
    with connected(server) as transport:
        transport.send(codec.encode_step(1, 0, None, [1]))
        assert_broken_off(transport)


@pytest.mark.parametrize(
    "second",
    ["text", b"", b"\xff" * 64, encode(Hello()), encode(State(7)), encode(Ack(5))],
    ids=["text", "no-bytes", "garbage", "hello", "gap", "ack"],
)
def test_a_message_that_breaks_the_protocol_after_the_hello(
    server: GymServer, neighbour: Client, second: Any
) -> None:
    with connected(server) as transport:
        transport.send(encode(Hello()))
        transport.receive(5)
        transport.send(second)
        assert_broken_off(transport)


def test_a_close_in_the_place_of_the_hello(server: GymServer, neighbour: Client) -> None:
    with connected(server) as transport:
        transport.send(encode(Close()))
        with pytest.raises(ServerClosed):
            transport.receive(5)


def test_a_connection_that_never_says_hello_takes_no_lanes(server: GymServer) -> None:
    with connected(server):
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)


@pytest.mark.parametrize("native", [True, False], ids=["native", "json"])
def test_a_message_that_is_too_long(server: GymServer, neighbour: Client, native: bool) -> None:
    with connected(server, native=native) as transport:
        message: Any = encode(Hello()) if native else '{"type":"reset"}'
        transport.send(message)
        transport.receive(5)
        with pytest.raises(MessageTooLarge, match="--max-message-bytes") as caught:
            transport.send(b"\0" * (MAX_BYTES + 1) if native else " " * (MAX_BYTES + 1))
            transport.receive(5)
        assert caught.value.fields["code"] == 1009


def test_a_message_that_is_far_too_long_ends_in_a_typed_error(server: GymServer, neighbour: Client) -> None:
    with connected(server) as transport:
        with pytest.raises(OpenEnvGymError):
            transport.send(b"\0" * (64 * MAX_BYTES))
            transport.receive(5)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("no json", "INVALID_JSON"),
        ('{"type":"fly"}', "UNKNOWN_TYPE"),
        ("{}", "UNKNOWN_TYPE"),
        ('{"type":"step"}', "VALIDATION_ERROR"),
        ('{"type":"step","data":{}}', "VALIDATION_ERROR"),
        ('{"type":"step","data":{"action":"left"}}', "VALIDATION_ERROR"),
        ('{"type":"step","data":{"action":1,"more":2}}', "VALIDATION_ERROR"),
        ('{"type":"reset","data":[]}', "VALIDATION_ERROR"),
        ('{"type":"reset","extra":1}', "VALIDATION_ERROR"),
    ],
)
def test_a_bad_request_of_the_json_dialect_leaves_the_session_as_it_was(
    server: GymServer, neighbour: Client, sent: str, code: str
) -> None:
    with connected(server, native=False) as transport:
        transport.send('{"type":"reset"}')
        transport.receive(5)
        transport.send(sent)
        answer = json.loads(transport.receive(5))
        assert answer["type"] == "error"
        assert answer["data"]["code"] == code
        transport.send('{"type":"state"}')
        assert json.loads(transport.receive(5))["data"]["step_count"] == 0


def test_json_that_is_no_object_ends_the_session_as_upstream_does(
    server: GymServer, neighbour: Client
) -> None:
    with connected(server, native=False) as transport:
        transport.send("[]")
        assert json.loads(transport.receive(5))["data"]["code"] == "SESSION_ERROR"
        with pytest.raises(ServerClosed):
            transport.receive(5)


@pytest.mark.parametrize("data", [b"\xff\xff", b"", b'{"type":"state"}'], ids=["garbage", "none", "text"])
def test_bytes_in_the_json_dialect_do_no_harm(server: GymServer, neighbour: Client, data: bytes) -> None:
    with connected(server, native=False) as transport:
        transport.send(data)
        try:
            assert json.loads(transport.receive(5))["type"] in ("error", "state")
        except (ServerClosed, ProtocolViolation):
            return
