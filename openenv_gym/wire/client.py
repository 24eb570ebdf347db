"""The client's end of the road as a machine without input or output.

Calls give bytes or text to send; :meth:`ClientProtocol.receive` takes what arrived and gives the
answer to the oldest or named request, or raises the error that the server named. A pump outside
owns the socket and the clock. Both dialects drive the same machine; only the codec differs.

In the native dialect a session outlives its connection: the machine keeps the bytes of each request
until its answer has come. After a cut the pump opens a new connection, sends what
:meth:`ClientProtocol.resume_hello` gives, hands in the welcome, and sends what
:meth:`ClientProtocol.unanswered` gives; then answers come as before. See
:mod:`openenv_gym.wire.tenure` for why nothing happens twice.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Any, Protocol

from msgspec.structs import replace

from openenv_gym.errors import (
    Closed,
    InvalidArgument,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
    error_from_wire,
)
from openenv_gym.types import Signature, Slots
from openenv_gym.wire import signature as signatures
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
    Value,
    Welcome,
)

__all__ = ["ClientCodec", "ClientProtocol", "ClientState"]

_MANY = 16
"""So many answers the server keeps for one that is still due, before it is told that they arrived."""


class ClientState(Enum):
    """Where a client's session is in its life."""

    FRESH = auto()
    """No hello was sent."""
    GREETING = auto()
    """The hello was sent; the welcome is due."""
    OPEN = auto()
    """Requests may be sent."""
    RESUMING = auto()
    """The connection was lost and another hello sent; the welcome is due. Requests wait for it."""
    CLOSED = auto()
    """The session is over."""


class ClientCodec(Protocol):
    """What the machine needs of a dialect."""

    def encode(self, message: Message, ack: int = 0) -> Any:
        """Any request but a step."""

    def encode_step(self, seq: int, ack: int, slots: Slots | None, actions: Any) -> Any:
        """A batch of actions."""

    def encode_step_one(self, seq: int, ack: int, action: Any) -> Any:
        """The action of the only lane."""

    def decode(self, data: Any) -> tuple[Message, int]:
        """The message that arrived."""


