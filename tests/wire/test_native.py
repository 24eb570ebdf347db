"""The native codec in both directions, and what it does with bytes that lie: refuse them at no cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Text, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import (
    EnvironmentRaised,
    InvalidAction,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
    UnknownType,
)
from openenv_gym.spaces import read_batch
from openenv_gym.types import Phase, Slots
from openenv_gym.wire import values
from openenv_gym.wire.blocks import HEADER, Kind, MessageFlag
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import (
    Ack,
    Answer,
    Call,
    Close,
    Error,
    Hello,
    Message,
    Observe,
    Render,
    Reset,
    State,
    Step,
    Value,
)
from tests.wire.ends import (
    buffer_of,
    codec_of,
    exactly,
    header_of,
    patched,
    put_lanes,
    rows_of,
    signature_of,
    welcome_of,
)
from tests.wire.strategies import mutated

SIGNATURE = signature_of(lanes=3)
CODEC = codec_of(SIGNATURE)
MOST = 2**32 - 1

SMALL: list[Message] = [
    Hello(lanes=7, autoreset="NextStep", exact=False, config={"render_mode": "ansi"}, client="x"),
    welcome_of(SIGNATURE),
    Reset(1),
    Reset(2, [2, 0], [None, 2**70], {"a": (1, np.float32(2))}, ["one", "two"]),
    Reset(3, None, 42),
    Observe(4, 1, 2),
    State(5, 2),
    Render(6, None),
    Call(7, "unwrapped.name", None, [1, (2,), np.arange(3)]),
    Value(8, {"frame": np.zeros((2, 2, 3), np.uint8)}),
    Ack(9),
    Close(),
    Error(10, "CAPACITY_REACHED", "peer", "full", {"max_lanes": 3}, "because"),
]


def answer_of(codec_lanes: int = 3, *, final: bool = False, info: bool = False, dense: bool = True) -> bytes:
    out = buffer_of(signature_of(lanes=codec_lanes))
    out.begin(dense=dense)
    put_lanes(out, codec_lanes)
    if final:
        out.put(1, Phase.FINAL, np.full(4, 9, np.float32), 1.0, True, False, {"n": 1})
    if info:
        out.put(0, Phase.STEP, np.full(4, 0.1), info={"a": 1, "b": {"c": np.zeros(2)}})
        out.fail(1, EnvironmentRaised("it broke", during="step"))
    return bytes(out.finish(1, 12).payload)


def step_of(slots: Slots | None = None, actions: Any = (1, 0, 1), codec: NativeCodec = CODEC) -> bytes:
    return bytes(codec.encode_step(5, 4, slots, actions))


def slots_of(*pairs: tuple[int, int]) -> Slots:
    lanes, agents = zip(*pairs, strict=True)
    return Slots(np.array(lanes, np.int32), np.array(agents, np.int16))


@pytest.mark.parametrize("message", SMALL, ids=lambda message: type(message).__name__)
def test_a_small_message_comes_back_as_it_was(message: Message) -> None:
    back, ack = NativeCodec().decode(NativeCodec().encode(message, ack=3))
    assert type(back) is type(message) and ack == 3
    for name in type(message).__struct_fields__:
        assert exactly(getattr(back, name)) == exactly(getattr(message, name))


@pytest.mark.parametrize("message", SMALL, ids=lambda message: type(message).__name__)
def test_a_newer_peer_may_say_more(message: Message) -> None:
    data = NativeCodec().encode(message)
    body = {**values.decode(data[HEADER.size :]), "mood": "good"}
    back, _ = NativeCodec().decode(data[: HEADER.size] + values.encode(body))
    assert type(back) is type(message)


def test_an_older_peer_may_say_less_where_there_is_a_default() -> None:
    back, _ = NativeCodec().decode(NativeCodec().encode(Hello())[: HEADER.size] + values.encode({"lanes": 2}))
    assert back == Hello(lanes=2)


@pytest.mark.parametrize(
    ("space", "actions"),
    [
        (Discrete(2), np.array([1, 0, 1])),
        (Discrete(2, dtype=np.uint8), np.array([1, 0, 1], np.uint8)),
        (Box(-1, 1, (2,)), np.arange(6, dtype=np.float32).reshape(3, 2)),
        (Dict(a=Discrete(3), b=Box(0, 1, (1,))), {"a": np.arange(3), "b": np.ones((3, 1), np.float32)}),
        (Tuple([Discrete(3), Discrete(2)]), (np.arange(3), np.array([1, 0, 1]))),
    ],
)
def test_a_step_of_every_lane_arrives_as_columns(space: Space[Any], actions: Any) -> None:
    codec = codec_of(signature_of(action=space))
    step, ack = codec.decode(step_of(None, actions, codec))
    assert isinstance(step, Step) and (step.seq, ack, step.slots) == (5, 4, None)
    assert exactly(read_batch(step.actions)) == exactly(actions)


def test_the_server_owns_the_actions_that_arrived() -> None:
    step, _ = CODEC.decode(step_of())
    assert isinstance(step, Step)
    step.actions[:] = 7
    again, _ = CODEC.decode(step_of())
    assert isinstance(again, Step) and again.actions.tolist() == [1, 0, 1]


def test_a_step_of_some_slots_names_them() -> None:
    codec = codec_of(signature_of(lanes=9, agents=("a", "b")))
    step, _ = codec.decode(step_of(slots_of((8, 1), (0, 0), (8, 0)), [0, 1, 1], codec))
    assert isinstance(step, Step) and step.slots is not None
    assert step.slots.lane.tolist() == [8, 0, 8] and step.slots.agent.tolist() == [1, 0, 0]
    assert step.actions.tolist() == [0, 1, 1]


def test_actions_without_a_layout_travel_as_values() -> None:
    codec = codec_of(signature_of(action=Text(5)))
    step, _ = codec.decode(step_of(None, ["a", {"b": 1}, None], codec))
    assert isinstance(step, Step) and step.actions == ["a", {"b": 1}, None]
    step, _ = codec.decode(step_of(slots_of((2, 0)), ["x"], codec))
    assert isinstance(step, Step) and step.actions == ["x"] and step.slots is not None


@pytest.mark.parametrize("action", [1, np.int64(1), np.array(1), True])
def test_one_action_makes_the_same_bytes_as_a_batch_of_one(action: Any) -> None:
    codec = codec_of(signature_of(lanes=1))
    assert bytes(codec.encode_step_one(5, 4, action)) == step_of(None, [1], codec)


def test_actions_that_do_not_fit_are_refused_before_a_byte_leaves() -> None:
    for actions in ([1, 0], [0.5, 0, 1], None, [[1], [0], [1]]):
        with pytest.raises(InvalidAction):
            step_of(None, actions)
    with pytest.raises(InvalidAction):
        step_of(slots_of((0, 0)), [1, 0])


@pytest.mark.parametrize("seq", [1, 2**63, 2**64 - 1])
def test_numbers_have_64_bits(seq: int) -> None:
    back, ack = CODEC.decode(CODEC.encode(State(seq), ack=seq - 1))
    assert isinstance(back, State) and (back.seq, ack) == (seq, seq - 1)


# what is not a message -------------------------------------------------------------------------


def test_text_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="binary"):
        CODEC.decode('{"type":"reset"}')


MESSAGES = {
    **{type(message).__name__.lower(): NativeCodec().encode(message) for message in SMALL},
    "step": step_of(),
    "step of slots": step_of(slots_of((2, 0), (1, 0)), [1, 0]),
    "step of values": step_of(None, ["a", "b", 3], codec_of(signature_of(action=Text(5)))),
    "answer": answer_of(),
    "answer with a tail": answer_of(final=True),
    "answer with a trailer": answer_of(info=True),
    "answer in any order": answer_of(dense=False, info=True),
}
CODECS = {
    "columns": CODEC,
    "values": codec_of(signature_of(Text(5), Text(5))),
    "nothing agreed": NativeCodec(),
    "one lane": codec_of(signature_of(lanes=1)),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_cut_short_anywhere_is_refused(name: str) -> None:
    data = MESSAGES[name]
    for end in range(len(data)):
        with pytest.raises((ProtocolViolation, InvalidMessage)):
            CODEC.decode(data[:end])


def test_columns_where_no_layout_was_agreed_are_a_violation() -> None:
    codec, out = CODECS["values"], buffer_of(signature_of(Text(5)))
    out.begin(dense=True)
    for lane in range(3):
        out.put(lane, Phase.STEP, "x")
    data = bytes(out.finish(1).payload)
    assert rows_of(codec, data).values == {0: "x", 1: "x", 2: "x"}
    with pytest.raises((ProtocolViolation, InvalidMessage)):
        codec.decode(patched(data, flags=header_of(data)["flags"] | MessageFlag.COLUMNS))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_with_bytes_behind_it_is_refused(name: str) -> None:
    for extra in (b"\0", b"\xc0", bytes(16)):
        with pytest.raises((ProtocolViolation, InvalidMessage)):
            CODEC.decode(MESSAGES[name] + extra)


@pytest.mark.parametrize("kind", [0, 14, 99, 255])
def test_a_kind_that_nobody_knows_is_named(kind: int) -> None:
    with pytest.raises(UnknownType) as refusal:
        CODEC.decode(patched(step_of(), kind=kind))
    assert refusal.value.fields == {"kind": kind}


@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
@pytest.mark.parametrize("count", [0, 1, 2, 4, 2**16, 2**31, MOST])
@pytest.mark.parametrize("flags", range(16))
def test_a_step_that_lies_about_its_count_is_refused(codec: NativeCodec, count: int, flags: int) -> None:
    for data in (step_of(), MESSAGES["step of slots"][:48], step_of()[: HEADER.size]):
        _decodes_or_refuses(codec.decode, patched(data, count=count, flags=flags))


@pytest.mark.parametrize(
    "fields", [{"count": MOST}, {"tail": MOST}, {"count": MOST, "tail": MOST}, {"count": 0}]
)
@pytest.mark.parametrize("flags", range(16))
def test_an_answer_that_lies_about_its_rows_is_refused(fields: dict[str, int], flags: int) -> None:
    for codec in CODECS.values():
        with pytest.raises((ProtocolViolation, InvalidMessage)):
            codec.decode(patched(answer_of(), flags=flags, **fields))


def test_nothing_is_allocated_on_a_peers_word() -> None:
    lies = [
        patched(data, flags=flags, **fields)
        for data in (answer_of(), step_of())
        for flags in range(16)
        for fields in ({"count": MOST}, {"tail": MOST}, {"count": 3, "tail": 2**24})
    ]
    tracemalloc.start()
    try:
        for codec in CODECS.values():
            for lie in lies:
                _decodes_or_refuses(codec.decode, lie)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("reward", [8, 9, 255])
def test_a_reward_dtype_that_nobody_knows_is_a_violation(reward: int) -> None:
    for data in (answer_of(), answer_of(info=True)):
        with pytest.raises(ProtocolViolation):
            CODEC.decode(patched(data, reward=reward))


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_a_dense_answer_for_another_number_of_lanes_is_a_violation(lanes: int) -> None:
    with pytest.raises(ProtocolViolation):
        CODEC.decode(answer_of(lanes))


@pytest.mark.parametrize("slot", [(3, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_row_of_a_slot_that_is_not_there_is_a_violation(slot: tuple[int, int]) -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=False)
    out.put(slot[0], Phase.STEP, np.zeros(4, np.float32), agent=slot[1])
    with pytest.raises(ProtocolViolation):
        rows_of(CODEC, out.finish(1).payload)


@pytest.mark.parametrize(
    ("cls", "body"),
    [
        (Hello, {"lanes": "3"}),
        (Hello, {"lanes": None}),
        (Hello, {"lanes": [1]}),
        (Hello, {"view": 1}),
        (Hello, {"config": []}),
        (Hello, {"exact": 1}),
        (Reset, {"seeds": 1.0}),
        (Reset, {"options": []}),
        (Reset, {"lanes": 3}),
        (Observe, {"agent": None}),
        (Observe, {"lane": None}),
        (State, {"lane": None}),
        (State, {"lane": True}),
        (Render, {"lane": "all"}),
        (Call, {"name": 1}),
        (Call, {}),
        (Call, {"name": "a", "args": {"b": 1}}),
        (Value, {}),
        (Error, {"code": "A"}),
        (Error, {"code": 1, "side": "you", "message": ""}),
    ],
)
def test_a_field_that_is_missing_or_of_a_wrong_type_is_an_invalid_message(
    cls: type, body: dict[str, Any]
) -> None:
    sample = next(message for message in SMALL if type(message) is cls)
    with pytest.raises(InvalidMessage):
        CODEC.decode(CODEC.encode(sample)[: HEADER.size] + values.encode(body))


def test_a_field_nested_without_end_is_refused() -> None:
    body = values.encode({"lane": 0})[:-1] + b"\x91" * 900 + b"\x90"
    with pytest.raises((ProtocolViolation, InvalidMessage)):
        CODEC.decode(CODEC.encode(Render(1))[: HEADER.size] + body)


@pytest.mark.parametrize(
    "trailer",
    [
        1,
        [],
        {"infos": []},
        {"infos": {"a": 1}},
        {"values": []},
        {"batch": None},
        {"failures": {0: "x"}},
        {"failures": {"0": ["A", "b", {}, None]}},
        {"failures": {0: ["A", "b", {}]}},
        {"failures": {0: [1, "b", {}, None]}},
        {"failures": {0: ["A", "b", [], None]}},
        {"failures": {3: ["A", "b", {}, None]}},
        {"failures": {-1: ["A", "b", {}, None]}},
        {"values": {3: 1}},
        {"values": {-2: 1}},
        {"values": {"0": 1}},
    ],
)
def test_a_trailer_that_is_not_what_it_must_be_is_a_violation(trailer: Any) -> None:
    data = patched(answer_of(), flags=MessageFlag.DENSE | MessageFlag.COLUMNS | MessageFlag.TRAILER)
    with pytest.raises(ProtocolViolation):
        CODEC.decode(data + values.encode(trailer))


@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
@settings(max_examples=250, deadline=None)
@given(mutated(list(MESSAGES.values())))
def test_a_spoilt_message_is_a_message_or_refused(codec: NativeCodec, data: bytes) -> None:
    _decodes_or_refuses(codec.decode, data)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 13), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=80))
def test_random_bytes_behind_a_header_are_a_message_or_refused(
    kind: int, flags: int, count: int, rest: bytes
) -> None:
    data = HEADER.pack(kind, flags, 0, 0, count, 0, 0, 1, 0) + rest
    for codec in CODECS.values():
        _decodes_or_refuses(codec.decode, data)


def _decodes_or_refuses(decode: Callable[[bytes], tuple[Message, int]], data: bytes) -> None:
    try:
        message, _ = decode(data)
    except (ProtocolViolation, InvalidMessage) as error:
        assert isinstance(error, OpenEnvGymError)
        return
    if isinstance(message, Answer):  # what was let in can also be read
        message.rows.infos.dicts()
        assert (
            len(message.rows.lane)
            == len(message.rows.phase)
            == header_of(data)["count"] + header_of(data)["tail"]
        )
    assert header_of(data)["kind"] != Kind.ANSWER or isinstance(message, Answer)
