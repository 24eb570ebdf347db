"""Where a hosted environment puts its rows: straight into the message that will be sent.

An :class:`AnswerBuffer` belongs to a session and lives as long as it. When a request is about agent
0 of every lane, which is nearly always, each row is written in place into one buffer that is kept,
and the finished message is a view of it. Rows beyond that (the ``FINAL`` rows of SameStep, a reset
of some lanes, the agents of a game) are gathered and laid out behind, or alone.

A finished message may be asked for again until it is acknowledged, so ``finish`` hands the buffer
over and the caller gives it back with ``release``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct

from openenv_gym.errors import LayoutMismatch, OpenEnvGymError
from openenv_gym.spaces import Kind as LeafKind
from openenv_gym.spaces import Layout, assign_rows, compile_writer, read_batch, write_batch
from openenv_gym.types import Columns, Failure, Flag, Phase, renumbered
from openenv_gym.wire import infos as info_columns
from openenv_gym.wire import values
from openenv_gym.wire.blocks import HEADER, REWARD_DTYPES, Block, Kind, MessageFlag, block_of

__all__ = ["AnswerBuffer", "Encoded", "Gathered", "failure_of"]

_FLAGS_ALONE = int(Flag.TO_MOVE | Flag.OBSERVED)
_SLACK = 4096
_STEP, _FINAL = int(Phase.STEP), int(Phase.FINAL)  # an enum's members take longer to find
_REWARD_CODE = {dtype: code for code, dtype in enumerate(REWARD_DTYPES)}


def failure_of(error: OpenEnvGymError) -> Failure:
    """The wire form of an error of one row."""
    cause = "\n".join(getattr(error, "__notes__", ())) or None
    return Failure(error.code, error.message, error.fields, cause)


class Encoded(Struct, frozen=True, eq=False):
    """A finished message, and the buffer that it looks into.

    Attributes:
        payload: what to send: a view of bytes, or text.
        lent: the buffer to give back, or ``None``.
    """

    payload: Any
    lent: Any = None


class Gathered(Struct, frozen=True, eq=False):
    """Rows that were put into one buffer, for the answer of another; they own what they hold."""

    loose: list[tuple[Any, ...]]
    failures: dict[int, Failure]
    columns: Columns


class _Dense:
    """A buffer for one row a lane, with the views and writers that fill it."""

    def __init__(self, block: Block, kinds: tuple[LeafKind, ...], capacity: int) -> None:
        self.capacity = capacity
        self.buffer = bytearray(HEADER.size + block.nbytes + capacity)
        self.whole = memoryview(self.buffer)
        self.end = HEADER.size + block.nbytes
        rows = block.rows
        views = block.views(self.buffer, HEADER.size)
        marks = self.whole[HEADER.size + block.marks :][: 4 * rows]
        # memoryviews store a Python number in half the time of an array.
        self.marks = marks
        self.phase, self.flags, self.terminated, self.truncated = (
            marks[:rows],
            marks[rows : 2 * rows],
            marks[2 * rows : 3 * rows],
            marks[3 * rows :],
        )
        self.mark_views = views.marks
        self.reward = self.whole[HEADER.size + block.reward :][: 8 * rows].cast("d")
        self.reward_offset = HEADER.size + block.reward
        self.observation = views.observation
        self.write: Callable[[int, Any], bool] | None = None
        if block.layout is not None:
            self.write = compile_writer(block.layout, views.observation, kinds)
        self.fresh = bytes([Phase.STEP] * rows + [_FLAGS_ALONE] * rows + [0] * (2 * rows))


class _Aside:
    """Rows whose place in the answer is not known yet, written where there is always room for one more."""

    def __init__(self, layout: Layout, kinds: tuple[LeafKind, ...]) -> None:
        self._layout, self._kinds = layout, kinds
        self._room = 0
        self.count = 0
        self.columns: Columns = None
        self._write: Callable[[int, Any], bool] = lambda place, observation: False

    def write(self, observation: Any) -> tuple[int, bool]:
        """Where it lies now, and whether it does so to the bit."""
        place = self._place()
        held = self._write(place, observation)
        self.count += 1
        return place, held

    def take(self, columns: Columns, row: int) -> int:
        """Where a row of other columns lies now."""
        place = self._place()
        assign_rows(self.columns, place, columns, row)
        self.count += 1
        return place

    def copy(self) -> Columns:
        """Its rows, in memory of their own."""
        return None if self.columns is None else read_batch(self.columns)

    def _place(self) -> int:
        if self.count == self._room:
            self._room = max(1, 2 * self._room)
            _, columns = self._layout.allocate(self._room)
            if self.columns is not None:
                assign_rows(columns, slice(0, self.count), self.columns, slice(None))
            self.columns = columns
            self._write = compile_writer(self._layout, columns, self._kinds)
        return self.count


class AnswerBuffer:
    """The ``Out`` of a session in the array view: collects the rows of one request at a time.

    Args:
        layout: of the observation; ``None`` sends every observation as a value.
        kinds: how the observation's leaves come.
        lanes: of the session.
        exact: whether an observation that was cast into its column also travels as a value.
    """

    def __init__(
        self, layout: Layout | None, kinds: tuple[LeafKind, ...], lanes: int, *, exact: bool
    ) -> None:
        self._layout, self._kinds, self._lanes, self._exact = layout, kinds, lanes, exact
        self._block = block_of(layout, lanes, dense=True)
        self._capacity = _SLACK
        self._number = memoryview(bytearray(8)).cast("d")
        self._free: list[_Dense] = []
        self._dense: _Dense | None = None
        self._aside: _Aside | None = None if layout is None else _Aside(layout, kinds)
        self._begun = False

    def begin(self, *, dense: bool) -> None:
        """Start an answer; ``dense`` when it is about agent 0 of every lane."""
        self._loose: list[tuple[Any, ...]] = []
        self._infos: list[tuple[int, dict[str, Any]]] = []
        self._values: dict[int, Any] = {}
        self._failures: dict[int, Failure] = {}
        self._batch_info: dict[str, Any] | None = None
        self._reward_code = 0
        self._dense = None
        if self._aside is not None:
            self._aside.count = 0
        if dense:
            self._dense = self._free.pop() if self._free else _Dense(self._block, self._kinds, self._capacity)
            self._dense.marks[:] = self._dense.fresh
        self._begun = True

    def put(
        self,
        lane: int,
        phase: int,
        observation: Any,
        reward: Any = 0.0,
        terminated: Any = False,
        truncated: Any = False,
        info: dict[str, Any] | None = None,
        agent: int = 0,
        flags: int = _FLAGS_ALONE,
    ) -> None:
        """One row. The observation is copied, so the environment may reuse it.

        Raises:
            LayoutMismatch: if a column cannot hold the value; the row is not written.
        """
        dense = self._dense
        if dense is None or phase == _FINAL:
            # Written later: what is not kept by value now may be overwritten by the environment.
            row = self._loose_row(observation, flags, exact=self._exact or phase == _FINAL)
            kept = _kept(info) if info else None
            try:
                self._number[0] = reward  # refuses what float() would parse, as a dense row does
            except TypeError as error:
                raise _bad_reward(reward) from error
            number = self._number[0]
            self._loose.append((lane, agent, phase, flags, row, number, terminated, truncated, kept))
            return
        if dense.write is None:
            self._values[lane] = copy.deepcopy(observation)
        elif not dense.write(lane, observation) and self._exact:
            self._values[lane] = copy.deepcopy(observation)
        try:
            dense.reward[lane] = reward
        except TypeError as error:
            raise _bad_reward(reward) from error
        if phase != _STEP:
            dense.phase[lane] = phase
        if terminated:
            dense.terminated[lane] = 1
        if truncated:
            dense.truncated[lane] = 1
        if info:
            self._infos.append((lane, dict(info)))  # an environment may have one dict for all its steps

    def put_batch(
        self,
        observation: Any,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        info: dict[str, Any] | None = None,
        phase: Any = Phase.STEP,
    ) -> None:
        """All lanes at once, as a native vector environment gives them; only in a dense answer.

        Raises:
            LayoutMismatch: if a column cannot hold the values.
        """
        dense = self._dense
        assert dense is not None, "put_batch answers requests about every lane"
        if self._layout is None:
            self._values[-1] = observation
        elif not write_batch(self._layout, dense.observation, observation) and self._exact:
            self._values[-1] = observation
        dense.mark_views[0] = phase
        if reward is None:
            dense.whole[dense.reward_offset :][: 8 * self._lanes] = bytes(8 * self._lanes)
        else:
            code = _REWARD_CODE.get(reward.dtype)
            if code is None or reward.shape != (self._lanes,):
                raise LayoutMismatch(
                    f"rewards have dtype {reward.dtype} and shape {reward.shape}; one number for each of "
                    f"{self._lanes} lanes was expected, in one of {', '.join(d.str for d in REWARD_DTYPES)}"
                )
            self._reward_code = code
            np.frombuffer(dense.buffer, reward.dtype, self._lanes, dense.reward_offset)[:] = reward
        if terminated is not None:
            dense.mark_views[2] = terminated
            dense.mark_views[3] = truncated
        self._batch_info = info or None

    def fail(self, lane: int, error: OpenEnvGymError, agent: int = 0, *, final: bool = False) -> None:
        """Say that a lane failed: its row holds no observation, and the reason travels beside it.

        Args:
            lane: that failed.
            error: why.
            agent: of the row.
            final: whether the lane begins anew in this answer; the row goes behind, as ``FINAL`` ones do.
        """
        self._fail(lane, failure_of(error), agent, final=final)

    def _fail(self, lane: int, failure: Failure, agent: int, *, final: bool) -> None:
        if self._dense is None or final:
            self._failures[len(self._loose) + (0 if self._dense is None else self._lanes)] = failure
            self._loose.append((lane, agent, Phase.FAILED, 0, None, 0.0, False, False, None))
        else:
            self._failures[lane] = failure
            self._dense.phase[lane] = Phase.FAILED
            self._dense.flags[lane] = 0

    def gathered(self) -> Gathered:
        """What was put since a :meth:`begin` that was not dense, and that this buffer will not answer."""
        return Gathered(self._loose, self._failures, self._aside and self._aside.copy())

    def add(self, lane: int, gathered: Gathered) -> None:
        """The rows that an exact buffer of one lane gathered, as those of a lane here."""
        for index, (_, agent, phase, flags, row, reward, *rest) in enumerate(gathered.loose):
            if phase == Phase.FAILED:
                final = index + 1 < len(gathered.loose)  # by a row of its next episode
                self._fail(lane, renumbered(gathered.failures[index], lane), agent, final=final)
                continue
            dense = None if phase == Phase.FINAL else self._dense
            if self._aside is not None:
                place, exact = row
                if dense is None:
                    place = self._aside.take(gathered.columns, place)
                else:
                    assign_rows(dense.observation, lane, gathered.columns, place)
                row = place, exact if self._exact or phase == Phase.FINAL else None
            if dense is None:
                self._loose.append((lane, agent, phase, flags, row, reward, *rest))
            else:
                self._add_dense(dense, lane, phase, row, reward, *rest)

    def _add_dense(
        self,
        dense: _Dense,
        lane: int,
        phase: int,
        row: Any,
        reward: float,
        terminated: Any,
        truncated: Any,
        info: Any,
    ) -> None:
        if self._aside is None:
            self._values[lane] = row
        elif row[1] is not None:
            self._values[lane] = row[1].value
        dense.reward[lane] = reward
        dense.phase[lane] = phase
        dense.terminated[lane], dense.truncated[lane] = bool(terminated), bool(truncated)
        if info:
            self._infos.append((lane, info))

    def flush(self) -> None:
        """Answer the rows so far at once, if whoever listens wants them early; else do nothing."""

    def _loose_row(self, observation: Any, flags: int, *, exact: bool) -> Any:
        """Where a row lies aside, and its exact value where it loses something; final ones are unbatched."""
        if not flags & Flag.OBSERVED:
            return None
        if self._aside is None:
            return copy.deepcopy(observation)
        place, held = self._aside.write(observation)
        return place, (None if held or not exact else _Exact(copy.deepcopy(observation)))

    def finish(self, seq: int, microseconds: int = 0, *, more: bool = False) -> Encoded:
        """The message; pass it to :meth:`release` once it need not be sent again."""
        assert self._begun
        self._begun = False
        dense, loose = self._dense, self._loose
        flags = MessageFlag.MORE if more else 0
        if self._layout is not None:
            flags |= MessageFlag.COLUMNS
        if dense is not None:
            flags |= MessageFlag.DENSE
        start = 0 if dense is None else self._lanes
        tail = self._tail(start) if loose else b""
        trailer = self._trailer()
        if trailer:
            flags |= MessageFlag.TRAILER
        count, behind = (len(loose), 0) if dense is None else (self._lanes, len(loose))
        if dense is None:
            buffer = bytearray(HEADER.size) + tail + trailer
            message = memoryview(buffer)
        else:
            dense = self._room(dense, len(tail) + len(trailer))
            middle = dense.end + len(tail)
            dense.whole[dense.end : middle] = tail
            dense.whole[middle : middle + len(trailer)] = trailer
            buffer = dense.buffer
            message = dense.whole[: middle + len(trailer)]
        HEADER.pack_into(
            buffer,
            0,
            Kind.ANSWER,
            flags,
            self._reward_code,
            0,
            count,
            behind,
            min(microseconds, 2**32 - 1),
            seq,
            0,
        )
        return Encoded(message, dense)

    def release(self, encoded: Encoded) -> None:
        """Take back the buffer of a finished message that need not be sent again."""
        if encoded.lent is not None and encoded.lent.capacity == self._capacity:
            self._free.append(encoded.lent)

    def _room(self, dense: _Dense, extra: int) -> _Dense:
        """The same rows in a buffer that has room for ``extra`` bytes behind them."""
        if len(dense.buffer) - dense.end >= extra:
            return dense
        self._capacity = max(self._capacity, 2 * extra)
        larger = _Dense(self._block, self._kinds, self._capacity)
        larger.buffer[: dense.end] = dense.buffer[: dense.end]
        return larger

    def _tail(self, start: int) -> bytearray:
        """The gathered rows as a block of their own; ``start`` is the row number of its first."""
        loose = self._loose
        block = block_of(self._layout, len(loose), dense=False)
        buffer = bytearray(block.nbytes)
        views = block.views(buffer, 0)
        assert views.lane is not None and views.agent is not None
        observed: list[tuple[int, int]] = []
        for index, (lane, agent, phase, flags, row, reward, terminated, truncated, info) in enumerate(loose):
            views.lane[index], views.agent[index] = lane, agent
            views.marks[:, index] = phase, flags, bool(terminated), bool(truncated)
            views.reward[index] = reward
            if row is not None and self._aside is None:
                self._values[start + index] = row
            elif row is not None:
                place, exact = row
                observed.append((index, place))
                if exact is not None:
                    self._values[start + index] = exact.value
            if info:
                self._infos.append((start + index, info))
        if observed and self._aside is not None:
            into, places = np.array(observed).T
            assign_rows(views.observation, into, self._aside.columns, places)
        return buffer

    def _trailer(self) -> bytes:
        if not (self._infos or self._values or self._failures or self._batch_info):
            return b""
        trailer: dict[str, Any] = {}
        if self._infos:
            if self._lanes == 1 and not self._loose:
                trailer["info"] = self._infos[0][1]
            else:
                # Lanes may answer in any order; the first lane decides a column's dtype.
                self._infos.sort(key=_row_of)
                trailer["infos"] = info_columns.to_wire(info_columns.from_dicts(self._infos))
        if self._batch_info:
            trailer["batch"] = self._batch_info
        if self._values:
            trailer["values"] = self._values
        if self._failures:
            trailer["failures"] = {
                row: [failure.code, failure.message, failure.fields, failure.cause]
                for row, failure in self._failures.items()
            }
        return values.encode(trailer)


def _kept(info: dict[str, Any]) -> dict[str, Any]:
    """A copy that the environment's next step does not reach, or as much of one as there can be."""
    try:
        return copy.deepcopy(info)
    except Exception:  # of whatever the environment's own objects do; they travel as text
        return dict(info)


def _row_of(entry: tuple[int, Any]) -> int:
    return entry[0]


class _Exact:
    """Tells an exact value that is ``None`` from no value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _bad_reward(reward: Any) -> LayoutMismatch:
    return LayoutMismatch(
        f"the reward is {reward!r:.80} ({type(reward).__name__}); a number was expected from the environment"
    )
