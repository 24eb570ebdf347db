"""What is compared, and what is claimed of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from benchmarks.children import ProcessGroups

__all__ = ["Alternative", "Benchmark", "Case", "Target", "TimesRoundTrips"]


class Alternative(Protocol):
    """One way of stepping the same environments with the same actions."""

    name: str

    def setup(self) -> None:
        """Start what has to be started, connect, and reset; ``run`` may follow."""

    def run(self, steps: int) -> float:
        """Step all lanes ``steps`` times and return the seconds that it took."""

    def processes(self) -> ProcessGroups:
        """Say who works on the client's side and who on the environment's."""

    def close(self) -> None:
        """End every process that ``setup`` started; safe after a failed one, and twice."""


@runtime_checkable
class TimesRoundTrips(Alternative, Protocol):
    """An alternative of one lane that can also time each step by itself."""

    def round_trips(self, steps: int) -> Sequence[int]:
        """Step ``steps`` times and return the nanoseconds of each step, resets left out."""


@dataclass(frozen=True)
class Target:
    """A claim: ``of`` is at least so many times as fast as ``over``."""

    of: str
    over: str
    at_least: float
    aim: float | None = None
    """What would please beyond the claim."""


@dataclass(frozen=True)
class Case:
    """Alternatives that are compared with one another."""

    name: str
    """Short, for ``--case`` and for the results."""
    title: str
    lanes: int
    """Environments that one call moves; rates count environment steps."""
    alternatives: Sequence[Alternative]
    targets: Sequence[Target] = ()


@dataclass(frozen=True)
class Benchmark:
    """The cases of one file."""

    name: str
    question: str
    cases: Sequence[Callable[[], Case]]
    """Each builds its case; nothing is started before the case is measured."""
