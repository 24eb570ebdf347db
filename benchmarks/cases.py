"""What is compared, and what is claimed of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from benchmarks.children import ProcessGroups

__all__ = [
    "Alternative",
    "Benchmark",
    "Case",
    "Held",
    "HoldsSessions",
    "SpreadsConnections",
    "Target",
    "TimesRoundTrips",
]


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
class Held:
    """What a server held while the sessions of one round were open."""

    lost: int
    """Sessions that failed; the rate counts their steps all the same."""
    idle_threads: int
    """Before the first session of the first round."""
    threads: int
    idle_megabytes: float
    megabytes: float
    """Resident, at the end of the round's steps."""
    peak_megabytes: float
    """Resident at most, since the server started."""


@runtime_checkable
class HoldsSessions(Alternative, Protocol):
    """An alternative whose sessions begin and end with each round."""

    def begin(self) -> None:
        """Open the sessions of a round; its ``run`` follows."""

    def end(self) -> Held:
        """Say what the server holds, then close the sessions."""


@runtime_checkable
class SpreadsConnections(Alternative, Protocol):
    """An alternative whose server has several processes, among which it spreads connections."""

    def connections(self) -> Sequence[int]:
        """Say how many each process has got."""


@dataclass(frozen=True)
class Target:
    """A claim: ``of`` is at least so many times as fast as ``over``, or takes so many times its memory.

    A p50 is that of single steps, one by one, where the scheduler puts both ends.
    """

    of: str
    over: str
    at_least: float
    aim: float | None = None
    """What would please beyond the claim."""
    figure: Literal["rate", "memory", "p50"] = "rate"


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
    calls: int | None = None
    """So many in each round; without it, as many as fill the round's time."""


@dataclass(frozen=True)
class Benchmark:
    """The cases of one file."""

    name: str
    question: str
    cases: Sequence[Callable[[], Case]]
    """Each builds its case; nothing is started before the case is measured."""
