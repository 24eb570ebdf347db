"""The WebSocket door: a raw ASGI pump that carries an attachment's messages, in either dialect.

A session that steps on the event loop is pumped in one coroutine: receive, step, send. A session
with a thread of its own needs a second one that goes on reading, for a WebSocket server stops
answering pings and noticing goodbyes while a received message waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, TypeAlias

from openenv_gym.errors import OpenEnvGymError, ProtocolViolation
from openenv_gym.server.direct import EXTENSION
from openenv_gym.server.sessions import Attachment, House
from openenv_gym.version import __version__
from openenv_gym.wire.blocks import Kind
from openenv_gym.wire.codecs.native import SUBPROTOCOL
from openenv_gym.wire.messages import Close, Hello
from openenv_gym.wire.server import ServerProtocol

__all__ = ["serve_websocket"]

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

_REQUESTS = frozenset((Kind.STEP, Kind.RESET, Kind.STATE, Kind.OBSERVE, Kind.RENDER, Kind.CALL))
_INBOX = 1024
_NORMAL, _PROTOCOL_ERROR, _RESTARTING = 1000, 1002, 1012


async def serve_websocket(house: House, scope: Event, receive: Receive, send: Send) -> None:
    """Serve one connection on ``/ws`` until either side ends it."""
    connection = _Connection(house, scope, receive, send)
    try:
        await connection.serve()
    except OSError:
        return  # the client vanished while something was sent to it
    except asyncio.CancelledError:
        return  # the server shuts down; it would log this as a failure


class _Gone(Exception):
    """The client said goodbye, or vanished."""


def _data(event: Event) -> Any:
    """The text or the bytes of a message that was received."""
    if event["type"] == "websocket.disconnect":
        raise _Gone
    data = event.get("bytes")
    return event["text"] if data is None else data


class _Connection:
    def __init__(self, house: House, scope: Event, receive: Receive, send: Send) -> None:
        self._house, self._receive, self._send = house, receive, send
        self._offer_direct = scope.get("extensions", {}).get(EXTENSION)
        offers_arrays = "array" in house.source.signature.views
        self._native = offers_arrays and SUBPROTOCOL in scope["subprotocols"]
        self._protocol = ServerProtocol(native=self._native)

    async def serve(self) -> None:
        await self._receive()  # the request to connect
        await self._send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if self._native else None})
        try:
            attachment = await self._greet()
        except _Gone:
            return
        except OpenEnvGymError as error:
            await self._refuse(error)
            return
        try:
            if self._native:
                await self._welcome(attachment)
            pump = self._pump_inline if attachment.session.runner.inline else self._pump_thread
            await pump(attachment)
        except _Gone:
            pass
        except ProtocolViolation as error:
            await self._refuse(error)
        except asyncio.CancelledError:
            # The server shuts down and has lost its patience with a step that does not end.
            self._house.forsake(attachment)
        finally:
            await self._house.detach(attachment)

    async def _greet(self) -> Attachment:
        if not self._native:
            return await self._house.attach(Hello(view="typed"), self._protocol)
        hello, _ = self._protocol.receive(_data(await self._receive()))
        if not isinstance(hello, Hello):  # a goodbye: the only other message that may come first
            await self._close(_NORMAL, "")
            raise _Gone
        return await self._house.attach(hello, self._protocol)

    async def _welcome(self, attachment: Attachment) -> None:
        welcome = attachment.welcome(self._house.limits, f"openenv-gym {__version__}")
        await self._send({"type": "websocket.send", "bytes": self._protocol.codec.encode(welcome)})

    async def _pump_inline(self, attachment: Attachment) -> None:
        receive, send, decode = self._receive, self._send, self._protocol.receive
        answer, key = attachment.receive, "bytes" if self._native else "text"
        if self._native and self._offer_direct is not None:
            self._offer_direct(self._direct(attachment))
        while True:
            message, ack = decode(_data(await receive()))
            if type(message) is Close:
                break
            encoded = answer(message, ack)
            if encoded is not None:
                await send({"type": "websocket.send", key: encoded.payload})
        await self._close(_NORMAL, "")

    def _direct(self, attachment: Attachment) -> Callable[[bytes], Any]:
        """Answer requests where they arrive; a goodbye, and what is wrong, takes the pump's way."""
        decode, answer = self._protocol.receive, attachment.receive

        def direct(data: bytes) -> Any:
            if not data or data[0] not in _REQUESTS:
                return None
            try:
                encoded = answer(*decode(data))
            except ProtocolViolation:
                return None  # nothing was done; the pump meets it again and ends the connection
            return None if encoded is None else encoded.payload

        return direct

    async def _pump_thread(self, attachment: Attachment) -> None:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        reader = asyncio.create_task(self._read(inbox))
        key, run = "bytes" if self._native else "text", attachment.session.runner.run
        try:
            while (data := await inbox.get()) is not None:
                message, ack = self._protocol.receive(data)
                if type(message) is Close:
                    await self._close(_NORMAL, "")
                    return
                self._house.busy += 1
                try:
                    encoded = await run(partial(attachment.receive, message, ack))
                    if encoded is not None:
                        await self._send({"type": "websocket.send", key: encoded.payload})
                finally:
                    self._house.busy -= 1
                if self._house.closing:
                    await self._close(_RESTARTING, "the server is shutting down")
                    return
        finally:
            reader.cancel()

    async def _read(self, inbox: asyncio.Queue[Any]) -> None:
        """Keep reading while a step runs; ``None`` ends the inbox."""
        try:
            while inbox.qsize() < _INBOX:
                inbox.put_nowait(_data(await self._receive()))
        except _Gone:
            pass
        inbox.put_nowait(None)

    async def _refuse(self, error: OpenEnvGymError) -> None:
        """Say why the session ends, and end it."""
        data = self._protocol.encode_error(0, error)
        await self._send({"type": "websocket.send", "bytes" if self._native else "text": data})
        broken = self._native and isinstance(error, ProtocolViolation)
        await self._close(_PROTOCOL_ERROR if broken else _NORMAL, "")

    async def _close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
