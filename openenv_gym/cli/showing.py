"""What a terminal shows of an environment: its text, its numbers with their ranges, its pictures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import singledispatch
from itertools import groupby
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from openenv_gym.errors import OpenEnvGymError
from openenv_gym.spaces import to_plain

__all__ = ["harmless", "indented", "is_picture", "picture", "show_info", "show_observation"]

_BAR = 20
_ROWS = 12
_MOST_NUMBERS = 48
_MATRIX = 16
_LONGEST, _SHORT = 300, 40
_WIDEST, _HIGHEST = 72, 48
"""Of a picture, in pixels; a line of text is two high."""
_LAST = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
_SHADES = " .:-=+*#%@"
_STYLED = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(said: str) -> Text:
    r"""Text of an environment's, its colours kept; nothing else in it reaches the terminal as a command.

    >>> harmless("\x1b[31mred\x1b[0m \x1b]0;title\x07 plain\x1b[2J").plain
    'red ]0;title plain[2J'
    """
    parts = _STYLED.split(said)
    styles = [*_STYLED.findall(said), ""]
    clean = "".join(_CONTROL.sub("", part) + style for part, style in zip(parts, styles, strict=True))
    return Text.from_ansi(clean)


@singledispatch
def show_observation(space: Space[Any], observation: Any, console: Console) -> RenderableType:
    """An observation, as its space says what it is; whatever has no better form is shown as plain data."""
    try:
        said = json.dumps(to_plain(space, observation), ensure_ascii=False)
    except (OpenEnvGymError, TypeError, ValueError):
        said = repr(observation)
    return _shortened(said)


@show_observation.register
def _show_discrete(space: Discrete, observation: Any, console: Console) -> RenderableType:
    first = int(space.start)
    return Text.assemble((str(observation), "bold"), (f"  of {first} to {first + int(space.n) - 1}", "dim"))


@show_observation.register
def _show_dict(space: Dict, observation: Any, console: Console) -> RenderableType:
    if not isinstance(observation, Mapping):
        return _shortened(repr(observation))
    return _fields(((name, space[name], value) for name, value in observation.items()), console)


@show_observation.register(Tuple)
def _show_tuple(space: Tuple[Any], observation: Any, console: Console) -> RenderableType:
    each = zip(space, observation, strict=False)
    return _fields(((str(index), part, value) for index, (part, value) in enumerate(each)), console)


def _fields(parts: Iterator[tuple[str, Space[Any], Any]], console: Console) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name, space, value in parts:
        table.add_row(Text(harmless(name).plain, style="cyan"), show_observation(space, value, console))
    return table


@show_observation.register
def _show_box(space: Box, observation: Any, console: Console) -> RenderableType:
    value = np.asarray(observation)
    if is_picture(space):
        return picture(value, console)
    if value.ndim == 1 and value.size <= _ROWS:
        return _rows(space, value)
    if value.ndim <= 1 and value.size <= _MOST_NUMBERS:
        return Text("  ".join(_number(number, 4) for number in value.ravel()))
    if value.ndim == 2 and max(value.shape) <= _MATRIX:
        cells = [[_number(cell, 3) for cell in row] for row in value]
        width = max(len(cell) for row in cells for cell in row)
        return Text("\n".join(" ".join(cell.rjust(width) for cell in row) for row in cells))
    shape = " x ".join(map(str, value.shape))
    said = f"{shape} numbers, {value.dtype}"
    if value.size:
        said += f", {value.min():.4g} to {value.max():.4g}, {np.count_nonzero(value):,} of them not zero"
    return Text(said, style="dim")


def _rows(space: Box, value: NDArray[Any]) -> RenderableType:
    """Each number on a line, with its range, and where in it the number lies."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim")
    table.add_column(justify="right", style="bold")
    for index, number in enumerate(value):
        low, high = _limit(space.low[index]), _limit(space.high[index])
        bounded = bool(space.bounded_below[index] and space.bounded_above[index]) and high - low < 1e9
        table.add_row(
            str(index), _number(number, 4), _bar(float(number), low, high) if bounded else _range(low, high)
        )
    return table


def _number(number: Any, digits: int) -> str:
    """A number in few characters; a whole one of an integer type as it is, unless it is long."""
    if isinstance(number, np.integer) and abs(int(number)) < 10**9:
        return str(number)
    return f"{number:.{digits}g}"


