"""Measure the alternatives of a case in turns, so that what slows the machine slows them all.

Each alternative is warmed up until a run is long enough to foresee how many steps fill a round.
Then rounds follow: in each, every alternative runs once, and the order moves on by one, so that
nobody always follows the same neighbour. A ratio is taken within a round, between runs that lie
a second apart, and only then summarised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.cases import Alternative, Case, Held, HoldsSessions, SpreadsConnections, Target
from benchmarks.children import ProcessGroups, cpu_seconds
from benchmarks.placement import PlacedRoundTrips, Placement, time_round_trips
from benchmarks.spread import Spread

__all__ = ["CaseResult", "Effort", "Measured", "Verdict", "cpu_share", "measure"]


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 7
    round_seconds: float = 1.0
    round_trips: int = 4000
    """Steps timed one by one, in each placement; 0 for none."""

    @property
    def warm_up_seconds(self) -> float:
        """A run at least this long is believed; capped, for long rounds need no long warm-up."""
        return min(0.25, self.round_seconds / 2)


@dataclass(frozen=True)
class Measured:
    """What the rounds of one alternative say."""

    name: str
    steps_per_round: int
    """Calls; each moves all lanes."""
    seconds: tuple[float, ...]
    rates: tuple[float, ...]
    """Environment steps per second, a figure a round."""
    rate: Spread
    client_cpu_microseconds: float
    """CPU time that the client's side spent for each environment step, all rounds together."""
    server_cpu_microseconds: float
    held: tuple[Held, ...] = ()
    """What the server held in each round, where sessions begin and end with it."""
    connections: tuple[int, ...] = ()
    """How many each of the server's processes has got, where there may be several."""

    @property
    def client_cpu_share(self) -> float:
        """Cores that the client's side kept busy while it was measured."""
        return cpu_share(self.client_cpu_microseconds, self.rates, self.seconds)

    @property
    def server_cpu_share(self) -> float:
        """Cores that the environment's side kept busy while it was measured."""
        return cpu_share(self.server_cpu_microseconds, self.rates, self.seconds)


def cpu_share(microseconds: float, rates: Sequence[float], seconds: Sequence[float]) -> float:
    """Return how many cores it takes to spend so much for each environment step; 1 is one all the time.

    >>> cpu_share(5.0, rates=[100_000.0, 50_000.0], seconds=[1.0, 1.0])
    0.375
    """
    steps = sum(rate * each for rate, each in zip(rates, seconds, strict=True))
    return 1e-6 * microseconds * steps / sum(seconds)


@dataclass(frozen=True)
class Verdict:
    """A target, and what was measured of it."""

    target: Target
    ratio: Spread | None
    """Nothing when one of the two could not be measured."""

    @property
    def is_met(self) -> bool:
        """Is the median of the rounds' ratios at the target or beyond it?"""
        return self.ratio is not None and self.ratio.median >= self.target.at_least

    @property
    def reaches_aim(self) -> bool:
        """Is it at the aim too, where one was stated?"""
        return self.ratio is not None and self.ratio.median >= (self.target.aim or self.target.at_least)


@dataclass(frozen=True)
class CaseResult:
    """All that one case says."""

    case: str
    title: str
    lanes: int
    effort: Effort
    measured: tuple[Measured, ...]
    unavailable: Mapping[str, str]
    """Alternatives that could not be set up, each with the reason."""
    verdicts: tuple[Verdict, ...]
    round_trips: tuple[PlacedRoundTrips, ...]
    calls: int | None = None
    """How many each round takes, where that is fixed."""


