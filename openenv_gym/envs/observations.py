"""One row's observation out of an answer, exactly as the environment gave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openenv_gym.spaces import Kind, assign_rows, compile_reader, layout_of
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
        if layout is None:
            return
        kinds = tuple(map(Kind, signature.kinds))
        # One array, which is nearly always what there is, needs no copy into columns of our own.
        self._plain_array = kinds == (Kind.ARRAY,) and layout.leaves[0].path == ()
        _, self._columns = layout.allocate(1)
        self._read = compile_reader(layout, self._columns, kinds)

    def read(self, rows: Rows, row: int) -> Any:
        """A fresh observation that the caller owns."""
        if row in rows.values:
            return rows.values[row]
        assert self._read is not None
        start = 0 if rows.tail_observation is None else rows.dense
        columns = rows.observation if row < start or start == 0 else rows.tail_observation
        index = row if row < start or start == 0 else row - start
        if self._plain_array:
            # The message of a single row belongs to whoever has the row.
            return columns[index] if len(rows) == 1 else columns[index].copy()
        assign_rows(self._columns, 0, columns, index)
        return self._read(0)
