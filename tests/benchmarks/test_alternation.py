"""Benchmarks take turns, report what fails, and leave nothing open: shown with clocks made of numbers."""

from __future__ import annotations

import os

import pytest

from benchmarks.alternation import CaseResult, Effort, measure
from benchmarks.cases import Case, Held, Target
from benchmarks.children import ProcessGroups

EFFORT = Effort(rounds=3, round_seconds=1.0, round_trips=0)


class Metronome:
    """An alternative whose steps take the seconds that it is told, and no time at all."""

    def __init__(self, name: str, seconds_per_step: float, diary: list[str] | None = None) -> None:
        self.name = name
        self.seconds_per_step = seconds_per_step
        self.diary = [] if diary is None else diary
        self.is_open = False

    def setup(self) -> None:
        self.is_open = True

    def run(self, steps: int) -> float:
        assert self.is_open
        self.diary.append(self.name)
        return steps * self.seconds_per_step

    def processes(self) -> ProcessGroups:
        return ProcessGroups((os.getpid(),))

    def close(self) -> None:
        self.is_open = False


class Broken(Metronome):
    """An alternative that cannot be set up."""

    def setup(self) -> None:
        super().setup()
        raise ConnectionRefusedError("nobody listens\nand more on a second line")


class Interrupted(Metronome):
    """An alternative during whose run somebody presses Ctrl-C."""

    def run(self, steps: int) -> float:
        raise KeyboardInterrupt


class Crowd(Metronome):
    """An alternative whose sessions begin and end with each round, on a server that grows."""

    megabytes = 0.0

    def begin(self) -> None:
        self.diary.append("begin")

    def end(self) -> Held:
        self.diary.append("end")
        self.megabytes += 10 * self.seconds_per_step
        return Held(0, 1, 2, 1.0, self.megabytes, self.megabytes)


def measure_all(*alternatives: Metronome, targets: tuple[Target, ...] = (), lanes: int = 1) -> CaseResult:
    return measure(Case("case", "a case", lanes, alternatives, targets), EFFORT)


def test_a_rate_counts_the_steps_of_all_lanes() -> None:
    (measured,) = measure_all(Metronome("one", 0.01), lanes=8).measured
    assert measured.steps_per_round == 100
    assert measured.rates == pytest.approx([800.0] * 3)
    assert measured.rate.median == pytest.approx(800.0)


def test_every_alternative_runs_once_a_round_and_the_order_moves_on() -> None:
    diary: list[str] = []
    # So slow that one step is a warm-up.
    measure_all(*[Metronome(name, 1.0, diary) for name in "abc"])
    warm_up, rounds = diary[:3], diary[3:]
    assert warm_up == ["a", "b", "c"]
    assert rounds == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


@pytest.mark.parametrize(
    ("at_least", "aim", "is_met", "reaches_aim"),
    [(4.0, None, True, True), (4.0, 6.0, True, False), (6.0, None, False, False), (6.0, 7.0, False, False)],
)
def test_a_target_is_judged_by_the_ratio_of_rates(
    at_least: float, aim: float | None, is_met: bool, reaches_aim: bool
) -> None:
    target = Target("fast", "slow", at_least, aim)
    result = measure_all(Metronome("slow", 0.5), Metronome("fast", 0.1), targets=(target,))
    (verdict,) = result.verdicts
    assert verdict.ratio is not None
    assert verdict.ratio.median == pytest.approx(5.0)
    assert (verdict.is_met, verdict.reaches_aim) == (is_met, reaches_aim)


def test_an_alternative_that_cannot_be_set_up_is_reported_and_the_others_are_measured() -> None:
    broken, sound = Broken("broken", 1.0), Metronome("sound", 1.0)
    result = measure_all(broken, sound, targets=(Target("sound", "broken", 1.0),))
    assert [measured.name for measured in result.measured] == ["sound"]
    assert result.unavailable["broken"].startswith("ConnectionRefusedError: nobody listens")
    assert result.verdicts[0].ratio is None
    assert not result.verdicts[0].is_met
    assert not broken.is_open


def test_an_interrupt_closes_every_alternative() -> None:
    alternatives = Metronome("sound", 1.0), Interrupted("interrupted", 1.0)
    with pytest.raises(KeyboardInterrupt):
        measure_all(*alternatives)
    assert not any(alternative.is_open for alternative in alternatives)


def test_sessions_of_a_round_begin_before_it_and_end_behind_it() -> None:
    diary: list[str] = []
    crowd, other = Crowd("crowd", 0.1, diary), Crowd("other", 0.2)
    claim = Target("other", "crowd", 2.0, figure="memory")
    result = measure(Case("case", "a case", 8, (crowd, other), (claim,), calls=5), EFFORT)
    assert diary == ["begin", "crowd", "end"] * 4  # the first to warm up
    measured = result.measured[0]
    assert measured.steps_per_round == result.calls == 5
    assert measured.rates == pytest.approx([80.0] * 3)
    assert [held.megabytes for held in measured.held] == [2.0, 3.0, 4.0]
    (verdict,) = result.verdicts
    assert verdict.ratio is not None and verdict.ratio.median == pytest.approx(2.0)
    assert verdict.is_met
