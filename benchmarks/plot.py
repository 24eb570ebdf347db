"""Results as a picture: a bar for each alternative, with the spread of its rounds upon it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import Run
from benchmarks.spread import Spread
from benchmarks.table import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.alternation import CaseResult

__all__ = ["draw", "draw_course", "draw_seconds"]

OURS = "#1f6f8b"
OTHERS = "#b9bec4"
INK = "#2b2f33"
BARS = "bar: median of the rounds, thick line: middle half, thin line: min to max"


def draw(run: Run, folder: Path) -> Path:
    """Draw the cases below one another into ``<benchmark>.png`` and return its path.

    Raises:
        ImportError: matplotlib is not installed.
    """
    cases = [result for result in run.cases if result.measured]
    figure, axes = _figure([len(result.measured) for result in cases])
    for result, axis in zip(cases, axes, strict=True):
        _draw_case(result, axis)
    path = folder / f"{run.benchmark}.png"
    _save(figure, path, run.question, f"{BARS}\n{run.command}, {run.started[:10]}, {run.machine}")
    return path


def draw_seconds(path: Path, question: str, ran: str, groups: Mapping[str, Mapping[str, Spread]]) -> None:
    """Draw groups of times below one another, a bar for each.

    Args:
        path: of the picture.
        question: its title.
        ran: when, where and by which command.
        groups: title -> name -> seconds.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure, axes = _figure([len(group) for group in groups.values()])
    for (title, group), axis in zip(groups.items(), axes, strict=True):
        _draw_bars(
            axis, group, {name: f"{1e3 * spread.median:.0f} ms" for name, spread in group.items()}, OURS
        )
        axis.set_title(f"{title} (seconds)", loc="left", fontsize=10, color=INK)
    _save(figure, path, question, f"{BARS}\n{ran}")


def draw_course(
    path: Path,
    question: str,
    ran: str,
    across: tuple[str, Sequence[float]],
    up: tuple[str, Mapping[str, Sequence[float]]],
) -> None:
    """Draw how some figures went, a line for each.

    Args:
        path: of the picture.
        question: its title.
        ran: when, where and by which command.
        across: what the figures go over, and where on it each was taken.
        up: what they are of, and name -> figures.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure, (axis,) = _figure([6])
    for (name, figures), style in zip(up[1].items(), ("-", "--", ":", "-."), strict=False):
        axis.plot(across[1], figures, style, label=name, color=INK, linewidth=1.4)
    axis.set_xlabel(across[0], fontsize=9, color=INK)
    axis.set_ylabel(up[0], fontsize=9, color=INK)
    axis.set_ylim(bottom=0)
    axis.tick_params(axis="both", length=0, colors=INK, labelsize=8)
    axis.grid(color="#e3e6e9", linewidth=0.8)
    axis.spines[:].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    _save(figure, path, question, ran)


def _figure(bars: list[int]) -> tuple[Figure, list[Axes]]:
    """A picture with room for so many bars in each part."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("the picture needs matplotlib: pip install 'openenv-gym[plots]'") from error

    figure = Figure(figsize=(9.0, 1.3 + sum(0.36 * count + 0.95 for count in bars)), layout="constrained")
    axes = figure.subplots(len(bars), squeeze=False, height_ratios=[count + 0.6 for count in bars])
    return figure, list(axes[:, 0])


def _save(figure: Figure, path: Path, question: str, ran: str) -> None:
    figure.suptitle(question, x=0.01, ha="left", fontsize=13, color=INK)
    figure.supxlabel(
        ran,
        x=0.01,
        ha="left",
        fontsize=7.5,
        color="#6b7278",
    )
    figure.savefig(path, dpi=150)


def _draw_case(result: CaseResult, axis: Axes) -> None:
    from matplotlib.ticker import EngFormatter

    rates = {measured.name: measured.rate for measured in result.measured}
    labels = {name: number(rate.median) for name, rate in rates.items()}
    _draw_bars(axis, rates, labels, [OURS if "ours" in name else OTHERS for name in rates])
    axis.set_title(f"{result.title} (environment steps a second)", loc="left", fontsize=10, color=INK)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_bars(
    axis: Axes, spreads: Mapping[str, Spread], labels: Mapping[str, str], color: str | list[str]
) -> None:
    rows = range(len(spreads))
    axis.barh(rows, [spread.median for spread in spreads.values()], color=color, height=0.66)
    for row, (name, spread) in enumerate(spreads.items()):
        axis.plot([spread.low, spread.high], [row, row], color=INK, linewidth=1)
        axis.plot([spread.first_quartile, spread.third_quartile], [row, row], color=INK, linewidth=3.5)
        axis.annotate(
            labels[name],
            (max(spread.high, spread.median), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axis.set_yticks(rows, list(spreads), fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.1 * max(spread.high for spread in spreads.values()))
    axis.tick_params(axis="both", length=0, colors=INK)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", color="#e3e6e9", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[:].set_visible(False)
