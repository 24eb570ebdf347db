"""The lanes of a session a batch at a time: rows in the right turn, and what is read from them.

The faces of many lanes differ in how they show rows; how rows are asked for and read is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from openenv_gym.envs import masks
from openenv_gym.envs.lanes import Lanes
from openenv_gym.envs.observations import BatchReader, RowReader
from openenv_gym.envs.remote import Remote
from openenv_gym.errors import OutOfTurn, error_from_wire
from openenv_gym.spaces import layout_of, split
from openenv_gym.types import Failure, Rows

__all__ = ["Batches", "error_of", "outcomes"]


class Batches:
    """Rows of all lanes, asked for and taken in turn.

    Args:
        remote: the session.

    Attributes:
        read: the observations of all lanes, batched, out of an answer.
        read_row: one row's, out of an answer.
    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.signature = signature = remote.signature
        rows = RowReader(signature)
        self.read_row = rows.read
        self.read = BatchReader(signature, rows).read
        space = signature.action_spaces[0]
        self._actions = None if layout_of(space) is not None else batch_space(space, signature.lanes)
        self._pending = False
        self._newest: list[Rows] = []

    @property
    def idle(self) -> Lanes:
        """The lanes, if no rows are to be taken.

        Raises:
            OutOfTurn: if a step was sent and what came of it not taken.
        """
        self._check_idle()
        return self.remote.lanes

    def _check_idle(self) -> None:
        if self._pending:
            raise OutOfTurn("a step was sent; take what came of it with step_wait() first")

    def reset(
        self, lanes: list[int] | None, seeds: int | list[int | None] | None, options: dict[str, Any] | None
    ) -> Rows:
        """Begin an episode in some lanes, or in all; raises what a lane's environment raises."""
        self._check_idle()
        rows = self.remote.reset(lanes, seeds, options)
        # Of lanes that were not reset, what came before is the newest still.
        partly = lanes is not None or (options is not None and "reset_mask" in options)
        self._newest = [*self._newest, rows] if partly else [rows]
        return self._sound(rows)

    def send(self, actions: Any) -> None:
        """Send every lane its action, and wait for nothing.

        Raises:
            InvalidAction: if the actions do not fit; no lane was stepped.
            OutOfTurn: if what came of the last ones was not taken yet.
        """
        self._check_idle()
        if self._actions is not None:
            actions = split(self._actions, actions, self.signature.lanes)
        self.remote.send_step(actions)
        self._pending = True

    def receive(self) -> Rows:
        """The rows of the step that was sent; raises what a lane's environment raises.

        Raises:
            OutOfTurn: if none was sent.
        """
        if not self._pending:
            raise OutOfTurn("no step was sent; call step_async(actions) before step_wait()")
        self._pending = False
        rows = self.remote.receive_rows()
        self._newest = [rows]
        return self._sound(rows)

    def call(self, name: str, args: tuple[Any, ...], lane: int | None) -> Any:
        """What a method or attribute says, if the server's operator offers it; of each lane for ``None``."""
        self._check_idle()
        return self.remote.call(name, args, lane)

    @property
    def action_masks(self) -> Callable[[], NDArray[np.bool_]]:
        """Gives which actions are legal in each lane: bool, (lanes, n).

        Raises:
            CallRefused: if the environment is not known to have masks.
        """
        signature = self.signature
        if not (signature.masks or masks.CALL in signature.calls or self._newest_masks()):
            masks.missing(signature, begun=self.remote.stats.resets > 0)
        return self._action_masks

    def _action_masks(self) -> NDArray[np.bool_]:
        signature, found = self.signature, self._newest_masks()
        if len(found) == signature.lanes:
            return np.stack([found[lane] for lane in range(signature.lanes)])
        if masks.CALL in signature.calls:
            return np.stack([masks.flat(each) for each in self.call(masks.CALL, (), None)])
        masks.missing(signature, begun=self.remote.stats.resets > 0)

    def _newest_masks(self) -> dict[int, NDArray[np.bool_]]:
        return masks.masks_of(self._newest, self.signature.lanes)

    def _sound(self, rows: Rows) -> Rows:
        if rows.failures:
            row, failure = min(rows.failures.items())
            raise error_of(failure, int(rows.lane[row]), self.signature.lanes)
        return rows


def outcomes(rows: Rows, count: int) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Reward, terminated, truncated of each lane; of one that has begun anew, those of its last row."""
    reward, terminated, truncated = (
        rows.reward[:count].copy(),
        rows.terminated[:count].copy(),
        rows.truncated[:count].copy(),
    )
    if len(rows) > count:
        lane = rows.lane[count:]
        reward[lane] = rows.reward[count:]
        terminated[lane] = rows.terminated[count:]
        truncated[lane] = rows.truncated[count:]
    return reward, terminated, truncated


def error_of(failure: Failure, lane: int, lanes: int) -> Exception:
    """The error that a failed row stands for; it names its lane where there are several."""
    error = error_from_wire(failure.code, failure.message, failure.fields, cause=failure.cause)
    if lanes > 1:
        error.fields["lane"] = lane
        error.add_note(f"in lane {lane} of {lanes}")
    if failure.fields.get("during") == "step" and "given_up" not in failure.fields:
        error.add_note("on_failure='restart' ends the episode there instead, truncated, and goes on")
    return error
