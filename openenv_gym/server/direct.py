"""A WebSocket connection that answers hot messages where they arrive, without a task in between.

ASGI hands each message through a queue to a coroutine, which costs more than stepping a small
environment. So this protocol offers the application an extension, ``openenv_gym.direct``: itself. Its
:attr:`~DirectWebSocket.direct` is a function that takes a message at once, bytes or text, and gives the
answer, or :data:`LATER` if that comes by :meth:`DirectWebSocket.answer_now`, or ``None`` to have the message
queued as usual. A message that arrives as one frame in one piece, which nearly every request does,
is taken out of it here and not by websockets' generators; they see all else, and this frame too if
there is no answer to it. It relies on uvicorn's ``WebSocketsSansIOProtocol``, whose attributes used here
held from 0.35 to 0.54; on any other server the extension is missing and the queue is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.streams import StreamReader

from openenv_gym.server.vigil import Vigil

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without a C compiler
    from websockets.utils import apply_mask

__all__ = ["EXTENSION", "LATER", "DirectWebSocket"]

EXTENSION = "openenv_gym.direct"

LATER: Any = object()
"""In the place of an answer to a message that was taken."""

_TEXT, _BINARY = 0x81, 0x82
_LARGE_BYTES = 1 << 16
_AT_BOUNDARY = StreamReader.at_eof.__code__
"""Where websockets' parser waits between two frames, and nowhere else."""


class DirectWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's sans-I/O WebSocket, with a short cut for whole messages.

    Args:
        vigil: of the server, which stays awake for a client that asks again at once.
    """

    direct: Callable[[Any], Any] | None = None

    def __init__(self, vigil: Vigil, **config: Any) -> None:
        super().__init__(**config)
        self._vigil = vigil

    async def run_asgi(self) -> None:
        """Run the application, with the extension in its scope."""
        extensions: Any = self.scope["extensions"]
        extensions[EXTENSION] = self
        self._application, self.app = self.app, self._run_application
        await super().run_asgi()

    async def _run_application(self, scope: Any, receive: Any, send: Any) -> None:
        application: Any = self._application
        await application(scope, receive, send)
        if self.initial_response is not None:
            # The handshake was refused; uvicorn 0.54 would log it as one that nobody has answered.
            self.handshake_complete = True

    def answer_now(self, payload: Any) -> bool:
        """Send the answer to a message that was taken before; whether nothing is in its way."""
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            return False
        if not self.writable.is_set():
            return False
        self._write(_BINARY, payload)
        self._vigil.answered(self.loop, len(payload))
        return True

    def data_received(self, data: bytes) -> None:
        """Answer a whole message at once if nothing waits in either direction; else have it queued."""
        self._vigil.came()
        if self.direct is None or not self._answer(data):
            super().data_received(data)

    def _answer(self, data: bytes) -> bool:
        """Whether the data was one frame, a whole message, and is answered."""
        start = _payload_of(data)
        if not start or len(data) > self.config.ws_max_size or not (self._is_idle() and self._is_between()):
            return False
        message: Any = apply_mask(data[start:], data[start - 4 : start])
        if data[0] == _TEXT:
            try:
                message = str(message, "utf-8")
            except UnicodeDecodeError:
                return False  # the library meets it again and ends the connection
        assert self.direct is not None
        answer = self.direct(message)
        if answer is None:
            return False
        if answer is LATER:
            return True
        opcode = _BINARY
        if type(answer) is str:
            answer, opcode = answer.encode(), _TEXT
        self._write(opcode, answer)
        self._vigil.answered(self.loop, len(answer))
        return True

    def _write(self, opcode: int, payload: Any) -> None:
        """Write a whole message; a large one as it lies there: its buffer is kept until it has arrived."""
        head = _head(opcode, len(payload))
        if len(payload) < _LARGE_BYTES:
            self.transport.write(b"".join((head, payload)))
        else:
            self.transport.writelines((head, payload))

    async def send(self, message: Any) -> None:
        """Send what the application says; a whole message without the library's two copies.

        The loop is not kept awake for what follows: threads that wake may want the interpreter's lock.
        """
        data = message.get("bytes")
        if data is None or message["type"] != "websocket.send":
            await super().send(message)
            return
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            await super().send(message)
        else:
            self._write(_BINARY, data)

    def handle_bytes(self, event: Frame) -> None:
        """The same of a message that did not come alone, or in one piece."""
        if self.direct is not None and event.fin and self._is_idle():
            answer = self.direct(event.data)
            if answer is LATER:
                return
            if answer is not None:
                self.conn.send_binary(answer)
                self.transport.write(b"".join(self.conn.data_to_send()))
                self._vigil.answered(self.loop, len(answer))
                return
        super().handle_bytes(event)

    def handle_text(self, event: Frame) -> None:
        """The same of a text."""
        if self.direct is not None and event.fin and self._is_idle():
            try:
                answer = self.direct(str(event.data, "utf-8"))
            except UnicodeDecodeError:
                answer = None  # uvicorn meets it again and ends the connection
            if answer is not None:
                answer = answer.encode()
                self.conn.send_text(answer)
                self.transport.write(b"".join(self.conn.data_to_send()))
                self._vigil.answered(self.loop, len(answer))
                return
        super().handle_text(event)

    def _is_idle(self) -> bool:
        # A close that came in the same segment has changed the state before its message is handled.
        return (
            self.conn.state is State.OPEN
            and self.queue.empty()
            and self.writable.is_set()
            and not self.close_sent
        )

    def _is_between(self) -> bool:
        """Whether the library has no half frame, and there is no half message."""
        parser: Any = self.conn.parser
        reading = parser.gi_yieldfrom  # the handshake's generator, delegating to the frames'
        waiting = None if reading is None else reading.gi_yieldfrom
        return waiting is not None and waiting.gi_code is _AT_BOUNDARY and not self.frames


def _payload_of(data: bytes) -> int:
    """Where the payload begins in data that is one final, masked frame and no more; 0 if it is not."""
    if len(data) < 6 or data[0] not in (_TEXT, _BINARY) or data[1] < 0x80:
        return 0
    length, start = data[1] & 0x7F, 6
    if length >= 126:
        start = 8 if length == 126 else 14
        length = int.from_bytes(data[2 : start - 4], "big")
    return start if len(data) == start + length else 0


def _head(opcode: int, length: int) -> bytes:
    """The head of a final frame that is not masked (RFC 6455, 5.2)."""
    if length < 126:
        return bytes((opcode, length))
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big")
    return bytes((opcode, 127)) + length.to_bytes(8, "big")
