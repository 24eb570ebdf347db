"""One row's observation out of an answer, exactly as the environment gave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gymnasium.vector.utils import batch_space

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces import Kind, assign_rows, compile_reader, compile_restorer, layout_of, split
from openenv_gym.types import Rows, Signature

__all__ = ["RowReader"]


class RowReader:
    """Reads single rows of the answers of one session.

    Args:
        signature: of the session; its kinds say how the leaves come.
    """

    def __init__(self, signature: Signature) -> None:
        self._read: Callable[[int], Any] | None = None
        self._columns: Any = None
        layout = layout_of(signature.observation_spaces[0])
        self._restore: Callable[[Any], Any] | None = None
        if layout is None:
            self._restore = compile_restorer(signature.observation_spaces[0])
            self._batched = batch_space(signature.observation_spaces[0], signature.lanes)
            self._lanes = signature.lanes
            return
        kinds = tuple(map(Kind, signature.kinds))
        # One array, which is nearly always what there is, needs no copy into columns of our own.
        self._plain_array = kinds == (Kind.ARRAY,) and layout.leaves[0].path == ()
        _, self._columns = layout.allocate(1)
        self._read = compile_reader(layout, self._columns, kinds)

    def read(self, rows: Rows, row: int) -> Any:
        """A fresh observation that the caller owns."""
        if row in rows.values:
            return rows.values[row] if self._restore is None else self._restore(rows.values[row])
        if self._restore is not None and -1 in rows.values:
            lanes = split(self._batched, rows.values[-1], self._lanes, ProtocolViolation)
            return self._restore(lanes[int(rows.lane[row])])
        if self._read is None:
            raise ProtocolViolation(f"row {row} of an answer came without its observation")
        start = 0 if rows.tail_observation is None else rows.dense
        columns = rows.observation if row < start or start == 0 else rows.tail_observation
        index = row if row < start or start == 0 else row - start
        if self._plain_array:
            # The message of a single row belongs to whoever has the row.
            return columns[index] if len(rows) == 1 else columns[index].copy()
        assign_rows(self._columns, 0, columns, index)
        return self._read(0)
