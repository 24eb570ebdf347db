"""The native dialect's messages to bytes and back; ``NATIVE.md`` beside the room specifies it.

Every message is one binary WebSocket message: a header of 32 bytes, then for ``Step`` and
``Answer`` blocks of columns, and for all others one MessagePack value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from openenv_gym.errors import InvalidArgument, InvalidMessage, ProtocolViolation, UnknownType
from openenv_gym.spaces import Layout, coerce, coerce_one
from openenv_gym.types import Failure, Rows, Slots
from openenv_gym.wire import infos as info_columns
from openenv_gym.wire import values
from openenv_gym.wire.blocks import (
    HEADER,
    REWARD_DTYPES,
    BlockViews,
    Header,
    Kind,
    MessageFlag,
    aligned,
    block_of,
    slots_nbytes,
)
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
    Welcome,
)

__all__ = ["SUBPROTOCOL", "NativeCodec"]

SUBPROTOCOL = "openenv-gym.v1"

_KINDS: dict[type, int] = {
    Hello: Kind.HELLO,
    Welcome: Kind.WELCOME,
    Reset: Kind.RESET,
    Observe: Kind.OBSERVE,
    State: Kind.STATE,
    Render: Kind.RENDER,
    Call: Kind.CALL,
    Value: Kind.VALUE,
    Ack: Kind.ACK,
    Close: Kind.CLOSE,
    Error: Kind.ERROR,
}
_CLASSES = {kind: cls for cls, kind in _KINDS.items()}
_FIELDS = {
    cls: tuple(name for name in cls.__struct_fields__ if name != "seq")  # type: ignore[attr-defined]
    for cls in _KINDS
}
_SEQUENCED = frozenset({Reset, Observe, State, Render, Call, Value, Error, Ack})


class NativeCodec:
    """Messages to bytes and back, once both sides have agreed on the layouts.

    A codec serves one end of one attachment and keeps the buffer of its dense steps, so what
    :meth:`encode_step` returns must be sent, or copied, before the next call.
    """

    def __init__(self) -> None:
        self._lanes = self._agents = 0
        self._observation: Layout | None = None
        self._action: Layout | None = None
        self._step: bytearray | None = None
        self._read_dense: _ReadDense | None = None

    def agree(
        self, lanes: int, observation: Layout | None, action: Layout | None, *, agents: int = 1
    ) -> None:
        """What the hello and the welcome settled; needed before any step or answer.

        Raises:
            ProtocolViolation: if a step of every lane would be larger than memory is kept for.
        """
        if action is not None and action.nbytes(lanes) > _STEP_LIMIT:
            raise ProtocolViolation(
                f"the actions of {lanes} lanes take {action.nbytes(lanes)} bytes; a step has at most "
                f"{_STEP_LIMIT}: ask for fewer lanes"
            )
        self._lanes, self._agents = lanes, agents
        self._observation, self._action = observation, action
        self._dense_slots = Slots.dense(lanes)
        self._dense_end = HEADER.size + block_of(observation, lanes, dense=True).nbytes
        self._read_dense = None if observation is None else _compile_dense(observation, lanes)
        if action is not None:
            self._step = bytearray(HEADER.size + action.nbytes(lanes))
            self._step_columns = action.views(self._step, lanes, HEADER.size)
            self._read_actions = action.compile_views(lanes)

    # requests and small messages ------------------------------------------------------------

    def encode(self, message: Message, ack: int = 0) -> bytes:
        """Any message but ``Step`` and ``Answer``."""
        cls = type(message)
        seq = message.seq if cls in _SEQUENCED else 0  # type: ignore[union-attr]
        header = HEADER.pack(_KINDS[cls], 0, 0, 0, 0, 0, 0, seq, ack)
        return header + values.encode({name: getattr(message, name) for name in _FIELDS[cls]})

    def encode_step(self, seq: int, ack: int, slots: Slots | None, actions: Any) -> bytearray | bytes:
        """A step: a batch of actions for ``slots``, ``None`` being agent 0 of every lane.

        Raises:
            InvalidAction: if the actions do not fit the action space.
        """
        layout = self._action
        count = self._lanes if slots is None else len(slots)
        if count == 0:
            raise InvalidArgument("a step names no slot; name at least one, or None for every lane")
        flags = MessageFlag.DENSE if slots is None else 0
        if layout is None:
            header = HEADER.pack(Kind.STEP, flags | MessageFlag.TRAILER, 0, 0, count, 0, 0, seq, ack)
            return header + _slot_bytes(slots) + values.encode(list(actions))
        if slots is None:
            assert self._step is not None
            coerce(layout, self._step_columns, actions)
            HEADER.pack_into(
                self._step, 0, Kind.STEP, flags | MessageFlag.COLUMNS, 0, 0, count, 0, 0, seq, ack
            )
            return self._step
        block = bytearray(layout.nbytes(count))
        coerce(layout, layout.views(block, count), actions)
        header = HEADER.pack(Kind.STEP, MessageFlag.COLUMNS, 0, 0, count, 0, 0, seq, ack)
        return header + _slot_bytes(slots) + block

    def encode_step_one(self, seq: int, ack: int, action: Any) -> bytearray | bytes:
        """A step of the only lane of a session, with its action as one value.

        Raises:
            InvalidAction: if the action does not fit the action space.
        """
        if self._action is None:
            return self.encode_step(seq, ack, None, [action])
        assert self._step is not None
        coerce_one(self._action, self._step_columns, action)
        flags = MessageFlag.DENSE | MessageFlag.COLUMNS
        HEADER.pack_into(self._step, 0, Kind.STEP, flags, 0, 0, 1, 0, 0, seq, ack)
        return self._step

    # decoding ---------------------------------------------------------------------------------

    def decode(self, data: Any) -> tuple[Message, int]:
        """The message in some bytes, and its ``ack``.

        Raises:
            ProtocolViolation: if the bytes are not a message of this dialect.
            UnknownType: if its kind is not known.
        """
        if isinstance(data, str):
            raise ProtocolViolation("text arrived in the native dialect, where every message is binary")
        if len(data) < HEADER.size:
            raise ProtocolViolation(f"a message of {len(data)} bytes is shorter than its header")
        kind, flags, reward, _, count, tail, microseconds, seq, ack = HEADER.unpack_from(data)
        if kind == Kind.STEP and flags == _DENSE_COLUMNS and count == self._lanes and self._step is not None:
            # The hot request. One copy, so that the environment owns its actions.
            if len(data) != len(self._step):
                raise ProtocolViolation(f"a step takes {len(self._step)} bytes here, {len(data)} came")
            return Step(seq, None, self._read_actions(bytearray(data[HEADER.size :]))), ack
        if kind == Kind.ANSWER and self._read_dense is not None:
            hot = flags | _TRAILER == _HOT_ANSWER and reward < _REWARD_KINDS
            if hot and count == self._lanes and tail == 0:
                rows = self._read_dense(data, self._dense_slots, REWARD_DTYPES[reward])
                if flags & _TRAILER:
                    _add_trailer(rows, data, self._dense_end)
                elif len(data) != self._dense_end:
                    raise ProtocolViolation(f"an answer of {self._dense_end} bytes came with {len(data)}")
                return Answer(seq, rows, False, microseconds), ack
        header = Header(kind, flags, reward, 0, count, tail, microseconds, seq, ack)
        if kind == Kind.ANSWER:
            return self._decode_answer(header, data), ack
        if kind == Kind.STEP:
            return self._decode_step(header, data), ack
        cls = _CLASSES.get(header.kind)
        if cls is None:
            raise UnknownType(f"message kind {header.kind} is not known here", kind=header.kind)
        return _decode_small(cls, header, data), header.ack

    def _decode_step(self, header: Header, data: bytes) -> Step:
        count, offset = header.count, HEADER.size
        slots: Slots | None = None
        if not header.flags & MessageFlag.DENSE:
            if count == 0:
                raise InvalidMessage("a step names no slot; it names at least one")
            if len(data) < offset + slots_nbytes(count):
                raise ProtocolViolation(f"a step names {count} slots and does not hold them")
            slots = Slots(
                np.frombuffer(data, np.int32, count, offset),
                np.frombuffer(data, np.int16, count, offset + aligned(4 * count)),
            )
            offset += slots_nbytes(count)
        elif count != self._lanes:
            raise InvalidMessage(
                f"a step for every lane holds {count} actions; the session has {self._lanes}"
            )
        if not header.flags & MessageFlag.COLUMNS:
            actions = values.decode(memoryview(data)[offset:])
            if type(actions) is not list or len(actions) != count:
                raise InvalidMessage(f"a step names {count} slots and does not hold as many actions")
            return Step(header.seq, slots, actions)
        if self._action is None:
            raise InvalidMessage("the actions of this session are values; it has no action layout")
        nbytes = self._action.nbytes(count)
        if len(data) != offset + nbytes:
            raise ProtocolViolation(f"{count} actions take {nbytes} bytes, {len(data) - offset} came")
        # One copy, so that the environment owns its actions and may keep or change them.
        columns = self._action.views(bytearray(memoryview(data)[offset:]), count)
        return Step(header.seq, slots, columns)

    def _decode_answer(self, header: Header, data: bytes) -> Answer:
        layout = self._check_answer(header)
        dense = bool(header.flags & MessageFlag.DENSE)
        block = block_of(layout, header.count, dense)
        views = block.views(data, HEADER.size, REWARD_DTYPES[header.reward])
        end = HEADER.size + block.nbytes
        behind = None
        if views.lane is None or views.agent is None:
            views = views._replace(lane=self._dense_slots.lane, agent=self._dense_slots.agent)
        if header.tail:
            tail = block_of(layout, header.tail, dense=False)
            behind = tail.views(data, end)
            end += tail.nbytes
        lane, agent, marks, reward = _joined(views, behind)
        self._check_slots(lane, agent)
        rows = Rows(
            lane=lane,
            agent=agent,
            phase=marks[0],
            flags=marks[1],
            reward=reward,
            terminated=marks[2].view(np.bool_),
            truncated=marks[3].view(np.bool_),
            observation=views.observation,
            tail_observation=None if behind is None else behind.observation,
            values=_NOTHING,
            infos=_NO_INFOS,
            batch_info=None,
            failures=_NOTHING,
            dense=header.count if dense else 0,
        )
        if header.flags & MessageFlag.TRAILER:
            _add_trailer(rows, data, end)
        elif len(data) != end:
            raise ProtocolViolation(f"an answer of {end} bytes came with {len(data)}")
        more = bool(header.flags & MessageFlag.MORE)
        return Answer(header.seq, rows, more, header.microseconds)

    def _check_answer(self, header: Header) -> Layout | None:
        """The layout of an answer's observations, if its header can be believed."""
        layout = self._observation if header.flags & MessageFlag.COLUMNS else None
        dense = header.flags & MessageFlag.DENSE
        if layout is None and header.flags & MessageFlag.COLUMNS:
            raise ProtocolViolation("an answer has columns, and no observation layout was agreed")
        if header.count == 0 or header.reward >= len(REWARD_DTYPES):
            raise ProtocolViolation("an answer without rows, or with an unknown reward dtype")
        if dense and header.count != self._lanes:
            raise ProtocolViolation(f"an answer for every lane has {header.count} rows of {self._lanes}")
        if header.tail and not dense:
            raise ProtocolViolation("an answer has a tail behind rows in any order")
        return layout

    def _check_slots(self, lane: NDArray[np.int32], agent: NDArray[np.int16]) -> None:
        sound = (lane >= 0) & (lane < self._lanes) & (agent >= 0) & (agent < self._agents)
        if not sound.all():
            raise ProtocolViolation("an answer has a row of a lane or an agent that is not there")


