"""Round trips of a single step, with client and server where the scheduler, or we, put them.

A latency without its placement says little: on one core each side waits for the other's turn,
on two each message wakes a core.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from benchmarks.cases import Alternative, TimesRoundTrips
from benchmarks.children import ProcessGroups

__all__ = ["PlacedRoundTrips", "Placement", "time_round_trips"]

BLOCKS = 4
"""The steps are timed in so many parts, alternative after alternative."""
WARM_UP_STEPS = 500
"""Before each part: a process that was just moved has caches to fill, and the scheduler two to part."""


class Placement(StrEnum):
    """On which cores client and server run."""

    SCHEDULER = "scheduler's choice"
    ONE_CORE = "one core"
    TWO_CORES = "two cores"


@dataclass(frozen=True)
class PlacedRoundTrips:
    """Microseconds of a step at one placement, as its caller waits for it."""

    name: str
    placement: Placement
    steps: int
    median: float
    ninety_ninth_percentile: float


def time_round_trips(alternatives: Sequence[Alternative], steps: int) -> tuple[PlacedRoundTrips, ...]:
    """Time ``steps`` steps one by one, of every remote alternative that can, at every placement, in turns."""
    timed = [each for each in alternatives if isinstance(each, TimesRoundTrips) and each.processes().server]
    if not steps:
        return ()
    return tuple(trips for placement in _possible() for trips in _timed(timed, placement, steps))


def _possible() -> Iterator[Placement]:
    yield Placement.SCHEDULER
    yield Placement.ONE_CORE
    if len(os.sched_getaffinity(0)) > 1:
        yield Placement.TWO_CORES


def _timed(
    alternatives: Sequence[TimesRoundTrips], placement: Placement, steps: int
) -> Iterator[PlacedRoundTrips]:
    blocks: dict[str, list[Sequence[int]]] = {each.name: [] for each in alternatives}
    for _ in range(BLOCKS):
        for alternative in alternatives:
            with _placed(alternative.processes(), placement):
                alternative.round_trips(WARM_UP_STEPS)
                blocks[alternative.name].append(alternative.round_trips(-(-steps // BLOCKS)))
    for name, taken in blocks.items():
        microseconds = np.concatenate(taken) / 1e3
        median, ninety_ninth = np.percentile(microseconds, [50, 99]).tolist()
        yield PlacedRoundTrips(name, placement, microseconds.size, median, ninety_ninth)


@contextmanager
def _placed(groups: ProcessGroups, placement: Placement) -> Iterator[None]:
    all_cores = os.sched_getaffinity(0)
    first, *others = sorted(all_cores)
    try:
        match placement:
            case Placement.ONE_CORE:
                _pin((*groups.client, *groups.server), {first})
            case Placement.TWO_CORES:
                _pin(groups.client, {first})
                _pin(groups.server, {others[0]})
            case Placement.SCHEDULER:
                pass
        yield
    finally:
        _pin((*groups.client, *groups.server), all_cores)


def _pin(pids: Iterable[int], cores: set[int]) -> None:
    # Thread by thread: the system call reaches only the one thread that the id names.
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)
