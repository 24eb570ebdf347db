"""OpenEnv's JSON dialect: the one place that knows what its messages look like.

The dialect has no sequence numbers, so both codecs count: the n-th request of a connection is
number n, and answers come in order. What it has no seat for (``terminated``, ``truncated``,
``info``) rides in ``metadata``, where stock clients do not look. Source: ``openenv`` 0.10,
``openenv/core/env_server/http_server.py``, and this project's measurements of it.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any

import msgspec
import numpy as np

from openenv_gym.errors import (
    CapacityReached,
    InvalidAction,
    InvalidArgument,
    InvalidJson,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
    UnknownType,
)
from openenv_gym.types import Flag, Phase, Plain, Rows, Slots
from openenv_gym.wire import plain
from openenv_gym.wire.depth import check_depth
from openenv_gym.wire.infos import NO_INFOS, from_dicts
from openenv_gym.wire.messages import (
    Answer,
    Call,
    Close,
    Error,
    Mcp,
    Message,
    Render,
    Reset,
    State,
    Step,
    Value,
)

__all__ = [
    "FieldRows",
    "JsonClientCodec",
    "JsonServerCodec",
    "describe_frame",
    "encode_error",
    "encode_frame",
    "encode_observation",
    "metadata_of",
]

_encode_bytes = msgspec.json.Encoder().encode
_FIELDS = {
    "reset": frozenset({"type", "data"}),
    "step": frozenset({"type", "data"}),
    "state": frozenset({"type"}),
    "render": frozenset({"type", "data"}),
    "mcp": frozenset({"type", "data"}),
    "close": frozenset({"type"}),
}
_FATAL = frozenset({"CAPACITY_REACHED", "FACTORY_ERROR", "SESSION_ERROR"})
"""The codes that end a session."""
_FEW_BRACKETS = 8
_ONE = Slots.dense(1)
_FLAGS_ALONE = np.full(1, Flag.TO_MOVE | Flag.OBSERVED, np.uint8)


def _encode(data: Plain) -> str:
    """JSON text in which NaN and infinity are ``null``."""
    try:
        return _encode_bytes(data).decode()
    except (OverflowError, UnicodeEncodeError):  # an integer beyond 64 bits; half of a surrogate pair
        return json.dumps(json.loads(json.dumps(data), parse_constant=lambda _: None))


# the server's side ----------------------------------------------------------------------------


class _PlainStep(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A step as stock clients send it."""

    type: str
    data: dict[str, Any]


_decode_step = msgspec.json.Decoder(_PlainStep).decode


class JsonServerCodec:
    """Requests of a stock client to messages, and the answers back to text.

    Args:
        max_depth: how deep lists and objects may be nested; ``None``: as deep as can be parsed.
    """

    def __init__(self, *, max_depth: int | None = None) -> None:
        self._max_depth = max_depth
        self._few_brackets = _FEW_BRACKETS if max_depth is None else min(_FEW_BRACKETS, max_depth)
        self._seq = 0

    def decode(self, data: Any) -> tuple[Message, int]:
        """The request in a text, numbered; the client has every earlier answer.

        Raises:
            InvalidJson: if it is not JSON.
            UnknownType: if its ``type`` is not one of the protocol's.
            InvalidMessage: if a field is wrong, missing or too many; ``fields["errors"]`` says which. Or
                if it is nested too deep.
            ProtocolViolation: if it is JSON, but no object.
        """
        step = _plain_step(data, self._few_brackets)
        if step is not None:
            return Step(self.skip(), None, [step.data]), self._seq - 1
        if self._max_depth is not None:
            check_depth(data, self._max_depth)
        try:
            message = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidJson(f"Invalid JSON: {error}") from error
        if type(message) is not dict:
            raise ProtocolViolation(f"a message is a JSON object, not {type(message).__name__}")
        kind = message.get("type", "")
        if type(kind) is not str or kind not in _FIELDS:
            raise UnknownType(f"Unknown message type: {kind!s:.80}")
        _check_fields(kind, message)
        body = message.get("data", {})
        seq = self._seq + 1
        decoded: Message
        match kind:
            case "step":
                decoded = Step(seq, None, [body])
            case "reset":
                decoded = _reset(seq, body)
            case "state":
                decoded = State(seq)
            case "render":
                decoded = Render(seq)
            case "mcp":
                return Mcp(body), self._seq
            case _:
                decoded = Close()
        return decoded, self.skip() - 1

    def skip(self) -> int:
        """Count a request, understood or not, and give its number."""
        self._seq += 1
        return self._seq

    def encode(self, message: Message, ack: int = 0) -> str:
        """An answer that is not an observation."""
        match message:
            case Value(value=value):
                return _encode({"type": "state", "data": plain.describe(value)[0]})
            case Mcp(data=answer):
                return _encode({"type": "mcp", "data": answer})
            case Error(message=text, fields=fields):
                return _encode({"type": "error", "data": {"message": text, "code": message.code, **fields}})
        raise TypeError(f"the JSON dialect has no {type(message).__name__}")


