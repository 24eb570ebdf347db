"""Which figures does the README show? Those of the last full runs: ``python -m benchmarks.readme``.

Writes what ``benchmarks/results/*.json`` hold between two markers of ``README.md``, with machine,
versions, command and spread. ``--check`` writes nothing and fails when the two do not agree.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.alternation import cpu_share
from benchmarks.table import at_each_worker, number

__all__ = ["filled", "main", "section", "shown"]

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
BENCHMARKS = ("single", "vector", "atari", "scaling", "slow", "sessions", "start")

Record: TypeAlias = dict[str, Any]
"""What :meth:`benchmarks.record.Run.write` writes, or a part of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the README in, or with ``--check`` only look; 1 when it was out of date."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 when it would change"
    )
    options = parser.parse_args(arguments)
    before = README.read_text()
    after = filled(before, section(RESULTS))
    if after == before:
        print("README.md shows the figures of benchmarks/results")
        return 0
    if options.check:
        print("README.md does not show the figures of benchmarks/results; run: python -m benchmarks.readme")
        return 1
    README.write_text(after)
    print("README.md now shows the figures of benchmarks/results")
    return 0


def filled(text: str, figures: str) -> str:
    """Put the figures between the markers.

    Raises:
        ValueError: if the markers are not there, once each and in order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise ValueError(f"the text holds {BEGIN} and {END} not once each, in this order")
    return f"{head}{BEGIN}\n{figures}\n{END}{tail}"


def section(results: Path) -> str:
    """What is between the markers: a part for each benchmark that was run."""
    paths = [results / f"{name}.json" for name in BENCHMARKS]
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    if not runs:
        return "No run is on record yet: `make bench` makes one, `python -m benchmarks.readme` shows it here."
    return "\n\n".join(map(shown, runs))


def shown(run: Record) -> str:
    """Where and with what a run was made, and a table for each of its cases."""
    return "\n\n".join(_parts(run))


def _parts(run: Record) -> Iterator[str]:
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield (
        f"**{run['question']}** `{run['command']}`, {run['started'][:10]}, commit `{machine['commit']}`: "
        f"{machine['cpu']}, {machine['cores']} cores (load {machine['load']:.1f} at the start), "
        f"{machine['memory_gigabytes']:g} GB, {machine['system']}, {machine['python']}; {versions}; "
        f"stock: {machine['stock']}."
    )
    for case in run["cases"]:
        yield _case(case)
    if "stages" in run:
        yield _times(f"{run['env_id']}, ms", run["totals"])
        yield _times("What starting the server spends, ms", run["stages"])
        yield f"{run['rounds']} rounds, in turns, each in new processes."


def _case(case: Record) -> str:
    effort = case["effort"]
    placements = list(dict.fromkeys(trip["placement"] for trip in case["round_trips"]))
    heading = [f"{case['title']}, steps/s", "median", "min to max", "IQR", "CPU client, server"]
    lines = [_row([*heading, *[f"p50, p99 µs, {placement}" for placement in placements]])]
    lines.append(_row(["---", *["---:"] * (4 + len(placements))]))
    trips = {(trip["name"], trip["placement"]): trip for trip in case["round_trips"]}
    for measured in case["measured"]:
        latencies = [_latency(trips.get((measured["name"], placement))) for placement in placements]
        lines.append(_row([measured["name"], *_spread(measured["rate"]), _cpu(measured), *latencies]))
    lines += [_row([name, "not measured", *[""] * (3 + len(placements))]) for name in case["unavailable"]]
    ratios = "; ".join(map(_verdict, case["verdicts"]))
    length = f"about {effort['round_seconds']:g} s"
    if case.get("calls"):
        length = f"{case['calls']} steps a lane"
        lines += ["", *_held(case)]
    said = f"{effort['rounds']} rounds of {length}, in turns."
    for measured in case["measured"]:
        if connections := measured.get("connections"):
            said += f" {measured['name']}: {at_each_worker(connections)}."
    return "\n".join([*lines, "", f"{said} Ratios, round by round: {ratios}." if ratios else said])


def _times(title: str, timed: Sequence[Record]) -> str:
    lines = [_row([title, "median", "min to max"]), _row(["---", "---:", "---:"])]
    for each in timed:
        median, low, high = (f"{1e3 * each['spread'][name]:.1f}" for name in ("median", "low", "high"))
        lines.append(_row([each["name"], median, f"{low} to {high}"]))
    return "\n".join(lines)


def _held(case: Record) -> Iterator[str]:
    """What each server held while the sessions of a round were open."""
    yield _row(
        ["Server with all sessions open", "lost, all rounds", "threads", "MB", "MB idle", "MB at most"]
    )
    yield _row(["---", *["---:"] * 5])
    for measured in case["measured"]:
        held = measured["held"]
        lost, threads = sum(each["lost"] for each in held), max(each["threads"] for each in held)
        memory = statistics.median(each["megabytes"] for each in held)
        figures = (memory, held[0]["idle_megabytes"], held[-1]["peak_megabytes"])
        yield _row([measured["name"], str(lost), str(threads), *[f"{figure:.0f}" for figure in figures]])


def _spread(rate: Record) -> list[str]:
    middle = (rate["third_quartile"] - rate["first_quartile"]) / rate["median"]
    return [number(rate["median"]), f"{number(rate['low'])} to {number(rate['high'])}", f"{middle:.0%}"]


def _cpu(measured: Record) -> str:
    """What each side kept busy, of a core."""
    sides = [measured[f"{side}_cpu_microseconds"] for side in ("client", "server")]
    shares = [cpu_share(side, measured["rates"], measured["seconds"]) for side in sides]
    return ", ".join(f"{share:.0%}" for share in shares)


def _latency(trip: Record | None) -> str:
    return f"{trip['median']:.0f}, {trip['ninety_ninth_percentile']:.0f}" if trip else ""


def _verdict(verdict: Record) -> str:
    target, ratio = verdict["target"], verdict["ratio"]
    name = f"{target['of']} / {target['over']}"
    if target.get("figure", "rate") != "rate":
        name += f", {target['figure']}"
    if ratio is None:
        return f"{name} not measured"
    met = "met" if verdict["is_met"] else "**not met**"
    spread = f"{ratio['low']:.3g} to {ratio['high']:.3g}"
    return f"{name} **{ratio['median']:.3g}** ({spread}; target {target['at_least']:g}, {met})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
