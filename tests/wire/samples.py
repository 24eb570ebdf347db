"""Sound messages of every kind, for tests that spoil them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Discrete, Text

from openenv_gym.errors import InvalidArgument
from openenv_gym.types import Signature
from openenv_gym.wire.codecs.json import encode_error, encode_frame, encode_observation, metadata_of
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import (
    Ack,
    Call,
    Close,
    Error,
    Hello,
    Message,
    Observe,
    Render,
    Reset,
    State,
    Value,
)
from tests.wire.ends import buffer_of, codec_of, put_lanes, signature_of, welcome_of

NESTED = Dict(text=Text(5), n=Discrete(3))
SIGNATURES = {"columns": signature_of(), "values": signature_of(NESTED, NESTED)}
SIGNATURE = SIGNATURES["columns"]
ASKED = (
    Reset(1, None, [1, 2, 3], {"a": [1.5, "x"]}),
    State(2),
    Render(3, None),
    Call(4, "unwrapped.x", 0, [1]),
)


def native_requests(signature: Signature) -> list[bytes]:
    codec, values = codec_of(signature), signature is not SIGNATURE
    actions: Any = [{"text": "a", "n": 1}] * 3 if values else [1, 0, 1]
    small = [
        NativeCodec().encode(message) for message in (*ASKED, Observe(5), Ack(3), Close(), Hello(lanes=3))
    ]
    return [*small, *(bytes(codec.encode_step(seq, 0, None, actions)) for seq in (1, 2, 5))]


def native_answers(signature: Signature) -> list[bytes]:
    out = buffer_of(signature)
    answers = []
    for seq in (1, 4):
        out.begin(dense=seq == 1)
        if signature is SIGNATURE:
            put_lanes(out, 3)
            out.put(0, 1, np.zeros(4, np.float32), info={"a": 1, "b": {"c": np.zeros(3)}, "t": "x"})
        else:
            for lane in range(3):
                out.put(lane, 1, {"text": "ab", "n": lane}, info={"mask": np.ones(3, np.int8)})
        out.fail(1, InvalidArgument("no", lane=1))
        answers.append(bytes(out.finish(seq, 9).payload))
    small: list[Message] = [
        welcome_of(signature),
        Value(2, {"step_count": 3, "a": (1, np.arange(3))}),
        Error(3, "RESET_NEEDED", "you", "reset", {}),
    ]
    return answers + [NativeCodec().encode(message) for message in small]


JSON_REQUESTS = [
    b'{"type":"reset","data":{"seed":1,"options":{"a":[1,2.5e3,"x"]},"episode_id":"e"}}',
    b'{"type":"step","data":{"action":[1,{"b":null}]}}',
    b'{"type":"step","data":{"action":18446744073709551616}}',
    b'{"type":"state"}',
    b'{"type":"render","data":{}}',
    b'{"type":"mcp","data":{"jsonrpc":"2.0","method":"tools/list","id":1}}',
    b'{"type":"close"}',
]
INFO = {
    "a": np.zeros((2, 2)),
    "t": np.array(["ab", "c"]),
    "p": (1, 2),
    "n": math.nan,
    "o": np.array([1, "x"], object),
}
JSON_ANSWERS = [
    encode_observation(
        {"observation": [1, 2]}, None, True, metadata_of(True, False, INFO, math.inf)
    ).encode(),
    encode_error(InvalidArgument("no", lane=3)).encode(),
    encode_frame(
        {"frame": [[1]], "render_mode": "rgb_array", "types": {"": ["array", "|u1", [1, 1]]}}
    ).encode(),
    b'{"type":"state","data":{"step_count":1}}',
]
