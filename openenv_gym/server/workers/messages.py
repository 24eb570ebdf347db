"""What the dispatcher and a worker tell each other; of those with ``ask`` the other answers."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from openenv_gym.errors import OpenEnvGymError

__all__ = [
    "Answer",
    "Beat",
    "ClaimDefault",
    "Client",
    "Connect",
    "Drain",
    "DropDefault",
    "Ended",
    "Failed",
    "FindDefault",
    "Free",
    "Link",
    "MakeRoom",
    "Message",
    "Ready",
    "Report",
    "Take",
    "pack",
    "unpack",
]


class _Struct(msgspec.Struct, tag=True, array_like=True):
    pass


class Ready(_Struct):
    """A worker can serve; with the limits of what it serves."""

    max_lanes: int
    max_sessions: int | None


class Failed(_Struct):
    """A worker cannot serve; with its error, pickled."""

    error: bytes


class Beat(_Struct):
    """The event loop of a worker runs."""


class Client(_Struct):
    """A client's connection comes with this, for the worker to serve."""

    number: int


class Ended(_Struct):
    """A client's connection has ended."""

    number: int


class Connect(_Struct):
    """One end of a pair comes with this, for the dispatcher to pass to another worker, if it is there."""

    ask: int
    worker: int


class Link(_Struct):
    """One end of a pair comes with this, at whose other end is another worker."""


class Take(_Struct):
    """A worker wants to begin a session of so many lanes; an error is the answer if it may not."""

    ask: int
    lanes: int


class Free(_Struct):
    """A session of so many lanes has ended."""

    lanes: int


class MakeRoom(_Struct):
    """Asks whether a session was evicted: of a worker its own, of the dispatcher any."""

    ask: int


class ClaimDefault(_Struct):
    """The worker has the session that calls without an id mean."""

    ask: int


class DropDefault(_Struct):
    """It has it no more."""


class FindDefault(_Struct):
    """Asks which worker has it."""

    ask: int


class Report(_Struct):
    """Asks what is counted: of a worker its own, of the dispatcher everybody's."""

    ask: int


class Drain(_Struct):
    """Finish the steps that run, and end."""


class Answer(_Struct):
    """The answer to a question: a value, or an error's code, message and fields."""

    ask: int
    value: Any = None
    error: tuple[str, str, dict[str, Any]] | None = None

    @classmethod
    def of(cls, ask: int, error: OpenEnvGymError) -> Answer:
        """The answer that is an error."""
        return cls(ask, None, (error.code, error.message, error.fields))


Message: TypeAlias = (
    Ready
    | Failed
    | Beat
    | Client
    | Ended
    | Connect
    | Link
    | Take
    | Free
    | MakeRoom
    | ClaimDefault
    | DropDefault
    | FindDefault
    | Report
    | Drain
    | Answer
)

pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder[Message](Message).decode
