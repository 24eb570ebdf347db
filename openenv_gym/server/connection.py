"""One WebSocket as an ASGI server hands it over: what it asked for, and messages in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

__all__ = [
    "NORMAL",
    "PROTOCOL_ERROR",
    "RESTARTING",
    "Connection",
    "Event",
    "Gone",
    "Inbox",
    "Receive",
    "Send",
]

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

NORMAL, PROTOCOL_ERROR, RESTARTING = 1000, 1002, 1012
_NO_GOODBYE = frozenset({1005, 1006})
"""What servers say of a connection that ended without a close frame: uvicorn the one, others the other."""
_INBOX = 1024
_ROOM = 1 << 25
"""What may wait in an inbox, in bytes or characters, and one message more."""


class Gone(Exception):
    """The client said goodbye, or vanished.

    Args:
        code: with which the WebSocket was closed.
    """

    def __init__(self, code: int = NORMAL) -> None:
        super().__init__(code)
        self.vanished = code in _NO_GOODBYE


class Connection:
    """A WebSocket.

    Attributes:
        query: the names in the address's query; of a repeated one the last.
        subprotocols: what the client offers.
        extensions: what the ASGI server offers.
    """

    def __init__(self, scope: Event, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        text = scope.get("query_string", b"").decode("latin-1")
        self.query = dict(parse_qsl(text, keep_blank_values=True))
        self.subprotocols: list[str] = list(scope["subprotocols"])
        self.extensions: dict[str, Any] = scope.get("extensions") or {}

    async def accept(self, subprotocol: str | None = None) -> None:
        """Take the connection."""
        await self._receive()  # the request to connect
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})

    async def receive(self) -> Any:
        """The text or the bytes of the next message.

        Raises:
            Gone: if there is none any more.
        """
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            raise Gone(event.get("code", 1005))
        data = event.get("bytes")
        return event["text"] if data is None else data

    async def send(self, message: Any) -> None:
        """Send text or bytes."""
        await self._send({"type": "websocket.send", "text" if type(message) is str else "bytes": message})

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say goodbye."""
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


class Inbox:
    """What arrives on a connection, read while a step runs.

    A WebSocket server stops answering pings and noticing goodbyes while a received message waits. So
    messages wait here instead, until they are so large together that the rest has to wait in the network.
    """

    def __init__(self, connection: Connection) -> None:
        self._queue: asyncio.Queue[tuple[Any, int]] = asyncio.Queue()
        self._taking = False
        self._waiting = 0
        self._taken = asyncio.Event()
        self._reader = asyncio.create_task(self._read(connection))

    async def take(self) -> Any:
        """The oldest message.

        Raises:
            Gone: after the last.
            Exception: what :meth:`end` was told, after what came before it.
        """
        self._taking = True
        try:
            item, size = await self._queue.get()
        finally:
            self._taking = False
        if isinstance(item, BaseException):
            raise item
        self._waiting -= size
        self._taken.set()
        return item

    @property
    def is_awaited(self) -> bool:
        """Whether whoever takes messages waits for the next, and there is none."""
        return self._taking and self._queue.empty()

    def end(self, error: BaseException) -> None:
        """Have :meth:`take` raise an error once it is its turn."""
        self._queue.put_nowait((error, 0))

    def put(self, item: Any) -> None:
        """Have :meth:`take` give something that did not come over the connection."""
        self._queue.put_nowait((item, 0))

    def close(self) -> None:
        """Stop reading."""
        self._reader.cancel()

    async def _read(self, connection: Connection) -> None:
        try:
            while self._queue.qsize() < _INBOX:
                message = await connection.receive()
                size = len(message)
                self._queue.put_nowait((message, size))
                self._waiting += size
                while self._waiting > _ROOM:
                    self._taken.clear()
                    await self._taken.wait()
        except Gone as gone:
            self.end(gone)
        else:
            self.end(Gone())
