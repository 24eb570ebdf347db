"""Gymnasium's vector infos from rows, by Gymnasium's own rule and in lane order.

The rule is ``gymnasium.vector.VectorEnv._add_info``: a key's array takes its dtype from the first
lane that has it, and ``_key`` says which lanes do. Columns of one kind are placed at once, with the
same result; whatever is mixed goes through the rule itself, value by value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from openenv_gym.types import Phase, Rows
from openenv_gym.wire.infos import InfoColumn

__all__ = ["vector_infos"]

_PYTHON = {"int": int, "float": float, "bool": bool}


class _Rule(VectorEnv[Any, Any, Any]):
    """Lends Gymnasium's rule to a number of lanes."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs

    def add(self, infos: dict[str, Any], info: dict[str, Any], lane: int) -> dict[str, Any]:
        return self._add_info(infos, info, lane)


def vector_infos(rows: Rows, num_envs: int, final_observation: Callable[[int], Any]) -> dict[str, Any]:
    """The infos of a batch as ``SyncVectorEnv`` would give them.

    Args:
        rows: of an answer; ``FINAL`` rows become ``final_obs`` and ``final_info``.
        num_envs: how many lanes the batch has.
        final_observation: the observation of a row of the tail.
    """
    if rows.batch_info is not None:
        return rows.batch_info
    infos: dict[str, Any] = {}
    if not rows.infos and len(rows) == rows.dense:
        return infos
    rule = _Rule(num_envs)
    tail = rows.dense if rows.dense and len(rows) > rows.dense else len(rows)
    final = {row for row in range(tail, len(rows)) if rows.phase[row] == Phase.FINAL}
    if final:
        each = rows.infos.dicts()
        for row in sorted(final, key=lambda row: int(rows.lane[row])):
            ended = {"final_obs": final_observation(row), "final_info": each.get(row, {})}
            infos = rule.add(infos, ended, int(rows.lane[row]))
    for key, column in rows.infos.columns.items():
        _add_column(infos, key, _before(column, tail) if final else column, rows.lane, rule)
    return infos


def _before(column: InfoColumn, end: int) -> InfoColumn:
    """The part of a column that lies before a row."""
    keep = int(np.searchsorted(column.rows, end))
    if keep == len(column.rows):
        return column
    data = column.data
    if column.kind == "dict":
        data = {key: _before(nested, end) for key, nested in data.items()}
    else:
        data = data[:keep]
    return InfoColumn(column.kind, column.rows[:keep], data)


def _add_column(
    infos: dict[str, Any], key: str, column: InfoColumn, lane_of: NDArray[np.int32], rule: _Rule
) -> None:
    if len(column.rows) == 0:
        return
    lanes = lane_of[column.rows]
    placed = _placed(key, column, lanes, rule)
    if placed is None:
        for row, value in column.values():
            rule.add(infos, {key: value}, int(lane_of[row]))
        return
    mask = np.zeros(rule.num_envs, np.bool_)
    mask[lanes] = True
    infos[key], infos[f"_{key}"] = placed, mask


def _placed(key: str, column: InfoColumn, lanes: NDArray[np.int32], rule: _Rule) -> Any:
    """The batched array of a column of one kind, or ``None`` where the rule itself must decide."""
    data, count = column.data, rule.num_envs
    array: NDArray[Any]
    if key in ("final_obs", "final_info"):
        return None
    if column.kind in _PYTHON:
        array = np.zeros(count, _PYTHON[column.kind])
    elif column.kind == "scalar" and data.dtype != np.bool_:
        array = np.zeros(count, data.dtype.type)
    elif column.kind == "array":
        array = np.zeros((count, *data.shape[1:]), data.dtype)
    else:
        return None
    array[lanes] = data
    return array
