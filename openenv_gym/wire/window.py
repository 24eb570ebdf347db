"""The exactly-once window: a repeated request gets the kept answer, and nothing is stepped twice.

Requests of one attachment are numbered 1, 2, 3, ... An answer is kept until the client says, with
the ``ack`` of a later request, that it has it. Pure bookkeeping over whatever an answer is: one
message, or several that are kept, and given again, as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, TypeVar

from openenv_gym.errors import InvalidMessage

__all__ = ["Verdict", "Window"]

T = TypeVar("T")


class Verdict(Enum):
    """What to do with a request."""

    NEW = "new"
    """Do it."""
    RUNNING = "running"
    """It is being done; join it."""
    KEPT = "kept"
    """It was done; send :meth:`Window.kept` again."""


class Window(Generic[T]):
    """Which requests of an attachment were done, and the answers that may be asked for again.

    Args:
        limit: how many unacknowledged requests there may be.
        forget: called with each answer that need not be kept any longer.

    >>> window = Window[str]()
    >>> window.admit(1, ack=0), window.keep(1, "answer"), window.admit(1, ack=0), window.kept(1)
    (<Verdict.NEW: 'new'>, None, <Verdict.KEPT: 'kept'>, 'answer')
    >>> window.admit(2, ack=1), len(window)
    (<Verdict.NEW: 'new'>, 0)
    """

    def __init__(self, limit: int = 1024, forget: Callable[[T], object] | None = None) -> None:
        self._limit = limit
        self._forget = forget
        self._newest = 0
        self._acked = 0
        self._running: set[int] = set()
        self._kept: dict[int, T] = {}

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    @property
    def newest(self) -> int:
        """The highest number that was admitted."""
        return self._newest

    def admit(self, seq: int, ack: int) -> Verdict:
        """Judge a request, and forget the answers that ``ack`` says have arrived.

        Raises:
            InvalidMessage: if the number was acknowledged already, leaves a gap, or too many
                answers are waiting to be acknowledged.
        """
        if ack > self._acked:
            self.acknowledge(ack)
        if seq == self._newest + 1:
            if len(self._kept) + len(self._running) >= self._limit:
                raise InvalidMessage(
                    f"{self._limit} answers are not acknowledged; receive some before request {seq}",
                    limit=self._limit,
                )
            self._newest = seq
            self._running.add(seq)
            return Verdict.NEW
        if seq in self._kept:
            return Verdict.KEPT
        if seq in self._running:
            return Verdict.RUNNING
        raise InvalidMessage(
            f"request {seq} is out of order; the next number is {self._newest + 1}", expected=self._newest + 1
        )

    def acknowledge(self, ack: int, also: Sequence[int] = ()) -> None:
        """Forget the answers up to ``ack``, and those of ``also``.

        Raises:
            InvalidMessage: if some of them were never given.
        """
        if ack > self._newest or (self._running and ack >= min(self._running)):
            raise InvalidMessage(f"acknowledged request {ack} was not answered yet")
        if any(seq > self._newest or seq in self._running for seq in also):
            raise InvalidMessage("acknowledged requests that were not answered yet")
        for seq in (*range(self._acked + 1, ack + 1), *also):
            self.drop(seq)
        self._acked = max(self._acked, ack)

    def drop(self, seq: int) -> None:
        """Forget one answer, whatever was acknowledged; does nothing if it is not kept."""
        answer = self._kept.pop(seq, None)
        if answer is not None and self._forget is not None:
            self._forget(answer)

    def keep(self, seq: int, answer: T) -> None:
        """The answer to a running request."""
        self._running.discard(seq)
        self._kept[seq] = answer

    def kept(self, seq: int) -> T:
        """The kept answer of a request for which :meth:`admit` said ``KEPT``."""
        return self._kept[seq]
