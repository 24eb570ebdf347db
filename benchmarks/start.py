"""How long is it from ``gymnasium.make`` to the first observation? ``python -m benchmarks.start``.

Local, with an embedded server that has to be started, and with one that runs already; and what the start
spends. Each figure is of a new process, and the processes take turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.plot import draw_seconds
from benchmarks.record import Run
from benchmarks.spread import Spread

__all__ = ["main"]

QUESTION = "How long is it from gymnasium.make to the first observation?"
ENV_ID = "CartPole-v1"
ROUNDS, QUICK_ROUNDS = 9, 3
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Timed:
    """What the rounds say of one thing.

    Attributes:
        name: of the thing.
        seconds: a figure a round.
        spread: of them.
    """

    name: str
    seconds: tuple[float, ...]
    spread: Spread


@dataclass(frozen=True)
class Record(Run):
    """A run without cases: with times in the place of rates.

    Attributes:
        totals: what a user waits for.
        stages: what that is spent on when a server is started.
    """

    env_id: str
    rounds: int
    totals: list[Timed]
    stages: list[Timed]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.start",
        description=f"{QUESTION} A quick run writes nothing unless --output is given.",
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds: a rehearsal")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default benchmarks/results")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    started, machine, console = datetime.now(UTC).isoformat(timespec="seconds"), Machine.here(), Console()
    console.print(QUESTION, style="bold")
    console.print(str(machine), style="dim")
    totals, stages = _measure(rounds, console)
    _print(console, f"{ENV_ID}, ms, {rounds} rounds", totals)
    _print(console, "what starting the server spends, ms", stages)
    folder = options.output or (None if options.quick else RESULTS)
    if folder is not None:
        command = f"python -m benchmarks.start{f' --rounds {rounds}' if rounds != ROUNDS else ''}"
        _write(
            folder, Record("start", QUESTION, command, started, machine, (), ENV_ID, rounds, totals, stages)
        )
        console.print("\nwrote start.json and start.png", style="dim")
    return 0


def _write(folder: Path, record: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder)
    groups = {
        f"{ENV_ID}: imports, and from gymnasium.make to the first observation": record.totals,
        "what starting the server spends of it": record.stages,
    }
    spreads = {title: {each.name: each.spread for each in group} for title, group in groups.items()}
    ran = f"{record.command}, {record.started[:10]}, {record.machine}"
    draw_seconds(folder / "start.png", QUESTION, ran, spreads)


def _measure(rounds: int, console: Console) -> tuple[list[Timed], list[Timed]]:
    """What the whole takes, and its stages."""
    ways = ("local", "ours", "stages")
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with console.status("") as status:
        for number in range(-1, rounds):  # the first fills the caches of files and of compiled modules
            turn = number % len(ways)
            for way in (*ways[turn:], *ways[:turn]):
                status.update(f"round {number + 1} of {rounds}: {way}")
                figures = _in_a_new_process(way)
                if number >= 0:
                    taken[way].append(figures)
    return _timed(taken["local"]) + _timed(taken["ours"]), _timed(taken["stages"])


def _in_a_new_process(way: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.starting", way, ENV_ID]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{way} ended with {done.returncode}\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _timed(figures: list[dict[str, float]]) -> list[Timed]:
    every = {name: tuple(each[name] for each in figures) for name in figures[0]}
    return [Timed(name, seconds, Spread.of(seconds)) for name, seconds in every.items()]


def _print(console: Console, title: str, rows: Sequence[Timed]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate([title, "median", "min..max", "IQR"]):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        spread = row.spread
        extremes = f"{1e3 * spread.low:.1f}..{1e3 * spread.high:.1f}"
        table.add_row(row.name, f"{1e3 * spread.median:.1f}", extremes, f"{spread.interquartile_share:.0%}")
    console.print()
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
