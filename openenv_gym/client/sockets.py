"""TCP connections to a server: straight or through a proxy, in the clear or with TLS."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from openenv_gym.client.proxies import Proxy, tunnel
from openenv_gym.client.refusals import unreachable
from openenv_gym.errors import ConnectFailed, InvalidArgument

__all__ = ["keep_alive", "open_socket", "tls_for"]

_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def keep_alive(connection: Any) -> None:
    """Have the kernel notice that the other machine is gone, in about a minute.

    In the place of WebSocket pings, which a client cannot answer while its trainer thinks.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def tls_for(*, secure: bool, context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """How to speak TLS, if at all; by default as OpenSSL is set up, ``SSL_CERT_FILE`` included.

    Raises:
        InvalidArgument: if a context was given for an address that is in the clear.
    """
    if secure:
        return ssl.create_default_context() if context is None else context
    if context is not None:
        raise InvalidArgument(
            "ssl_context is for addresses that begin with https:// or wss://; this does not"
        )
    return None


def open_socket(
    host: str, port: int, *, timeout: float | None, tls: ssl.SSLContext | None, proxy: Proxy | None
) -> socket.socket:
    """A connection over which WebSocket can be spoken; each wait in it ends after ``timeout``.

    Raises:
        ConnectFailed: if nobody answers, the proxy refuses, or the server's certificate is not trusted.
        InvalidArgument: if the proxy is not one that speaks HTTP in the clear.
    """
    if proxy is not None and proxy.scheme != "http":
        raise InvalidArgument(
            f"the proxy at {proxy.host}:{proxy.port} is a {proxy.scheme}:// one; blocking clients go through "
            "http:// proxies only, or with proxy=None through none"
        )
    first = (host, port) if proxy is None else (proxy.host, proxy.port)
    try:
        connection = socket.create_connection(first, timeout)
    except OSError as error:
        raise unreachable(error, *first, proxy=proxy is not None) from error
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(connection)
        if proxy is not None:
            tunnel(connection, proxy, host, port)
        return connection if tls is None else tls.wrap_socket(connection, server_hostname=host)
    except BaseException as error:  # Ctrl-C, too: nobody else could close it
        connection.close()
        if isinstance(error, (OSError, EOFError)) and not isinstance(error, ConnectFailed):
            raise unreachable(error, host, port) from error
        raise
