"""Where a session's environment runs: on the event loop, or on one thread for life.

An environment sees one and the same thread from construction to close: a GL context, sqlite and
thread-locals are bound to it. So a session chooses once and never moves.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

__all__ = ["CommonThread", "Inline", "OwnThread", "Runner"]

T = TypeVar("T")


class Runner(Protocol):
    """Runs a session's work, one piece after the other."""

    inline: bool

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``, or its exception."""

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Let the thread end once its work is done, and ``last``, whose end nobody awaits."""


class Inline:
    """Runs the work at once, on the event loop; for environments that take microseconds."""

    inline = True

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``."""
        return work()

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Do the last work; there is nothing to stop."""
        if last is not None:
            with suppress(Exception):  # nobody awaits it, and nobody hears of it
                last()


class OwnThread:
    """Runs the work on a thread that lives as long as the session."""

    inline = False

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``; if the waiting task is cancelled the work still ends."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._work.put((work, future))
        return await asyncio.shield(future)

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Let the thread end once its work is done, and ``last``, whose end nobody awaits."""
        if last is not None:
            self._work.put((last, self._loop.create_future()))
        self._work.put(None)

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, future = item
            try:
                result = work()
            except BaseException as error:  # carried to whoever awaits; nothing is lost here
                self._settle(future, None, error)
            else:
                self._settle(future, result, None)

    def _settle(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(_set, future, result, error)
        except RuntimeError:
            return  # the loop is closed: the server is gone, and nobody waits


class CommonThread(OwnThread):
    """One thread for the sessions of an environment whose instances must all live on it."""

    def stop(self, last: Callable[[], object] | None = None) -> None:
        """Do the last work of one session; the thread goes on for the others."""
        if last is not None:
            self._work.put((last, self._loop.create_future()))

    def end(self) -> None:
        """Let the thread end once its work is done."""
        super().stop()


def _set(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        future.exception()  # the waiter may be gone; then nobody would ever look at it
    else:
        future.set_result(result)
