"""How an asynchronous client's messages travel: :class:`AsyncSocketTransport`.

It is a connection of websockets' asyncio layer; ``asgi`` has the twin for tests without a port.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Protocol, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
)
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from openenv_gym.client.addresses import WORKER_HEADER
from openenv_gym.client.endings import ended_by_close, lost
from openenv_gym.client.proxies import ProxyChoice, proxy_for
from openenv_gym.client.refusals import refused, speechless, unreachable
from openenv_gym.client.sockets import keep_alive, tls_for
from openenv_gym.client.tokens import LOG, authorized
from openenv_gym.errors import (
    Closed,
    ConnectFailed,
    DeadlineExceeded,
    InvalidArgument,
    MissingExtra,
    OpenEnvGymError,
    ProtocolViolation,
)

__all__ = ["AsyncSocketTransport", "AsyncTransport"]

_GOODBYE_SECONDS = 1.0


class AsyncTransport(Protocol):
    """A connection that carries whole messages.

    Attributes:
        subprotocol: what the server chose of the offered subprotocols, or ``None``.
    """

    subprotocol: str | None

    async def send(self, message: Any) -> None:
        """Send text or bytes; the buffer may be reused on return."""

    async def receive(self, timeout: float | None = None) -> Any:
        """The next message. Raises ``ServerClosed``, ``ConnectionLost`` or ``DeadlineExceeded``."""

    async def close(self) -> None:
        """Say goodbye and let go; may be called twice."""

    def leave(self) -> None:
        """Say goodbye and let go, without waiting."""

    def drop(self) -> None:
        """Let go without a goodbye, and without waiting."""

    def abandon(self) -> None:
        """Touch nothing any more, as a forked child must with what belongs to its parent."""


class _Connect(connect):
    """Follows no redirect: a token is for the server that was named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class AsyncSocketTransport:
    """A WebSocket on the running event loop, made with :meth:`to`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._goodbye = False
        self.subprotocol: str | None = connection.subprotocol
        response = connection.response
        self.worker: str | None = None if response is None else response.headers.get(WORKER_HEADER)

    @classmethod
    async def to(
        cls,
        url: str,
        *,
        subprotocols: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
        timeout: float | None = 10.0,
        max_bytes: int = 2**30,
        ssl_context: ssl.SSLContext | None = None,
        proxy: ProxyChoice = True,
    ) -> Self:
        """Connect.

        Args:
            url: of the ``/ws`` endpoint.
            subprotocols: what to offer.
            headers: to send with the handshake; without ``Authorization``, ``OPENENV_TOKEN`` gives it.
            timeout: seconds for the connection and the handshake.
            max_bytes: the largest message to accept.
            ssl_context: how to speak TLS to a ``wss`` address; by default as OpenSSL is set up.
            proxy: a proxy's address, ``True`` for what the environment says, ``None`` for none.

        Raises:
            ConnectFailed: if nobody answers, not with a WebSocket, or with a certificate that is not
                trusted.
            Unauthorized: if the server wants a token.
            Forbidden: if it does not answer to the name in the URL, or refuses for a reason of its own.
            InvalidArgument: if the URL is no WebSocket's, or the proxy's address none.
            MissingExtra: if a SOCKS proxy is to be gone through without ``python-socks``.
        """
        try:
            uri = parse_uri(url)
        except InvalidURI as error:
            raise InvalidArgument(f"{url!r:.200} is no WebSocket address: {error}") from error
        through = proxy_for(uri.host, uri.port, secure=uri.secure, choice=proxy)
        tls = tls_for(secure=uri.secure, context=ssl_context)
        try:
            connection = await _Connect(
                url,
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                additional_headers=authorized(url, headers),
                open_timeout=timeout,
                close_timeout=_GOODBYE_SECONDS,
                max_size=max_bytes,
                compression=None,  # slows big frames twenty times
                ping_interval=None,  # an event loop that a trainer keeps busy would miss the answer
                proxy=None if through is None else through.url,
                ssl=tls,
                logger=LOG,
            )
        except (InvalidStatus, InvalidProxyStatus) as error:
            raise refused(error.response, proxy=isinstance(error, InvalidProxyStatus)) from error
        except InvalidHandshake as error:
            raise speechless(error) from error
        except TimeoutError as error:
            raise ConnectFailed(
                f"{uri.host}:{uri.port} does not answer the handshake; is it an OpenEnv server?"
            ) from error
        except (OSError, EOFError) as error:
            if through is None or isinstance(error, ssl.SSLError):
                raise unreachable(error, uri.host, uri.port) from error
            raise unreachable(error, through.host, through.port, proxy=True) from error
        except ImportError as error:
            raise MissingExtra("a SOCKS proxy wants: pip install 'python-socks[asyncio]'") from error
        keep_alive(connection.transport.get_extra_info("socket"))
        return cls(connection)

    async def send(self, message: Any) -> None:
        """Send text or bytes; the buffer may be reused on return."""
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise self._ended(error) from error

    async def receive(self, timeout: float | None = None) -> Any:
        """The next message: text, or bytes that the caller owns."""
        try:
            async with asyncio.timeout(timeout):
                message = await self._connection.recv()
        except ConnectionClosed as error:
            raise self._ended(error) from error
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer in {timeout:g} seconds", timeout=timeout) from error
        return message if isinstance(message, str) else bytearray(message)

    def _ended(self, cause: ConnectionClosed) -> OpenEnvGymError:
        if self._goodbye:
            return Closed("the connection was closed by you")
        if cause.rcvd is not None:
            return ended_by_close(cause.rcvd.code, cause.rcvd.reason)
        if cause.sent is not None:  # broken off from here: a frame against the rules, text that is none
            return ProtocolViolation(f"the server sent what is no WebSocket message: {cause.sent.reason}")
        return lost(cause.__cause__ or cause)

    async def close(self) -> None:
        """Say goodbye and let go; may be called twice."""
        if self._goodbye:
            return
        self._goodbye = True
        try:
            await self._connection.close()
        except BaseException:  # cancelled, too: who does not wait for the goodbye lets go
            self._connection.transport.abort()
            raise

    def leave(self) -> None:
        """Say goodbye and let go, without waiting."""
        if self._goodbye:
            return
        transport = self._connection.transport
        if transport.get_write_buffer_size():  # the server does not read; it would not read this
            self.drop()
            return
        self._goodbye = True
        if self._connection.protocol.state is State.OPEN:
            self._connection.protocol.send_close(1000)
            transport.write(b"".join(self._connection.protocol.data_to_send()))
        transport.close()

    def drop(self) -> None:
        """Let go without a goodbye, and without waiting."""
        if not self._goodbye:
            self._goodbye = True
            self._connection.transport.abort()

    def abandon(self) -> None:
        """Touch nothing: the parent's event loop shares even its selector with the child."""
        self._goodbye = True