def _plain_step(data: Any, brackets: int) -> _PlainStep | None:
    """A well-formed step; nothing for all else, which takes the longer way.

    Python's own decoder takes more than JSON (NaN, halves of surrogate pairs), says better what is
    wrong, and is asked whenever this one refuses. So few ``brackets`` cannot be nested deeper than that.
    """
    if type(data) is not str or data.count("{") + data.count("[") > brackets:
        return None
    try:
        step = _decode_step(data)
    except (msgspec.MsgspecError, ValueError):
        return None
    return step if step.type == "step" else None


def _check_fields(kind: str, message: dict[str, Any]) -> None:
    """Raise pydantic's complaints, in its words, about a message that upstream would refuse."""
    errors: list[dict[str, Any]] = []
    if kind in ("step", "mcp") and "data" not in message:
        errors.append(_complaint("missing", "data", "Field required", message))
    if "data" in message and "data" in _FIELDS[kind] and type(message["data"]) is not dict:
        errors.append(_complaint("dict_type", "data", "Input should be a valid dictionary", message["data"]))
    extra = [name for name in message if name not in _FIELDS[kind]]
    errors += [
        _complaint("extra_forbidden", name, "Extra inputs are not permitted", message[name]) for name in extra
    ]
    if errors:
        raise InvalidMessage("Invalid message", errors=errors)


