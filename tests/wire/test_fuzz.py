"""Whatever arrives, at either end and in either dialect: a message, or one typed error, at a bounded cost."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import OpenEnvGymError, ProtocolViolation
from openenv_gym.wire import plain
from openenv_gym.wire.client import ClientProtocol, ClientState
from openenv_gym.wire.codecs.json import JsonClientCodec, JsonServerCodec
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Close, Hello, Mcp, State
from openenv_gym.wire.server import ServerProtocol
from tests.wire.ends import Desk, codec_of, open_client
from tests.wire.samples import (
    JSON_ANSWERS,
    JSON_REQUESTS,
    SIGNATURE,
    SIGNATURES,
    native_answers,
    native_requests,
)
from tests.wire.strategies import spoilt


def texts(data: bytes) -> list[Any]:
    """What may arrive where text is expected: bytes, and as much of them as is text."""
    return [data, data.decode(errors="replace"), data.decode("utf-8", "surrogateescape")]


def cost(decode: Callable[[Any], Any], data: Any) -> int:
    """The most memory that was held to decode something, or to refuse it."""
    tracemalloc.start()
    try:
        decode(data)
    except OpenEnvGymError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


# the server's end -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNATURES)
@settings(max_examples=200)
@given(data=st.data())
def test_a_native_server_performs_each_request_once_whatever_arrives_between(name: str, data: Any) -> None:
    signature = SIGNATURES[name]
    desk, requests = Desk(signature), native_requests(signature)
    codec = codec_of(signature)
    kept: dict[int, bytes | None] = {}
    for part in data.draw(st.lists(spoilt(requests), max_size=6)):
        try:
            desk.receive(part)
        except ProtocolViolation:
            return  # the connection is over
        sent = codec.encode(State(data.draw(st.integers(1, len(desk.window) + 2))))
        try:
            answer = desk.receive(sent)
        except ProtocolViolation:
            return
        seq = int.from_bytes(sent[16:24], "little")
        assert kept.setdefault(seq, answer) == answer, "a repeated request gets the kept answer"
        assert desk.performed == sorted(set(desk.performed)), "nothing is done twice, or out of order"


@settings(max_examples=300)
@given(st.lists(spoilt(JSON_REQUESTS), max_size=4), st.integers(0, 2))
def test_a_json_server_counts_every_request_once(parts: list[bytes], form: int) -> None:
    server, count = ServerProtocol(native=False, max_json_depth=8), 0
    for part in parts:
        try:
            message, ack = server.receive(texts(part)[form])
        except ProtocolViolation:
            continue
        if isinstance(message, Close | Mcp):
            count += isinstance(message, Close)
            continue
        count += 1
        assert (getattr(message, "seq", None), ack) == (count, count - 1)


# the client's end -------------------------------------------------------------------------------


def assert_sound(client: ClientProtocol) -> None:
    assert 0 <= client._ack <= client._seq
    assert all(client._ack < seq <= client._seq for seq in client._due)


@pytest.mark.parametrize("name", SIGNATURES)
@settings(max_examples=200)
@given(data=st.data())
def test_a_native_client_reads_or_refuses_every_answer(name: str, data: Any) -> None:
    signature = SIGNATURES[name]
    client, answers = open_client(signature), native_answers(signature)
    client.reset()
    client.ask_state()
    client.render()
    client.step(None, [1, 0, 1] if signature is SIGNATURE else [{"text": "a", "n": 1}] * 3)
    for part in data.draw(st.lists(spoilt(answers), max_size=5)):
        try:
            client.receive(part)
        except OpenEnvGymError:
            pass
        assert_sound(client)


@settings(max_examples=300)
@given(spoilt([native_answers(signature)[2] for signature in SIGNATURES.values()]))
def test_a_spoilt_welcome_opens_a_session_or_is_refused(data: bytes) -> None:
    client = ClientProtocol(NativeCodec())
    client.hello(Hello(lanes=3))
    try:
        client.receive(data)
    except OpenEnvGymError:
        assert client.state is not ClientState.OPEN
    else:
        assert client.state is ClientState.OPEN and client.signature is not None


@settings(max_examples=300)
@given(st.lists(spoilt(JSON_ANSWERS), max_size=5), st.integers(0, 2))
def test_a_json_client_reads_or_refuses_every_answer(parts: list[bytes], form: int) -> None:
    client = ClientProtocol(JsonClientCodec(), implied_hello=True)
    client.reset()
    client.step_one({"action": 1})
    client.render()
    client.ask_state()
    for part in parts:
        try:
            client.receive(texts(part)[form])
        except OpenEnvGymError:
            pass
        assert_sound(client)


# what it costs ----------------------------------------------------------------------------------

MULTIPLE, CONSTANT = 128, 2**18
"""An empty list is one byte on the wire and 64 in memory; codecs and errors have memory of their own."""


def decoders() -> dict[str, tuple[list[bytes], Callable[[Any], Any]]]:
    codecs = {name: codec_of(signature) for name, signature in SIGNATURES.items()}
    both = [*native_requests(SIGNATURE), *native_answers(SIGNATURE), *native_answers(SIGNATURES["values"])]

    def client(data: Any) -> None:
        codec = JsonClientCodec()
        codec.encode_step_one(1, 0, {})
        codec.decode(data)

    return {
        **{f"native {name}": (both, codec.decode) for name, codec in codecs.items()},
        "native, nothing agreed": (both, NativeCodec().decode),
        "json server": (JSON_REQUESTS, lambda data: JsonServerCodec(max_depth=64).decode(data)),
        "json client": (JSON_ANSWERS, client),
    }


DECODERS = decoders()


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=150)
@given(data=st.data())
def test_nothing_is_allocated_on_a_peers_word(name: str, data: Any) -> None:
    messages, decode = DECODERS[name]
    part = data.draw(spoilt(messages))
    assert cost(decode, part) <= MULTIPLE * len(part) + CONSTANT


NUMBERS = [0, 1, 2**16, 2**31, 2**32 - 1]
CODES = [b"\xc6", b"\xc9", b"\xdb", b"\xdd", b"\xdf"]
"""MessagePack's for bytes, an extension, a text, a list and a map, each with a length of 32 bits."""
LYING_VALUES = [
    *(code + number.to_bytes(4, "big") for code in CODES for number in NUMBERS),
    b"\xdd\0\x10\0\0" * 64,
    b"\xc8\xff\xff\x02" + b"\x93\xa3|u1\x91\xce\xff\xff\xff\xff\xc4\0",
]  # fmt: skip


