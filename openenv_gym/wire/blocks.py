"""The memory layout of a block of rows, and the header before it; ``NATIVE.md`` is the specification.

A block of ``k`` rows is columns one after the other, each beginning at a multiple of 16 bytes::

    lane int32 (k,)    agent int16 (k,)          only when the block is not dense
    marks uint8 (4, k) = phase, flags, terminated, truncated
    reward (k,) of up to 8 bytes each
    observation columns as spaces.Layout lays them, if there is a fixed layout

Everything here is offsets and views: nothing is copied.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces import Layout
from openenv_gym.types import Columns

__all__ = [
    "ALIGNMENT",
    "HEADER",
    "REWARD_DTYPES",
    "Block",
    "BlockViews",
    "Header",
    "Kind",
    "MessageFlag",
    "block_of",
    "slots_nbytes",
]

ALIGNMENT = 16
HEADER = struct.Struct("<BBBBIIIQQ")
"""kind, flags, reward dtype, 0, count, tail, microseconds, seq, ack: 32 bytes, little endian."""

REWARD_DTYPES = tuple(np.dtype(name) for name in ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1"))
"""The dtypes that a reward column may have, by their number in the header."""


class Kind:
    """The first byte of a native message."""

    HELLO = 1
    WELCOME = 2
    RESET = 3
    STEP = 4
    ANSWER = 5
    OBSERVE = 6
    STATE = 7
    RENDER = 8
    CALL = 9
    VALUE = 10
    ACK = 11
    CLOSE = 12
    ERROR = 13


class MessageFlag:
    """The second byte of a native message."""

    MORE = 1
    """Further answers to the same request follow."""
    DENSE = 2
    """Row ``i`` of the first block is agent 0 of lane ``i``; the slot columns are left out."""
    TRAILER = 4
    """Values follow the blocks."""
    COLUMNS = 8
    """The actions or observations are columns; without it they are values in the trailer."""


class Header(Struct, frozen=True):
    """The fixed start of every native message."""

    kind: int
    flags: int
    reward: int
    zero: int
    count: int
    tail: int
    microseconds: int
    seq: int
    ack: int


def aligned(nbytes: int) -> int:
    """The next multiple of 16."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def slots_nbytes(rows: int) -> int:
    """The bytes of the lane and agent columns of ``rows`` slots."""
    return aligned(4 * rows) + aligned(2 * rows)


class BlockViews(NamedTuple):
    """Arrays that look into a buffer, one for each column of a block."""

    lane: NDArray[np.int32] | None
    agent: NDArray[np.int16] | None
    marks: NDArray[np.uint8]
    reward: NDArray[Any]
    observation: Columns


@dataclass(frozen=True, slots=True)
class Block:
    """Where the columns of a block of ``rows`` rows begin, from the block's first byte."""

    rows: int
    dense: bool
    layout: Layout | None
    agent: int
    marks: int
    reward: int
    observation: int
    nbytes: int

    def views(self, buffer: Any, offset: int, reward: np.dtype[Any] = REWARD_DTYPES[0]) -> BlockViews:
        """Views of a block that begins at ``offset`` of a buffer; writable if the buffer is.

        Raises:
            ProtocolViolation: if the buffer is too small.
        """
        rows = self.rows
        if len(buffer) < offset + self.nbytes:
            raise ProtocolViolation(
                f"a block of {rows} rows takes {self.nbytes} bytes, {len(buffer) - offset} came"
            )
        return BlockViews(
            None if self.dense else np.frombuffer(buffer, np.int32, rows, offset),
            None if self.dense else np.frombuffer(buffer, np.int16, rows, offset + self.agent),
            np.frombuffer(buffer, np.uint8, 4 * rows, offset + self.marks).reshape(4, rows),
            np.frombuffer(buffer, reward, rows, offset + self.reward),
            None if self.layout is None else self.layout.views(buffer, rows, offset + self.observation),
        )


def block_of(layout: Layout | None, rows: int, dense: bool) -> Block:
    """The block of so many rows of a layout; ``layout=None`` leaves the observation out."""
    agent = 0 if dense else aligned(4 * rows)
    marks = 0 if dense else slots_nbytes(rows)
    reward = marks + aligned(4 * rows)
    observation = reward + aligned(8 * rows)
    nbytes = observation + (0 if layout is None else layout.nbytes(rows))
    return Block(rows, dense, layout, agent, marks, reward, observation, nbytes)
