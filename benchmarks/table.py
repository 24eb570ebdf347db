"""Results on a terminal of 80 columns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.alternation import CaseResult, Verdict

__all__ = ["at_each_worker", "number", "print_case"]


def print_case(console: Console, result: CaseResult) -> None:
    """Print the rates of a case, what its targets say, and its round trips."""
    console.print()
    console.print(Text(f"{result.case}: {result.title}", style="bold"))
    effort = result.effort
    console.print(
        f"{effort.rounds} rounds of "
        + (f"about {effort.round_seconds:g} s" if result.calls is None else f"{result.calls} steps a lane")
        + ", in turns; steps/s; CPU a step, and its share of a core",
        style="dim",
    )
    console.print(_rates(result))
    for name, reason in result.unavailable.items():
        console.print(Text(f"{name}: not measured, {reason}", style="yellow"))
    for measured in result.measured:
        if measured.connections:
            console.print(Text(f"{measured.name}: {at_each_worker(measured.connections)}"))
    if any(measured.held for measured in result.measured):
        console.print()
        console.print(_held(result))
    if result.verdicts:
        console.print()
        console.print(_verdicts(result))
    if result.round_trips:
        console.print()
        console.print(_round_trips(result))


def at_each_worker(connections: Sequence[int]) -> str:
    """Say how many connections each worker has got.

    >>> at_each_worker([32, 32])
    'connections at each worker 32, 32'
    """
    return f"connections at each worker {', '.join(map(str, connections))}"


def number(value: float) -> str:
    """Write a rate so that a reader sees its size: three digits and a unit; nothing for zero.

    >>> number(187_432.0), number(2_034.1), number(2_040_000.0), number(98.44)
    ('187k', '2.03k', '2.04M', '98.4')
    """
    for unit, size in (("M", 1e6), ("k", 1e3), ("", 1.0)):
        scaled = value / size
        if scaled >= 0.9995:
            digits = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2
            return f"{scaled:.{digits}f}{unit}"
    return f"{value:.2g}" if value else ""


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table


def _rates(result: CaseResult) -> Table:
    table = _table("", "median", "min..max", "IQR", "client µs", "server µs")
    for measured in result.measured:
        rate = measured.rate
        table.add_row(
            measured.name,
            number(rate.median),
            f"{number(rate.low)}..{number(rate.high)}",
            f"{rate.interquartile_share:.0%}",
            _cpu(measured.client_cpu_microseconds, measured.client_cpu_share),
            _cpu(measured.server_cpu_microseconds, measured.server_cpu_share),
        )
    return table


def _cpu(microseconds: float, share: float) -> str:
    return f"{number(microseconds)} {share:4.0%}" if microseconds else ""


def _held(result: CaseResult) -> Table:
    table = _table("server, all sessions open", "lost", "threads", "MB", "idle", "peak")
    for measured in result.measured:
        table.add_row(
            measured.name,
            str(sum(held.lost for held in measured.held)),
            str(max(held.threads for held in measured.held)),
            f"{statistics.median(held.megabytes for held in measured.held):.0f}",
            f"{measured.held[0].idle_megabytes:.0f}",
            f"{measured.held[-1].peak_megabytes:.0f}",
        )
    return table


def _verdicts(result: CaseResult) -> Table:
    table = _table("ratio, round by round", "median", "min..max", "target, aim", "")
    for verdict in result.verdicts:
        target = verdict.target
        ratio = verdict.ratio
        table.add_row(
            f"{target.of} / {target.over}" + ("" if target.figure == "rate" else f", {target.figure}"),
            f"{ratio.median:.3g}" if ratio else "",
            f"{ratio.low:.3g}..{ratio.high:.3g}" if ratio else "",
            f">= {target.at_least:g}" + (f", {target.aim:g}" if target.aim else ""),
            _said(verdict),
        )
    return table


def _said(verdict: Verdict) -> Text:
    if verdict.ratio is None:
        return Text("not measured", style="yellow")
    if not verdict.is_met:
        return Text("not met", style="red")
    return Text("met" if verdict.reaches_aim else "below aim", style="green")


def _round_trips(result: CaseResult) -> Table:
    placements = list(dict.fromkeys(trip.placement for trip in result.round_trips))
    table = _table("p50, p99 of a step, µs", *placements)
    cells = {
        (trip.name, trip.placement): f"{trip.median:.0f}, {trip.ninety_ninth_percentile:.0f}"
        for trip in result.round_trips
    }
    for name in dict.fromkeys(trip.name for trip in result.round_trips):
        table.add_row(name, *[cells[name, placement] for placement in placements])
    return table
