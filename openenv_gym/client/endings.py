"""How a connection ends, as an error that says whose doing it is; the same for every transport."""

from __future__ import annotations

from openenv_gym.errors import (
    ConnectionLost,
    EnvironmentDied,
    MessageTooLarge,
    OpenEnvGymError,
    ProtocolViolation,
    ServerClosed,
    WorldError,
)

__all__ = ["SESSION_OVER", "ended_by_close", "lost"]

SESSION_OVER = (WorldError, ConnectionError, ProtocolViolation, EnvironmentDied, MessageTooLarge)
"""After these there is nothing to go on with; any other error is about one request."""

# RFC 6455, section 7.4.1, and its registry: normal, going away, service restart.
_NORMAL, _RESTARTING = 1000, 1012
_ENDED_BY_SERVER = frozenset({_NORMAL, 1001, _RESTARTING})
# What one end says of the other's messages: protocol error, unsupported data, invalid data, policy
# violation, mandatory extension.
_BROKEN_OFF = frozenset({1002, 1003, 1007, 1008, 1010})
_TOO_BIG = 1009


def ended_by_close(code: int, reason: str = "") -> OpenEnvGymError:
    """The error behind a close frame that the server sent."""
    said = f"close code {code}{f': {reason}' if reason else ''}"
    if code in _ENDED_BY_SERVER:
        if code == _RESTARTING and not reason:
            said += ": it is shutting down"
        when = "" if code == _NORMAL else " once the server is back"
        return ServerClosed(f"the server ended the session ({said}); make a new one{when}", code=code)
    if code == _TOO_BIG:
        return MessageTooLarge(
            f"a message was larger than the server takes ({said}); the session is over. Send less, or have "
            "its operator raise max_message_bytes (--max-message-bytes)",
            code=code,
        )
    if code in _BROKEN_OFF:
        return ProtocolViolation(f"the server broke off ({said})", code=code)
    return ConnectionLost(
        f"the connection to the server broke ({said}); the session is lost, make a new one", code=code
    )


def lost(cause: BaseException | None = None) -> ConnectionLost:
    """The error of a connection that broke without a close frame."""
    why = f" ({cause})" if cause is not None and str(cause) else ""
    return ConnectionLost(f"the connection to the server broke{why}; the session is lost, make a new one")
