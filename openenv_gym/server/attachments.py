"""Attachments that outlive their connections.

A native connection that breaks, without a goodbye, leaves its attachment and the session behind:
lanes stay taken, a step that runs goes on, and its answer is kept. For ``resume_grace`` seconds the
client may claim the attachment over a new connection and go on; then the session ends. A claim wins over
the connection that has the attachment, which may be half dead without the server knowing. The pump of
that one is cancelled; the step that it waited for is not, and its request, repeated, is done behind it on
the session's thread, where the kept answer is found. Who may claim what: :mod:`openenv_gym.wire.tenure`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from openenv_gym.server.house import House
from openenv_gym.server.sessions import Attachment
from openenv_gym.wire.messages import Hello
from openenv_gym.wire.server import ServerProtocol
from openenv_gym.wire.tenure import Register, Tenure

__all__ = ["Attachments", "Berth"]

_CLOSE_SECONDS = 2.0


class Holder(Protocol):
    """A connection that has an attachment."""

    def displace(self) -> None:
        """Have it no more: a newer connection does."""


@dataclass(eq=False, slots=True)
class Berth:
    """An attachment, from its hello to its end.

    Attributes:
        begun: gives the attachment once its session is built.
        holder: the connection that has it, if there is one.
        waiting: ends it after the grace, while it has none.
    """

    begun: asyncio.Task[Attachment] | None = None
    holder: Holder | None = None
    waiting: asyncio.Task[None] | None = None

    @property
    def received(self) -> int:
        """The highest number of a request that has come."""
        done = self.begun is not None and self.begun.done() and not self.begun.cancelled()
        return self.begun.result().received if done and self.begun is not None else 0


class Attachments:
    """The attachments of a house that can be claimed again.

    Args:
        house: where their sessions are.
        sleep: waits for so many seconds.
    """

    def __init__(self, house: House, *, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> None:
        self._house = house
        self._sleep = sleep
        self._register: Register[Berth] = Register()

    async def claim(
        self, hello: Hello, protocol: ServerProtocol, holder: Holder
    ) -> tuple[Tenure[Berth], Attachment, bool]:
        """What a hello asks for, a session of its own or one that is there, and whether it was there.

        Raises:
            UnknownSession: if the one that it names is not there.
            ServerClosed: if a newer hello has it.
            OpenEnvGymError: what :meth:`House.attach` raises.
        """
        tenure = self._register.find(hello)
        resumed = tenure is not None
        if tenure is None:
            tenure = self._begin(hello, protocol)
        else:
            tenure.claim(hello, tenure.of.received)
        berth = tenure.of
        if berth.waiting is not None:
            berth.waiting.cancel()
            berth.waiting = None
            self._house.parked -= 1
        if berth.holder is not None:
            berth.holder.displace()
        berth.holder = holder
        assert berth.begun is not None
        try:
            # Shielded: who is cut off while it is built says hello again, and has the same one.
            return tenure, await asyncio.shield(berth.begun), resumed
        except asyncio.CancelledError:
            if berth.holder is holder:  # the server shuts down
                berth.holder = None
                if not berth.begun.cancel() and berth.begun.exception() is None:  # built in the same moment
                    await self._end(tenure)
            raise

    def _begin(self, hello: Hello, protocol: ServerProtocol) -> Tenure[Berth]:
        token = f"{secrets.token_urlsafe(6)}.{secrets.token_urlsafe(24)}"
        tenure = Tenure(hello, token, Berth())
        tenure.of.begun = asyncio.create_task(self._build(tenure, hello, protocol))
        self._register.enter(tenure)
        return tenure

    async def _build(self, tenure: Tenure[Berth], hello: Hello, protocol: ServerProtocol) -> Attachment:
        try:
            return await self._house.attach(hello, protocol)
        except BaseException:  # cancelled, too: there is nothing to claim
            self._register.strike(tenure)
            raise

    async def part(self, tenure: Tenure[Berth], holder: Holder, *, over: bool) -> None:
        """A connection has ended; and if it is ``over``, the session with it. A displaced one has no say."""
        berth = tenure.of
        if berth.holder is not holder:
            return
        berth.holder = None
        grace = self._house.limits.resume_grace
        if over or not grace or self._house.closing:
            await self._end(tenure)
        else:
            self._house.parked += 1
            berth.waiting = asyncio.create_task(self._wait(tenure, grace))

    async def _wait(self, tenure: Tenure[Berth], grace: float) -> None:
        await self._sleep(grace)
        tenure.of.waiting = None
        self._house.parked -= 1
        await self._end(tenure)

    async def _end(self, tenure: Tenure[Berth]) -> None:
        self._register.strike(tenure)
        assert tenure.of.begun is not None
        await self._house.detach(await tenure.of.begun)

    async def close(self) -> None:
        """End those that nobody has, at once; the others end with their connections."""
        await asyncio.gather(*map(self._close_soon, self._register.all()))

    async def _close_soon(self, tenure: Tenure[Berth]) -> None:
        berth = tenure.of
        if berth.waiting is None:
            return
        berth.waiting.cancel()
        berth.waiting = None
        self._house.parked -= 1
        with suppress(TimeoutError):  # its lanes are free; its thread ends when its environment does
            await asyncio.wait_for(self._end(tenure), _CLOSE_SECONDS)
