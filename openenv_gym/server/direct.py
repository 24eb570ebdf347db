"""A WebSocket connection that answers hot messages where they arrive, without a task in between.

ASGI hands each message through a queue to a coroutine, which costs more than stepping a small
environment. So this protocol offers the application an extension, ``openenv_gym.direct``: a
function that takes a message at once, bytes or text, and gives the answer, or ``None`` to have the
message queued as usual. It relies on uvicorn's ``WebSocketsSansIOProtocol``, whose attributes used here
held from 0.35 to 0.54; on any other server the extension is missing and the queue is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

__all__ = ["EXTENSION", "DirectWebSocket"]

EXTENSION = "openenv_gym.direct"


class DirectWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's sans-I/O WebSocket, with a short cut for whole messages."""

    direct: Callable[[Any], Any] | None = None

    async def run_asgi(self) -> None:
        """Run the application, with the extension in its scope."""
        extensions: Any = self.scope["extensions"]
        extensions[EXTENSION] = self._set_direct
        self._application, self.app = self.app, self._run_application
        await super().run_asgi()

    async def _run_application(self, scope: Any, receive: Any, send: Any) -> None:
        application: Any = self._application
        await application(scope, receive, send)
        if self.initial_response is not None:
            # The handshake was refused; uvicorn 0.54 would log it as one that nobody has answered.
            self.handshake_complete = True

    def _set_direct(self, direct: Callable[[Any], Any] | None) -> None:
        self.direct = direct

    def handle_bytes(self, event: Frame) -> None:
        """Answer at once if nothing waits in either direction; else queue the message."""
        if self.direct is not None and event.fin and self._is_idle():
            answer = self.direct(event.data)
            if answer is not None:
                self.conn.send_binary(answer)
                self.transport.write(b"".join(self.conn.data_to_send()))
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
                self.conn.send_text(answer.encode())
                self.transport.write(b"".join(self.conn.data_to_send()))
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