_STEP_LIMIT = 2**28
"""Each end keeps a buffer of a step of every lane; this is the most that it keeps on its peer's word."""
_DENSE_COLUMNS = MessageFlag.DENSE | MessageFlag.COLUMNS
_TRAILER = MessageFlag.TRAILER
_HOT_ANSWER = _DENSE_COLUMNS | _TRAILER
_NOTHING: Mapping[int, Any] = {}
_NO_INFOS = info_columns.NO_INFOS
_REWARD_KINDS = len(REWARD_DTYPES)
_ReadDense: TypeAlias = Callable[[bytes, Slots, np.dtype[Any]], Rows]


def _compile_dense(layout: Layout, lanes: int) -> _ReadDense:
    """Make the reader of the answer that nearly always comes: every lane, and nothing behind."""
    block = block_of(layout, lanes, dense=True)
    size = HEADER.size + block.nbytes
    marks, reward = HEADER.size + block.marks, HEADER.size + block.reward
    observation = layout.compile_views(lanes, HEADER.size + block.observation)
    shape, ndarray, uint8, bool_ = (lanes,), np.ndarray, np.dtype("u1"), np.dtype("?")

    def read(data: bytes, slots: Slots, reward_dtype: np.dtype[Any]) -> Rows:
        if len(data) < size:
            raise ProtocolViolation(f"an answer of {lanes} rows takes {size} bytes, {len(data)} came")
        return Rows(
            slots.lane,
            slots.agent,
            ndarray(shape, uint8, data, marks),
            ndarray(shape, uint8, data, marks + lanes),
            ndarray(shape, reward_dtype, data, reward),
            ndarray(shape, bool_, data, marks + 2 * lanes),
            ndarray(shape, bool_, data, marks + 3 * lanes),
            observation(data),
            None,
            _NOTHING,
            _NO_INFOS,
            None,
            _NOTHING,
            lanes,
        )

    return read