def _limit(bound: Any) -> float:
    """A bound, without -0; the last number of a long integer type bounds nothing."""
    if isinstance(bound, np.integer) and bound.itemsize == 8 and bound in _LAST:
        return math.copysign(math.inf, int(bound))
    return float(bound) + 0.0


def _range(low: float, high: float) -> Text:
    """A range without a picture of it; nothing where everything is inside."""
    said = ""
    if np.isfinite([low, high]).all():
        said = f"{low:.3g} to {high:.3g}"
    elif np.isfinite([low, high]).any():
        said = f"from {low:.3g}" if np.isfinite(low) else f"up to {high:.3g}"
    return Text(said, style="dim")


def _bar(number: float, low: float, high: float) -> Text:
    if not (np.isfinite(number) and high > low):
        return _range(low, high)
    at = min(max(round((number - low) / (high - low) * (_BAR - 1)), 0), _BAR - 1)
    bar = Text(f"{low:8.3g} ", style="dim")
    bar.append("─" * at, style="dim")
    bar.append("●", style="cyan")
    bar.append("─" * (_BAR - 1 - at), style="dim")
    return bar.append(f" {high:.3g}", style="dim")


def is_picture(space: Space[Any]) -> bool:
    """Whether a space holds images: uint8, (height, width), or with 1 or 3 colours behind."""
    if not isinstance(space, Box) or space.dtype != np.uint8 or len(space.shape) not in (2, 3):
        return False
    return min(space.shape[:2]) > _MATRIX and (len(space.shape) == 2 or space.shape[2] in (1, 3))


def picture(frame: NDArray[Any], console: Console) -> Text:
    """A frame in half blocks, two pixels above each other in a character; in letters without colours.

    Args:
        frame: uint8, (height, width), or with 1 or 3 colours behind.
        console: says how wide it may be, and which colours there are.
    """
    pixels = np.atleast_3d(frame)
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    scale = min(min(_WIDEST, console.width - 4) / pixels.shape[1], _HIGHEST / pixels.shape[0], 1)
    width = max(round(pixels.shape[1] * scale), 1)
    height = max(round(pixels.shape[0] * scale) // 2 * 2, 2)
    small = _shrunk(_shrunk(pixels.astype(np.float64), height, 0), width, 1)
    if console.color_system is None or not console.encoding.startswith("utf"):
        return _in_letters(small)
    text = Text(no_wrap=True)
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        if text:
            text.append("\n")
        for style, run in groupby(map(_style, upper, lower)):
            text.append("▀" * len(list(run)), style)
    return text


def _style(above: NDArray[np.float64], below: NDArray[np.float64]) -> Style:
    return Style(color=_colour(above), bgcolor=_colour(below))


def _colour(pixel: NDArray[np.float64]) -> Color:
    red, green, blue = pixel.round().astype(int).tolist()
    return Color.from_rgb(red, green, blue)


def _in_letters(pixels: NDArray[np.float64]) -> Text:
    light = (pixels @ [0.299, 0.587, 0.114])[::2] / 256 * len(_SHADES)
    return Text("\n".join("".join(_SHADES[int(each)] for each in row) for row in light), no_wrap=True)


def _shrunk(pixels: NDArray[np.float64], size: int, axis: int) -> NDArray[np.float64]:
    """The means of ``size`` stretches along an axis."""
    edges = np.linspace(0, pixels.shape[axis], size + 1).astype(int)
    starts = np.minimum(edges[:-1], pixels.shape[axis] - 1)
    counts = np.maximum(np.diff(edges), 1)
    sums = np.add.reduceat(pixels, starts, axis=axis)
    means: NDArray[np.float64] = sums / np.expand_dims(counts, tuple({0, 1, 2} - {axis}))
    return means


def show_info(info: Mapping[str, Any]) -> Text | None:
    """What is short enough of an info."""
    said = []
    for name, value in info.items():
        if isinstance(value, (bool, int, float, str, np.generic)) and len(str(value)) <= _SHORT:
            said.append(
                f"{name} {value:.4g}" if isinstance(value, (float, np.floating)) else f"{name} {value}"
            )
    return _shortened(f"info: {', '.join(said)}") if said else None


def _shortened(said: str) -> Text:
    clean = harmless(said).plain
    return Text(clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST]} …")


def indented(shown: RenderableType) -> RenderableType:
    """A little to the right of what is said about it."""
    return Padding(Group(shown), (0, 0, 0, 2), expand=False)
