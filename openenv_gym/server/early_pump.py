"""Carries the messages of an attachment whose answers come in parts; see :mod:`openenv_gym.server.early`.

One coroutine takes messages and the ringing of lanes out of one queue, in the order in which they
come, and sends what there is to say. While it sends to a client that reads slowly, lanes finish and
wait for the next turn, so that the messages grow instead of their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from openenv_gym.errors import DeadlineExceeded
from openenv_gym.server.connection import NORMAL, RESTARTING, Connection, Gone, Inbox
from openenv_gym.server.early import EarlyAttachment
from openenv_gym.server.house import House
from openenv_gym.wire.messages import Close

__all__ = ["EarlyPump"]

_RING = object()
"""Stands among the messages for lanes that are done."""


class EarlyPump:
    """The messages of one connection.

    Args:
        house: that the session is in.
        attachment: whose messages they are.
        connection: to carry them on.
    """

    def __init__(self, house: House, attachment: EarlyAttachment, connection: Connection) -> None:
        self._house, self._attachment, self._connection = house, attachment, connection
        self._vanished = False

    async def run(self) -> None:
        """Serve until either side ends the connection, and after a goodbye until no lane runs.

        Raises:
            Gone: if the client is gone.
            DeadlineExceeded: if a request took too long; the session is over.
            ProtocolViolation: if the client sends what cannot be.
        """
        inbox = Inbox(self._connection)
        ring = partial(inbox.put, _RING)
        self._attachment.attend(ring)
        try:
            try:
                await self._serve(inbox)
            except Gone as gone:
                if not gone.vanished:
                    await self._wait_for_lanes(inbox)
                raise
            await self._wait_for_lanes(inbox)
        finally:
            inbox.close()
            self._attachment.leave(ring)

    async def _serve(self, inbox: Inbox) -> None:
        attachment, connection = self._attachment, self._connection
        while True:
            item = await inbox.take()
            if item is _RING:
                await self._send(attachment.harvest())
            else:
                message, ack = attachment.protocol.receive(item)
                if type(message) is Close:
                    await connection.close()
                    return
                if self._vanished:
                    continue  # nobody hears the answer; who comes back asks again
                await self._send(attachment.take(message, ack))
            if attachment.over and not self._vanished:
                await connection.close(NORMAL, "the environment's process ended")
                return
            if self._house.closing and not attachment.open:
                await connection.close(RESTARTING, "the server is shutting down")
                return

    async def _send(self, payloads: Sequence[Any]) -> None:
        """Send to a client that may have vanished; what it said before is still to be read."""
        for payload in payloads:
            try:
                await self._connection.send(payload)
            except OSError:
                self._vanished = True

    async def _wait_for_lanes(self, inbox: Inbox) -> None:
        """Wait for what a client that said goodbye has begun: its lanes cannot be closed before."""
        with self._house.ending(), suppress(DeadlineExceeded):  # nobody is left to tell
            while self._attachment.open and not self._attachment.over:
                with suppress(Gone):
                    if await inbox.take() is _RING:
                        self._attachment.harvest()
