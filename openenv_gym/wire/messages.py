"""The messages of the road, the same set for both dialects.

Requests carry a sequence number that grows by one; the answer repeats it. ``Step`` and ``Answer``
are the hot pair and hold arrays; everything else is small and holds plain values. Pure data: no
clock, no socket.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct, field

from openenv_gym.types import Plain, Rows, Slots

__all__ = [
    "Ack",
    "Answer",
    "Call",
    "Close",
    "Error",
    "Hello",
    "Mcp",
    "Message",
    "Observe",
    "Render",
    "Request",
    "Reset",
    "State",
    "Step",
    "Value",
    "Welcome",
]


class Hello(Struct, frozen=True):
    """The client's first message: what kind of session it wants.

    Attributes:
        lanes: how many lanes, at least 1.
        view: ``array`` for Gymnasium's arrays, ``typed`` for OpenEnv's fields.
        autoreset: the mode for all lanes, as Gymnasium names it.
        exact: whether an observation that its column holds only by a cast must travel exactly too.
        config: ``render_mode``; and what the operator allows of ``env_id`` and ``env_kwargs``, plain JSON.
        attach: the token of an attachment to go on with, instead of a new session.
        client: name and version of the client, for the log.
        nonce: drawn by the client for each session; claims the session again if its welcome is lost.
        generation: which of the hellos of one session this is, counted by the client.
        early: whether answers may come in parts, lanes that finish first in the first.
        on_failure: ``restart`` for lanes that end their episode when their environment fails.
    """

    lanes: int = 1
    view: str = "array"
    autoreset: str = "Disabled"
    exact: bool = True
    config: dict[str, Plain] = field(default_factory=dict)
    attach: str | None = None
    client: str = ""
    nonce: str = ""
    generation: int = 0
    early: bool = False
    on_failure: str = "raise"


class Welcome(Struct, frozen=True):
    """The server's answer to ``Hello``: the signature, the batch layouts, the limits and a token.

    Attributes:
        signature: see :func:`openenv_gym.wire.signature.to_plain`.
        observation: leaves of the observation column block, or ``None``: observations are values.
        action: leaves of the action column block, or ``None``: actions are values.
        limits: what the server gives at most, by name: ``max_lanes``, ``max_message_bytes``, ...
        token: names this attachment; the server alone knows what is in it.
        server: name and version of the server.
        resumed: whether the attachment was there already.
        received: the highest number of a request that has come.
    """

    signature: dict[str, Plain]
    observation: list[dict[str, Plain]] | None
    action: list[dict[str, Plain]] | None
    limits: dict[str, Plain]
    token: str
    server: str
    resumed: bool = False
    received: int = 0


class Reset(Struct, frozen=True):
    """Begin an episode in some lanes.

    Attributes:
        seq: the request's number.
        lanes: which, or ``None`` for all.
        seeds: ``None``; one int, of which lane ``i`` takes ``seeds + i`` (a native vector
            environment takes it as it is); or one seed or ``None`` for each named lane.
        options: for the environment.
        episode_ids: one for each named lane, or ``None``.
        data: what else a typed environment's reset is given, by name; others drop it.
    """

    seq: int
    lanes: list[int] | None = None
    seeds: int | list[int | None] | None = None
    options: dict[str, Any] | None = None
    episode_ids: list[str] | None = None
    data: dict[str, Any] | None = None


class Step(Struct, frozen=True):
    """One action for each of some slots.

    Attributes:
        seq: the request's number.
        slots: which, or ``None`` for agent 0 of every lane in order.
        actions: columns in the action layout, or a list of values, one for each slot.
        data: what else a typed environment's step is given, by name; others drop it.
    """

    seq: int
    slots: Slots | None
    actions: Any
    data: dict[str, Any] | None = None


class Answer(Struct, frozen=True):
    """Rows for a reset or step. ``more`` says that further answers to the same request follow.

    ``microseconds`` is the time that the environment itself took.
    """

    seq: int
    rows: Rows
    more: bool = False
    microseconds: int = 0


class Observe(Struct, frozen=True):
    """Ask for the current observation of one slot."""

    seq: int
    lane: int = 0
    agent: int = 0


class State(Struct, frozen=True):
    """Ask for the state of one lane: ``episode_id``, ``step_count`` and what the environment adds."""

    seq: int
    lane: int = 0
    agent: int = 0


class Render(Struct, frozen=True):
    """Ask for a frame of one lane, or of all (``lane=None``, a list)."""

    seq: int
    lane: int | None = 0


class Call(Struct, frozen=True):
    """Call a method, or read an attribute, on the server's allow-list; ``lane=None`` is all lanes."""

    seq: int
    name: str
    lane: int | None = 0
    args: list[Any] = field(default_factory=list)


class Value(Struct, frozen=True):
    """The answer to ``Observe``, ``State``, ``Render`` and ``Call``."""

    seq: int
    value: Any


class Ack(Struct, frozen=True):
    """All answers up to ``seq``, and those in ``also``, have arrived and need not be kept."""

    seq: int
    also: list[int] = field(default_factory=list)


class Close(Struct, frozen=True):
    """The client is done; the session ends and nothing is answered."""


class Mcp(Struct, frozen=True):
    """A JSON-RPC request or its answer, in the JSON dialect alone; it is no request of the session.

    So it has no number.
    """

    data: dict[str, Plain]


class Error(Struct, frozen=True):
    """A request failed as a whole, or (``seq`` 0) the session did."""

    seq: int
    code: str
    side: str
    message: str
    fields: dict[str, Plain] = field(default_factory=dict)
    cause: str | None = None


Request: TypeAlias = Reset | Step | Observe | State | Render | Call
Message: TypeAlias = Hello | Welcome | Request | Answer | Value | Ack | Close | Mcp | Error
