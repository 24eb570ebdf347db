"""Every error that openenv-gym raises, each with a stable wire code and the side that failed.

May be imported from anywhere; imports nothing of the package. The tree::

    OpenEnvGymError
    ├── CallerError              side "you": the calling code asked for what cannot be
    │   ├── InvalidAction        (ValueError)  the action does not fit the action space
    │   ├── InvalidArgument      (ValueError)  any other argument that cannot be used
    │   ├── InvalidMessage       (ValueError)  a message that breaks the protocol
    │   │   ├── InvalidJson      text that is not JSON
    │   │   ├── UnknownType      a message of a type that nobody knows
    │   │   └── MessageTooLarge  a message of more bytes than the other end takes
    │   ├── UnsupportedSpace     (TypeError)   a space that has no schema or no layout
    │   │   └── SpaceUnknown     a space that its server does not tell, and no hint either
    │   ├── UnsupportedAutoreset (ValueError)  an autoreset mode the environment does not have
    │   ├── ResetNeeded          a step before the first reset, or after the end of an episode
    │   ├── OutOfTurn            a step is still to be taken, or none was sent
    │   ├── CallRefused          (AttributeError) a call that is not on the server's allow-list
    │   ├── Unauthorized         the server wants a token, or another one
    │   ├── Forbidden            the server does not answer to this host name, or to this origin
    │   ├── Closed               the environment or client was closed by you
    │   └── MissingExtra         (ImportError) an optional dependency is not installed
    ├── PeerError                side "peer": the other end refused, ended or misbehaved
    │   ├── ProtocolViolation    the peer sent what its own protocol forbids
    │   ├── ContractViolation    the server breaks its own schema, or a rule of OpenEnv's; under strict alone
    │   ├── CapacityReached      the server has no lanes, or no sessions, left
    │   ├── FactoryFailed        the server could not build the environment
    │   ├── UnknownSession       the server does not know the session
    │   └── ServerClosed         (ConnectionError) the server ended the session
    ├── WorldError               side "world": neither end, but what lies between
    │   ├── ConnectFailed        (ConnectionError) no connection could be made
    │   ├── ConnectionLost       (ConnectionError) the connection broke
    │   └── DeadlineExceeded     (TimeoutError)    no answer in time
    └── HostedError              side "environment": the served environment failed
        ├── EnvironmentRaised    it raised
        ├── EnvironmentDied      its process ended, and the session with it
        └── LayoutMismatch       (ValueError) it returned what its space cannot hold
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

__all__ = [
    "CallRefused",
    "CallerError",
    "CapacityReached",
    "Closed",
    "ConnectFailed",
    "ConnectionLost",
    "ContractViolation",
    "DeadlineExceeded",
    "EnvironmentDied",
    "EnvironmentRaised",
    "FactoryFailed",
    "Forbidden",
    "HostedError",
    "InvalidAction",
    "InvalidArgument",
    "InvalidJson",
    "InvalidMessage",
    "LayoutMismatch",
    "MessageTooLarge",
    "MissingExtra",
    "OpenEnvGymError",
    "OutOfTurn",
    "PeerError",
    "ProtocolViolation",
    "ResetNeeded",
    "ServerClosed",
    "Side",
    "SpaceUnknown",
    "Unauthorized",
    "UnknownSession",
    "UnknownType",
    "UnsupportedAutoreset",
    "UnsupportedSpace",
    "WorldError",
    "error_from_wire",
]


class Side(StrEnum):
    """Whose fault an error is, seen from the code that catches it."""

    YOU = "you"
    PEER = "peer"
    WORLD = "world"
    ENVIRONMENT = "environment"


class OpenEnvGymError(Exception):
    """The root of all errors of this package.

    Args:
        message: what was expected, what arrived, and the next step.
        **fields: plain facts for programs (``capacity=64``); each becomes an attribute of
            :attr:`fields` and travels over the wire, so it must be JSON-able.

    Attributes:
        code: the stable name of the error on the wire, one for each class.
        openenv_code: the nearest code of the stock OpenEnv protocol.
        side: whose fault it is.
    """

    code: ClassVar[str] = "ERROR"
    openenv_code: ClassVar[str] = "EXECUTION_ERROR"
    side: ClassVar[Side] = Side.PEER

    def __init__(self, message: str = "", /, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.fields), self.__dict__)  # with its notes


def _rebuild(cls: type[OpenEnvGymError], message: str, fields: dict[str, Any]) -> OpenEnvGymError:
    return cls(message, **fields)


class CallerError(OpenEnvGymError):
    """The calling code asked for something that cannot be."""

    code = "CALLER_ERROR"
    side = Side.YOU


class InvalidAction(CallerError, ValueError):
    """The action does not fit the action space; nothing was stepped."""

    code = "INVALID_ACTION"
    openenv_code = "VALIDATION_ERROR"


class InvalidArgument(CallerError, ValueError):
    """An argument cannot be used as it is; the message says what would do."""

    code = "INVALID_ARGUMENT"
    openenv_code = "VALIDATION_ERROR"


class InvalidMessage(CallerError, ValueError):
    """A message does not follow the protocol; the session goes on."""

    code = "INVALID_MESSAGE"
    openenv_code = "VALIDATION_ERROR"


class InvalidJson(InvalidMessage):
    """The text is not JSON."""

    code = "INVALID_JSON"
    openenv_code = "INVALID_JSON"


class UnknownType(InvalidMessage):
    """The message has a type that nobody knows, or none."""

    code = "UNKNOWN_TYPE"
    openenv_code = "UNKNOWN_TYPE"


class MessageTooLarge(InvalidMessage):
    """A message has more bytes than the other end takes; on a WebSocket it ends the session."""

    code = "MESSAGE_TOO_LARGE"


class UnsupportedSpace(CallerError, TypeError):
    """A space has no schema, or no fixed layout where one is needed."""

    code = "UNSUPPORTED_SPACE"


class SpaceUnknown(UnsupportedSpace):
    """A server does not tell its spaces, and nothing else does; field ``open`` has each field that lacks one.

    The message names for each the hint that closes it.
    """

    code = "SPACE_UNKNOWN"


class UnsupportedAutoreset(CallerError, ValueError):
    """The environment cannot do the autoreset mode that was asked for."""

    code = "UNSUPPORTED_AUTORESET"
    openenv_code = "VALIDATION_ERROR"


class ResetNeeded(CallerError):
    """A step before the first reset, or after the end of an episode."""

    code = "RESET_NEEDED"


class OutOfTurn(CallerError):
    """A step was sent and its rows are still to be taken, or are to be taken and none was sent."""

    code = "OUT_OF_TURN"


class CallRefused(CallerError, AttributeError):
    """The server does not offer this call."""

    code = "CALL_REFUSED"


class Unauthorized(CallerError):
    """The server wants a token, or another one than was shown."""

    code = "UNAUTHORIZED"
    openenv_code = "SESSION_ERROR"


class Forbidden(CallerError):
    """The server does not answer requests for this host name, or from pages of this origin."""

    code = "FORBIDDEN"
    openenv_code = "SESSION_ERROR"


class Closed(CallerError):
    """You closed the environment, the client or the server; make a new one."""

    code = "CLOSED"


class MissingExtra(CallerError, ImportError):
    """An optional dependency is not installed; the message holds the pip line."""

    code = "MISSING_EXTRA"


class PeerError(OpenEnvGymError):
    """The other end refused, ended or misbehaved."""

    code = "PEER_ERROR"


class ProtocolViolation(PeerError):
    """The peer sent what its own protocol forbids; the session is over."""

    code = "PROTOCOL_VIOLATION"
    openenv_code = "SESSION_ERROR"


class ContractViolation(PeerError):
    """The server breaks the schema that it publishes, or a rule of OpenEnv's; the session goes on.

    Raised under ``strict=True``; without it there is a warning. Field ``field`` where it is about one.
    """

    code = "CONTRACT_VIOLATION"


class CapacityReached(PeerError):
    """The server is full; fields ``active_`` and ``max_``, of ``lanes`` or of ``sessions``."""

    code = "CAPACITY_REACHED"
    openenv_code = "CAPACITY_REACHED"


class FactoryFailed(PeerError):
    """The server could not build the environment; field ``factory_name``."""

    code = "FACTORY_FAILED"
    openenv_code = "FACTORY_ERROR"


class UnknownSession(PeerError):
    """The server does not know the session that was named."""

    code = "UNKNOWN_SESSION"
    openenv_code = "SESSION_ERROR"


class ServerClosed(PeerError, ConnectionError):
    """The server ended the session: it shut down, or said so."""

    code = "SERVER_CLOSED"


class WorldError(OpenEnvGymError):
    """Neither end failed, but what lies between them."""

    code = "WORLD_ERROR"
    side = Side.WORLD


class ConnectFailed(WorldError, ConnectionError):
    """No connection could be made."""

    code = "CONNECT_FAILED"


class ConnectionLost(WorldError, ConnectionError):
    """The connection broke without a goodbye."""

    code = "CONNECTION_LOST"


class DeadlineExceeded(WorldError, TimeoutError):
    """No answer came in time; if the server says so, its message names the setting."""

    code = "DEADLINE_EXCEEDED"


class HostedError(OpenEnvGymError):
    """The served environment failed."""

    code = "HOSTED_ERROR"
    side = Side.ENVIRONMENT


class EnvironmentRaised(HostedError):
    """The environment raised; fields ``exception`` (its type's name) and ``during``."""

    code = "ENVIRONMENT_RAISED"


class EnvironmentDied(HostedError):
    """The process of the environment ended; fields ``exit_code`` (``-11``: by signal 11) and ``during``."""

    code = "ENVIRONMENT_DIED"


class LayoutMismatch(HostedError, ValueError):
    """The environment returned what its own space cannot hold."""

    code = "LAYOUT_MISMATCH"


def _by_code(root: type[OpenEnvGymError]) -> dict[str, type[OpenEnvGymError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_by_code(child))
    return found


_CLASSES = _by_code(OpenEnvGymError)


def error_from_wire(
    code: str, message: str, fields: dict[str, Any] | None = None, *, cause: str | None = None
) -> OpenEnvGymError:
    """Build the error that the peer named, with the remote cause as a note.

    An unknown code becomes a :class:`PeerError` that keeps the code in ``fields["code"]``.
    """
    plain_fields = {str(name): value for name, value in (fields or {}).items()}
    cls = _CLASSES.get(code)
    if cls is None:
        error: OpenEnvGymError = PeerError(message, **{**plain_fields, "code": code})
    else:
        error = cls(message, **plain_fields)
    if cause:
        error.add_note(cause)
    return error
