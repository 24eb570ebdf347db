"""A blocking client that takes answers in parts, and does not wait for those that are not there yet.

It has no twin: whoever has an event loop waits for one answer a task.
"""

from __future__ import annotations

from typing import Any

from openenv_gym.client.blocking import Client
from openenv_gym.client.transports import SocketTransport
from openenv_gym.wire.messages import Answer, Value

__all__ = ["EarlyClient"]


class EarlyClient(Client):
    """A session whose answers are taken as they come; made with :meth:`Client.to`."""

    def receive_part(self, *, wait: bool) -> Answer | Value | None:
        """The next answer, or part of one, to whichever request.

        Args:
            wait: for it; otherwise ``None`` if it is not there yet.
        """
        answer: Answer | Value | None = self._receive(None if wait else self._take_now)
        if answer is not None and (told := self.protocol.acknowledgement()) is not None:
            self._send(told)
        return answer

    def _take_now(self) -> Any:
        return self._socket.receive_now()  # of the connection that there is now

    def ask_state(self, lane: int) -> None:
        """Ask for a lane's state; its value comes with :meth:`receive_part`."""
        self._send(self.protocol.ask_state(lane))

    @property
    def holds(self) -> bool:
        """Whether :meth:`receive_part` may have something to say though the descriptor has not."""
        return self._socket.holds

    def fileno(self) -> int:
        """The connection's descriptor, to wait on several once nothing more is there."""
        return self._socket.fileno()

    @property
    def _socket(self) -> SocketTransport:
        assert isinstance(self._transport, SocketTransport)
        return self._transport
