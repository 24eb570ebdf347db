"""Who may come in: tokens, and the names and origins that a request may carry.

:class:`Doorkeeper` asks before anything else looks at a request, the same of HTTP, ``/ws`` and ``/mcp``:

* **Host.** The page of a foreign site can reach this server under that site's own name (DNS
  rebinding); then the name stands in ``Host``. On loopback, ``Host`` is therefore ``localhost``, a
  loopback address, the name that is listened on, or one of ``allowed_hosts``. On any other address,
  where containers and proxies give a server names that it cannot know, it is ``localhost``, any IP
  address (no name, so nothing to rebind), the name that is listened on, or one of ``allowed_hosts``;
  with a token and without ``allowed_hosts`` it is anything, for a foreign page has no token.
* **Origin.** What a page sends is refused at a WebSocket's handshake, and over HTTP unless it only
  reads, if the page is of another host than ``Host`` says and of none in ``allowed_origins``; their
  pages may also read the answers (CORS). Programs send no ``Origin``.
* **Token.** ``Authorization: Bearer ...``, everywhere but at ``GET /health``, if there is a token.
* **JSON.** A body is declared as JSON. A page cannot do so unasked, whatever its browser is.

A refusal is typed JSON like any other error: 403, 401 or 415, also in the place of a handshake.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastapi import Response
from starlette.middleware.cors import CORSMiddleware

from openenv_gym.errors import Forbidden, InvalidArgument, InvalidMessage, OpenEnvGymError, Unauthorized
from openenv_gym.server.connection import Event, Receive, Send
from openenv_gym.server.http import HEADER, refusal
from openenv_gym.wire.discretion import DISCREET

__all__ = ["Doorkeeper", "Doors", "is_loopback"]

Asgi: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]

_log = logging.getLogger("openenv_gym.server")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+|null|\*", re.IGNORECASE)
_READING = frozenset({"GET", "HEAD"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Doors:
    """What a server demands before it answers.

    Raises:
        InvalidArgument: if a setting cannot be meant so, or if other machines could come in without
            a token and nobody has said that they may.
    """

    host: str = "127.0.0.1"
    """The address that is listened on."""
    token: str | None = field(default=None, repr=False)
    """What a request must show as ``Authorization: Bearer ...``; ``None``: nothing."""
    allow_anonymous: bool = False
    """Whether an address that is not loopback may be served without a token."""
    allowed_hosts: tuple[str, ...] = ()
    """Names that the ``Host`` header may carry, with a port or for any; ``*``: whatever it likes."""
    allowed_origins: tuple[str, ...] = ()
    """Origins, beside the server's own, whose pages may talk to it; ``*``: all."""

    def __post_init__(self) -> None:
        if self.token is not None and not (type(self.token) is str and _TOKEN.fullmatch(self.token)):
            raise InvalidArgument(
                "a token is one or more visible ASCII characters; make one with "
                "python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        for name in self.allowed_hosts:
            if not name or "/" in name:
                raise InvalidArgument(f"an allowed host is a name, with a port or without, not {name!r:.80}")
        for origin in self.allowed_origins:
            if not _ORIGIN.fullmatch(origin):
                raise InvalidArgument(f"an origin looks like https://example.org:8443, not {origin!r:.80}")
        if self.token is None and not self.allow_anonymous and not is_loopback(self.host):
            raise InvalidArgument(
                f"other machines can reach a server that listens on {self.host!r:.80}; set a token, in the "
                "environment variable OPENENV_TOKEN, by token=... or --token-file, or let anyone in with "
                "allow_anonymous=True, --allow-anonymous"
            )

    @property
    def open_to_anyone(self) -> bool:
        """Whether other machines can come in without a token."""
        return self.token is None and not is_loopback(self.host)

    def announce(self, url: str) -> None:
        """Warn, in the log, of a server that lets anyone in."""
        if self.open_to_anyone:
            _log.warning(
                "%s is open to anyone who can reach it; set OPENENV_TOKEN, and only who has it comes in",
                url,
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on an address, or on a name's addresses."""
    if not host:  # every address, as bind takes it
        return False
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return all(_is_loopback_ip(str(address[0])) for *_, address in found)


class Doorkeeper:
    """An ASGI application that lets through to another what may come in.

    Args:
        application: behind the doors.
        doors: what to demand.
    """

    def __init__(self, application: Asgi, doors: Doors) -> None:
        # uvicorn has websockets write each header of a handshake to its own log, at debug.
        logging.getLogger("uvicorn.error").addFilter(DISCREET)
        self._application = application
        self._token = None if doors.token is None else doors.token.encode()
        self._local = is_loopback(doors.host)
        self._any_host = "*" in doors.allowed_hosts or (
            self._token is not None and not self._local and not doors.allowed_hosts
        )
        self._hosts = {_split(name) for name in ("localhost", doors.host, *doors.allowed_hosts) if name}
        self._origins = {origin.lower() for origin in doors.allowed_origins}
        self._inner: Any = self._identify
        if doors.allowed_origins:
            self._inner = CORSMiddleware(
                self._identify,
                allow_origins=self._origins,
                allow_methods=("GET", "POST"),
                allow_headers=("Authorization", "Content-Type", HEADER),
                expose_headers=(HEADER,),
            )

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Look at the host and the origin, then at the token and the body's type."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        try:
            self._check_origin(scope, self._check_host(scope))
        except Forbidden as error:
            await _refuse(refusal(error), scope, receive, send)
            return
        await self._inner(scope, receive, send)

    async def _identify(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            self._check_token(scope)
            _check_type(scope)
        except OpenEnvGymError as error:
            response = refusal(error, 415 if isinstance(error, InvalidMessage) else None)
            if isinstance(error, Unauthorized):
                response.headers["WWW-Authenticate"] = "Bearer"
            await _refuse(response, scope, receive, send)
            return
        await self._application(scope, receive, send)

    def _check_host(self, scope: Any) -> str:
        said = ", ".join(_values(scope, b"host"))
        if not (self._any_host or self._is_known(said)):
            raise Forbidden(
                f"this server does not answer for the host {said!r:.80}; its operator can allow that name: "
                "allowed_hosts=[...], --allow-host",
                setting="allowed_hosts",
            )
        return said

    def _is_known(self, host: str) -> bool:
        name, port = _split(host)
        if port and not port.isdecimal():
            return False
        if (name, port) in self._hosts or (name, "") in self._hosts:
            return True
        return _is_loopback_ip(name) if self._local else _ip(name) is not None

    def _check_origin(self, scope: Any, host: str) -> None:
        if scope["type"] == "http" and scope["method"] in _READING:
            return
        for origin in map(str.lower, _values(scope, b"origin")):
            own = origin.partition("://")[2] == host.lower()
            if not (own or origin in self._origins or "*" in self._origins):
                raise Forbidden(
                    f"this server does not talk to pages of {origin!r:.80}; its operator can allow their "
                    "origin: allowed_origins=[...], --allow-origin",
                    setting="allowed_origins",
                )

    def _check_token(self, scope: Any) -> None:
        if self._token is None:
            return
        if scope["type"] == "http" and scope["method"] in _READING and scope["path"] == "/health":
            return
        shown = _raw(scope, b"authorization")
        if len(shown) != 1:
            raise Unauthorized(
                "this server wants a token, as the header Authorization: Bearer ...; its operator has it"
            )
        scheme, _, token = shown[0].partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            raise Unauthorized("the token that was shown, if any, is not this server's; its operator has it")


def _check_type(scope: Any) -> None:
    """Raise if a body may come that is not declared as JSON."""
    if scope["type"] != "http" or scope["method"] in _BODILESS:
        return
    declared = _values(scope, b"content-type")
    if not declared and not _values(scope, b"transfer-encoding"):
        if all(length == "0" for length in _values(scope, b"content-length")):
            return
    kind = ", ".join(declared).partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise InvalidMessage(
            f"a body is JSON here, and says so: Content-Type: application/json, not {kind or 'nothing'!r:.80}"
        )


async def _refuse(response: Response, scope: Any, receive: Receive, send: Send) -> None:
    """Answer in the place of the application; a handshake too, where the web server can."""
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await response(scope, receive, send)
        return
    closing: Event = {"type": "websocket.close", "code": 1008, "reason": ""}
    await send(closing)  # before it was accepted: the web server answers 403


def _raw(scope: Any, header: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == header]


def _values(scope: Any, header: bytes) -> list[str]:
    return [value.decode("latin-1") for value in _raw(scope, header)]


def _split(host: str) -> tuple[str, str]:
    """The name and the port of a host; without the brackets of an IPv6 address."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    elif host.count(":") > 1:
        name, port = host, ""
    else:
        name, _, port = host.partition(":")
    return name.lower().rstrip("."), port


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_loopback_ip(name: str) -> bool:
    address = _ip(name)
    return address is not None and address.is_loopback
