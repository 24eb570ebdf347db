"""Patience with a server that is still starting.

While nobody listens at the address, its name is not known yet, or a proxy says that there is nobody
behind it, an attempt is repeated, with pauses that grow from 0.05 to 1 second. Whatever else fails
(a wrong path, a missing token, a bad certificate) fails at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from openenv_gym.client.refusals import may_be_starting
from openenv_gym.errors import ConnectFailed, InvalidArgument

__all__ = ["Patience", "check_seconds", "keep_trying", "keep_trying_async"]

T = TypeVar("T")

_log = logging.getLogger("openenv_gym.client")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_FIRST_WORD, _NEXT_WORD = 2.0, 10.0
"""Seconds of waiting after which the log is told of it, and told again."""

_LONGEST = 1e9
"""About what a socket can be told to wait."""


def check_seconds(name: str, value: Any, *, or_none_at_all: bool = False) -> None:
    """Refuse a timeout that cannot be one.

    Args:
        name: of the argument.
        value: what was given for it.
        or_none_at_all: whether 0 seconds mean something.

    Raises:
        InvalidArgument: if it is no number of seconds, nor ``None``.
    """
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and (0 < value < _LONGEST or (value == 0 and or_none_at_all)):
        return
    at_least = "0 or more" if or_none_at_all else "more than 0"
    raise InvalidArgument(f"{name} is {at_least} seconds, or None for as long as it takes; not {value!r:.40}")


class Patience:
    """Says after each attempt that failed whether to make another, and when.

    Args:
        seconds: how long to go on; 0 makes one attempt, ``None`` never gives up.
        clock: seconds, from any beginning.
    """

    def __init__(self, seconds: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._started = clock()
        self._pause = _FIRST_PAUSE
        self._word_at = _FIRST_WORD

    def pause_after(self, error: ConnectFailed) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ConnectFailed: if another one would not help, or the time is over.
        """
        waited = self._clock() - self._started
        left = float("inf") if self._seconds is None else self._seconds - waited
        if self._seconds == 0 or not may_be_starting(error):
            raise error
        if left <= 0:
            said = f"{error.message} Tried for {waited:.0f} seconds; wait_timeout=... takes more"
            raise ConnectFailed(said, **error.fields) from error.__cause__  # the last attempt says no more
        if waited >= self._word_at:
            self._word_at = waited + _NEXT_WORD
            until = "" if self._seconds is None else f" for {left:.0f} more seconds"
            # A warning, so that it is seen in a program that has not set up logging.
            _log.warning("waiting%s for the server: %s", until, error.message)
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return min(pause, left)


def keep_trying(
    attempt: Callable[[], T], patience: Patience, *, sleep: Callable[[float], object] = time.sleep
) -> T:
    """What an attempt gives, once one succeeds.

    Raises:
        ConnectFailed: if patience is at its end.
    """
    while True:
        try:
            return attempt()
        except ConnectFailed as error:
            pause = patience.pause_after(error)
        sleep(pause)


async def keep_trying_async(
    attempt: Callable[[], Awaitable[T]],
    patience: Patience,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """:func:`keep_trying` on an event loop."""
    while True:
        try:
            return await attempt()
        except ConnectFailed as error:
            pause = patience.pause_after(error)
        await sleep(pause)
