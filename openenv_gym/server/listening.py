"""A web server around an application: the only module that knows uvicorn, and its internals.

What is set here, and why: ``websockets-sansio`` and uvloop halve a round trip; no compression,
which slows big frames twenty times; no WebSocket pings, because a blocking client cannot answer
them while its trainer thinks. The dead are found by TCP keepalive instead, which accepted sockets
inherit from the listener.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from openenv_gym.errors import Closed, InvalidArgument
from openenv_gym.server.app import Application
from openenv_gym.server.direct import DirectWebSocket
from openenv_gym.server.vigil import Vigil

__all__ = ["WebServer", "listen"]

_log = logging.getLogger("openenv_gym.server")

_KEEPALIVE_IDLE_SECONDS = 30
_KEEPALIVE_INTERVAL_SECONDS = 10
_KEEPALIVE_PROBES = 3
_DRAIN_SECONDS = 10.0
_TICK_SECONDS = 0.1
"""As uvicorn's: ten of its ticks renew the date in the headers."""
_PORT_ADVICE = "choose another port, 0 takes a free one"
_SWITCH_SECONDS = 0.001
"""Threads that compute raise the event loop's p99 to 5 ms at Python's default, to 0.06 at this."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound before the server starts, so that its port is known and taken.

    Raises:
        InvalidArgument: if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio's own transports do not know it for TCP, and leave small answers to Nagle.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
    ):
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        of_host = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        advice = "the host is an address of this machine" if of_host else _PORT_ADVICE
        raise InvalidArgument(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}; {advice}"
        ) from error
    listener.setblocking(False)
    return listener


class _Uvicorn(uvicorn.Server):
    """Holds the shutdown until running steps are answered; stock uvicorn would lose them.

    It ends as soon as it is told to, where uvicorn looks ten times a second, and then sleeps for a tenth.
    """

    application: Application
    started_event: threading.Event
    begin: Callable[[], None] | None = None
    _told: Callable[[], object] | None = None

    def end(self) -> None:
        """Let the server end; from any thread."""
        self.should_exit = True
        if self._told is not None:
            with suppress(RuntimeError):  # the event loop is closed: it has ended
                self._told()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.end()

    async def main_loop(self) -> None:
        told = asyncio.Event()
        self._told = partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), _TICK_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.application.house.closing = False  # an application may be served again
        await super().startup(sockets)
        self.started_event.set()
        if self.begin is not None:
            self.begin()

    async def take(self, connection: socket.socket, closed: Callable[[], None]) -> None:
        """Serve a connection that was accepted elsewhere, and say when it has ended."""
        connections = self.server_state.connections
        if not isinstance(connections, _Connections):
            connections = self.server_state.connections = _Connections(connections)
        loop = asyncio.get_running_loop()
        make: Any = self.config.http_protocol_class

        def protocol() -> Any:
            made = make(
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )
            connections.closers[made] = closed
            return made

        await loop.connect_accepted_socket(protocol, connection)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        house = self.application.house
        house.closing = True
        patience = _DRAIN_SECONDS
        if house.busy:
            _log.warning(
                "waiting up to %g s for the steps that still run; Ctrl-C again ends at once", patience
            )
        while house.busy and patience > 0 and not self.force_exit:
            await asyncio.sleep(0.02)
            patience -= 0.02
        await self._end_connections(sockets)
        await self.application.close()

    async def _end_connections(self, sockets: list[socket.socket] | None) -> None:
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for each in (*self.servers, *(sockets or ())):
            each.close()


class _Connections(set[Any]):
    """uvicorn's open connections, which notices when one ends that is watched.

    A connection that becomes a WebSocket changes its protocol, and keeps its transport.
    """

    def __init__(self, connections: Iterable[Any]) -> None:
        super().__init__(connections)
        self.closers: dict[Any, Callable[[], None]] = {}
        """By protocol; of one that has become a WebSocket, by transport."""

    def discard(self, protocol: Any) -> None:
        super().discard(protocol)
        self._ended(protocol)

    def remove(self, protocol: Any) -> None:
        super().remove(protocol)
        self._ended(protocol)

    def _ended(self, protocol: Any) -> None:
        closed = self.closers.pop(protocol, None) or self.closers.pop(protocol.transport, None)
        if closed is None:
            return
        if protocol.transport.is_closing():
            closed()
        else:
            self.closers[protocol.transport] = closed


class WebServer:
    """An application on a listening socket.

    Args:
        application: what to serve.
        listener: from :func:`listen`; closed with the server. ``None``: connections are accepted
            elsewhere, and come by :meth:`take`.
    """

    def __init__(self, application: Application, listener: socket.socket | None) -> None:
        self._listeners = [] if listener is None else [listener]
        self._vigil = Vigil()
        protocol: Any = partial(DirectWebSocket, self._vigil)
        config = uvicorn.Config(
            application,
            loop="auto",
            http="auto",
            ws=protocol,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            ws_max_size=application.house.limits.max_message_bytes,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        self._server = _Uvicorn(config)
        self._server.application = application
        self._server.started_event = threading.Event()
        self._config = config
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def started(self) -> threading.Event:
        """Set once connections are accepted."""
        return self._server.started_event

    def run(self) -> None:
        """Serve on this thread until a signal or :meth:`stop`."""
        try:
            with asyncio.Runner(loop_factory=self._config.get_loop_factory()) as runner:
                runner.run(self._server.serve(sockets=self._listeners))
        finally:
            for listener in self._listeners:
                listener.close()

    def run_process(self) -> None:
        """Serve on the main thread of a process that does nothing else."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        # What was imported lives for ever; the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        self._vigil.allow()
        self.run()

    def when_started(self, begin: Callable[[], None]) -> None:
        """Have something done on the event loop once it runs."""
        self._server.begin = begin

    async def take(self, connection: socket.socket, closed: Callable[[], None]) -> None:
        """Serve a connection; on the event loop.

        Args:
            connection: accepted by another process.
            closed: called once it has ended.
        """
        await self._server.take(connection, closed)

    def start(self) -> None:
        """Serve on a thread of its own; returns once connections are accepted."""
        self._thread = threading.Thread(target=self._run_thread, name="openenv-gym-server", daemon=True)
        self._thread.start()
        self.started.wait()
        if self._failure is not None:
            raise Closed(f"the server could not start: {self._failure}") from self._failure

    def _run_thread(self) -> None:
        try:
            self.run()
        except BaseException as error:  # handed to start(), which waits
            self._failure = error
        finally:
            self.started.set()

    def stop(self) -> None:
        """End every session and the server; may be called twice, and from any thread."""
        self._server.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None


def url_of(listener: socket.socket) -> str:
    """The HTTP address of a listening socket."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
