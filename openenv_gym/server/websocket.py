"""A WebSocket on ``/ws`` that HTTP knows nothing of: carries an attachment's messages, in either dialect.

A session that steps on the event loop is pumped in one coroutine: receive, step, send. A session
with a thread of its own needs a second one that goes on reading. Where the web server can, hot messages and
their answers go past both. In the native dialect a connection that
breaks leaves its attachment to :mod:`openenv_gym.server.attachments`; in JSON the session ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from openenv_gym.errors import DeadlineExceeded, OpenEnvGymError, ProtocolViolation
from openenv_gym.server.attachments import Attachments, Berth
from openenv_gym.server.connection import NORMAL, PROTOCOL_ERROR, RESTARTING, Connection, Gone, Inbox
from openenv_gym.server.direct import EXTENSION, DirectWebSocket
from openenv_gym.server.early import EarlyAttachment
from openenv_gym.server.early_pump import EarlyPump
from openenv_gym.server.episodes import Episodes
from openenv_gym.server.handing import REQUESTS, Handing, Late
from openenv_gym.server.house import House
from openenv_gym.server.mcp import answer_call
from openenv_gym.server.sessions import Attachment
from openenv_gym.version import __version__
from openenv_gym.wire.codecs.native import SUBPROTOCOL
from openenv_gym.wire.messages import Close, Hello, Mcp
from openenv_gym.wire.server import Incoming, ServerProtocol
from openenv_gym.wire.tenure import Tenure, taken_over

__all__ = ["serve_websocket"]

_LAST_WORD_SECONDS = 1.0


async def serve_websocket(
    house: House, attachments: Attachments, episodes: Episodes, connection: Connection
) -> None:
    """Serve one connection, and its session until either side ends it."""
    await _Pump(house, attachments, episodes, connection).serve()


class _Pump:
    def __init__(
        self, house: House, attachments: Attachments, episodes: Episodes, connection: Connection
    ) -> None:
        self._house, self._attachments, self._episodes = house, attachments, episodes
        self._connection = connection
        self._task: asyncio.Task[Any] | None = None
        self._tenure: Tenure[Berth] | None = None
        self._resumed = False
        self._displaced = False
        self._vanished = False
        self._wire: DirectWebSocket | None = connection.extensions.get(EXTENSION)
        offers_arrays = "array" in house.source.signature.views
        self._native = offers_arrays and SUBPROTOCOL in connection.subprotocols
        self._protocol = ServerProtocol(native=self._native, max_json_depth=house.limits.max_json_depth)

    async def serve(self) -> None:
        self._task = asyncio.current_task()
        await self._connection.accept(SUBPROTOCOL if self._native else None)
        try:
            await self._serve()
        except asyncio.CancelledError:
            if not self._displaced or self._task is None:
                raise
            self._task.uncancel()
            async with asyncio.timeout(_LAST_WORD_SECONDS):  # it may be half dead
                await self._refuse(taken_over())

    def displace(self) -> None:
        """Stop, for a newer connection has the attachment; nothing that arrives here is done any more."""
        self._displaced = True
        if self._wire is not None:
            self._wire.direct = None
        if self._task is not None:
            self._task.cancel()

    async def _serve(self) -> None:
        try:
            attachment = await self._greet()
        except Gone:
            return
        except OpenEnvGymError as error:
            await self._refuse(error)
            return
        over = True
        try:
            if self._tenure is not None:
                await self._welcome(attachment, self._tenure.token)
            if isinstance(attachment, EarlyAttachment):
                await EarlyPump(self._house, attachment, self._connection).run()
            else:
                pump = self._pump_inline if attachment.session.runner.inline else self._pump_thread
                await pump(attachment)
        except Gone as gone:
            over = not gone.vanished
        except (ProtocolViolation, DeadlineExceeded) as error:
            await self._refuse(error)
        except asyncio.CancelledError:
            if not self._displaced:
                # The server shuts down and has lost its patience with a step that does not end.
                self._house.forsake(attachment)
            raise
        finally:
            if self._wire is not None:
                self._wire.direct = None
            if self._tenure is None:
                await self._house.detach(attachment)
            else:
                await self._attachments.part(self._tenure, self, over=over)

    async def _greet(self) -> Attachment:
        if not self._native:
            return await self._house.attach(self._implied_hello(), self._protocol)
        hello, _ = self._protocol.receive(await self._connection.receive())
        if not isinstance(hello, Hello):  # a goodbye: the only other message that may come first
            await self._connection.close()
            raise Gone
        self._tenure, attachment, resumed = await self._attachments.claim(hello, self._protocol, self)
        self._protocol = attachment.protocol
        self._resumed = resumed
        return attachment

    def _implied_hello(self) -> Hello:
        """What the query says in the place of a hello."""
        query = self._connection.query
        config = {"render_mode": query["render_mode"]} if "render_mode" in query else {}
        return Hello(view=query.get("view", "typed"), config=config)

    async def _welcome(self, attachment: Attachment, token: str) -> None:
        server = f"openenv-gym {__version__}"
        welcome = attachment.welcome(self._house.limits, server, token=token, resumed=self._resumed)
        await self._send(self._protocol.codec.encode(welcome))

    async def _send(self, message: Any) -> None:
        """Send to a client that may have vanished; what it said before is still to be read."""
        try:
            await self._connection.send(message)
        except OSError:
            self._vanished = True

    async def _pump_inline(self, attachment: Attachment) -> None:
        receive, send, decode = self._connection.receive, self._send, self._protocol.receive
        answer = attachment.receive
        if self._wire is not None:
            self._wire.direct = self._direct(attachment) if self._native else self._direct_text(attachment)
        while True:
            message, ack = decode(await receive())
            if type(message) is Close:
                break
            if self._vanished:
                continue  # nobody hears the answer; who comes back asks again
            if type(message) is Mcp:
                await self._answer_call(attachment, message)
            elif (encoded := answer(message, ack)) is not None:
                await send(encoded.payload)
        await self._connection.close()

    def _direct(self, attachment: Attachment) -> Callable[[bytes], Any]:
        """Answer requests where they arrive; a goodbye, and what is wrong, takes the pump's way."""
        decode, answer = self._protocol.receive, attachment.receive

        def direct(data: bytes) -> Any:
            if not data or data[0] not in REQUESTS:
                return None
            try:
                encoded = answer(*decode(data))
            except ProtocolViolation:
                return None  # nothing was done; the pump meets it again and ends the connection
            return None if encoded is None else encoded.payload

        return direct

    def _direct_text(self, attachment: Attachment) -> Callable[[Any], Any]:
        """The same of JSON; a goodbye, and a call of a tool, takes the pump's way."""
        decode, answer = self._protocol.receive, attachment.receive

        def direct(data: str | bytes) -> Any:
            if type(data) is not str:
                return None
            try:
                message, ack = decode(data)
            except ProtocolViolation:
                return None
            if isinstance(message, Close | Mcp):
                return None  # not numbered, so nothing has been counted
            encoded = answer(message, ack)
            return None if encoded is None else encoded.payload

        return direct

    async def _pump_thread(self, attachment: Attachment) -> None:
        inbox = Inbox(self._connection)
        handing: Handing | None = None
        if self._wire is not None and self._native and self._house.limits.step_timeout is None:
            handing = Handing(self._house, attachment, self._wire, inbox)
            self._wire.direct = handing.direct
        try:
            while True:
                item = await inbox.take()
                if isinstance(item, Late):
                    assert handing is not None
                    if item.payload is not None:
                        await self._send(item.payload)
                    handing.sent()
                else:
                    message, ack = self._protocol.receive(item)
                    if type(message) is Close:
                        await self._connection.close()
                        return
                    if self._vanished:
                        continue
                    if handing is None:
                        await self._perform(attachment, message, ack)
                    else:
                        await handing.hand(message, ack)
                if handing is not None and not handing.idle:
                    continue
                if attachment.over and not self._vanished:
                    await self._connection.close(NORMAL, "the environment's process ended")
                    return
                if self._house.closing:
                    await self._connection.close(RESTARTING, "the server is shutting down")
                    return
        finally:
            inbox.close()

    async def _perform(self, attachment: Attachment, message: Incoming, ack: int) -> None:
        """Have a request done on the session's thread, and send its answer."""
        self._house.busy += 1
        try:
            if type(message) is Mcp:
                await self._answer_call(attachment, message)
                return
            work = partial(attachment.receive, message, ack)
            encoded = await self._house.perform(attachment, work, type(message).__name__.lower())
            if encoded is not None:
                await self._send(encoded.payload)
        finally:
            self._house.busy -= 1

    async def _answer_call(self, attachment: Attachment, message: Mcp) -> None:
        answer = await answer_call(self._episodes, message.data, own=attachment.session.id)
        await self._send(self._protocol.codec.encode(Mcp(answer)))

    async def _refuse(self, error: OpenEnvGymError) -> None:
        """Say why the session ends, and end it."""
        await self._connection.send(self._protocol.encode_error(0, error))
        broken = self._native and isinstance(error, ProtocolViolation)
        await self._connection.close(PROTOCOL_ERROR if broken else NORMAL)