def _complaint(kind: str, name: str, text: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": [name], "msg": text, "input": value}


def _reset(seq: int, data: dict[str, Any]) -> Reset:
    seed, episode_id, options = data.get("seed"), data.get("episode_id"), data.get("options")
    if seed is not None and (type(seed) is not int or seed < 0):
        raise InvalidArgument(f"seed is {seed!r:.80}; a whole number of at least 0, or null, was expected")
    if episode_id is not None and (type(episode_id) is not str or len(episode_id) > 255):
        raise InvalidArgument("episode_id takes a text of at most 255 characters, or null")
    episodes = None if episode_id is None else [episode_id]
    seated = {"seed", "episode_id"}
    if type(options) is dict:
        seated.add("options")
    else:  # a typed environment may mean by it what it likes
        options = None
    # A null is said, and to a typed environment that is not the same as nothing.
    rest = {name: value for name, value in data.items() if value is None or name not in seated}
    return Reset(seq, None, None if seed is None else [seed], options, episodes, rest or None)


def metadata_of(
    terminated: bool,
    truncated: bool,
    info: dict[str, Any],
    reward: float = 0.0,
    observation_types: dict[str, Any] | None = None,
) -> dict[str, Plain]:
    """What rides in ``metadata``: both flags, and ``info`` with the types that JSON cannot say."""
    info_plain, info_types = plain.describe(info) if info else ({}, {})
    metadata = {"terminated": terminated, "truncated": truncated, "info": info_plain}
    if info_types:
        metadata["info_types"] = info_types
    if observation_types is not None:
        metadata["observation_types"] = observation_types
    if not math.isfinite(reward):
        metadata["reward_type"] = ["float", str(reward)]
    return metadata


def encode_observation(fields: dict[str, Plain], reward: float | None, done: bool, metadata: Plain) -> str:
    """The answer to a reset or a step, with ``metadata`` in both places where clients look."""
    data = {"observation": {**fields, "metadata": metadata}, "reward": reward, "done": done}
    if metadata:
        data["metadata"] = metadata
    return _encode({"type": "observation", "data": data})


def describe_frame(frame: Any, render_mode: str) -> dict[str, Plain]:
    """What a session shows, with the types that JSON cannot say."""
    described, types = plain.describe(frame)
    shown = {"frame": described, "render_mode": render_mode}
    return {**shown, "types": types} if types else shown


def encode_frame(described: dict[str, Plain]) -> str:
    """The answer to a question for a frame."""
    return _encode({"type": "render", "data": described})


def encode_error(error: OpenEnvGymError, *, over: bool = False) -> str:
    """An error in the words of the protocol; our own code goes with it as ``error_code``.

    Args:
        error: what failed.
        over: whether the session ends with it; then the protocol's code is one that says so.
    """
    fields = dict(error.fields)
    if isinstance(error, CapacityReached):
        # Upstream knows sessions only; where lanes ran out, they take the place.
        fields = {
            "active_sessions": fields.get("active_sessions", fields.get("active_lanes")),
            "max_sessions": fields.get("max_sessions", fields.get("max_lanes")),
        }
    code = "SESSION_ERROR" if over and error.openenv_code not in _FATAL else error.openenv_code
    data = {"message": error.message, "code": code, "error_code": error.code, **fields}
    return _encode({"type": "error", "data": data})


# the client's side ----------------------------------------------------------------------------


class FieldRows(Rows, kw_only=True):
    """The row of one answer, and the answer itself.

    Attributes:
        body: the answer's ``data``, as it came.
        ours: whether the server says ``terminated``, ``truncated`` and ``info``.
    """

    body: dict[str, Any]
    ours: bool


class JsonClientCodec:
    """Requests to the text that any OpenEnv server understands, and its answers to messages.

    Actions and observations are dicts of fields. ``Answer.rows.values[0]`` holds an observation's. The calls
    that there are, are methods of JSON-RPC, whose names have a slash (``tools/list``).
    """

    def __init__(self) -> None:
        self._sent: deque[tuple[int, Phase]] = deque()

    def encode(self, message: Message, ack: int = 0) -> str:
        """Any request but a step."""
        match message:
            case Reset():
                text = _encode({"type": "reset", "data": _reset_data(message)})
                self._sent.append((message.seq, Phase.RESET))
                return text
            case State():
                self._sent.append((message.seq, Phase.STEP))
                return '{"type":"state"}'
            case Render(lane=0):
                self._sent.append((message.seq, Phase.STEP))
                return '{"type":"render"}'
            case Call(seq=seq, name=name, args=args) if "/" in name:
                params = args[0] if args else {}
                text = _encode(
                    {"type": "mcp", "data": {"jsonrpc": "2.0", "id": seq, "method": name, "params": params}}
                )
                self._sent.append((seq, Phase.STEP))
                return text
            case Close():
                return '{"type":"close"}'
        raise InvalidArgument(
            f"the JSON dialect has no {type(message).__name__.lower()}; only a server of openenv-gym, "
            "spoken to in its native dialect, can do this"
        )

    def encode_step(self, seq: int, ack: int, slots: Slots | None, actions: Any) -> str:
        """A step; ``actions`` is a list of one dict of fields."""
        return self.encode_step_one(seq, ack, actions[0])

    def encode_step_one(self, seq: int, ack: int, action: Any) -> str:
        """A step; ``action`` is a dict of fields."""
        try:
            data = _encode({"type": "step", "data": action})
        except (TypeError, ValueError) as error:
            raise InvalidAction(
                f"the fields of an action are plain JSON values: {error}; encode_action can make them so"
            ) from error
        self._sent.append((seq, Phase.STEP))
        return data

    def decode(self, data: Any) -> tuple[Message, int]:
        """The answer in a text.

        Raises:
            ProtocolViolation: if it is not an answer of this protocol.
        """
        try:
            message = json.loads(data)
        except (ValueError, TypeError, RecursionError) as error:
            raise ProtocolViolation(f"the server's answer is not JSON: {error}") from error
        match message:
            case {"type": "observation", "data": {"observation": dict()} as body}:
                seq, phase = self._due()
                return Answer(seq, _rows(body, phase)), 0
            case {"type": "state", "data": value}:
                return Value(self._due()[0], value), 0
            case {"type": "render", "data": {"frame": frame} as body}:
                return Value(self._due()[0], plain.restore(frame, body.get("types", {}))), 0
            case {"type": "mcp", "data": {"result": result} as body} if not body.get("error"):
                return Value(self._due()[0], result), 0
            case {"type": "mcp", "data": {"error": {"message": str(text)}}}:
                return Error(self._due()[0], "CALL_REFUSED", "peer", text, {}), 0
            case {"type": "error", "data": {"message": str(text)} as body}:
                return self._error(text, body), 0
        raise ProtocolViolation(f"the server sent {data!r:.200}, which is no answer of OpenEnv")

    def _due(self) -> tuple[int, Phase]:
        if not self._sent:
            raise ProtocolViolation("the server sent an answer to no request")
        return self._sent.popleft()

    def _error(self, text: str, body: dict[str, Any]) -> Error:
        fields = {str(name): value for name, value in body.items() if name not in ("message", "code")}
        theirs = str(body.get("code"))
        code = fields.pop("error_code", None) or _OUR_CODES.get(theirs, "PEER_ERROR")
        fatal = theirs in _FATAL
        seq = 0 if fatal or not self._sent else self._sent.popleft()[0]
        said = text if ":" in text else text + _complaints(fields.get("errors"))
        return Error(seq, str(code), "peer", said, {**fields, "openenv_code": body.get("code")})


def _complaints(errors: Any) -> str:
    """What a server's validation found wrong, field by field; the first few."""
    found = []
    for each in errors if isinstance(errors, list) else ():
        match each:
            case {"loc": [*place], "msg": str(what)}:
                found.append(f"{'.'.join(map(str, place))[:80] or 'message'}: {what[:160]}")
    more = f"; and {len(found) - _MOST_COMPLAINTS} more" if len(found) > _MOST_COMPLAINTS else ""
    return f": {'; '.join(found[:_MOST_COMPLAINTS])}{more}" if found else ""


_MOST_COMPLAINTS = 4

_OUR_CODES = {
    "INVALID_JSON": "INVALID_JSON",
    "UNKNOWN_TYPE": "UNKNOWN_TYPE",
    "VALIDATION_ERROR": "INVALID_ACTION",
    "EXECUTION_ERROR": "ENVIRONMENT_RAISED",
    "CAPACITY_REACHED": "CAPACITY_REACHED",
    "FACTORY_ERROR": "FACTORY_FAILED",
    "SESSION_ERROR": "UNKNOWN_SESSION",
}


def _reset_data(message: Reset) -> dict[str, Any]:
    seeds = message.seeds
    data: dict[str, Any] = {}
    if seeds is not None:
        data["seed"] = seeds if isinstance(seeds, int) else seeds[0]
    if message.options is not None:
        data["options"] = plain.describe(message.options)[0]
    if message.episode_ids is not None:
        data["episode_id"] = message.episode_ids[0]
    given = {name: value for name, value in data.items() if value is not None}
    return given if message.data is None else {**plain.describe(message.data)[0], **given}


def _ends(done: bool, terminated: Any, truncated: Any) -> tuple[bool, bool]:
    """Terminated and truncated, as the metadata say it; what they do not say follows from ``done``.

    An episode is over if anything says so, and who does not say how has terminated it.
    """
    over = done or terminated is True or truncated is True
    if terminated is False and type(truncated) is not bool:
        return False, over
    return terminated is True or (over and truncated is not True), truncated is True


def _rows(body: dict[str, Any], phase: Phase) -> FieldRows:
    fields, done = body["observation"], bool(body.get("done"))
    metadata = body.get("metadata") or fields.get("metadata") or {}
    if type(metadata) is not dict:
        raise ProtocolViolation(f"metadata is {metadata!r:.80}; an object was expected")
    said = metadata.get("terminated"), metadata.get("truncated")
    ours = {type(flag) for flag in said} == {bool} and "info" in metadata
    terminated, truncated = _ends(done, *said)
    info = plain.restore(metadata["info"], metadata.get("info_types", {})) if ours else metadata
    if type(info) is not dict:
        raise ProtocolViolation(f"info is {info!r:.80}; an object was expected")
    reward = body.get("reward")
    if "reward_type" in metadata:
        reward = plain.restore(reward, {"": metadata["reward_type"]})
    if reward is not None and not (
        isinstance(reward, float) or (isinstance(reward, int) and reward.bit_length() < 1024)
    ):
        raise ProtocolViolation(f"reward is {reward!r:.80}; a number or null was expected")
    if reward is None:
        # A reset has no reward; a step whose reward is null had one that JSON cannot say.
        reward = 0.0 if phase is Phase.RESET else math.nan
    return FieldRows(
        lane=_ONE.lane,
        agent=_ONE.agent,
        phase=np.full(1, phase, np.uint8),
        flags=_FLAGS_ALONE,
        reward=np.array([reward], np.float64),
        terminated=np.array([terminated]),
        truncated=np.array([truncated]),
        observation=None,
        tail_observation=None,
        values={0: fields},
        infos=from_dicts([(0, info)]) if info else NO_INFOS,
        batch_info=None,
        failures={},
        dense=1,
        body=body,
        ours=ours,
    )
