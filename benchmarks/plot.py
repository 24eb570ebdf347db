"""Results as a picture: a bar for each alternative, with the spread of its rounds upon it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import Run
from benchmarks.table import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.alternation import CaseResult

__all__ = ["draw"]

OURS = "#1f6f8b"
OTHERS = "#b9bec4"
INK = "#2b2f33"


def draw(run: Run, folder: Path) -> Path:
    """Draw the cases below one another into ``<benchmark>.png`` and return its path.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("the picture needs matplotlib: pip install 'openenv-gym[plots]'") from error

    cases = [result for result in run.cases if result.measured]
    bars = [len(result.measured) for result in cases]
    figure = Figure(figsize=(9.0, 1.3 + sum(0.36 * count + 0.95 for count in bars)), layout="constrained")
    axes = figure.subplots(len(cases), squeeze=False, height_ratios=[count + 0.6 for count in bars])
    for result, axis in zip(cases, axes[:, 0], strict=True):
        _draw_case(result, axis)
    figure.suptitle(run.question, x=0.01, ha="left", fontsize=13, color=INK)
    figure.supxlabel(
        f"bar: median of the rounds, thick line: middle half, thin line: min to max\n"
        f"{run.command}, {run.started[:10]}, {run.machine}",
        x=0.01,
        ha="left",
        fontsize=7.5,
        color="#6b7278",
    )
    path = folder / f"{run.benchmark}.png"
    figure.savefig(path, dpi=150)
    return path


def _draw_case(result: CaseResult, axis: Axes) -> None:
    from matplotlib.ticker import EngFormatter

    rows = range(len(result.measured))
    names = [measured.name for measured in result.measured]
    medians = [measured.rate.median for measured in result.measured]
    axis.barh(rows, medians, color=[OURS if "ours" in name else OTHERS for name in names], height=0.66)
    for row, measured in zip(rows, result.measured, strict=True):
        rate = measured.rate
        axis.plot([rate.low, rate.high], [row, row], color=INK, linewidth=1)
        axis.plot([rate.first_quartile, rate.third_quartile], [row, row], color=INK, linewidth=3.5)
        axis.annotate(
            number(rate.median),
            (max(rate.high, rate.median), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axis.set_yticks(rows, names, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.1 * max(measured.rate.high for measured in result.measured))
    axis.set_title(f"{result.title} (environment steps a second)", loc="left", fontsize=10, color=INK)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.tick_params(axis="both", length=0, colors=INK)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", color="#e3e6e9", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[:].set_visible(False)
