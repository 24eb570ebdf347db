"""Where connections are accepted, and wait until their first request tells where they belong."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from openenv_gym.server.workers.heads import MAX_BYTES, Head, read_head
from openenv_gym.server.workers.patience import Patience

__all__ = ["Reception"]

_log = logging.getLogger("openenv_gym.server")
_WAITING = 1024
"""Connections that may wait; one more, and the oldest is closed."""
_AT_ONCE = 128
_LOOK_SECONDS = 0.01
_LATE_SECONDS = 0.1


class Reception:
    """Accepts connections; none waits for another.

    Args:
        listener: a listening socket; closed with this.
        place: passes a connection on, by the head of its first request; false if nobody takes it now.
        patience: how long a connection may wait.
    """

    def __init__(
        self, listener: socket.socket, place: Callable[[socket.socket, Head], bool], patience: Patience
    ) -> None:
        self._listener = listener
        self._place = place
        self._patience = patience
        self._waiting: dict[socket.socket, asyncio.Task[None]] = {}
        self._closed = False

    def open(self) -> None:
        """Accept from now on, on the running event loop."""
        if not self._closed:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more, and end what waits."""
        self._closed = True
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        for task in self._waiting.values():
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # it was gone already, or there are no descriptors left
                _log.warning("a connection was not accepted: %s", error)
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._listener)
                loop.call_later(_LATE_SECONDS, self.open)
                return
            self._receive(connection)

    def _receive(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = _peek(connection)
        if head is not None and self._place(connection, head):
            connection.close()
            return
        if len(self._waiting) >= _WAITING:
            self._waiting.pop(next(iter(self._waiting))).cancel()
        task = asyncio.get_running_loop().create_task(self._wait(connection))
        self._waiting[connection] = task
        task.add_done_callback(lambda _: self._forget(connection))

    def _forget(self, connection: socket.socket) -> None:
        self._waiting.pop(connection, None)
        connection.close()  # in this process; what was passed on lives on

    async def _wait(self, connection: socket.socket) -> None:
        """Wait for the head, and for somebody who takes the connection."""
        with suppress(TimeoutError, EOFError):
            async with asyncio.timeout(self._patience.head):
                head = await _head_of(connection)
            async with asyncio.timeout(self._patience.placed):
                # All are full, or are being replaced; a full socket tells nobody that it has room again.
                while not self._place(connection, head):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)


async def _head_of(connection: socket.socket) -> Head:
    """The head, looked for on a clock: a part of it makes the socket readable already."""
    await _readable(connection)
    pause = _LOOK_SECONDS
    while (head := _peek(connection, strict=True)) is None:
        await asyncio.sleep(pause)
        pause = min(_LATE_SECONDS, pause * 2)
    return head


def _peek(connection: socket.socket, *, strict: bool = False) -> Head | None:
    """The head of what a connection holds, which stays there.

    Raises:
        EOFError: if ``strict`` and the client has gone.
    """
    try:
        data = connection.recv(MAX_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        data = b""
    if not data and strict:
        raise EOFError
    return read_head(data)


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def arrived() -> None:
        loop.remove_reader(connection)
        if not future.done():
            future.set_result(None)

    loop.add_reader(connection, arrived)
    try:
        await future
    finally:
        loop.remove_reader(connection)
