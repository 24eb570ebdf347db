"""A request that one worker carries to another: ASGI's own events, over a socket pair.

Between two processes of one server; what crosses is MessagePack, an event a message.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from struct import Struct
from typing import Any

import msgspec

from openenv_gym.server.connection import Event, Receive, Send

__all__ = ["RELAYED", "Broken", "Link"]

RELAYED = "openenv_gym.relayed"
"""In the scope of a request that another worker carries here."""

_log = logging.getLogger("openenv_gym.server")
_LENGTH = Struct("<I")
_END: Event = {"type": "end"}
_EVENTS = 16
"""So many wait for the application; the rest waits in the network, as it does where nobody carries it."""
_SCOPE = (
    "type",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "root_path",
    "headers",
    "client",
    "server",
    "subprotocols",
)
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class Broken(ConnectionError):
    """The other worker is gone."""


class Link:
    """One end of the pair; carries one request after the other, from the worker that made it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> Link:
        """A link over an end of a pair, which is closed with it."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end))

    @property
    def usable(self) -> bool:
        """Whether the other worker has not hung up."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        """End it; may be called twice."""
        self._writer.close()

    async def carry(self, scope: Any, receive: Receive, send: Send) -> None:
        """Have the other worker answer a request.

        Raises:
            Broken: if it is gone before its answer is whole; part of it may have been sent.
        """
        await self._put({name: scope[name] for name in _SCOPE if name in scope})
        pump = asyncio.create_task(self._pump(receive))
        whole = False
        try:
            while (event := await self._get())["type"] != "end":
                await send(event)
                whole = event["type"] == "http.response.body" and not event.get("more_body")
        except BaseException as error:  # cancelled, too
            self.close()  # what else would come on it is of this request
            if not (whole and isinstance(error, Broken)):
                raise
            return
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError, Broken):
                await pump
        with suppress(Broken):  # who is gone now has answered
            await self._put(_END)

    async def serve(self, application: Callable[[Any, Receive, Send], Awaitable[None]]) -> None:
        """Answer what comes until the link ends."""
        try:
            while True:
                await self._serve_one(await self._get(), application)
        except Broken:
            pass
        except Exception:  # of the application, which has told its client what it could
            _log.exception("a request that another worker carried here failed")
        finally:
            self.close()

    async def _serve_one(
        self, scope: Event, application: Callable[[Any, Receive, Send], Awaitable[None]]
    ) -> None:
        scope = {
            **scope,
            "asgi": {"version": "3.0"},
            "extensions": {},
            "headers": [(name, value) for name, value in scope["headers"]],
            RELAYED: True,
        }
        events = _Events()
        reading = asyncio.create_task(self._read(events, f"{scope['type']}.disconnect"))
        try:
            await application(scope, events.get, self._put)
            await self._put(_END)
            events.forget()
            await reading
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, Broken):
                await reading

    async def _read(self, events: _Events, goodbye: str) -> None:
        """Take in the events of one request, up to its end."""
        try:
            while (event := await self._get())["type"] != "end":
                await events.put(event)
        except Broken:
            await events.put({"type": goodbye, "code": 1006})
            raise

    async def _pump(self, receive: Receive) -> None:
        while True:
            event = await receive()
            await self._put(event)
            if event["type"].endswith(".disconnect"):
                return

    async def _put(self, event: Event) -> None:
        data = _pack(event)
        try:
            self._writer.write(_LENGTH.pack(len(data)))
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:  # uvloop's, of a handle that is closed
            raise Broken from error

    async def _get(self) -> Event:
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            event: Event = _unpack(await self._reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Broken from error
        return event


class _Events:
    """The events of one request on their way to the application, until it has answered."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_EVENTS)
        self._answered = False

    async def put(self, event: Event) -> None:
        if not self._answered:
            await self._queue.put(event)

    async def get(self) -> Event:
        return await self._queue.get()

    def forget(self) -> None:
        """Keep what is there, and what comes, no longer: nobody asks for it."""
        self._answered = True
        while not self._queue.empty():
            self._queue.get_nowait()
