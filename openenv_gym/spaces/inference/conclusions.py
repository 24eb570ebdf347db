"""What was concluded of each field, on which evidence: the rows of the table that a user reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from textwrap import wrap
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, OneOf, Sequence

from openenv_gym.spaces.inference.nodes import MISSING
from openenv_gym.spaces.inference.roles import Role

__all__ = ["Conclusion", "Confidence", "described", "table"]


class Confidence(StrEnum):
    """How sure a conclusion is."""

    CERTAIN = "certain"
    """The caller said it, or the server, exactly."""
    HIGH = "high"
    """The schema declares it, or a hint that ships says it."""
    MEDIUM = "medium"
    """It was so in the answers so far, and is taken to stay so."""
    LOW = "low"
    """It goes by a name, or its bounds are those of its dtype."""
    OPEN = "open"
    """It cannot be known; a hint must say it."""

    @property
    def rank(self) -> int:
        """0 for the surest."""
        return list(Confidence).index(self)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What one field is.

    Attributes:
        path: ``action.<field>`` or ``observation.<field>``.
        role: what it is for.
        space: the part that it has in the space; ``None`` if it has none.
        evidence: what tells it.
        confidence: how sure that is.
        override: what to pass under its path in ``hints`` to have it otherwise.
        labels: of a choice among named values, the value of each number.
        value: what a setting is always sent as, or ``MISSING``.
    """

    path: str
    role: Role
    space: Space[Any] | None
    evidence: str
    confidence: Confidence
    override: str
    labels: tuple[Any, ...] | None = None
    value: Any = MISSING


def described(space: Space[Any] | None) -> str:
    """A space in few characters.

    >>> described(Box(-1, 1, (2, 3))), described(Dict(at=Discrete(3)))
    ('Box(-1, 1, (2, 3), float32)', 'Dict(at: Discrete(3))')
    """
    if space is None:
        return "-"
    if isinstance(space, Box):
        low, high = _bound(space.low), _bound(space.high)
        if space.dtype.kind in "iu" and space.dtype.itemsize == 8:
            facts = np.iinfo(space.dtype)
            low = "-inf" if low == str(facts.min) else low
            high = "inf" if high == str(facts.max) else high
        return f"Box({low}, {high}, {space.shape}, {space.dtype})"
    if isinstance(space, Discrete):
        return f"Discrete({space.n})" if space.start == 0 else f"Discrete({space.n}, start={space.start})"
    if isinstance(space, MultiDiscrete):
        counts = space.nvec.tolist()
        return f"MultiDiscrete({counts})" if space.nvec.size <= 8 else f"MultiDiscrete of shape {space.shape}"
    if isinstance(space, Dict):
        return "Dict(" + ", ".join(f"{key}: {described(child)}" for key, child in space.spaces.items()) + ")"
    if isinstance(space, OneOf):
        return "OneOf(" + " | ".join(described(child) for child in space.spaces) + ")"
    if isinstance(space, Sequence):
        return f"Sequence({described(space.feature_space)})"
    return str(space)


def _bound(bound: Any) -> str:
    if bound.size == 0:
        return "0"
    if bound.size > 1 and not (bound == bound.flat[0]).all():
        return "..."
    item = bound.flat[0].item()
    return f"{item:g}" if isinstance(item, float) else str(item)


_HEADS = ("field", "role", "space", "evidence", "confidence", "override")
_LEAST = (12, 11, 12, 14, 10, 13)
_EVIDENCE = _HEADS.index("evidence")
_ROOMY = 100
"""From so many columns on, the evidence has one of its own; in fewer it stands beneath each field."""
_FOOT = 'To override: pass hints={"<field>": ...} with what the last column names, or another space.'


def table(fields: Iterable[Conclusion], notes: Iterable[str] = (), *, width: int = 100) -> str:
    """Conclusions as aligned text of at most ``width`` columns, 80 or more."""
    rows: list[tuple[str, ...]] = [
        (
            each.path.removeprefix("observation."),
            str(each.role),
            described(each.space),
            each.evidence,
            str(each.confidence),
            each.override,
        )
        for each in fields
    ]
    shown = [at for at in range(len(_HEADS)) if at != _EVIDENCE or width >= _ROOMY]
    widths = _widths([_HEADS, *rows], shown, width)
    rule = "  ".join("-" * wide for wide in widths)
    head, *lines = [_record(row, shown, widths, width) for row in (_HEADS, *rows)]
    text = [*head, rule, *[line for record in lines for line in record], rule, *wrap(_FOOT, width)]
    for note in notes:
        text += wrap(note, width, initial_indent="! ", subsequent_indent="  ")
    return "\n".join([line.rstrip() for line in text])


def _widths(rows: list[tuple[str, ...]], shown: list[int], width: int) -> list[int]:
    """Give each column what it asks for, then take from the widest until they fit."""
    widths = [max(len(row[at]) for row in rows) for at in shown]
    leasts = [_LEAST[at] for at in shown]
    room = width - 2 * (len(widths) - 1)
    while sum(widths) > room:
        wide = [each if each > least else 0 for each, least in zip(widths, leasts, strict=True)]
        if not any(wide):
            break
        widths[wide.index(max(wide))] -= 1
    return widths


def _record(row: tuple[str, ...], shown: list[int], widths: list[int], width: int) -> list[str]:
    """The lines of a row; its evidence beneath it, where that has no column."""
    lines = _lines(tuple([row[at] for at in shown]), widths)
    if _EVIDENCE not in shown:
        lines += wrap(row[_EVIDENCE], width, initial_indent="    ", subsequent_indent="    ")
    return lines


def _lines(row: tuple[str, ...], widths: list[int]) -> list[str]:
    cells = [_wrapped(cell, wide) for cell, wide in zip(row, widths, strict=True)]
    height = max(map(len, cells))
    padded = [cell + [""] * (height - len(cell)) for cell in cells]
    return [
        "  ".join(part.ljust(wide) for part, wide in zip(line, widths, strict=True))
        for line in zip(*padded, strict=True)
    ]


def _wrapped(cell: str, wide: int) -> list[str]:
    """Break a cell between words; a field's path at its underscores and dots."""
    if " " not in cell and len(cell) > wide:
        parts, line = [], ""
        for piece in cell.replace("_", "_\0").replace(".", ".\0").split("\0"):
            if line and len(line) + len(piece) > wide:
                parts.append(line)
                line = " "
            line += piece
        return [
            piece for part in [*parts, line] for piece in (wrap(part, wide, drop_whitespace=False) or [""])
        ]
    return wrap(cell, wide) or [""]
