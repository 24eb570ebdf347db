"""Observations out of answers: one row's, exactly as the environment gave it, and those of all lanes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space, create_empty_array

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces import (
    Kind,
    assign_rows,
    compile_reader,
    compile_restorer,
    concatenated,
    layout_of,
    read_batch,
    split,
)
from openenv_gym.types import Rows, Signature

__all__ = ["BatchReader", "RowReader"]


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


class BatchReader:
    """Reads the batch of a session's lanes, and knows what those last showed of which an answer says nothing.

    Args:
        signature: of the session.
        rows: reads single rows of the same session.
    """

    def __init__(self, signature: Signature, rows: RowReader) -> None:
        self._space = signature.observation_spaces[0]
        self._lanes = signature.lanes
        self._rows = rows
        self._fixed = layout_of(self._space) is not None
        self._whole = signature.vector  # never asked to reset some lanes and show the others
        self._restore_batch = compile_restorer(batch_space(self._space, self._lanes))
        self._latest: Any = None
        self._again: Callable[[], Any] | None = None

    def read(self, rows: Rows) -> Any:
        """The observations of all lanes, batched, which the caller owns."""
        if -1 in rows.values:
            return self._restore_batch(rows.values[-1])
        if not self._fixed:
            return self._read_whole(rows)
        if self._whole:
            return rows.observation  # in the message, which nobody else looks at
        if rows.dense:
            # Kept apart from what the caller may write to: a later reset of some lanes shows the
            # others' last observation again.
            self._latest, self._again = rows.observation, rows.again
            return read_batch(rows.observation) if rows.again is None else rows.observation
        if self._again is not None:
            self._latest, self._again = self._again(), None
        if self._latest is None:
            self._latest = create_empty_array(self._space, self._lanes, fn=np.zeros)
        assign_rows(self._latest, rows.lane, rows.observation, slice(None))
        return read_batch(self._latest)

    def _read_whole(self, rows: Rows) -> Any:
        """The same of observations that travel as values."""
        if self._latest is None:
            self._latest = [None] * self._lanes
        for row in range(rows.dense or len(rows)):
            self._latest[int(rows.lane[row])] = self._rows.read(rows, row)
        # Parts without a fixed size are handed out as they are; a later answer may show them again.
        return concatenated(self._space, copy.deepcopy(self._latest))
