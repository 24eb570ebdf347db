"""``openenv-gym bench``: how fast an environment steps, and what bounds it, before a long run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openenv_gym.cli.opening import import_modules, is_url, open_env, open_lanes, read_arguments
from openenv_gym.cli.showing import harmless
from openenv_gym.cli.timing import ManyLanes, OneLane, Timed, time_steps
from openenv_gym.errors import CapacityReached, InvalidArgument

__all__ = ["Bench", "Bound", "bench", "bound_of", "read_lanes", "verdict"]

_INTERRUPTED = 130
_LEGEND = (
    "Of the time, env: in the environment; way: there and back, encoding included; here: in this "
    "process, before and after. CPU: how busy this process was, active waiting included."
)
_BIG = 50_000
"""Bytes of a lane's step, from which on they are worth a word."""


class Bound(StrEnum):
    """Where most of the time goes."""

    ENVIRONMENT = "environment"
    BRIDGE = "bridge"
    """On the way there and back: encoding, the network, waiting for a thread."""
    CLIENT = "client"
    """In this process, before a request and after its answer."""
    UNKNOWN = "unknown"
    """The server does not say what its environment takes."""


@dataclass(slots=True)
class Bench:
    """What was timed, the fewest lanes first, and why it ended."""

    target: str
    runs: list[Timed] = field(default_factory=list)
    refused: CapacityReached | None = None
    """What the server said to more lanes than it had left."""
    interrupted: bool = False

    def facts(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "env": self.target,
            "interrupted": self.interrupted,
            "refused": None if self.refused is None else self.refused.message,
            "bound": bound_of(_fastest(self.runs)) if self.runs else None,
            "verdict": verdict(self.runs) if self.runs else None,
            "runs": [
                {
                    **asdict(run),
                    "steps_per_second": run.rate,
                    "environment_share": run.environment_share,
                    "bridge_share": run.bridge_share,
                    "client_share": run.client_share,
                    "cpu_share": run.cpu_share,
                    "bytes_per_step": run.bytes_per_step,
                }
                for run in self.runs
            ],
        }


def bench(
    target: str = typer.Argument(
        metavar="ID|URL", help="CartPole-v1, openenv/chess, module:Class; or a server's address."
    ),
    seconds: float = typer.Option(2.0, metavar="S", min=0.0, help="To step, for each number of lanes."),
    lanes: str = typer.Option("1,8,64", metavar="N,N,...", help="How many to step at a time."),
    kwargs: str = typer.Option("{}", "--env-kwargs", metavar="JSON", help="Constructor arguments."),
    json_: bool = typer.Option(False, "--json", metavar="", help="Print one JSON document."),
    plugins: list[str] = typer.Option(
        [], "--import", metavar="MODULE", help="Imported first, for it registers ids. Repeatable."
    ),
) -> None:
    """Time random steps, of one lane and of more, and say what bounds them.

    An id is served by a private server on this machine. Ctrl-C stops and sums up what was timed so far.
    """
    arguments, counts = read_arguments("--env-kwargs", kwargs), read_lanes(lanes)
    import_modules(plugins)
    found = Bench(target)
    try:
        with Console(stderr=True).status("Opening") as status:
            for count in counts:
                status.update(f"Stepping {_lanes(count)}")
                if not _time(found, count, seconds, arguments):
                    break
    except KeyboardInterrupt:
        found.interrupted = True
    except Exception:  # whatever it is, what was timed so far is shown first
        if found.runs and not json_:
            _show(found)
        raise
    if found.refused is not None and not found.runs:
        raise found.refused
    if json_:
        typer.echo(json.dumps(found.facts(), indent=2, allow_nan=False))
    else:
        _show(found)
    if found.interrupted:
        raise typer.Exit(_INTERRUPTED)


def read_lanes(text: str) -> list[int]:
    """Numbers of lanes, the fewest first.

    >>> read_lanes("64, 1,8")
    [1, 8, 64]

    Raises:
        InvalidArgument: if they are no numbers of at least 1.
    """
    try:
        counts = sorted({int(each) for each in text.split(",")})
    except ValueError:
        counts = [0]
    if counts[0] < 1:
        raise InvalidArgument(f"--lanes {text!r:.40}: numbers of at least 1 were expected, like 1,8,64")
    return counts


def bound_of(run: Timed) -> Bound:
    """Where most of the time went."""
    environment, bridge = run.environment_share, run.bridge_share
    if environment is None or bridge is None:
        return Bound.UNKNOWN
    shares = {Bound.ENVIRONMENT: environment, Bound.BRIDGE: bridge, Bound.CLIENT: run.client_share}
    return max(shares, key=shares.__getitem__)


