"""How a blocking client's messages travel: :class:`SocketTransport`.

It drives websockets' sans-I/O layer with a plain blocking socket: no thread, no event loop, one
``send`` and one ``recv`` a round trip.

A process that sleeps until its answer comes pays for falling asleep and being woken. So a client whose
last answer came within a millisecond looks for the next one for so long before it sleeps, and offers its
core to whoever wants it (``sched_yield``) between two looks; see :mod:`openenv_gym.wire.lookout`. A
client of a slow or a distant server never does.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from openenv_gym.client.addresses import WORKER_HEADER
from openenv_gym.client.endings import ended_by_close, lost
from openenv_gym.client.frames import FrameReader
from openenv_gym.client.proxies import ProxyChoice, proxy_for
from openenv_gym.client.refusals import refused, speechless
from openenv_gym.client.sockets import open_socket, tls_for
from openenv_gym.client.tokens import LOG, authorized
from openenv_gym.errors import (
    Closed,
    ConnectFailed,
    DeadlineExceeded,
    InvalidArgument,
    OpenEnvGymError,
    ProtocolViolation,
)
from openenv_gym.wire.lookout import Lookout

__all__ = ["SocketTransport", "Transport"]

_RECEIVE_BYTES = 1 << 18
_LONGEST_SECONDS = 1e-3
_CAN_LOOK = all(hasattr(os, name) for name in ("sched_yield", "sched_getaffinity")) and hasattr(
    socket, "MSG_DONTWAIT"
)
_LAST_WORDS_SECONDS = 0.2


class Transport(Protocol):
    """A connection that carries whole messages and blocks.

    Attributes:
        subprotocol: what the server chose of the offered subprotocols, or ``None``.
    """

    subprotocol: str | None

    def send(self, message: Any) -> None:
        """Send text or bytes; the buffer may be reused on return."""

    def receive(self, timeout: float | None = None) -> Any:
        """The next message. Raises ``ServerClosed``, ``ConnectionLost`` or ``DeadlineExceeded``."""

    def close(self, last: Any = None) -> None:
        """Say goodbye, behind a last message, and let go; may be called twice."""

    def abandon(self) -> None:
        """Let go without a word: of a lost connection, or of what belongs to the parent of a forked child."""


class SocketTransport:
    """A WebSocket over a blocking socket.

    Args:
        url: of the ``/ws`` endpoint.
        subprotocols: what to offer.
        headers: to send with the handshake; without ``Authorization``, ``OPENENV_TOKEN`` gives it.
        timeout: seconds for the connection and the handshake.
        max_bytes: the largest message to accept.
        ssl_context: how to speak TLS to a ``wss`` address; by default as OpenSSL is set up.
        proxy: an ``http`` proxy's address, ``True`` for what the environment says, ``None`` for none.
        beside: how many other connections are awaited at the same time.

    Attributes:
        worker: which of the server's processes answers, if it says so.

    Raises:
        ConnectFailed: if nobody answers, not with a WebSocket, or with a certificate that is not trusted.
        Unauthorized: if the server wants a token.
        Forbidden: if it does not answer to the name in the URL, or refuses for a reason of its own.
        InvalidArgument: if the URL is no WebSocket's, or the proxy none of those.
    """

    def __init__(
        self,
        url: str,
        *,
        subprotocols: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
        timeout: float | None = 10.0,
        max_bytes: int = 2**30,
        ssl_context: ssl.SSLContext | None = None,
        proxy: ProxyChoice = True,
        beside: int = 0,
    ) -> None:
        try:
            uri = parse_uri(url)
        except InvalidURI as error:
            raise InvalidArgument(f"{url!r:.200} is no WebSocket address: {error}") from error
        offer: Any = list(subprotocols) or None
        self._protocol = ClientProtocol(uri, subprotocols=offer, max_size=max_bytes, logger=LOG)
        self._events: list[Any] = []
        self._frames = FrameReader(max_bytes)
        self._fragments: list[bytes] = []
        self._text = False
        self._goodbye = self._waits = False
        may_look = _CAN_LOOK and not uri.secure and len(os.sched_getaffinity(0)) > beside + 1
        self._lookout = Lookout(_LONGEST_SECONDS if may_look else 0.0)
        self.subprotocol: str | None = None
        self.worker: str | None = None
        self._socket = open_socket(
            uri.host,
            uri.port,
            timeout=timeout,
            tls=tls_for(secure=uri.secure, context=ssl_context),
            proxy=proxy_for(uri.host, uri.port, secure=uri.secure, choice=proxy),
        )
        try:
            self._shake_hands(authorized(url, headers))
            self._socket.settimeout(None)
        except BaseException:  # Ctrl-C, too: nobody else could close it
            self._socket.close()
            raise
        self._timeout: float | None = None
        # A process that ends, or forgets its session, says goodbye; else the server would wait for it.
        self._farewell = weakref.finalize(self, _say_goodbye, self._socket)

    def _shake_hands(self, headers: dict[str, str]) -> None:
        request = self._protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        try:
            self._flush()
            events = self._await_response()
        except TimeoutError as error:
            raise ConnectFailed(
                "the server does not answer the handshake; is it an OpenEnv server?"
            ) from error
        except OSError as error:
            raise ConnectFailed(f"the connection broke in the handshake: {error}") from error
        failure = self._protocol.handshake_exc
        if failure is not None:
            response = next((event for event in events if isinstance(event, Response)), None)
            raise (speechless(failure) if response is None else refused(response)) from failure
        self.subprotocol = self._protocol.subprotocol
        response = next(event for event in events if isinstance(event, Response))
        self.worker = response.headers.get(WORKER_HEADER)

    def _await_response(self) -> list[Any]:
        """The answer to the handshake; frames may come behind it in one segment, and even half ones."""
        head = b""
        while b"\r\n\r\n" not in head and (data := self._socket.recv(_RECEIVE_BYTES)):
            head += data
        if head.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in head:
            head, end, behind = head.partition(b"\r\n\r\n")
            self._protocol.receive_data(head + end)
            self._frames.feed(behind)
            return self._protocol.events_received()
        self._protocol.receive_data(head)
        while not (events := self._protocol.events_received()) and self._protocol.handshake_exc is None:
            self._feed()
        return events

    def send(self, message: Any) -> None:
        """Send text or bytes; the buffer may be reused on return."""
        if self._protocol.state is not State.OPEN:
            raise self._ended()
        try:
            self._socket.sendall(_frame(message).serialize(mask=True))
        except OSError as error:
            raise self._last_words(error) from error

    def receive(self, timeout: float | None = None) -> Any:
        """The next message: text, or bytes that the caller owns."""
        if timeout != self._timeout:
            self._set_timeout(timeout)
        while True:
            try:
                message = self._frames.take()
                if message is not None:
                    return message
                if self._frames.rest or self._events:
                    message = self._take_rest()
                    if message is not None:
                        return message
                    continue
            except UnicodeDecodeError as error:
                raise ProtocolViolation(f"the server sent text that is none: {error}") from error
            self._waits = True
            try:
                count = self._fill()
            except (BlockingIOError, ssl.SSLWantReadError) as error:
                raise DeadlineExceeded("no answer is here yet", timeout=timeout) from error
            except TimeoutError as error:
                if timeout is None or error.errno is not None:  # not ours: keepalive had no answer
                    raise self._ended(error) from error
                raise DeadlineExceeded(f"no answer in {timeout:g} seconds", timeout=timeout) from error
            except OSError as error:
                raise self._ended(error) from error
            finally:
                self._waits = False
            if self._goodbye:  # another thread has closed it
                raise self._ended()
            if not count:
                self._protocol.receive_eof()
                raise self._ended()

    def _set_timeout(self, timeout: float | None) -> None:
        try:
            self._socket.settimeout(timeout)
        except OSError as error:  # there is no descriptor any more
            raise self._ended(error) from error
        self._timeout = timeout

    def _fill(self) -> int:
        """Receive what has come; 0 at the end of the stream."""
        room = self._frames.room()
        if room is None:
            data = self._receive_soon(partial(self._socket.recv, _RECEIVE_BYTES))
            self._frames.feed(data)
            return len(data)
        with room:
            count: int = self._receive_soon(partial(self._socket.recv_into, room, len(room)))
        self._frames.filled(count)
        return count

    def _receive_soon(self, receive: Callable[[int], Any]) -> Any:
        """Receive without sleeping if the answer is likely to come soon; ``receive`` takes flags."""
        started = looked = time.perf_counter()
        lookout = self._lookout
        begun = self._frames.begun  # the rest is on its way, and says nothing of how soon the next one comes
        patience = lookout.longest if begun else lookout.patience
        received = None
        while received is None and self._timeout is None and looked - started < patience:
            try:
                received = receive(socket.MSG_DONTWAIT)
            except BlockingIOError:
                os.sched_yield()
                before, looked = looked, time.perf_counter()
                if not begun:
                    lookout.looked(looked - before)
        if received is None:
            received = receive(0)
        if not begun:
            lookout.came(time.perf_counter() - started)
        return received

    def _take_rest(self) -> Any:
        """Let the library handle what is not a whole message; it may complete one of fragments."""
        rest, self._frames.rest = self._frames.rest, b""
        if rest:
            self._protocol.receive_data(rest)
            with suppress(OSError):  # a goodbye is answered, and whoever said it may be gone already
                self._flush()
            self._events += self._protocol.events_received()
        while self._events:
            message = self._take(self._events.pop(0))
            if message is not None:
                return message
        if (
            self._protocol.state is State.CLOSED
            or self._protocol.close_rcvd is not None
            or self._protocol.parser_exc
        ):
            raise self._ended()
        return None

    def _take(self, event: Any) -> Any:
        """The message that an event completes, if any; pings answer themselves."""
        if not isinstance(event, Frame) or event.opcode not in _DATA:
            return None
        if event.opcode is not Opcode.CONT:
            self._text = event.opcode is Opcode.TEXT
            if event.fin:
                return bytes(event.data).decode() if self._text else bytearray(event.data)
        self._fragments.append(bytes(event.data))
        if not event.fin:
            return None
        whole, self._fragments = bytearray().join(self._fragments), []
        return whole.decode() if self._text else whole

    def _feed(self) -> bool:
        """Let the library have what comes; whether there may be more."""
        data = self._socket.recv(_RECEIVE_BYTES)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._flush()
        return bool(data)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)
            else:
                self._socket.shutdown(socket.SHUT_WR)

    def _last_words(self, cause: OSError) -> Exception:
        """Why nothing can be sent: what the server said before it hung up, if anything."""
        try:
            while not self._goodbye:
                self.receive(_LAST_WORDS_SECONDS)
            return self._ended(cause)
        except DeadlineExceeded:
            return self._ended(cause)
        except OpenEnvGymError as error:
            return error

    def _ended(self, cause: Exception | None = None) -> Exception:
        if self._goodbye:
            return Closed("the connection was closed by you")
        said = self._protocol.close_rcvd
        if said is not None:
            return ended_by_close(said.code, said.reason)
        wrong = self._protocol.parser_exc
        if wrong is not None and not isinstance(wrong, EOFError):
            return ProtocolViolation(f"the server sent what is no WebSocket message: {wrong}")
        return lost(cause)

    def receive_now(self) -> Any:
        """The next message if it is here, else ``None``."""
        try:
            return self.receive(0.0)
        except DeadlineExceeded:
            return None
        finally:
            with suppress(OpenEnvGymError):  # closed; whoever uses it next is told
                self._set_timeout(None)  # or a long message could not be sent

    @property
    def holds(self) -> bool:
        """Whether :meth:`receive_now` may have something to say though the descriptor has not."""
        inside = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        return bool(inside or self._events or self._frames.holds) or self._socket.fileno() < 0

    def fileno(self) -> int:
        """The descriptor, to wait on several connections once nothing is to be received now."""
        return self._socket.fileno()

    def close(self, last: Any = None) -> None:
        """Say goodbye, behind a last message, and let go; may be called twice.

        Another thread that waits for an answer is told; it does not touch the library any more.
        """
        if self._goodbye:
            return
        awaited, self._goodbye = self._waits, True
        self._farewell.detach()
        try:
            if self._protocol.state is State.OPEN:
                self._socket.settimeout(1.0)
                if last is not None:
                    self._socket.sendall(_frame(last).serialize(mask=True))
                self._protocol.send_close(1000)
                self._flush()
                while not awaited and self._protocol.close_rcvd is None and self._feed():
                    continue
        except OSError:
            pass  # it was gone already, which is what was wanted
        finally:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
            self._socket.close()

    def abandon(self) -> None:
        """Let go of the descriptor without a word to the server."""
        self._goodbye = True
        self._farewell.detach()
        descriptor = self._socket.detach()
        if descriptor >= 0:  # not closed already
            os.close(descriptor)


def _frame(message: Any) -> Frame:
    """A whole message."""
    return Frame(Opcode.BINARY, message) if type(message) is not str else Frame(Opcode.TEXT, message.encode())


def _say_goodbye(connection: socket.socket) -> None:
    """Send a close frame, if it can be sent at once."""
    with suppress(OSError, ValueError):
        connection.settimeout(0)
        connection.sendall(Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=True))


_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
