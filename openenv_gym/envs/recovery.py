"""Lanes whose environment failed, as lanes whose episode was cut off: what ``on_failure="restart"`` means.

A lane fails when its environment raises in a step, when its process ends, or when its session is lost: its
worker died, or the connection is gone for good. Its transition is then

* the last observation that the lane showed,
* reward 0.0, ``terminated`` false, ``truncated`` true,
* ``info["failure"]``, the cause: its ``code`` and ``side``, as of :mod:`openenv_gym.errors`, and a
  ``message``; no other info.

What follows is what follows the end of any episode in the autoreset mode. An environment whose reset raises,
too, is built anew, and an episode that begins by itself in a new environment, or a new session, has no
seed: what it draws is not what it would have drawn. Lanes that did not fail keep what they did.

Errors are raised as ever where nothing could go on: what the caller did wrong (side ``you``); a reset that
fails in three environments, one after the other; the third failure of a lane in a row without one step that
succeeded; a server that stays away. A log tells of each cause once a lane.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from openenv_gym.envs.gathering import Share, gathered
from openenv_gym.errors import (
    ConnectionLost,
    DeadlineExceeded,
    EnvironmentDied,
    OpenEnvGymError,
    ServerClosed,
    Side,
    UnknownSession,
    error_from_wire,
)
from openenv_gym.spaces import assign_rows, layout_of, read_batch
from openenv_gym.types import Failure, Flag, Phase, Rows, Signature
from openenv_gym.wire.answers import failure_of
from openenv_gym.wire.infos import NO_INFOS, from_dicts

__all__ = ["FAILURES_IN_A_ROW", "Recovery", "is_loss", "named_lanes"]

FAILURES_IN_A_ROW = 3
"""So many failures of a lane without one good step in between, and the last of them is raised."""

_KEY = "failure"
_NAMED = 8
"""So many lanes are named in a line of the log."""
_ALONE = int(Flag.TO_MOVE | Flag.OBSERVED)
_log = logging.getLogger("openenv_gym.client")


def is_loss(error: OpenEnvGymError) -> bool:
    """Whether a session has ended, and another may do better.

    A server that keeps silent for longer than the caller's own ``timeout`` has not ended anything.
    """
    if isinstance(error, DeadlineExceeded):
        return "session_id" in error.fields  # so the server says it: the environment hung
    return isinstance(error, (EnvironmentDied, ServerClosed, ConnectionLost, UnknownSession))


class Recovery:
    """Knows what the lanes of a session last showed, and makes ends of episodes of their failures.

    Args:
        signature: of the session.
        first: what its first lane is called among all, for the log.
    """

    def __init__(self, signature: Signature, first: int = 0) -> None:
        self._env_id, self._first = signature.env_id, first
        self._layout = layout_of(signature.observation_spaces[0])
        self._same_step = signature.autoreset == "SameStep"
        self._alone = signature.lanes == 1
        self._whole: Rows | None = None
        self._parts: dict[int, tuple[Rows, int]] = {}
        self._streaks: dict[int, int] = {}
        self._told: set[tuple[int, str, str]] = set()

    def reset(self, rows: Rows) -> Rows:
        """The rows of a reset, as they are: what failed in one is for the caller."""
        self._keep(rows)
        return rows

    def stepped(self, rows: Rows) -> Rows:
        """The rows of a step, in which lanes that failed have ended their episodes.

        Rows that stay ``FAILED`` are for the caller.
        """
        if self._streaks:
            good = (rows.phase == Phase.STEP) | (rows.phase == Phase.FINAL)
            for lane in rows.lane[good].tolist():
                self._streaks.pop(lane, None)
        if rows.failures:
            rows = self._ended(rows, self._survived(rows))
        self._keep(rows)
        return rows

    def lost(self, lanes: Sequence[int], cause: OpenEnvGymError) -> Rows:
        """The last rows of some lanes whose session is gone, in that order.

        A lane stays ``FAILED`` if that comes too often, or before its first reset.
        """
        failure, count = failure_of(cause), len(lanes)
        columns = None if self._layout is None else self._layout.allocate(count)[1]
        failed = Rows(
            lane=np.array(lanes, np.int32),
            agent=np.zeros(count, np.int16),
            phase=np.full(count, Phase.FAILED, np.uint8),
            flags=np.zeros(count, np.uint8),
            reward=np.zeros(count),
            terminated=np.zeros(count, np.bool_),
            truncated=np.zeros(count, np.bool_),
            observation=columns,
            tail_observation=None,
            values={},
            infos=NO_INFOS,
            batch_info=None,
            failures=dict.fromkeys(range(count), failure),
            dense=0,
        )
        return self._ended(failed, self._counted(failed, failed.failures))

    def together(self, parts: Iterable[tuple[Rows, bool]], *, dense: bool) -> Rows:
        """Several answers' rows, those that are final last; all of the observations in memory of their own.

        Args:
            parts: rows that have no tail, and whether they are final.
            dense: whether those that are not final are of all lanes in order.
        """
        shares = [Share(rows, slice(0, len(rows)), rows.lane, tail=final) for rows, final in parts]
        return gathered(self._layout, shares, dense=dense)

    def chosen(self, rows: Rows, which: NDArray[np.bool_]) -> Rows:
        """Some rows of an answer without a tail."""
        index = np.flatnonzero(which)
        return gathered(self._layout, [Share(rows, index, rows.lane[index])], dense=False)

    def picked(self, each: Iterable[tuple[Rows, int]]) -> Rows:
        """A row of each lane, in order, out of answers without a tail."""
        shares = [
            Share(rows, np.array([row]), np.array([lane], np.int32)) for lane, (rows, row) in enumerate(each)
        ]
        return gathered(self._layout, shares, dense=True)

    def _keep(self, rows: Rows) -> None:
        if rows.dense and not rows.failures:
            self._parts.clear()
            self._whole = _own(rows) if self._alone else rows
            return
        for row in np.flatnonzero((rows.phase != Phase.FINAL) & (rows.phase != Phase.FAILED)).tolist():
            self._parts[int(rows.lane[row])] = rows, row

    def _latest(self, lane: int) -> tuple[Rows, int] | None:
        if lane in self._parts or self._whole is None:
            return self._parts.get(lane)
        return self._whole, lane

    def _survived(self, rows: Rows) -> Mapping[int, Failure]:
        """The failures after which lanes go on: neither the caller's own, nor those of a reset."""
        begun = set(rows.lane[rows.phase == Phase.RESET].tolist())

        def of_a_step(row: int, failure: Failure) -> bool:
            lane = int(rows.lane[row])
            reset = lane not in begun if self._same_step else self._has_ended(lane)
            return not reset and _side(failure) is not Side.YOU

        return self._counted(rows, {row: each for row, each in rows.failures.items() if of_a_step(row, each)})

    def _has_ended(self, lane: int) -> bool:
        """Whether what a lane last showed is the end of its episode."""
        latest = self._latest(lane)
        if latest is None:
            return False
        rows, row = latest
        return bool(rows.terminated[row] or rows.truncated[row])

    def _counted(self, rows: Rows, failures: Mapping[int, Failure]) -> Mapping[int, Failure]:
        """Those of some failures that do not come too often; of the others it is said that they do."""
        found = {row: each for row, each in failures.items() if self._survives(int(rows.lane[row]))}
        self._tell({int(rows.lane[row]): each for row, each in found.items()})
        given_up = {row: _last(each) for row, each in failures.items() if row not in found}
        rows.failures = {**rows.failures, **given_up}
        return found

    def _survives(self, lane: int) -> bool:
        """Count a failure of a lane; whether the lane goes on."""
        if self._latest(lane) is None:
            return False
        streak = self._streaks[lane] = self._streaks.get(lane, 0) + 1
        if streak >= FAILURES_IN_A_ROW:
            del self._streaks[lane]
            return False
        return True

    def _tell(self, failures: Mapping[int, Failure]) -> None:
        """Log what was not told of a lane before; lanes of one cause share a line."""
        causes: dict[str, list[int]] = {}
        for lane, failure in failures.items():
            told = (lane, failure.code, str(failure.fields.get("exception")))
            if told not in self._told:
                self._told.add(told)
                causes.setdefault(failure.message, []).append(self._first + lane)
        for message, lanes in causes.items():
            # A warning, so that it is seen in a program that has not set up logging.
            _log.warning(
                "%s of %s failed, which ends %s (on_failure='restart'): %s",
                named_lanes(lanes),
                self._env_id,
                "its episode" if len(lanes) == 1 else "their episodes",
                message,
            )

    def _ended(self, rows: Rows, failures: Mapping[int, Failure]) -> Rows:
        """The same rows, in memory of their own, where failures are ends of episodes."""
        front, count = rows.dense or len(rows), len(rows)
        shares = [Share(rows, slice(0, front), rows.lane[:front])]
        if front < count:
            shares.append(Share(rows, np.arange(front, count), rows.lane[front:], tail=True))
        own = gathered(self._layout, shares, dense=rows.dense > 0)
        own.again = None  # what it was gathered of knows nothing of what follows
        values, infos = dict(own.values), own.infos.dicts()
        for row, failure in failures.items():
            lane = int(rows.lane[row])
            latest = self._latest(lane)
            assert latest is not None
            values.pop(row, None)
            source, index = latest
            if index in source.values:
                values[row] = source.values[index]
            if self._layout is not None:
                columns, place = (
                    (own.observation, row) if row < front else (own.tail_observation, row - front)
                )
                assign_rows(columns, place, source.observation, index)
            infos[row] = {
                _KEY: {"code": failure.code, "side": str(_side(failure)), "message": failure.message}
            }
            own.phase[row] = Phase.FINAL if self._same_step else Phase.STEP
            own.flags[row], own.reward[row] = _ALONE, 0.0
            own.terminated[row], own.truncated[row] = False, True
        own.values, own.infos = values, from_dicts(sorted(infos.items()))
        own.failures = {row: failure for row, failure in own.failures.items() if row not in failures}
        return own


def named_lanes(lanes: Sequence[int]) -> str:
    """Lanes in words, ``lanes 0 to 7``; in a line that many of them would fill, only the first few."""
    if len(lanes) == 1:
        return f"lane {lanes[0]}"
    lanes = sorted(lanes)
    if lanes[-1] - lanes[0] == len(lanes) - 1:
        return f"lanes {lanes[0]} to {lanes[-1]}"
    more = f" and {len(lanes) - _NAMED} more" if len(lanes) > _NAMED else ""
    return f"lanes {', '.join(map(str, lanes[:_NAMED]))}{more}"


def _own(rows: Rows) -> Rows:
    """The observation of an only row, of which the caller is given the memory."""
    columns = None if rows.observation is None else read_batch(rows.observation)
    return structs.replace(rows, observation=columns, values=copy.deepcopy(dict(rows.values)))


def _side(failure: Failure) -> Side:
    return error_from_wire(failure.code, failure.message).side


def _last(failure: Failure) -> Failure:
    said = (
        f"{failure.message}. That was {FAILURES_IN_A_ROW} times in a row without one good step; "
        "on_failure='restart' gives up; reset to go on"
    )
    return replace(failure, message=said, fields={**failure.fields, "given_up": True})
