"""How long to go on after a lost connection; what the blocking and the asynchronous client share.

Both do the same: open a new connection, claim the session by a hello, and repeat what has no answer.
They do so inside of the call that waits for an answer, and when the answer comes nobody has noticed.
Only the native dialect can, and only the process that began the session.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from openenv_gym.client.refusals import may_be_starting
from openenv_gym.errors import ConnectFailed, ConnectionLost, OpenEnvGymError, UnknownSession

__all__ = ["RESUME_SECONDS", "Resumption", "shorter"]

RESUME_SECONDS = 20.0
"""For how long to try, unless the caller says otherwise."""

_log = logging.getLogger("openenv_gym.client")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
_FIRST_WORD = 2.0


class Resumption:
    """One lost connection, until an answer has come over another.

    Args:
        loss: how it was lost.
        seconds: for how long to try; ``None`` never gives up.
        clock: seconds, from any beginning.
    """

    def __init__(
        self, loss: ConnectionLost, seconds: float | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._loss, self._seconds, self._clock = loss, seconds, clock
        self._started = clock()
        self._pause = _FIRST_PAUSE
        self._warned = False

    def pause_after(self, error: OpenEnvGymError) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ConnectionLost: if another one would not help, or the time is over.
        """
        if isinstance(error, UnknownSession):
            raise self._given_up("the server does not have the session any more") from error
        if "status" in error.fields and isinstance(error, ConnectFailed) and not may_be_starting(error):
            raise self._given_up(error.message) from error
        waited = self._clock() - self._started
        left = float("inf") if self._seconds is None else self._seconds - waited
        if left <= 0:
            raise self._given_up(
                f"it could not be taken up again in {waited:.0f} seconds, resume_timeout=... takes more: "
                f"{error.message}"
            ) from error
        if waited >= _FIRST_WORD and not self._warned:
            self._warned = True
            # A warning, so that it is seen in a program that has not set up logging.
            _log.warning("the connection broke; trying to go on with the session: %s", error.message)
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return min(pause, left)

    def _given_up(self, why: str) -> ConnectionLost:
        return ConnectionLost(f"{self._loss.message}. Nor can it be resumed: {why}", **self._loss.fields)


def shorter(one: float | None, other: float | None) -> float | None:
    """The shorter of two times, of which ``None`` never ends."""
    return min((each for each in (one, other) if each is not None), default=None)
