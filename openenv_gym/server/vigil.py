"""An event loop that stays awake for a moment after an answer, if its clients ask again at once."""

from __future__ import annotations

import asyncio
import os
import time

from openenv_gym.wire.lookout import Lookout

__all__ = ["Vigil"]

_LONGEST_SECONDS = 300e-6
_BYTES_A_SECOND = 4e9
"""Of a loopback connection, about: a large answer is under way for a while before a client can go on."""
_CAN_LOOK = hasattr(os, "sched_yield")


class Vigil:
    """Keeps the event loop of one server awake, whichever of its connections it answers.

    It keeps nothing until :meth:`allow` is called: a loop on a thread among others would hold the
    interpreter's lock against them.
    """

    def __init__(self) -> None:
        self._lookout = Lookout(0.0)
        self._answered = 0.0
        self._until = 0.0
        self._looking = False

    def allow(self) -> None:
        """Let it, in a process that does nothing else."""
        if _CAN_LOOK:
            self._lookout = Lookout(_LONGEST_SECONDS)

    def came(self) -> None:
        """Something has come: the loop may sleep after it, for whoever does it may want the core."""
        self._lookout.came(time.perf_counter() - self._answered)
        self._until = 0.0

    def answered(self, loop: asyncio.AbstractEventLoop, nbytes: int) -> None:
        """Stay awake for what follows an answer, if it is likely to follow soon."""
        self._answered = time.perf_counter() + nbytes / _BYTES_A_SECOND
        if not self._lookout.patience:
            return
        self._until = self._answered + self._lookout.patience
        if not self._looking:
            self._looking = True
            loop.call_soon(self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        before = time.perf_counter()
        if before >= self._until:
            self._looking = False
            return
        os.sched_yield()
        self._lookout.looked(time.perf_counter() - before)
        loop.call_soon(self._look, loop)