def measure(case: Case, effort: Effort, tell: Callable[[str], None] = lambda said: None) -> CaseResult:
    """Set the alternatives up, measure them in turns, and close them, come what may.

    An alternative that cannot be set up is reported, and the others are measured without it.
    ``tell`` is told what goes on.
    """
    unavailable: dict[str, str] = {}
    with ExitStack() as stack:
        clocks = []
        for alternative in case.alternatives:
            tell(f"{case.name}: setting up {alternative.name}")
            stack.callback(alternative.close)
            try:
                alternative.setup()
            except Exception as error:  # Any alternative may fail in its own way; the rest still count.
                unavailable[alternative.name] = f"{type(error).__name__}: {error}"
                alternative.close()
            else:
                clocks.append(_Clock(alternative, case.calls))
        for clock in clocks:
            tell(f"{case.name}: warming up {clock.name}")
            clock.calibrate(effort)
        for number in range(effort.rounds):
            tell(f"{case.name}: round {number + 1} of {effort.rounds}")
            turn = number % max(1, len(clocks))
            for clock in (*clocks[turn:], *clocks[:turn]):
                clock.run_round()
        tell(f"{case.name}: timing round trips")
        round_trips = time_round_trips([clock.alternative for clock in clocks], effort.round_trips)
    measured = tuple(clock.measured(case.lanes) for clock in clocks)
    return CaseResult(
        case.name,
        case.title,
        case.lanes,
        effort,
        measured,
        unavailable,
        tuple(_verdict(target, measured, round_trips) for target in case.targets),
        round_trips,
        case.calls,
    )


class _Clock:
    """Runs one alternative and keeps what its rounds took."""

    def __init__(self, alternative: Alternative, calls: int | None) -> None:
        self.alternative = alternative
        self.name = alternative.name
        self._calls = calls
        self._processes: ProcessGroups = alternative.processes()
        self._steps = 1
        self._seconds: list[float] = []
        self._held: list[Held] = []
        self._connections: tuple[int, ...] = ()
        self._client_cpu = 0.0
        self._server_cpu = 0.0

    def calibrate(self, effort: Effort) -> None:
        """Warm up, and learn how many steps fill a round."""
        if self._calls is not None:
            self._steps = self._calls
            self._run()
            return
        while True:
            seconds = self.alternative.run(self._steps)
            if seconds >= effort.warm_up_seconds:
                break
            self._steps *= 2
        self._steps = max(1, round(self._steps * effort.round_seconds / seconds))
        self._processes = self.alternative.processes()
        if isinstance(self.alternative, SpreadsConnections):
            self._connections = tuple(self.alternative.connections())

    def run_round(self) -> None:
        """Run once and keep the seconds, by the clock and of the CPUs."""
        seconds, client, server, held = self._run()
        self._seconds.append(seconds)
        self._client_cpu += client
        self._server_cpu += server
        self._held += held

    def _run(self) -> tuple[float, float, float, list[Held]]:
        sessions = self.alternative if isinstance(self.alternative, HoldsSessions) else None
        if sessions is not None:
            sessions.begin()
        client, server = cpu_seconds(self._processes.client), cpu_seconds(self._processes.server)
        seconds = self.alternative.run(self._steps)
        client = cpu_seconds(self._processes.client) - client
        server = cpu_seconds(self._processes.server) - server
        return seconds, client, server, [] if sessions is None else [sessions.end()]

    def measured(self, lanes: int) -> Measured:
        """Summarise the rounds."""
        env_steps = self._steps * lanes
        rates = tuple(env_steps / seconds for seconds in self._seconds)
        all_steps = env_steps * len(rates)
        return Measured(
            self.name,
            self._steps,
            tuple(self._seconds),
            rates,
            Spread.of(rates),
            1e6 * self._client_cpu / all_steps,
            1e6 * self._server_cpu / all_steps,
            tuple(self._held),
            self._connections,
        )


def _verdict(
    target: Target, measured: Sequence[Measured], round_trips: Sequence[PlacedRoundTrips]
) -> Verdict:
    if target.figure == "p50":
        figures: dict[str, Sequence[float]] = {
            each.name: (1 / each.median,) for each in round_trips if each.placement is Placement.SCHEDULER
        }
    else:
        figures = {each.name: _figures(target, each) for each in measured}
    if target.of not in figures or target.over not in figures:
        return Verdict(target, None)
    pairs = zip(figures[target.of], figures[target.over], strict=True)
    return Verdict(target, Spread.of([ours / theirs for ours, theirs in pairs]))


def _figures(target: Target, measured: Measured) -> Sequence[float]:
    return measured.rates if target.figure == "rate" else [held.megabytes for held in measured.held]