class ClientProtocol:
    """One attachment, seen from the client.

    Args:
        codec: the dialect.
        implied_hello: whether the dialect has no hello (JSON), so that requests may go at once.

    Attributes:
        state: where the session is in its life.
        signature: what the welcome said; ``None`` before it, and for ever in the JSON dialect.
    """

    def __init__(self, codec: ClientCodec, *, implied_hello: bool = False) -> None:
        self._codec = codec
        self._seq = 0
        self._ack = 0
        self._due: dict[int, tuple[type, Any]] = {}
        self._apart: list[int] = []
        self._last_step = 0
        self._hello = Hello()
        self._welcomed: Welcome | None = None
        self._max_bytes: float = math.inf
        self.state = ClientState.OPEN if implied_hello else ClientState.FRESH
        self.signature: Signature | None = None
        self.limits: dict[str, Any] = {}
        self.server = ""

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._due)

    @property
    def newest(self) -> int:
        """The number of the latest request."""
        return self._seq

    def is_due(self, seq: int) -> bool:
        """Whether a request's answer, or a part of it, is still to come."""
        return seq in self._due

    def hello(self, hello: Hello) -> Any:
        """What to send first; the welcome comes back through :meth:`receive`."""
        if self.state is not ClientState.FRESH:
            raise InvalidMessage("a session says hello once; begin another session for another hello")
        self.state = ClientState.GREETING
        self._hello = hello
        return self._codec.encode(hello)

    @property
    def resumable(self) -> bool:
        """Whether the session, or the hello for it, can go on over another connection."""
        if self.state is ClientState.GREETING:
            return bool(self._hello.nonce)
        return self.state in _ESTABLISHED and bool(self.limits.get("resume_grace"))

    def resume_hello(self) -> Any:
        """What to send first on a new connection, in the place of one that was lost.

        Raises:
            Closed: if there is nothing to go on with.
        """
        if not self.resumable:
            raise Closed("this session cannot go on over another connection; make a new environment")
        token = None
        if self._welcomed is not None:
            token, self.state = self._welcomed.token, ClientState.RESUMING
        self._hello = replace(self._hello, attach=token, generation=self._hello.generation + 1)
        return self._codec.encode(self._hello)

    def unanswered(self, after: int = 0) -> list[tuple[int, Any]]:
        """The numbers and bytes of the requests above ``after`` that have no answer, or not all of it."""
        return [(seq, data) for seq, (_, data) in self._due.items() if seq > after]

    def step(self, slots: Slots | None, actions: Any) -> Any:
        """A step to send: a batch of actions, one for each slot.

        Raises:
            InvalidAction: if the actions do not fit; nothing was numbered or sent.
        """
        self._require_open()
        if self._due:
            self._own_last_step()
        data = self._codec.encode_step(self._seq + 1, self._ack, slots, actions)
        self._expect(Answer, data)
        self._last_step = self._seq
        return data

    def step_one(self, action: Any) -> Any:
        """A step to send in a session of one lane: one action.

        Raises:
            InvalidAction: if the action does not fit; nothing was numbered or sent.
        """
        self._require_open()
        if self._due:
            self._own_last_step()
        data = self._codec.encode_step_one(self._seq + 1, self._ack, action)
        self._expect(Answer, data)
        self._last_step = self._seq
        return data

    def reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
        episode_ids: list[str] | None = None,
        data: dict[str, Any] | None = None,
    ) -> Any:
        """A reset to send."""
        return self._request(Reset(self._seq + 1, lanes, seeds, options, episode_ids, data), Answer)

    def observe(self, lane: int = 0, agent: int = 0) -> Any:
        """A question for one slot's observation, to send."""
        return self._request(Observe(self._seq + 1, lane, agent), Value)

    def ask_state(self, lane: int = 0, agent: int = 0) -> Any:
        """A question for one lane's state, to send."""
        return self._request(State(self._seq + 1, lane, agent), Value)

    def render(self, lane: int | None = 0) -> Any:
        """A question for frames, to send."""
        return self._request(Render(self._seq + 1, lane), Value)

    def call(self, name: str, args: list[Any], lane: int | None = 0) -> Any:
        """A call on the server's allow-list, to send."""
        return self._request(Call(self._seq + 1, name, lane, args), Value)

    def close(self) -> Any:
        """A goodbye to send; ``None`` if there is nobody to say it to."""
        said = self.state
        self.state = ClientState.CLOSED
        self._due.clear()
        return self._codec.encode(Close()) if said in _ESTABLISHED else None

    def acknowledgement(self) -> Any:
        """What tells the server that answers behind one that is still due have arrived, if they are many.

        It keeps them until then, and one slow lane may hold up many of the others' answers.
        """
        if len(self._apart) < _MANY:
            return None
        also, self._apart = [seq for seq in self._apart if seq > self._ack], []
        return self._codec.encode(Ack(self._ack, also))

    def lost(self) -> None:
        """The connection is gone, and the session with it."""
        self.state = ClientState.CLOSED
        self._due.clear()

    def receive(self, data: Any) -> Answer | Value | Welcome:
        """The message that arrived.

        Raises:
            OpenEnvGymError: the error that the server named, as the class that it named.
            ProtocolViolation: if the message is not one that was due.
        """
        try:
            message, _ = self._codec.decode(data)
        except InvalidMessage as error:
            raise ProtocolViolation(f"the server's message cannot be read: {error.message}") from error
        if type(message) is Answer:  # before the others, for it is the one that comes
            self._settle(message.seq, Answer, more=message.more)
            return message
        match message:
            case Value(seq=seq):
                self._settle(seq, Value)
                return message
            case Welcome() if self.state is ClientState.GREETING:
                self._welcome(message)
                return message
            case Welcome() if self.state is ClientState.RESUMING:
                self._welcome_back(message)
                return message
            case Error():
                raise self._failed(message)
        raise ProtocolViolation(f"the server sent a {type(message).__name__}, which was not due")

    def _require_open(self) -> None:
        if self.state not in _ESTABLISHED:
            raise Closed("this session is over; make a new environment")

    def _request(self, message: Message, answer: type) -> Any:
        self._require_open()
        data = self._codec.encode(message, self._ack)
        self._expect(answer, data)
        return data

    def _own_last_step(self) -> None:
        """Copy the step whose buffer the next one is written into, if it may have to be sent again."""
        due = self._due.get(self._last_step)
        if due is not None:
            answer, data = due
            self._due[self._last_step] = answer, bytes(data) if type(data) is bytearray else data

    def _expect(self, answer: type, data: Any) -> None:
        """Number a request that will now be sent, and keep it."""
        if len(data) > self._max_bytes:
            raise InvalidArgument(
                f"a request of {len(data)} bytes; the server takes at most {self._max_bytes}, which its "
                "operator can raise: serve_gym(..., max_message_bytes=...)",
                max_message_bytes=self._max_bytes,
            )
        self._seq += 1
        self._due[self._seq] = answer, data

    def _settle(self, seq: int, kind: type, *, more: bool = False) -> None:
        due = self._due.get(seq)
        if due is None or due[0] is not kind:
            raise ProtocolViolation(
                f"the server answered request {seq} with a {kind.__name__}; due was "
                + (due[0].__name__ if due else f"an answer to one of {sorted(self._due)}")
            )
        if not more:
            self._conclude(seq)

    def _conclude(self, seq: int) -> None:
        """Nothing more comes of a request."""
        del self._due[seq]
        self._ack = self._seq if not self._due else min(self._due) - 1
        if seq > self._ack:
            self._apart.append(seq)

    def _welcome(self, welcome: Welcome) -> None:
        self.signature = signatures.from_plain(welcome.signature)
        if self.signature.lanes != self._hello.lanes:  # nothing is allocated on the server's word
            raise ProtocolViolation(
                f"{self._hello.lanes} lanes were asked for, the server gives {self.signature.lanes}"
            )
        observation, action = signatures.layouts_of(self.signature)
        for name, ours, theirs in (
            ("observation", observation, welcome.observation),
            ("action", action, welcome.action),
        ):
            described = None if ours is None else ours.describe()
            if described != theirs:
                raise ProtocolViolation(
                    f"the server lays {name}s out as {theirs!r:.200}, their space as {described!r:.200}"
                )
        if isinstance(self._codec, NativeCodec):
            self._codec.agree(self.signature.lanes, observation, action, agents=len(self.signature.agents))
        most = welcome.limits.get("max_message_bytes", math.inf)
        if type(most) not in (int, float):
            raise ProtocolViolation(f"the server's max_message_bytes is {most!r:.80}; a number was expected")
        self.limits, self.server = welcome.limits, welcome.server
        self._max_bytes = most
        self._welcomed = welcome
        self.state = ClientState.OPEN

    def _welcome_back(self, welcome: Welcome) -> None:
        """Go on, if it is the session that was lost."""
        before = self._welcomed
        assert before is not None
        if not welcome.resumed or (welcome.observation, welcome.action) != (
            before.observation,
            before.action,
        ):
            raise ProtocolViolation("the server welcomes to another session than the one to go on with")
        if not self._ack <= welcome.received <= self._seq:
            raise ProtocolViolation(
                f"the server has had {welcome.received} requests of this session; {self._seq} were sent, "
                f"and {self._ack} answered"
            )
        self._welcomed = welcome
        self.state = ClientState.OPEN

    def _failed(self, message: Error) -> OpenEnvGymError:
        if message.seq in self._due:
            self._conclude(message.seq)
        else:  # about the session, not about a request
            self.lost()
        return error_from_wire(message.code, message.message, message.fields, cause=message.cause)


_ESTABLISHED = (ClientState.OPEN, ClientState.RESUMING)
