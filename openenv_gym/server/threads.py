"""Where a session's environment runs: on the event loop, or on one thread for life.

An environment sees one and the same thread from construction to close: a GL context, sqlite and
thread-locals are bound to it. So a session chooses once and never moves.

Nothing can end a thread but its own work. One whose work does not end in time is abandoned: nobody
waits for it any more, and it holds nothing but what was its session's.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from openenv_gym.errors import FactoryFailed
from openenv_gym.hosting.contract import FAILURES

__all__ = ["Aside", "CommonThread", "Inline", "Overdue", "OwnThread", "Runner"]

T = TypeVar("T")

_ASIDE = 8

Settle: TypeAlias = Callable[[Any, BaseException | None], object]
"""Told, on the event loop, the result of some work, or what it raised."""


class Overdue(Exception):
    """The work did not end in time; it may still run."""


class Runner(Protocol):
    """Runs a session's work, one piece after the other."""

    inline: bool

    async def run(self, work: Callable[[], T], timeout: float | None = None) -> T:  # noqa: ASYNC109
        """The result of ``work``, or its exception; ``Overdue`` after ``timeout`` seconds."""

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Let the thread end once its work is done, and ``last``, whose end nobody awaits."""

    def abandon(self, last: Callable[[], object] | None = None) -> None:
        """Stop, and have the work that runs now end where something can make it."""

    def is_running(self) -> bool:
        """Whether a thread is still there."""


class Inline:
    """Runs the work at once, on the event loop; for environments that take microseconds."""

    inline = True

    async def run(self, work: Callable[[], T], timeout: float | None = None) -> T:  # noqa: ASYNC109
        """The result of ``work``, however long it takes."""
        return work()

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Do the last work; there is nothing to stop."""
        if last is not None:
            with suppress(*FAILURES):  # nobody awaits it, and nobody hears of it
                last()

    def abandon(self, last: Callable[[], object] | None = None) -> None:
        """The same: work on the event loop has always ended."""
        self.stop(last)

    def is_running(self) -> bool:
        """There is no thread."""
        return False


class OwnThread:
    """Runs the work on a thread that lives as long as the session.

    Args:
        name: of the thread.
        interrupt: makes the work that runs now end, if something can; called from another thread.

    Raises:
        FactoryFailed: if there can be no further thread.
    """

    inline = False

    def __init__(self, name: str, interrupt: Callable[[], object] | None = None) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Settle] | None] = queue.SimpleQueue()
        self._interrupt = interrupt
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise FactoryFailed(
                f"no thread for {name} could be started: {error}; try again once others have ended"
            ) from error

    async def run(self, work: Callable[[], T], timeout: float | None = None) -> T:  # noqa: ASYNC109
        """The result of ``work``; if the waiting task is cancelled the work still ends.

        Raises:
            Overdue: if it has not ended after ``timeout`` seconds.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self.hand(work, partial(_set, future))
        if timeout is None:
            return await asyncio.shield(future)
        await asyncio.wait((future,), timeout=timeout)
        if not future.done():
            raise Overdue
        return future.result()

    def hand(self, work: Callable[[], Any], settle: Settle) -> None:
        """Have some work done after what was given before; no task waits for it."""
        self._work.put((work, settle))

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Let the thread end once its work is done, and ``last``, whose end nobody awaits."""
        if last is not None:
            self.hand(last, _unheard)
        self._work.put(None)

    def abandon(self, last: Callable[[], object] | None = None) -> None:
        """Stop, and have the work that runs now end where something can make it."""
        self.stop(last)
        if self._interrupt is not None:
            self._interrupt()

    def is_running(self) -> bool:
        """Whether the thread is still there."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, settle = item
            try:
                result = work()
            except BaseException as error:  # carried to whoever awaits; nothing is lost here
                self._settle(settle, None, error)
            else:
                self._settle(settle, result, None)

    def _settle(self, settle: Settle, result: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the loop is closed: the server is gone, and nobody waits


class CommonThread(OwnThread):
    """One thread for the sessions of an environment whose instances must all live on it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._forsaken = 0

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Do the last work of one session; the thread goes on for the others."""
        if last is not None:
            self.hand(last, _unheard)

    def abandon(self, last: Callable[[], object] | None = None) -> None:
        """Do the last work of one session once the thread comes to it; the others wait with it."""
        self._forsaken += 1

        def finish() -> None:
            try:
                if last is not None:
                    last()
            finally:
                self._forsaken -= 1

        self.stop(finish)

    def is_running(self) -> bool:
        """Whether work that was abandoned has not come to its end."""
        return self._forsaken > 0

    def end(self) -> None:
        """Let the thread end once its work is done."""
        super().stop()


class Aside:
    """Runs work that belongs to no session, each piece on a thread of its own, and few at a time.

    A daemon's: work that hangs must not hold up the server's end, as it would on a thread of asyncio's own.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._room = asyncio.Semaphore(_ASIDE)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``, however long it takes."""
        async with self._room:
            runner = OwnThread(self._name)
            try:
                return await runner.run(work)
            finally:
                runner.stop()


def _set(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        future.exception()  # the waiter may be gone; then nobody would ever look at it
    else:
        future.set_result(result)


def _unheard(result: Any, error: BaseException | None) -> None:
    """Nobody awaits this, and nobody hears of it."""
