"""The server's machine: hello first and once, each refusal under its own number, nothing performed twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import (
    CapacityReached,
    InvalidJson,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
    UnknownType,
)
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Ack, Close, Error, Hello, Reset, State, Step, Value
from openenv_gym.wire.server import Refused, ServerProtocol
from tests.wire.ends import (
    Desk,
    codec_of,
    greeted_server,
    header_of,
    open_client,
    patched,
    signature_of,
    welcome_of,
)
from tests.wire.strategies import mutated

SIGNATURE = signature_of(lanes=3)
CODEC = codec_of(SIGNATURE)


def step(seq: int, ack: int = 0) -> bytes:
    return bytes(CODEC.encode_step(seq, ack, None, [0, 1, 0]))


def test_the_hello_comes_first() -> None:
    hello, ack = ServerProtocol(native=True).receive(CODEC.encode(Hello(lanes=3)))
    assert hello == Hello(lanes=3) and ack == 0


@pytest.mark.parametrize(
    "first", [step(1), CODEC.encode(State(1)), CODEC.encode(Ack(0)), patched(step(1), kind=77)]
)
def test_anything_else_first_ends_the_connection(first: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        ServerProtocol(native=True).receive(first)


def test_a_hello_that_cannot_be_understood_ends_the_connection() -> None:
    data = CODEC.encode(Hello())[:32] + b"\x81\xa5lanes\xa1x"
    with pytest.raises(ProtocolViolation, match="the hello cannot be understood"):
        ServerProtocol(native=True).receive(data)


def test_a_client_may_leave_before_it_said_hello() -> None:
    assert isinstance(ServerProtocol(native=True).receive(CODEC.encode(Close()))[0], Close)


def test_a_second_hello_ends_the_connection() -> None:
    with pytest.raises(ProtocolViolation, match="said it before"):
        greeted_server(SIGNATURE).receive(CODEC.encode(Hello()))


@pytest.mark.parametrize("sent", [Value(1, 1), Error(1, "A", "you", "b"), welcome_of(SIGNATURE)])
def test_what_only_a_server_says_ends_the_connection(sent: Any) -> None:
    with pytest.raises(ProtocolViolation, match="a client does not send"):
        greeted_server(SIGNATURE).receive(CODEC.encode(sent))


def test_an_unknown_kind_is_refused_under_its_own_number_and_the_session_goes_on() -> None:
    desk = Desk(SIGNATURE)
    desk.receive(step(1))
    refusal = desk.receive(patched(step(2, ack=1), kind=77))
    error, _ = CODEC.decode(refusal)
    assert isinstance(error, Error) and (error.seq, error.code) == (2, "UNKNOWN_TYPE")
    assert desk.receive(step(3, ack=2)) is not None and desk.performed == [1, 3]


@pytest.mark.parametrize(
    "data",
    [
        patched(step(1), count=2),
        CODEC.encode(State(1))[:32] + b"\x81\xa4lane\xa1x",
        bytes(codec_of(signature_of(lanes=2)).encode_step(1, 0, None, [0, 1])),
    ],
)
def test_a_request_that_cannot_be_understood_is_refused_under_its_own_number(data: bytes) -> None:
    server = greeted_server(SIGNATURE)
    message, ack = server.receive(patched(data, seq=6, ack=4))
    assert isinstance(message, Refused) and (message.seq, ack) == (6, 4)
    assert isinstance(message.error, InvalidMessage)


def test_a_refusal_is_repeated_like_any_other_answer() -> None:
    desk = Desk(SIGNATURE)
    unknown = patched(step(1), kind=77)
    assert desk.receive(unknown) == desk.receive(unknown) and desk.performed == []


def test_a_repeated_request_gets_the_same_answer_and_is_not_performed_again() -> None:
    desk = Desk(SIGNATURE)
    answers = [desk.receive(step(1)), desk.receive(step(1)), desk.receive(step(2)), desk.receive(step(1))]
    assert answers[0] == answers[1] == answers[3] != answers[2] and desk.performed == [1, 2]


@pytest.mark.parametrize("seq", [0, 3, 9])
def test_a_request_out_of_order_ends_the_connection(seq: int) -> None:
    desk = Desk(SIGNATURE)
    desk.receive(step(1))
    with pytest.raises(ProtocolViolation, match="out of order"):
        desk.receive(step(seq))
    assert desk.performed == [1]


def test_a_request_whose_answer_was_acknowledged_cannot_be_repeated() -> None:
    desk = Desk(SIGNATURE)
    desk.receive(step(1))
    desk.receive(step(2, ack=1))
    with pytest.raises(ProtocolViolation, match="out of order"):
        desk.receive(step(1))


def test_an_acknowledgement_ahead_of_the_answers_ends_the_connection() -> None:
    with pytest.raises(ProtocolViolation, match="not answered"):
        Desk(SIGNATURE).receive(step(1, ack=1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["send", "repeat", "lose"]), max_size=30), st.randoms(use_true_random=False))
def test_whatever_is_lost_or_repeated_each_step_happens_once(events: list[str], random: Any) -> None:
    client, desk = open_client(SIGNATURE), Desk(SIGNATURE)
    sent: list[bytes] = []
    due: dict[int, bytes] = {}
    for event in events:
        if event == "send" or not due:
            data = bytes(client.step(None, [0, 1, 0]))
            sent.append(data)
            due[len(sent)] = data
            if event == "lose":
                desk.receive(data)  # it arrived; its answer did not
            continue
        seq = random.choice(sorted(due))
        for earlier in range(1, seq + 1):  # a client that comes back repeats what has no answer, in order
            if earlier in due:
                reply = desk.receive(due[earlier])
        assert reply is not None and header_of(reply)["seq"] == seq
        if event == "send":
            continue
        client.receive(reply)
        del due[seq]
    assert desk.performed == sorted(set(desk.performed)), "each once, in order"


@settings(max_examples=300, deadline=None)
@given(
    mutated(
        [
            step(1),
            CODEC.encode(Reset(1, [1], [2], {"a": 1})),
            CODEC.encode(Hello(lanes=2)),
            CODEC.encode(Ack(3)),
        ]
    )
)
def test_a_spoilt_request_is_understood_or_refused_or_ends_the_connection(data: bytes) -> None:
    for server in (greeted_server(SIGNATURE), ServerProtocol(native=True)):
        try:
            message, _ = server.receive(data)
        except ProtocolViolation:
            continue
        if isinstance(message, Refused):
            server.encode_error(message.seq, message.error)


def test_an_error_before_the_session_has_number_0() -> None:
    data = ServerProtocol(native=True).encode_error(0, CapacityReached("full", active_lanes=3, max_lanes=3))
    error, _ = NativeCodec().decode(data)
    assert error == Error(0, "CAPACITY_REACHED", "peer", "full", {"active_lanes": 3, "max_lanes": 3})


# the JSON dialect drives the same machine ---------------------------------------------------------


def test_in_json_the_hello_is_implied_and_requests_are_counted() -> None:
    server = ServerProtocol(native=False)
    received = [
        server.receive(text) for text in ('{"type":"reset"}', '{"type":"step","data":{}}', '{"type":"state"}')
    ]
    assert [type(message) for message, _ in received] == [Reset, Step, State]
    assert [(message.seq, ack) for message, ack in received] == [(1, 0), (2, 1), (3, 2)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "error"),
    [("{", InvalidJson), ('{"type":"dance"}', UnknownType), ('{"type":"step"}', InvalidMessage)],
)
def test_in_json_a_refusal_counts_as_a_request(text: str, error: type[OpenEnvGymError]) -> None:
    server = ServerProtocol(native=False)
    server.receive('{"type":"reset"}')
    refused, ack = server.receive(text)
    assert isinstance(refused, Refused) and (refused.seq, ack) == (2, 1) and type(refused.error) is error
    assert json.loads(server.encode_error(2, refused.error))["type"] == "error"
    message, ack = server.receive('{"type":"state"}')
    assert isinstance(message, State) and (message.seq, ack) == (3, 2)


def test_in_json_what_is_no_object_ends_the_connection() -> None:
    for text in ("[]", "1", "null", '"reset"'):
        with pytest.raises(ProtocolViolation):
            ServerProtocol(native=False).receive(text)


@settings(max_examples=300, deadline=None)
@given(
    mutated(
        [
            b'{"type":"reset","data":{"seed":3,"options":{"a":[1]}}}',
            b'{"type":"step","data":{"action":[1.5,"\\ud800"]}}',
        ]
    )
)
def test_in_json_spoilt_text_is_understood_or_refused_or_ends_the_connection(data: bytes) -> None:
    server = ServerProtocol(native=False)
    try:
        message, _ = server.receive(data)
    except ProtocolViolation:
        return
    if isinstance(message, Refused):
        json.loads(server.encode_error(message.seq, message.error))
