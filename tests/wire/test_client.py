"""The client's machine: hello first, each answer to its own request, each error as its own class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box
from hypothesis import given, settings
from msgspec.structs import replace

from openenv_gym.errors import (
    CapacityReached,
    Closed,
    EnvironmentRaised,
    InvalidAction,
    InvalidArgument,
    OpenEnvGymError,
    PeerError,
    ProtocolViolation,
    ServerClosed,
    Side,
)
from openenv_gym.types import Slots
from openenv_gym.wire.client import ClientProtocol, ClientState
from openenv_gym.wire.codecs.json import JsonClientCodec
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Answer, Close, Error, Hello, State, Value, Welcome
from openenv_gym.wire.server import error_message
from tests.wire.ends import (
    Desk,
    buffer_of,
    codec_of,
    header_of,
    open_client,
    patched,
    put_lanes,
    signature_of,
    welcome_of,
)
from tests.wire.strategies import mutated

SIGNATURE = signature_of(lanes=3)
CODEC = codec_of(SIGNATURE)
ACTIONS = [0, 1, 0]


def answer(seq: int, *, more: bool = False) -> bytes:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    put_lanes(out, 3, first=seq)
    return bytes(out.finish(seq, more=more).payload)


def test_nothing_may_be_asked_before_the_welcome() -> None:
    client = ClientProtocol(NativeCodec())
    asks: list[Callable[[], Any]] = [client.reset, client.observe, lambda: client.step(None, ACTIONS)]
    for ask in asks:
        with pytest.raises(Closed):
            ask()
    client.hello(Hello(lanes=3))
    assert client.state is ClientState.GREETING
    with pytest.raises(Closed):
        client.reset()


def test_the_welcome_opens_the_session_and_says_what_is_there() -> None:
    client = open_client(SIGNATURE)
    assert client.state is ClientState.OPEN and client.server == "example 1"
    assert client.signature is not None and client.signature.lanes == 3
    assert client.signature.observation_spaces == SIGNATURE.observation_spaces
    assert client.limits["max_lanes"] == 64


def test_hello_is_said_once() -> None:
    client = open_client(SIGNATURE)
    with pytest.raises(OpenEnvGymError, match="once"):
        client.hello(Hello())


def test_a_second_welcome_is_not_due() -> None:
    with pytest.raises(ProtocolViolation, match="Welcome, which was not due"):
        open_client(SIGNATURE).receive(CODEC.encode(welcome_of(SIGNATURE)))


@pytest.mark.parametrize("sent", [Hello(), Close(), State(1)])
def test_what_only_a_client_says_is_a_violation(sent: Any) -> None:
    with pytest.raises(ProtocolViolation, match="not due"):
        open_client(SIGNATURE).receive(CODEC.encode(sent))


def _welcomed(welcome: Welcome, lanes: int = 3) -> ClientProtocol:
    client = ClientProtocol(NativeCodec())
    client.hello(Hello(lanes=lanes, autoreset="SameStep"))
    client.receive(NativeCodec().encode(welcome))
    return client


@pytest.mark.parametrize(
    "changes",
    [
        {"observation": None},
        {"action": [{"path": [], "dtype": "<i4", "shape": []}]},
        {"observation": [{"path": [], "dtype": "<f4", "shape": [5]}]},
    ],
)
def test_a_layout_that_does_not_follow_from_its_space_is_a_violation(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolViolation, match="lays"):
        _welcomed(welcome_of(SIGNATURE, **changes))


@pytest.mark.parametrize(
    "facts",
    [
        {"lanes": 0},
        {"lanes": "x"},
        {"lanes": float("inf")},
        {"agents": []},
        {"agents": 3},
        {"autoreset": "Never"},
        {"autoreset": np.zeros(2)},
        {"observation_spaces": [{}]},
        {"observation_spaces": []},
        {"action_spaces": None},
        {"kinds": ["what"]},
        {"metadata": 3},
        {"calls": None},
    ],
)
def test_a_signature_that_cannot_be_is_a_violation(facts: dict[str, Any]) -> None:
    welcome = welcome_of(SIGNATURE)
    with pytest.raises(ProtocolViolation):
        _welcomed(welcome_of(SIGNATURE, signature={**welcome.signature, **facts}))


@pytest.mark.parametrize("lanes", [2, 2**50])
def test_a_welcome_for_another_number_of_lanes_is_a_violation(lanes: int) -> None:
    welcome = welcome_of(SIGNATURE)
    with pytest.raises(ProtocolViolation):
        _welcomed(welcome_of(SIGNATURE, signature={**welcome.signature, "lanes": lanes}))


def test_a_refused_hello_ends_the_session_with_the_servers_error() -> None:
    client = ClientProtocol(NativeCodec())
    client.hello(Hello(lanes=3))
    with pytest.raises(CapacityReached) as refusal:
        client.receive(CODEC.encode(error_message(0, CapacityReached("full", max_lanes=2))))
    assert refusal.value.fields == {"max_lanes": 2} and client.state is ClientState.CLOSED


def test_requests_are_numbered_one_by_one() -> None:
    client = open_client(SIGNATURE)
    sent = [client.reset(seeds=1), client.step(None, ACTIONS), client.ask_state(), client.render(None)]
    assert [header_of(data)["seq"] for data in (sent[0], sent[2], sent[3])] == [1, 3, 4]
    assert client.waiting == 4


def test_a_refused_action_uses_no_number() -> None:
    client = open_client(SIGNATURE)
    with pytest.raises(InvalidAction):
        client.step(None, [0, 1])
    assert client.waiting == 0 and header_of(client.reset())["seq"] == 1


def test_the_acknowledgement_is_the_last_number_below_which_all_is_answered() -> None:
    client = open_client(SIGNATURE)
    for _ in range(3):
        client.reset()
    client.receive(answer(2))
    assert header_of(client.reset())["ack"] == 0
    client.receive(answer(1))
    assert header_of(client.reset())["ack"] == 2
    for seq in (3, 4, 5):
        client.receive(answer(seq))
    assert header_of(client.reset())["ack"] == 5


def test_answers_in_parts_leave_the_request_due_until_the_last() -> None:
    client = open_client(SIGNATURE)
    client.reset()
    first = client.receive(answer(1, more=True))
    assert isinstance(first, Answer) and first.more and client.waiting == 1
    client.receive(answer(1))
    assert client.waiting == 0
    with pytest.raises(ProtocolViolation, match="answered request 1"):
        client.receive(answer(1))


def test_an_answer_to_no_request_is_a_violation() -> None:
    client = open_client(SIGNATURE)
    client.reset()
    for wrong in (0, 2, 99):
        with pytest.raises(ProtocolViolation, match="answered request"):
            client.receive(answer(wrong))
    assert client.waiting == 1


def test_an_answer_of_the_wrong_sort_is_a_violation() -> None:
    client = open_client(SIGNATURE)
    client.reset()
    client.ask_state()
    with pytest.raises(ProtocolViolation, match="with a Value; due was Answer"):
        client.receive(CODEC.encode(Value(1, {})))
    with pytest.raises(ProtocolViolation, match="with a Answer; due was Value"):
        client.receive(answer(2))


def test_an_error_settles_its_request_and_the_session_goes_on() -> None:
    client = open_client(SIGNATURE)
    client.step(None, ACTIONS)
    error = EnvironmentRaised("it broke", exception="KeyError")
    error.add_note("the remote cause")
    with pytest.raises(EnvironmentRaised, match="it broke") as caught:
        client.receive(CODEC.encode(error_message(1, error)))
    assert caught.value.fields == {"exception": "KeyError"} and caught.value.side is Side.ENVIRONMENT
    assert caught.value.__notes__ == ["the remote cause"]
    assert client.state is ClientState.OPEN and client.waiting == 0
    assert header_of(client.reset())["ack"] == 1


@pytest.mark.parametrize("seq", [0, 7])
def test_an_error_about_no_request_ends_the_session(seq: int) -> None:
    client = open_client(SIGNATURE)
    client.reset()
    with pytest.raises(ServerClosed):
        client.receive(CODEC.encode(error_message(seq, ServerClosed("bye"))))
    assert client.state is ClientState.CLOSED and client.waiting == 0
    with pytest.raises(Closed):
        client.reset()


def test_a_code_that_is_not_known_is_a_peers_error_that_keeps_it() -> None:
    client = open_client(SIGNATURE)
    client.reset()
    with pytest.raises(PeerError) as caught:
        client.receive(CODEC.encode(Error(1, "NEWER_CODE", "peer", "what?", {"a": 1})))
    assert caught.value.fields == {"a": 1, "code": "NEWER_CODE"}


@pytest.mark.parametrize(
    "data", [patched(CODEC.encode(Close()), kind=99), CODEC.encode(Value(1, 1))[:32] + b"\x80"]
)
def test_a_malformed_message_of_the_server_is_the_servers_fault(data: bytes) -> None:
    client = open_client(SIGNATURE)
    client.ask_state()
    with pytest.raises(OpenEnvGymError) as caught:
        client.receive(data)
    assert caught.value.side is Side.PEER


def test_goodbye_is_said_once_and_only_to_somebody() -> None:
    client = open_client(SIGNATURE)
    assert header_of(client.close())["kind"] == 12 and client.close() is None
    assert ClientProtocol(NativeCodec()).close() is None


def test_a_lost_connection_ends_the_session() -> None:
    client = open_client(SIGNATURE)
    client.reset()
    client.lost()
    assert client.waiting == 0 and client.close() is None
    with pytest.raises(Closed):
        client.step(None, ACTIONS)


@pytest.mark.parametrize("reverse", [False, True])
def test_outstanding_requests_get_their_own_answers_in_any_order(reverse: bool) -> None:
    client, desk = open_client(SIGNATURE), Desk(SIGNATURE)
    answers = [desk.receive(client.reset()), desk.receive(client.ask_state())]
    answers += [desk.receive(client.step(None, ACTIONS)) for _ in range(3)]
    for data in answers[::-1] if reverse else answers:
        assert data is not None
        seq = header_of(data)["seq"]
        message = client.receive(data)
        if isinstance(message, Answer):
            assert message.seq == seq and message.rows.observation[0, 0] == 100 * seq
        else:
            assert isinstance(message, Value) and message.value == {"of": seq}
    assert client.waiting == 0


def test_a_step_by_slots_needs_no_step_of_every_lane() -> None:
    client = open_client(SIGNATURE)
    data = client.step(Slots(np.array([2], np.int32), np.array([0], np.int16)), [1])
    assert header_of(data)["count"] == 1


@settings(max_examples=300, deadline=None)
@given(
    mutated(
        [
            answer(1),
            answer(1, more=True),
            CODEC.encode(Value(2, {"a": np.arange(3)})),
            CODEC.encode(Error(1, "A", "you", "b")),
        ]
    )
)
def test_a_spoilt_answer_is_an_answer_or_a_typed_error(data: bytes) -> None:
    client = open_client(SIGNATURE)
    client.reset()
    client.ask_state()
    try:
        client.receive(data)
    except OpenEnvGymError:
        return


# the JSON dialect drives the same machine ---------------------------------------------------------


def json_client() -> ClientProtocol:
    return ClientProtocol(JsonClientCodec(), implied_hello=True)


def test_in_json_requests_go_at_once_and_answers_come_in_order() -> None:
    client = json_client()
    client.reset(seeds=[3])
    client.step_one({"action": 1})
    client.ask_state()
    reply = '{"type":"observation","data":{"observation":{"x":%d,"metadata":{}},"reward":%s,"done":false}}'
    first = client.receive(reply % (1, "null"))
    second = client.receive(reply % (2, "0.5"))
    third = client.receive('{"type":"state","data":{"step_count":1}}')
    assert isinstance(first, Answer) and first.seq == 1 and first.rows.values[0]["x"] == 1
    assert isinstance(second, Answer) and second.seq == 2 and second.rows.reward.tolist() == [0.5]
    assert isinstance(third, Value) and third.seq == 3 and third.value == {"step_count": 1}


def test_in_json_an_error_answers_the_oldest_request_and_no_other() -> None:
    client = json_client()
    client.step_one({"action": 1})
    client.ask_state()
    with pytest.raises(InvalidAction):
        client.receive('{"type":"error","data":{"message":"no","code":"VALIDATION_ERROR","errors":[]}}')
    assert client.state is ClientState.OPEN and client.waiting == 1
    assert isinstance(client.receive('{"type":"state","data":{}}'), Value)


def test_in_json_what_could_not_be_sent_shifts_no_answer() -> None:
    client = json_client()
    numpys: Any = np.int64(3)
    asks: list[Callable[[], Any]] = [
        lambda: client.reset(seeds=[numpys]),
        lambda: client.step_one({"action": object()}),
        lambda: client.render(None),
        client.observe,
    ]
    for ask in asks:
        with pytest.raises((OpenEnvGymError, TypeError)):
            ask()
    client.ask_state()
    message = client.receive('{"type":"state","data":{}}')
    assert isinstance(message, Value) and message.seq == 1 and client.waiting == 0


def test_in_json_what_the_dialect_has_not_is_refused() -> None:
    client = json_client()
    asks: list[Callable[[], Any]] = [
        lambda: client.render(None),
        client.observe,
        lambda: client.call("name", []),
    ]
    for ask in asks:
        with pytest.raises(InvalidArgument, match="JSON dialect"):
            ask()


def test_a_full_stock_server_says_so_unasked() -> None:
    client = json_client()
    with pytest.raises(CapacityReached) as refusal:
        client.receive(
            '{"type":"error","data":{"message":"full","code":"CAPACITY_REACHED","active_sessions":1,"max_sessions":1}}'
        )
    assert refusal.value.fields["max_sessions"] == 1 and client.state is ClientState.CLOSED


def test_an_answer_in_json_to_no_request_is_a_violation() -> None:
    for text in (
        '{"type":"state","data":{}}',
        '{"type":"observation","data":{"observation":{}}}',
        "[]",
        "x",
        b"\xff",
    ):
        with pytest.raises(ProtocolViolation):
            json_client().receive(text)


def test_the_only_space_of_two_agents_is_their_common_one() -> None:
    client = open_client(signature_of(Box(0, 1, (2,)), lanes=1, agents=("a", "b")))
    assert client.signature is not None and len(client.signature.observation_spaces) == 2


# after a cut ------------------------------------------------------------------------------------------

GRACE = {"max_lanes": 64, "max_message_bytes": 2**24, "resume_grace": 60.0}


def resumable_client() -> ClientProtocol:
    client = ClientProtocol(NativeCodec())
    client.hello(Hello(lanes=3, nonce="n" * 24))
    client.receive(CODEC.encode(welcome_of(SIGNATURE, limits=GRACE)))
    return client


def said(data: bytes) -> Hello:
    hello, _ = NativeCodec().decode(data)
    assert isinstance(hello, Hello)
    return hello


def test_a_hello_that_goes_on_is_the_first_one_with_a_token_and_a_higher_generation() -> None:
    client = ClientProtocol(NativeCodec())
    first = Hello(lanes=3, autoreset="SameStep", nonce="n" * 24)
    client.hello(first)
    assert said(client.resume_hello()) == replace(first, generation=1)
    client.receive(CODEC.encode(welcome_of(SIGNATURE, limits=GRACE)))
    for generation in (2, 3):  # even if no welcome comes
        assert said(client.resume_hello()) == replace(first, attach="token", generation=generation)
        assert client.state is ClientState.RESUMING


def test_who_cannot_go_on_says_so() -> None:
    fresh, unasked, closed = ClientProtocol(NativeCodec()), open_client(SIGNATURE), resumable_client()
    closed.lost()
    nameless = ClientProtocol(NativeCodec())
    nameless.hello(Hello(lanes=3))
    for client in (fresh, unasked, closed, nameless, json_client()):
        assert not client.resumable
        with pytest.raises(Closed):
            client.resume_hello()


def test_requests_without_an_answer_are_kept_byte_for_byte() -> None:
    client = resumable_client()
    sent = [bytes(client.step(None, actions)) for actions in ([0, 1, 0], [1, 1, 1], [0, 0, 0])]
    sent.append(bytes(client.ask_state()))
    sent.append(bytes(client.step(None, [1, 0, 0])))
    with pytest.raises(InvalidAction):
        client.step(None, [1, 1])
    client.receive(answer(1))
    assert [(seq, bytes(data)) for seq, data in client.unanswered(2)] == list(enumerate(sent, 1))[2:]
    client.resume_hello()
    client.receive(CODEC.encode(welcome_of(SIGNATURE, limits=GRACE, resumed=True, received=3)))
    assert [bytes(data) for _, data in client.unanswered()] == sent[1:]


@pytest.mark.parametrize(
    "changes",
    [{"resumed": False}, {"received": 9}, {"received": 0}, {"observation": None}, {"action": []}],
)
def test_a_welcome_to_another_session_is_a_violation(changes: dict[str, Any]) -> None:
    client = resumable_client()
    client.reset()
    client.receive(answer(1))
    client.resume_hello()
    facts: dict[str, Any] = {"limits": GRACE, "resumed": True, "received": 1}
    with pytest.raises(ProtocolViolation):
        client.receive(CODEC.encode(welcome_of(SIGNATURE, **{**facts, **changes})))
