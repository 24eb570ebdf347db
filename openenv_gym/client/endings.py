"""How a connection ends, or does not begin, as an error that says whose doing it is; for every transport."""

from __future__ import annotations

import json
from typing import Any

from openenv_gym.errors import (
    ConnectFailed,
    ConnectionLost,
    Forbidden,
    OpenEnvGymError,
    ProtocolViolation,
    ServerClosed,
    Unauthorized,
    WorldError,
)

__all__ = ["SESSION_OVER", "ended_by_close", "lost", "refused"]

SESSION_OVER = (WorldError, ConnectionError, ProtocolViolation)
"""After these there is nothing to go on with; any other error is about one request."""

# RFC 6455, section 7.4.1, and its registry: normal, going away, service restart.
_ENDED_BY_SERVER = frozenset({1000, 1001, 1012})
# What one end says of the other's messages: protocol error, unsupported data, invalid data, policy
# violation, message too big, mandatory extension.
_BROKEN_OFF = frozenset({1002, 1003, 1007, 1008, 1009, 1010})
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_TOKEN_ADVICE = "set the environment variable OPENENV_TOKEN, or pass headers={'Authorization': 'Bearer ...'}"
_SAID = 400


def ended_by_close(code: int, reason: str = "") -> OpenEnvGymError:
    """The error behind a close frame that the server sent."""
    said = f"close code {code}{f': {reason}' if reason else ''}"
    if code in _ENDED_BY_SERVER:
        return ServerClosed(f"the server ended the session ({said})", code=code)
    if code in _BROKEN_OFF:
        return ProtocolViolation(f"the server broke off ({said})", code=code)
    return ConnectionLost(f"the connection to the server broke ({said}); the session is lost", code=code)


def lost(cause: BaseException | None = None) -> ConnectionLost:
    """The error of a connection that broke without a close frame."""
    why = f" ({cause})" if cause is not None and str(cause) else ""
    return ConnectionLost(f"the connection to the server broke{why}; the session is lost")


def refused(status: int, reason: str, body: bytes) -> OpenEnvGymError:
    """The error behind an HTTP answer in the place of what was asked for, in the server's own words."""
    said = _words(body)
    whole = f"the server refused the connection with status {status} {reason}: {said}".rstrip(": ")
    if status == _UNAUTHORIZED:
        return Unauthorized(f"{whole}; {_TOKEN_ADVICE}")
    if status == _FORBIDDEN and said:  # without a word it means, to most servers, that nothing is there
        return Forbidden(f"{whole}; if it is a token that is missing, {_TOKEN_ADVICE}")
    return ConnectFailed(whole)


def _words(body: bytes) -> str:
    """What a body says: the message of typed JSON, or its text."""
    text = body.decode("utf-8", "replace")
    try:
        message: Any = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = text
    return str(message)[:_SAID].strip()
