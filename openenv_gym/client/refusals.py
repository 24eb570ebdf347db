"""Why no connection could be made, as an error that says what to do; the same for every transport."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from websockets.http11 import Response

from openenv_gym.errors import ConnectFailed, Forbidden, OpenEnvGymError, Unauthorized

__all__ = ["may_be_starting", "refused", "speechless", "unreachable"]

_NOT_YET = frozenset({502, 503, 504})
"""Bad gateway, unavailable, gateway timeout: what a proxy says while the server behind it starts."""
_UNAUTHORIZED, _FORBIDDEN, _PROXY_UNAUTHORIZED = 401, 403, 407
_NOTHING_THERE = frozenset({403, 404})
"""What servers say, without a word more, of a path at which no WebSocket is."""
_TOKEN_ADVICE = "set the environment variable OPENENV_TOKEN, or pass headers={'Authorization': 'Bearer ...'}"
_SAID = 400
_STARTING = (ConnectionError, socket.gaierror, ssl.SSLEOFError, EOFError)


def unreachable(error: Exception, host: str, port: int, *, proxy: bool = False) -> ConnectFailed:
    """The error of a connection that broke, or was not made, before anybody spoke HTTP."""
    address = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        said = (
            f"the certificate of {address} is not trusted ({error.verify_message}); if it is the right one, "
            "pass ssl_context=ssl.create_default_context(cafile=...) with the certificate of whoever "
            "signed it, or name that file in the environment variable SSL_CERT_FILE"
        )
    elif isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        said = f"{address} does not agree on TLS ({error.reason or error}); is it an http:// server?"
    elif proxy:
        said = f"no proxy answers at {address} ({error}); proxy=None goes without one"
    elif isinstance(error, socket.gaierror):
        said = f"no server answers at {address} ({error}); is the name right, and known from here?"
    else:
        said = f"no server answers at {address} ({error}); is it running, and is the port right?"
    return ConnectFailed(said, host=host, port=port)


def speechless(error: Exception) -> ConnectFailed:
    """The error of a handshake whose answer was none."""
    return ConnectFailed(
        f"the server does not speak WebSocket ({error}); is it an OpenEnv server, and is the port right?"
    )


def refused(response: Response, *, proxy: bool = False) -> OpenEnvGymError:
    """The error behind an HTTP answer in the place of what was asked for, in the other end's own words."""
    status, said = response.status_code, _words(bytes(response.body or b""))
    who = "proxy" if proxy else "server"
    whole = f"the {who} refused the connection with status {status} {response.reason_phrase}: {said}"
    whole = whole.rstrip(": ")
    if proxy:
        advice = "; its address takes a name and a password, http://name:password@host:port"
        return ConnectFailed(whole + (advice if status == _PROXY_UNAUTHORIZED else ""), status=status)
    if status == _UNAUTHORIZED:
        return Unauthorized(f"{whole}; {_TOKEN_ADVICE}")
    if status == _FORBIDDEN and said:  # without a word it means, to most servers, that nothing is there
        return Forbidden(f"{whole}; if it is a token that is missing, {_TOKEN_ADVICE}")
    if status in _NOTHING_THERE and not said:
        whole += "; is the URL's path right?"
    return ConnectFailed(whole, status=status)


def _words(body: bytes) -> str:
    """What a body says: the message of typed JSON, or its text."""
    text = body.decode("utf-8", "replace")
    try:
        message: Any = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = text
    return str(message)[:_SAID].strip()


def may_be_starting(error: ConnectFailed) -> bool:
    """Whether a server that is on its way up fails like this, so that it is worth another attempt."""
    return error.fields.get("status") in _NOT_YET or any(map(_is_of_a_start, _causes(error)))


def _is_of_a_start(cause: BaseException) -> bool:
    # An OSError without a number is how asyncio sums up several addresses of which none answers.
    return isinstance(cause, _STARTING) or (type(cause) is OSError and cause.errno is None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__