@pytest.mark.parametrize("kind", range(1, 14))
def test_lengths_that_lie_cost_nothing(kind: int) -> None:
    header = bytes([kind]) + bytes(31)
    for name, (_, decode) in DECODERS.items():
        if name.startswith("native"):
            for lie in LYING_VALUES:
                assert cost(decode, header + lie) <= MULTIPLE * len(header + lie) + CONSTANT


WIDE = "<U999999"


@pytest.mark.parametrize(
    ("value", "types"),
    [
        (["a"] * 1000, {"": ["array", WIDE, [0]]}),
        (["a"] * 1000, {"": ["array", WIDE, [-1]]}),
        (["a"] * 1000, {"": ["array", WIDE, [1000]]}),
        (["a"] * 1000, {"": ["array", WIDE, [-1, -1000]]}),
        (["a"] * 1000, {f"/{index}": ["scalar", WIDE] for index in range(1000)}),
        ([], {"": ["array", "<f8", [2**40]]}),
        ([1], {"": ["objects", [2**40]]}),
    ],
    ids=["none", "any", "all", "negative", "each", "numbers", "objects"],
)
def test_types_that_lie_beside_an_info_cost_nothing(value: Any, types: Any) -> None:
    data = json.dumps(value).encode()
    with pytest.raises(ProtocolViolation):
        plain.restore(value, types)
    assert cost(lambda value: plain.restore(value, types), value) <= MULTIPLE * len(data) + CONSTANT


def test_messages_that_nobody_spoilt_are_read() -> None:
    """Or else the tests above would test nothing."""
    for signature in SIGNATURES.values():
        codec = codec_of(signature)
        for message in (*native_requests(signature), *native_answers(signature)):
            codec.decode(message)
    for name, messages in (("json server", JSON_REQUESTS), ("json client", JSON_ANSWERS)):
        for message in messages:
            DECODERS[name][1](message)
