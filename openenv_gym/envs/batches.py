"""The lanes of a session a batch at a time: rows in the right turn, and what is read from them.

The faces of many lanes differ in how they show rows; how rows are asked for and read is the same.
"""

from __future__ import annotations

from typing import Any

from gymnasium.vector.utils import batch_space

from openenv_gym.envs.observations import BatchReader, RowReader
from openenv_gym.envs.remote import Lanes, Remote
from openenv_gym.errors import OutOfTurn, error_from_wire
from openenv_gym.spaces import layout_of, split
from openenv_gym.types import Failure, Rows

__all__ = ["Batches", "error_of"]


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

    @property
    def idle(self) -> Lanes:
        """The lanes, if no rows are to be taken.

        Raises:
            OutOfTurn: if a step was sent and what came of it not taken.
        """
        if self._pending:
            raise OutOfTurn("a step was sent; take what came of it with step_wait() first")
        return self.remote.lanes

    def reset(
        self, lanes: list[int] | None, seeds: int | list[int | None] | None, options: dict[str, Any] | None
    ) -> Rows:
        """Begin an episode in some lanes, or in all; raises what a lane's environment raises."""
        return self._sound(self.idle.reset(lanes, seeds, options))

    def send(self, actions: Any) -> None:
        """Send every lane its action, and wait for nothing.

        Raises:
            InvalidAction: if the actions do not fit; no lane was stepped.
            OutOfTurn: if what came of the last ones was not taken yet.
        """
        lanes = self.idle
        if self._actions is not None:
            actions = split(self._actions, actions, self.signature.lanes)
        lanes.send_step(None, actions)
        self._pending = True

    def receive(self) -> Rows:
        """The rows of the step that was sent; raises what a lane's environment raises.

        Raises:
            OutOfTurn: if none was sent.
        """
        if not self._pending:
            raise OutOfTurn("no step was sent; call step_async(actions) before step_wait()")
        self._pending = False
        return self._sound(self.remote.lanes.receive_rows())

    def _sound(self, rows: Rows) -> Rows:
        if rows.failures:
            row, failure = min(rows.failures.items())
            raise error_of(failure, int(rows.lane[row]), self.signature.lanes)
        return rows


def error_of(failure: Failure, lane: int, lanes: int) -> Exception:
    """The error that a failed row stands for; it names its lane where there are several."""
    error = error_from_wire(failure.code, failure.message, failure.fields, cause=failure.cause)
    if lanes > 1:
        error.fields["lane"] = lane
        error.add_note(f"in lane {lane} of {lanes}")
    return error
