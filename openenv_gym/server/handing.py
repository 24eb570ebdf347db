"""Hands native requests to a session's thread where they arrive, and its answers to the connection.

Most requests find nothing in their way and neither do their answers: then no task is woken for either. But
few may be handed so before the first is answered; what else a client sends ahead waits in the inbox, and
the pump hands it, one after the other. Whoever hands them, answers leave in the order of their requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from openenv_gym.errors import ProtocolViolation
from openenv_gym.server.connection import Inbox
from openenv_gym.server.direct import LATER, DirectWebSocket
from openenv_gym.server.house import House
from openenv_gym.server.sessions import Attachment
from openenv_gym.server.threads import OwnThread
from openenv_gym.wire.answers import Encoded
from openenv_gym.wire.blocks import Kind
from openenv_gym.wire.server import Incoming

__all__ = ["REQUESTS", "Handing", "Late"]

REQUESTS = frozenset((Kind.STEP, Kind.RESET, Kind.STATE, Kind.OBSERVE, Kind.RENDER, Kind.CALL))
"""The kinds of message that need nothing but an answer."""
_AHEAD = 4


class Late(NamedTuple):
    """Stands among the messages for an answer that the thread has given: what of it is still to be sent."""

    payload: Any = None


class Handing:
    """The requests of one connection.

    Args:
        house: that the session is in.
        attachment: whose requests they are; its session has a thread of its own.
        wire: to send answers on, and where :attr:`direct` stands while the connection lasts.
        inbox: for answers that something is in the way of.

    Attributes:
        direct: takes a message where it arrives, or leaves it to the pump.
    """

    def __init__(self, house: House, attachment: Attachment, wire: DirectWebSocket, inbox: Inbox) -> None:
        runner = attachment.session.runner
        assert isinstance(runner, OwnThread)
        self._house, self._attachment, self._wire, self._inbox = house, attachment, wire, inbox
        self._runner, self._receive = runner, attachment.receive
        self._running = self._unsent = 0
        self._settled = asyncio.Event()
        self.direct = self._direct(attachment.protocol.receive)

    @property
    def idle(self) -> bool:
        """Whether all that was handed is done, and its answers are on their way."""
        return not self._unsent

    def sent(self) -> None:
        """An answer that was late is on its way."""
        self._unsent -= 1

    async def hand(self, message: Incoming, ack: int) -> None:
        """Hand a request that took the pump's way, once all before it are done."""
        while self._running:
            self._settled.clear()
            await self._settled.wait()
        self._hand(message, ack)

    def _direct(self, decode: Callable[[Any], tuple[Incoming, int]]) -> Callable[[bytes], Any]:
        inbox = self._inbox

        def direct(data: bytes) -> Any:
            if not data or data[0] not in REQUESTS or not inbox.is_awaited or self._running >= _AHEAD:
                return None  # while the pump has something to do, it does all, so that nothing overtakes it
            try:
                message, ack = decode(data)
            except ProtocolViolation:
                return None  # nothing was done; the pump meets it again and ends the connection
            self._hand(message, ack)
            return LATER

        return direct

    def _hand(self, message: Incoming, ack: int) -> None:
        self._house.busy += 1
        self._running += 1
        self._unsent += 1
        self._runner.hand(partial(self._receive, message, ack), self._settle)

    def _settle(self, encoded: Encoded | None, error: BaseException | None) -> None:
        self._house.busy -= 1
        self._running -= 1
        self._settled.set()
        wire, inbox = self._wire, self._inbox
        if wire.direct is not self.direct:
            return  # this connection is over; who comes back asks again
        if error is not None:
            inbox.end(error)
        elif encoded is not None and not (inbox.is_awaited and wire.answer_now(encoded.payload)):
            inbox.put(Late(encoded.payload))
        elif self._attachment.over or self._house.closing:
            inbox.put(Late())
        else:
            self._unsent -= 1
