"""Which HTTP proxy a connection goes through, and the tunnel that it digs for a blocking client.

The environment's ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` hold by the rules of
``urllib.request``, with one more: a loopback address is never looked for behind a proxy.
"""

from __future__ import annotations

import base64
import ipaddress
import socket
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

from openenv_gym.client.refusals import refused
from openenv_gym.errors import ConnectFailed, InvalidArgument

__all__ = ["Proxy", "ProxyChoice", "proxy_for", "tunnel"]

ProxyChoice: TypeAlias = str | Literal[True] | None
"""A proxy's address; ``True`` for what the environment says; ``None`` for none."""

_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy listens, and who may use it."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Its address, the password included: not for a log."""
        user = "" if self.user is None else f"{quote(self.user, '')}:{quote(self.password, '')}@"
        return f"{self.scheme}://{user}{_bracketed(self.host)}:{self.port}"


def proxy_for(host: str, port: int, *, secure: bool, choice: ProxyChoice) -> Proxy | None:
    """The proxy to go through to a server.

    Raises:
        InvalidArgument: if its address is none.
    """
    if choice is True:
        choice = None if _is_loopback(host) else _of_environment(host, port, secure=secure)
    return _parse(choice) if choice else None


def _of_environment(host: str, port: int, *, secure: bool) -> str | None:
    if urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get("https" if secure else "http") or proxies.get("all")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _parse(address: Any) -> Proxy:
    if not isinstance(address, str):
        raise InvalidArgument(
            f"proxy is an address like http://host:3128, True or None, not {type(address).__name__}"
        )
    parts = urlsplit(address if "://" in address else f"http://{address}")
    try:
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(f"the proxy's address has no port that could be one: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidArgument(
            f"the proxy's address begins with {parts.scheme}://{parts.hostname or ''}; one looks like "
            "http://host:3128"
        )
    user = None if parts.username is None else unquote(parts.username)
    return Proxy(
        parts.scheme, parts.hostname, port or _PORTS[parts.scheme], user, unquote(parts.password or "")
    )


def tunnel(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Ask the proxy at the other end of a connection to carry it on (RFC 9110, 9.3.6).

    Raises:
        ConnectFailed: if it refuses.
    """
    target = f"{_bracketed(host)}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user is not None:
        credentials = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
        data = connection.recv(4096)
        if not data:
            raise EOFError("the proxy hung up")
        head += data
    version, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise ConnectFailed(f"the proxy at {proxy.host}:{proxy.port} does not speak HTTP: {head[:80]!r}")
    if not 200 <= int(code) < 300:
        raise refused(Response(int(code), reason, Headers()), proxy=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
