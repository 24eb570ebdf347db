"""An event loop that stays awake for a moment after an answer, if its client is one that asks at once."""

from __future__ import annotations

import asyncio
import os
import time

from openenv_gym.wire.lookout import Lookout

__all__ = ["Vigil"]

_LONGEST_SECONDS = 300e-6
_CAN_LOOK = hasattr(os, "sched_yield")


class Vigil:
    """Keeps the event loop of one server awake.

    It keeps nothing until :meth:`allow` is called: a loop on a thread among others would hold the
    interpreter's lock against them.
    """

    def __init__(self) -> None:
        self._allowed = False
        self._until = 0.0
        self._lookout: Lookout | None = None

    def allow(self) -> None:
        """Let it, in a process that does nothing else."""
        self._allowed = _CAN_LOOK

    def lookout(self) -> Lookout:
        """For one connection."""
        return Lookout(_LONGEST_SECONDS if self._allowed else 0.0)

    def keep(self, loop: asyncio.AbstractEventLoop, lookout: Lookout, now: float) -> None:
        """Stay awake for as long as the lookout has patience, from now in seconds of ``perf_counter``."""
        self._until = now + lookout.patience
        if self._lookout is None:
            loop.call_soon(self._look, loop)
        self._lookout = lookout

    def end(self) -> None:
        """Let the loop sleep, for what was awaited is there; whoever does it may want the core."""
        self._until = 0.0

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._lookout is not None
        before = time.perf_counter()
        os.sched_yield()
        now = time.perf_counter()
        self._lookout.looked(now - before)
        if now < self._until:
            loop.call_soon(self._look, loop)
        else:
            self._lookout = None
