"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
import shlex
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.console import Console

from benchmarks.alternation import CaseResult, Effort, measure
from benchmarks.cases import Benchmark, Case
from benchmarks.machine import Machine
from benchmarks.plot import draw
from benchmarks.record import Run
from benchmarks.table import print_case

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"
QUICK = Effort(rounds=3, round_seconds=0.2, round_trips=500)


def main(benchmark: Benchmark, arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write, and return the exit code: 1 when ``--check`` found a target missed."""
    options = _parser(benchmark).parse_args(arguments)
    # As an exception, like Ctrl-C: whatever was started is then ended on the way out.
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        return _run(benchmark, options, Console())
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(benchmark: Benchmark, options: argparse.Namespace, console: Console) -> int:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    machine = Machine.here()
    console.print(benchmark.question, style="bold")
    console.print(str(machine), style="dim")
    try:
        results = _measure_all(benchmark, options, console)
    except KeyboardInterrupt:
        console.print("stopped; nothing was written", style="yellow")
        return 128 + signal.SIGINT
    run = Run(benchmark.name, benchmark.question, _command(benchmark, options), started, machine, results)
    folder = options.output or (None if options.quick or options.case else RESULTS)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        console.print(f"\nwrote {run.write(folder).name} and {draw(run, folder).name}", style="dim")
    missed = [verdict for result in results for verdict in result.verdicts if not verdict.is_met]
    return 1 if options.check and missed else 0


def _measure_all(benchmark: Benchmark, options: argparse.Namespace, console: Console) -> list[CaseResult]:
    results = []
    for case in _cases(benchmark):
        if options.case not in (None, case.name):
            continue
        with console.status("") as status:
            result = measure(case, _effort(options), status.update)
        print_case(console, result)
        results.append(result)
    return results


def _cases(benchmark: Benchmark) -> list[Case]:
    return [build() for build in benchmark.cases]


def _command(benchmark: Benchmark, options: argparse.Namespace) -> str:
    # Only what bears on the figures: where they were written is no business of a reader.
    words = ["python", "-m", f"benchmarks.{benchmark.name}", *(["--quick"] if options.quick else [])]
    for name in ("rounds", "seconds", "case"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _effort(options: argparse.Namespace) -> Effort:
    base = QUICK if options.quick else Effort()
    return Effort(
        rounds=options.rounds or base.rounds,
        round_seconds=options.seconds or base.round_seconds,
        round_trips=base.round_trips,
    )


def _parser(benchmark: Benchmark) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{benchmark.name}",
        description=f"{benchmark.question} A quick or partial run writes nothing unless --output is given.",
    )
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.2 s: a rehearsal, not a result")
    parser.add_argument("--rounds", type=int, help=f"default {Effort().rounds}")
    parser.add_argument("--seconds", type=float, help=f"of a round, default {Effort().round_seconds:g}")
    parser.add_argument("--case", choices=[case.name for case in _cases(benchmark)], help="only this one")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default benchmarks/results")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is not met")
    return parser


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