def _joined(views: BlockViews, behind: BlockViews | None) -> tuple[Any, Any, Any, Any]:
    """Lane, agent, marks and reward of a block and of the tail behind it, as one."""
    if behind is None:
        return views.lane, views.agent, views.marks, views.reward
    return (
        np.concatenate([views.lane, behind.lane]),
        np.concatenate([views.agent, behind.agent]),
        np.concatenate([views.marks, behind.marks], axis=1),
        np.concatenate([views.reward, behind.reward]),
    )


def _add_trailer(rows: Rows, data: bytes, start: int) -> None:
    """Read what follows the blocks into the rows."""
    if len(data) < start:
        raise ProtocolViolation(f"an answer ends {start - len(data)} bytes before its trailer")
    trailer = values.decode(memoryview(data)[start:])
    if type(trailer) is not dict or not all(type(part) is dict for part in trailer.values()):
        raise ProtocolViolation("the trailer of an answer is not a map of maps")
    for name, part in trailer.items():
        if name == "info":
            if len(rows) != 1:
                raise ProtocolViolation("the info of one row came with an answer of several")
            rows.infos = info_columns.Infos({}, part)
        elif name == "infos":
            rows.infos = info_columns.from_wire(part, len(rows))
        elif name == "values":
            rows.values = _values(part, len(rows))
        elif name == "batch":
            rows.batch_info = part
        elif name == "failures":
            rows.failures = _failures(part, len(rows))