def verdict(runs: Sequence[Timed]) -> str:
    """What bounds the fastest of the runs, and what would help."""
    run = _fastest(runs)
    at = f"With {_lanes(run.lanes)} at a time"
    match bound_of(run):
        case Bound.ENVIRONMENT:
            return (
                f"Environment-bound. {at}, the environment takes {run.environment_share:.0%} of the time: "
                f"more lanes, or a nearer server, gain {1 / (run.environment_share or 1):.1f} times at the "
                "very most. A faster environment helps, and so do more processes where cores are free: "
                "openenv-gym serve --workers N, and a connection to each."
            )
        case Bound.CLIENT:
            return (
                f"Bound by this process. {at}, it takes {run.client_share:.0%} of the time to write actions "
                "and to read observations: a faster server or network hardly helps; smaller observations do."
            )
        case Bound.BRIDGE:
            smaller = ", and so do smaller observations" if run.bytes_per_step >= _BIG else ""
            return (
                f"Bound by the bridge or the network. {at}, the way there and back takes "
                f"{run.bridge_share:.0%} of the time: a faster environment hardly helps; more lanes at a "
                f"time and a nearer server do{smaller}."
            )
        case Bound.UNKNOWN:
            return (
                "The server does not say what its environment takes: its dialect is JSON. Served by "
                "openenv-gym, the same environment is spoken to in the native dialect, which says it."
            )


def _time(found: Bench, count: int, seconds: float, arguments: dict[str, Any]) -> bool:
    """Time so many lanes, or those that the server has left; whether it may have more."""
    try:
        found.runs.append(_timed(found.target, count, seconds, arguments))
    except CapacityReached as error:
        found.refused = error
        free = _free(error)
        if free > max((run.lanes for run in found.runs), default=0):
            found.runs.append(_timed(found.target, free, seconds, arguments))
        return False
    return True


def _timed(target: str, count: int, seconds: float, arguments: dict[str, Any]) -> Timed:
    if count == 1:
        with closing(open_env(target, render_mode=None, arguments=arguments)) as env:
            return time_steps(OneLane(env), seconds)
    with closing(open_lanes(target, count, arguments=arguments)) as envs:
        return time_steps(ManyLanes(envs), seconds)


def _free(error: CapacityReached) -> int:
    """How many lanes a full server has left; 0 if it does not say."""
    most, taken = error.fields.get("max_lanes"), error.fields.get("active_lanes")
    return most - taken if type(most) is int and type(taken) is int else 0


def _fastest(runs: Sequence[Timed]) -> Timed:
    return max(runs, key=lambda run: run.rate)


def _show(found: Bench) -> None:
    console = Console(highlight=False)
    console.print(Text.assemble("\n", (found.target, "bold"), ": random steps"))
    if found.runs:
        console.print(_table(found.runs))
        console.print(Text(f"{_LEGEND}\n", style="dim"))
        for line in _lines(found):
            console.print(Text(f"{line}\n"))
    if found.refused is not None:
        said = harmless(found.refused.message).plain
        console.print(Text(f"More lanes were not granted: {said}", style="yellow"))
    if found.interrupted:
        console.print(Text("Ctrl-C: the lanes that were being stepped do not count.", style="yellow"))


def _table(runs: Sequence[Timed]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    columns = ("lanes", "steps/s", "p50 ms", "p99 ms", "env", "way", "here", "CPU", "bytes/step", "MB/s")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            f"{run.lanes:,}",
            f"{run.rate:,.0f}",
            f"{1e3 * run.median:.2f}",
            f"{1e3 * run.ninety_ninth:.2f}",
            _percent(run.environment_share),
            _percent(run.bridge_share),
            _percent(run.client_share),
            _percent(run.cpu_share),
            f"{run.bytes_per_step:,.0f}",
            f"{1e-6 * run.bytes / run.seconds:,.1f}",
        )
    return table


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.0%}"


def _lines(found: Bench) -> Iterator[str]:
    first, fastest = found.runs[0], _fastest(found.runs)
    yield verdict(found.runs)
    if fastest is not first:
        ratio = fastest.rate / first.rate
        yield f"{_lanes(fastest.lanes)} at a time do {ratio:.1f} times the steps of {_lanes(first.lanes)}."
    if not is_url(found.target):
        yield "The server was a private one and shared this machine; give an address to time another's."


def _lanes(count: int) -> str:
    return "one lane" if count == 1 else f"{count:,} lanes"
