"""OpenEnv's JSON dialect as its stock peers speak it; the samples were taken from real servers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym import errors
from openenv_gym.errors import (
    CapacityReached,
    EnvironmentRaised,
    FactoryFailed,
    InvalidArgument,
    InvalidJson,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
    ResetNeeded,
    UnknownType,
)
from openenv_gym.types import Phase, Rows
from openenv_gym.wire.codecs.json import (
    JsonClientCodec,
    JsonServerCodec,
    encode_error,
    encode_observation,
    metadata_of,
)
from openenv_gym.wire.messages import (
    Ack,
    Answer,
    Call,
    Close,
    Error,
    Mcp,
    Observe,
    Render,
    Reset,
    State,
    Step,
    Value,
)
from tests.wire.ends import exactly
from tests.wire.strategies import mutated

# the server: what a stock client sends ---------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type":"reset"}', Reset(1)),
        ('{"type":"reset","data":{}}', Reset(1)),
        ('{"type":"reset","data":{"seed":3}}', Reset(1, None, [3])),
        (
            '{"type":"reset","data":{"seed":null,"episode_id":"e1"}}',
            Reset(1, None, None, None, ["e1"], {"seed": None}),
        ),
        ('{"type":"reset","data":{"options":["a"]}}', Reset(1, data={"options": ["a"]})),
        (
            '{"type":"reset","data":{"options":{"a":[1]},"dataset_name":"x"}}',
            Reset(1, None, None, {"a": [1]}, None, {"dataset_name": "x"}),
        ),
        ('{"type":"step","data":{"action_id":0}}', Step(1, None, [{"action_id": 0}])),
        ('{"type":"step","data":{}}', Step(1, None, [{}])),
        ('{"type":"state"}', State(1)),
        ('{"type":"render"}', Render(1)),
        ('{"type":"render","data":{}}', Render(1)),
        ('{"type":"mcp","data":{"id":1}}', Mcp({"id": 1})),
        ('{"type":"close"}', Close()),
    ],
)
def test_each_request_of_a_stock_client_is_understood(text: str, message: Any) -> None:
    for data in (text, text.encode()):
        assert JsonServerCodec().decode(data) == (message, 0)


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        ("{", InvalidJson, "INVALID_JSON"),
        ("", InvalidJson, "INVALID_JSON"),
        (b"\xff", InvalidJson, "INVALID_JSON"),
        ("[" * 100_000, InvalidJson, "INVALID_JSON"),
        ("9" * 5000, InvalidJson, "INVALID_JSON"),
        ("{}", UnknownType, "UNKNOWN_TYPE"),
        ('{"type":"dance"}', UnknownType, "UNKNOWN_TYPE"),
        ('{"type":["reset"]}', UnknownType, "UNKNOWN_TYPE"),
        ('{"type":"\\ud800"}', UnknownType, "UNKNOWN_TYPE"),
        ('{"type":"step"}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"step","data":[1]}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"step","data":{},"request_id":"1"}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"reset","data":null}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"reset","seed":3}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"state","data":{}}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"render","data":null}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"mcp"}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"mcp","data":[]}', InvalidMessage, "VALIDATION_ERROR"),
        ('{"type":"reset","data":{"seed":"x"}}', InvalidArgument, "VALIDATION_ERROR"),
        ('{"type":"reset","data":{"seed":-1}}', InvalidArgument, "VALIDATION_ERROR"),
        ('{"type":"reset","data":{"seed":true}}', InvalidArgument, "VALIDATION_ERROR"),
        ('{"type":"reset","data":{"episode_id":7}}', InvalidArgument, "VALIDATION_ERROR"),
        ("[]", ProtocolViolation, "SESSION_ERROR"),
        ("null", ProtocolViolation, "SESSION_ERROR"),
    ],
)
def test_what_a_stock_server_refuses_is_refused_with_its_code(
    text: str, error: type[OpenEnvGymError], code: str
) -> None:
    with pytest.raises(error) as refusal:
        JsonServerCodec().decode(text)
    reply = json.loads(encode_error(refusal.value))
    assert reply["type"] == "error" and reply["data"]["code"] == code
    assert reply["data"]["error_code"] == error.code and isinstance(reply["data"]["message"], str)


def test_what_a_stock_server_finds_wrong_is_in_the_message() -> None:
    codec = JsonClientCodec()
    found = [{"type": "less_than", "loc": ["go", at], "msg": f"wrong {at}", "input": 9} for at in range(6)]
    data = {
        "message": "Invalid message",
        "code": "VALIDATION_ERROR",
        "errors": [*found, "no error", {"loc": 3}],
    }
    error, _ = codec.decode(json.dumps({"type": "error", "data": data}))
    assert isinstance(error, Error)
    assert error.message.startswith("Invalid message: go.0: wrong 0; go.1: wrong 1;")
    assert error.message.endswith("and 2 more")


STEPS = [
    b'{"type": "step", "data": {"action": 1}}',
    b'{"type":"step","data":{"action":[0.1,-0,1e400,18446744073709551616],"metadata":{}}}',
    b'{"data":{"action":{"a":"\\ud800","b":NaN}},"type":"step","type":"step"}',
    b'{"type":"step","data":{},"request_id":"1"}',
    b'{"type":"reset","data":{"seed":1}}',
]


class Text(str):
    """A text that is not of the very type that the short cut takes."""


def decoded(text: str) -> Any:
    try:
        message, _ = JsonServerCodec().decode(text)
    except OpenEnvGymError as error:
        return type(error)
    return repr(message)


@settings(max_examples=500)
@given(mutated(STEPS) | st.sampled_from(STEPS))
def test_a_step_means_the_same_whichever_decoder_reads_it(data: bytes) -> None:
    text = data.decode(errors="replace")
    assert decoded(text) == decoded(Text(text))


def test_deep_data_of_a_step_are_left_to_pythons_decoder() -> None:
    text = '{"type":"step","data":' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}"
    with pytest.raises(InvalidJson):
        JsonServerCodec().decode(text)


def test_a_refused_field_is_named_in_pydantics_words() -> None:
    with pytest.raises(InvalidMessage) as refusal:
        JsonServerCodec().decode('{"type":"step","timeout_s":2,"request_id":"1"}')
    complaints = json.loads(encode_error(refusal.value))["data"]["errors"]
    assert [(one["type"], one["loc"]) for one in complaints] == [
        ("missing", ["data"]),
        ("extra_forbidden", ["timeout_s"]),
        ("extra_forbidden", ["request_id"]),
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EnvironmentRaised("it broke", exception="KeyError"), "EXECUTION_ERROR"),
        (ResetNeeded("reset first"), "EXECUTION_ERROR"),
        (errors.InvalidAction("no such action"), "VALIDATION_ERROR"),
        (FactoryFailed("no", factory_name="make"), "FACTORY_ERROR"),
        (errors.UnknownSession("who?"), "SESSION_ERROR"),
    ],
)
def test_errors_of_the_server_carry_both_codes_and_their_fields(error: OpenEnvGymError, code: str) -> None:
    data = json.loads(encode_error(error))["data"]
    assert data == {"message": error.message, "code": code, "error_code": error.code, **error.fields}


def test_a_full_server_counts_sessions_as_a_stock_one_does() -> None:
    data = json.loads(encode_error(CapacityReached("full", active_lanes=3, max_lanes=3)))["data"]
    assert data["code"] == "CAPACITY_REACHED" and data["active_sessions"] == 3 and data["max_sessions"] == 3


def test_a_state_is_answered_with_its_fields() -> None:
    text = JsonServerCodec().encode(Value(1, {"episode_id": "e", "step_count": 3, "board": np.zeros(2)}))
    assert json.loads(text) == {
        "type": "state",
        "data": {"episode_id": "e", "step_count": 3, "board": [0.0, 0.0]},
    }


def test_an_observation_has_the_shape_that_a_stock_client_reads() -> None:
    bare = json.loads(encode_observation({"x": 1}, 0.5, False, {}))
    assert bare == {
        "type": "observation",
        "data": {"observation": {"x": 1, "metadata": {}}, "reward": 0.5, "done": False},
    }
    metadata = metadata_of(True, False, {"prob": np.float64(0.3)})
    data = json.loads(encode_observation({"x": 1}, 1.0, True, metadata))["data"]
    assert (
        data["metadata"]
        == data["observation"]["metadata"]
        == {
            "terminated": True,
            "truncated": False,
            "info": {"prob": 0.3},
            "info_types": {"/prob": ["scalar", "<f8"]},
        }
    )


def test_what_json_cannot_say_is_null() -> None:
    text = encode_observation({"x": [math.nan, math.inf, 10**30], "y": "\ud800"}, math.nan, False, {})
    data = json.loads(text, parse_constant=pytest.fail)["data"]
    assert data["observation"]["x"] == [None, None, 10**30] and data["reward"] is None


# the client: what stock servers answer -----------------------------------------------------------

GRID = {"metadata": {}, "x": 0, "y": 1, "message": "Keep going..."}
SCAFFOLD = {"metadata": {"original_message": "hi", "step": 1}, "echoed_message": "hi", "message_length": 2}


def rows_of(body: Any, *, phase: Phase = Phase.STEP) -> Rows:
    codec = JsonClientCodec()
    if phase is Phase.RESET:
        codec.encode(Reset(1))
    else:
        codec.encode_step_one(1, 0, {})
    answer, _ = codec.decode(json.dumps({"type": "observation", "data": body}))
    assert isinstance(answer, Answer) and answer.seq == 1
    return answer.rows


def test_a_stock_servers_step_is_one_row_of_fields() -> None:
    rows = rows_of({"observation": GRID, "reward": -0.1, "done": False})
    assert rows.values == {0: GRID} and rows.reward.tolist() == [-0.1] and not rows.infos
    assert not rows.terminated[0] and not rows.truncated[0] and rows.phase.tolist() == [Phase.STEP]


def test_done_without_our_metadata_is_terminated() -> None:
    rows = rows_of({"observation": SCAFFOLD, "reward": 0.2, "done": True, "metadata": SCAFFOLD["metadata"]})
    assert rows.terminated[0] and not rows.truncated[0]
    assert rows.infos.of(0) == {"original_message": "hi", "step": 1}


@pytest.mark.parametrize(
    ("done", "metadata", "ends"),
    [
        (False, {}, (False, False)),
        (True, {}, (True, False)),
        (True, {"truncated": True}, (False, True)),
        (True, {"truncated": False}, (True, False)),
        (True, {"terminated": True}, (True, False)),
        (True, {"terminated": False}, (False, True)),
        (False, {"terminated": True}, (True, False)),
        (False, {"truncated": True}, (False, True)),
        (True, {"terminated": True, "truncated": True}, (True, True)),
        (True, {"terminated": False, "truncated": False}, (True, False)),
        (True, {"truncated": "yes", "terminated": 0}, (True, False)),
    ],
)
def test_an_end_is_what_the_metadata_says_or_else_done(
    done: bool, metadata: dict[str, Any], ends: tuple[bool, bool]
) -> None:
    codec = JsonClientCodec()
    codec.encode_step_one(1, 0, {})
    body = {"observation": {"metadata": metadata}, "reward": 0.0, "done": done}
    answer, _ = codec.decode(json.dumps({"type": "observation", "data": body}))
    assert isinstance(answer, Answer)
    assert (bool(answer.rows.terminated[0]), bool(answer.rows.truncated[0])) == ends
    assert answer.rows.infos.of(0) == metadata


@pytest.mark.parametrize(("phase", "reward"), [(Phase.RESET, 0.0), (Phase.STEP, math.nan)])
def test_a_null_reward_is_none_at_reset_and_not_a_number_afterwards(phase: Phase, reward: float) -> None:
    got = rows_of({"observation": GRID, "reward": None, "done": False}, phase=phase).reward[0]
    assert got == reward or (math.isnan(got) and math.isnan(reward))


@pytest.mark.parametrize("reward", [0.1, -0.0, 1e-320, math.nan, math.inf, -math.inf])
def test_our_own_metadata_restores_flags_info_and_reward_to_the_bit(reward: float) -> None:
    info = {"prob": np.float32(0.1), "mask": np.array([1, 0], np.int8), "pair": (1, math.nan), "n": 10**30}
    metadata = metadata_of(False, True, info, reward)
    sayable = reward if math.isfinite(reward) else None
    codec = JsonClientCodec()
    codec.encode_step_one(1, 0, {"action": 1})
    answer, _ = codec.decode(encode_observation({"observation": [1]}, sayable, True, metadata))
    assert isinstance(answer, Answer)
    rows = answer.rows
    assert (rows.terminated[0], rows.truncated[0]) == (False, True)
    assert exactly(rows.infos.of(0)) == exactly(info) and exactly(rows.reward) == exactly(np.array([reward]))


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("INVALID_JSON", "INVALID_JSON"),
        ("UNKNOWN_TYPE", "UNKNOWN_TYPE"),
        ("VALIDATION_ERROR", "INVALID_ACTION"),
        ("EXECUTION_ERROR", "ENVIRONMENT_RAISED"),
        ("SOMETHING_NEW", "PEER_ERROR"),
        (None, "PEER_ERROR"),
        ([1], "PEER_ERROR"),
    ],
)
def test_a_stock_servers_error_settles_the_oldest_request(code: Any, ours: str) -> None:
    codec = JsonClientCodec()
    codec.encode_step_one(1, 0, {})
    codec.encode(State(2))
    error, _ = codec.decode(
        json.dumps({"type": "error", "data": {"message": "no", "code": code, "errors": []}})
    )
    assert error == Error(1, ours, "peer", "no", {"errors": [], "openenv_code": code})


@pytest.mark.parametrize("code", ["CAPACITY_REACHED", "FACTORY_ERROR", "SESSION_ERROR"])
def test_errors_that_end_the_session_answer_no_request(code: str) -> None:
    codec = JsonClientCodec()
    codec.encode(State(1))
    error, _ = codec.decode(json.dumps({"type": "error", "data": {"message": "no", "code": code}}))
    assert isinstance(error, Error) and error.seq == 0


def test_the_more_exact_code_of_our_own_server_wins() -> None:
    codec = JsonClientCodec()
    codec.encode(State(1))
    error, _ = codec.decode(encode_error(ResetNeeded("reset first", lane=0)))
    assert isinstance(error, Error) and error.code == "RESET_NEEDED" and error.fields["lane"] == 0


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Reset(1), '{"type":"reset","data":{}}'),
        (Reset(1, None, 3), '{"type":"reset","data":{"seed":3}}'),
        (
            Reset(1, None, [3], {"a": (1,)}, ["e"]),
            '{"type":"reset","data":{"seed":3,"options":{"a":[1]},"episode_id":"e"}}',
        ),
        (Reset(1, None, [None]), '{"type":"reset","data":{}}'),
        (
            Reset(1, None, [3], data={"task": None, "level": np.int64(2), "seed": 9}),
            '{"type":"reset","data":{"task":null,"level":2,"seed":3}}',
        ),
        (State(1), '{"type":"state"}'),
        (Close(), '{"type":"close"}'),
    ],
)
def test_requests_are_what_a_stock_server_accepts(message: Any, text: str) -> None:
    assert JsonClientCodec().encode(message) == text


def test_a_step_sends_its_fields_flat() -> None:
    assert JsonClientCodec().encode_step_one(1, 0, {"column": 3}) == '{"type":"step","data":{"column":3}}'
    assert JsonClientCodec().encode_step(1, 0, None, [{"a": math.nan}]) == '{"type":"step","data":{"a":null}}'


def test_calls_of_json_rpc_have_a_slash_in_their_names() -> None:
    codec = JsonClientCodec()
    asked: dict[str, Any] = {
        "type": "mcp",
        "data": {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
    }
    assert json.loads(codec.encode(Call(1, "tools/list"))) == asked
    told = {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}
    assert codec.decode(json.dumps({"type": "mcp", "data": told})) == (Value(1, {"tools": []}), 0)
    asked["data"] |= {"id": 2, "method": "tools/call", "params": {"name": "add"}}
    assert json.loads(codec.encode(Call(2, "tools/call", 0, [{"name": "add"}]))) == asked
    refused = {"jsonrpc": "2.0", "id": 2, "error": {"code": -32603, "message": "no tools here"}}
    assert codec.decode(json.dumps({"type": "mcp", "data": refused})) == (
        Error(2, "CALL_REFUSED", "peer", "no tools here", {}),
        0,
    )


@pytest.mark.parametrize("message", [Observe(1), Render(1, None), Call(1, "x"), Ack(1)])
def test_what_the_dialect_has_no_seat_for_is_refused(message: Any) -> None:
    with pytest.raises(InvalidArgument, match="JSON dialect"):
        JsonClientCodec().encode(message)


OURS = {"terminated": False, "truncated": False}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        b"\xff",
        memoryview(b"{}"),
        '{"type":"observation"}',
        '{"type":"observation","data":{"observation":[1]}}',
        '{"type":"observation","data":{"observation":{},"metadata":[1]}}',
        '{"type":"observation","data":{"observation":{},"reward":"1"}}',
        '{"type":"observation","data":{"observation":{},"reward":1' + "0" * 400 + "}}",
        json.dumps({"type": "observation", "data": {"observation": {}, "metadata": {**OURS, "info": [1]}}}),
        json.dumps(
            {
                "type": "observation",
                "data": {"observation": {}, "metadata": {**OURS, "info": {}, "info_types": [1]}},
            }
        ),
        json.dumps(
            {
                "type": "observation",
                "data": {"observation": {}, "metadata": {**OURS, "info": {}, "info_types": {"": ["array"]}}},
            }
        ),
        json.dumps(
            {
                "type": "observation",
                "data": {"observation": {}, "metadata": {**OURS, "reward_type": ["bytes"]}, "reward": "AA=="},
            }
        ),
        '{"type":"error","data":{}}',
        '{"type":"error","data":{"message":1}}',
        '{"type":"mcp","data":{}}',
    ],
)
def test_what_is_no_answer_is_a_violation(text: Any) -> None:
    codec = JsonClientCodec()
    codec.encode_step_one(1, 0, {})
    with pytest.raises(ProtocolViolation):
        codec.decode(text)


_REPLIES = [
    encode_observation(
        {"observation": [1]}, None, True, metadata_of(True, False, {"a": np.zeros(2), "b": (1,)}, math.inf)
    ),
    encode_error(InvalidArgument("no", lane=3)),
    '{"type":"state","data":{"step_count":1}}',
]


@settings(max_examples=300, deadline=None)
@given(mutated([text.encode() for text in _REPLIES]))
def test_a_spoilt_reply_is_an_answer_or_a_violation(data: bytes) -> None:
    codec = JsonClientCodec()
    codec.encode_step_one(1, 0, {})
    try:
        codec.decode(data)
    except ProtocolViolation:
        return