def _slot_bytes(slots: Slots | None) -> bytes:
    if slots is None:
        return b""
    count = len(slots)
    block = bytearray(slots_nbytes(count))
    np.frombuffer(block, np.int32, count)[:] = slots.lane
    np.frombuffer(block, np.int16, count, aligned(4 * count))[:] = slots.agent
    return bytes(block)


def _decode_small(cls: type, header: Header, data: bytes) -> Message:
    body = values.decode(memoryview(data)[HEADER.size :])
    if type(body) is not dict:
        raise ProtocolViolation(f"the body of a {cls.__name__} is not a map")
    if cls in _SEQUENCED:
        body["seq"] = header.seq
    try:
        # Checks every field against its annotation; what a newer peer says beyond them is left out.
        message: Message = msgspec.convert(body, cls)
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"a {cls.__name__} cannot be read: {error}") from error
    return message


def _values(exact: dict[Any, Any], rows: int) -> dict[int, Any]:
    if not all(type(row) is int and -1 <= row < rows for row in exact):
        raise ProtocolViolation("an answer has the value of a row that is not there")
    return exact


def _failures(failures: dict[Any, Any], rows: int) -> dict[int, Failure]:
    found: dict[int, Failure] = {}
    for row, entry in failures.items():
        match row, entry:
            case int(), [str(code), str(message), dict(fields), (str() | None) as cause] if 0 <= row < rows:
                found[row] = Failure(code, message, fields, cause)
            case _:
                raise ProtocolViolation(
                    "the failures of an answer are not [code, message, fields, cause] of its rows"
                )
    return found
