"""Rows of several answers as those of one, so that whatever reads an answer can read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openenv_gym.spaces import Layout, assign_rows
from openenv_gym.types import Columns, Failure, Rows, renumbered
from openenv_gym.wire import infos

__all__ = ["Share", "gathered", "taken"]

Index = slice | NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Share:
    """Some rows of an answer.

    Attributes:
        rows: of the answer.
        take: which of them.
        lane: int32: what the lane of each is called among the gathered rows.
        tail: whether they go behind all others.
    """

    rows: Rows
    take: Index
    lane: NDArray[np.int32]
    tail: bool = False


def gathered(
    layout: Layout | None, shares: Sequence[Share], *, dense: bool, observation: Columns = None
) -> Rows:
    """The rows of all shares, those of tails last.

    Args:
        layout: of the observation; ``None`` if it travels as values.
        shares: of answers of the same layout; no native vector environment's.
        dense: whether the rows before the tails are of lanes 0, 1, 2, ...
        observation: of the rows before the tails, if that was gathered already.
    """
    ordered = sorted(shares, key=lambda share: share.tail)
    front = [share for share in ordered if not share.tail]
    tails = ordered[len(front) :]
    lane = _joined(share.lane for share in ordered)
    first = sum(len(share.lane) for share in front)
    return Rows(
        lane=lane,
        agent=np.zeros(len(lane), np.int16),
        phase=_joined(share.rows.phase[share.take] for share in ordered),
        flags=_joined(share.rows.flags[share.take] for share in ordered),
        reward=_joined(share.rows.reward[share.take] for share in ordered),
        terminated=_joined(share.rows.terminated[share.take] for share in ordered),
        truncated=_joined(share.rows.truncated[share.take] for share in ordered),
        observation=_columns(layout, front) if observation is None else observation,
        tail_observation=_columns(layout, tails) if tails else None,
        infos=_infos(ordered),
        batch_info=None,
        **_by_row(ordered),
        dense=first if dense else 0,
        again=partial(_columns, layout, front),
    )


def taken(columns: Columns, index: Index) -> Columns:
    """Some rows of a batch.

    >>> taken({"x": np.arange(4)}, slice(1, 3))
    {'x': array([1, 2])}
    """
    if isinstance(columns, dict):
        return {key: taken(column, index) for key, column in columns.items()}
    if isinstance(columns, tuple):
        return tuple([taken(column, index) for column in columns])
    return columns[index]


def _joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(list(parts))


def _columns(layout: Layout | None, shares: Sequence[Share]) -> Columns:
    """The observations of some shares, in memory of their own."""
    if layout is None:
        return None
    columns = layout.columns(sum(len(share.lane) for share in shares))
    start = 0
    for share in shares:
        place = slice(start, start + len(share.lane))
        source, index = _source(share)
        assign_rows(columns, place, source, index)
        start = place.stop
    return columns


def _source(share: Share) -> tuple[Columns, Index]:
    """Where the observations of a share are: those of the tail of an answer lie apart."""
    rows, take = share.rows, share.take
    if rows.tail_observation is None or isinstance(take, slice) or take[0] < rows.dense:
        return rows.observation, take
    return rows.tail_observation, take - rows.dense


def _numbered(shares: Sequence[Share]) -> Iterable[tuple[Share, dict[int, int]]]:
    """Each share with the number that each of its rows is given."""
    start = 0
    for share in shares:
        numbers = np.arange(len(share.rows))[share.take].tolist()
        yield share, {row: start + index for index, row in enumerate(numbers)}
        start += len(numbers)


def _infos(shares: Sequence[Share]) -> infos.Infos:
    if not any(share.rows.infos for share in shares):
        return infos.NO_INFOS
    if all(type(share.take) is slice and len(share.lane) == len(share.rows) for share in shares):
        starts = accumulate([len(share.lane) for share in shares], initial=0)
        return infos.joined([(share.rows.infos, start) for share, start in zip(shares, starts, strict=False)])
    found: list[tuple[int, dict[str, Any]]] = []
    for share, number_of in _numbered(shares):
        said = share.rows.infos.dicts()
        found += [(number, said[row]) for row, number in number_of.items() if row in said]
    return infos.from_dicts(found)


def _by_row(shares: Sequence[Share]) -> dict[str, Any]:
    values: dict[int, Any] = {}
    failures: dict[int, Failure] = {}
    if any(share.rows.values or share.rows.failures for share in shares):
        for share, number_of in _numbered(shares):
            for row, number in number_of.items():
                if row in share.rows.values:
                    values[number] = share.rows.values[row]
                if row in share.rows.failures:
                    lane = int(share.lane[number - next(iter(number_of.values()))])
                    failures[number] = renumbered(share.rows.failures[row], lane)
    return {"values": values, "failures": failures}
