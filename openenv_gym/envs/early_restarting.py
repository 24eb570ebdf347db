"""The lanes of a pool that go on when their environment, or their session, is gone; see :mod:`.recovery`.

The lanes of a session that is lost are of three kinds. Of those that were being stepped a row is due, and it
says that their episode has ended. Those that were being reset are reset in the next session. Of all others
nothing is due: the next step of each is not sent, and told of the end instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openenv_gym.client.early import EarlyClient
from openenv_gym.client.endings import SESSION_OVER
from openenv_gym.envs.connecting import lanes_at, successor
from openenv_gym.envs.early import Early, EarlyFields, EarlyLanes
from openenv_gym.envs.fields import FieldsLanes
from openenv_gym.envs.gathering import taken
from openenv_gym.envs.known import Spaces
from openenv_gym.envs.options import Options
from openenv_gym.envs.recovery import Recovery, is_loss
from openenv_gym.errors import Closed, OpenEnvGymError, ProtocolViolation
from openenv_gym.types import Rows
from openenv_gym.wire.messages import Answer, Hello

__all__ = ["early_lanes"]


class _Lane(IntEnum):
    """What has become of a lane's episode when its session was lost."""

    GOES_ON = 0
    UNTOLD = 1
    """It has ended, and the next step is told."""
    ENDED = 2
    """That was told; in this session the lane was not reset yet."""


class _Reset(NamedTuple):
    """A reset that was asked for."""

    lanes: Sequence[int]
    seeds: list[int | None] | None
    options: dict[str, Any] | None


def early_lanes(url: str, hello: Hello, first: int, spaces: Spaces, options: Options) -> Early:
    """The lanes of a server.

    Args:
        url: of the server.
        hello: the session to ask for.
        first: what its first lane is called among all.
        spaces: what the caller knows of the server.
        options: what the caller asks of it.
    """
    connect = partial(lanes_at, url, hello, spaces, options)
    there = connect()
    restarts = options.on_failure == "restart"
    if isinstance(there, FieldsLanes):
        return EarlyFields(url, there, first, Recovery(there.signature, first) if restarts else None)
    if restarts:
        return EarlyRestarting(url, there, first, partial(_native, url, connect))
    return EarlyLanes(url, there, first)


class EarlyRestarting(EarlyLanes):
    """The lanes of one session after the other, on one server.

    Args:
        url: of the server.
        client: of the first session.
        first: what its first lane is called among all.
        connect: begins another session.
    """

    def __init__(self, url: str, client: EarlyClient, first: int, connect: Callable[[], EarlyClient]) -> None:
        self._closed = False
        super().__init__(url, client, first)
        self._connect = connect
        self._recovery = Recovery(self.signature, first)
        self._kinds = np.zeros(len(self.lanes), np.uint8)
        self._resets: dict[int, _Reset] = {}
        self._finals: dict[int, Rows] = {}
        self._here: deque[Rows] = deque()
        self._asking: int | None = None
        self._cause: OpenEnvGymError | None = None
        self._over = False

    @property
    def is_busy(self) -> bool:
        """Whether rows are to come."""
        return bool(self._here) or super().is_busy

    def send_step(self, lanes: NDArray[np.int32], actions: Any) -> None:
        """Step some lanes, which are not busy, each with its action."""
        self._there()
        kinds = self._kinds[lanes - self.lanes.start]
        if kinds.any():
            untold, ended = kinds == _Lane.UNTOLD, kinds == _Lane.ENDED
            if self.signature.autoreset != "NextStep":
                ended[:] = False  # the server says what these need
            self._tell(lanes[untold].tolist())
            self.send_reset(lanes[ended].tolist(), None, None)
            steps = np.flatnonzero(~(untold | ended))
            lanes, actions = lanes[steps], _some(actions, steps)
        if len(lanes):
            try:
                super().send_step(lanes, actions)
            except SESSION_OVER as error:
                self._survive(error)
                self._tell(lanes.tolist())

    def send_reset(
        self, lanes: Sequence[int], seeds: list[int | None] | None, options: dict[str, Any] | None
    ) -> None:
        """Reset some lanes, which are not busy, each with its seed."""
        if not lanes:
            return
        self._there()
        try:
            super().send_reset(lanes, seeds, options)
        except SESSION_OVER as error:
            self._survive(error)
            super().send_reset(lanes, seeds, options)
        self._resets[self._client.protocol.newest] = _Reset(lanes, seeds, options)
        self._kinds[np.array(lanes) - self.lanes.start] = _Lane.GOES_ON

    def ask_state(self, lane: int) -> None:
        """Ask for a lane's state, which comes as :attr:`value`."""
        self._there()
        self._asking = lane
        try:
            super().ask_state(lane)
        except SESSION_OVER as error:
            self._survive(error)

    def receive(self, *, wait: bool) -> Rows | None:
        """Rows that have come; ``None`` if there are none yet, or a value has come that was waited for."""
        if not self._here:
            try:
                return super().receive(wait=wait)
            except SESSION_OVER as error:
                self._survive(error)
        return self._here.popleft() if self._here else None

    def _fresh(self, answer: Answer) -> Rows | None:
        """The rows of an answer, in which lanes that failed have ended their episodes."""
        reset = answer.seq in self._resets
        if not answer.more:
            self._resets.pop(answer.seq, None)
        rows = super()._fresh(answer)
        if rows is None:
            return None
        if not reset:
            return self._recovery.stepped(rows)
        self._recovery.reset(rows)
        finals = [self._finals.pop(lane) for lane in rows.lane.tolist() if lane in self._finals]
        return self._recovery.together([(each, False) for each in (rows, *finals)], dense=False)

    def _tell(self, lanes: Sequence[int]) -> None:
        """Have the rows of some lanes here that say that their episodes have ended."""
        for lane in lanes:
            assert self._cause is not None, "a session was lost"
            local = lane - self.lanes.start
            self._kinds[local] = _Lane.ENDED
            rows = self._recovery.lost([local], self._cause)
            if self.signature.autoreset == "SameStep" and not rows.failures:
                self._finals[local] = rows
                self.send_reset([lane], None, None)
            else:
                self._here.append(rows)

    def _survive(self, error: BaseException) -> None:
        """Go on with another session, if this one was lost."""
        assert isinstance(error, OpenEnvGymError)
        self._over, self._cause = True, error
        self._kinds[self._kinds == _Lane.GOES_ON] = _Lane.UNTOLD
        if not is_loss(error):
            raise error
        self._there()

    def _there(self) -> None:
        """Begin another session, if this one is over, and ask in it for what is due."""
        if not self._over:
            return
        client = successor(self._url, self._connect, self.signature, self._cause, self._check_open)
        self._client.close()
        self._client, self._over = client, False
        due, self._under_way = self._under_way, {}
        resets, self._resets = self._resets, {}
        for seq, lanes in due.items():
            if seq not in resets:
                self._tell(sorted(lanes))
                continue
            named, seeds, options = resets[seq]
            places = [place for place, lane in enumerate(named) if lane in lanes]
            own = None if seeds is None else [seeds[place] for place in places]
            self.send_reset([named[place] for place in places], own, options)
        if self._asking is not None and self.value is None:
            super().ask_state(self._asking)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this pool was closed; make a new one")

    def close(self) -> None:
        """End the session; no other follows it."""
        self._closed = True
        super().close()


def _native(url: str, connect: Callable[[], EarlyClient | FieldsLanes]) -> EarlyClient:
    """Another session of a server that spoke the native dialect before."""
    there = connect()
    if isinstance(there, FieldsLanes):
        there.close()
        raise ProtocolViolation(f"who answers now at {url} does not speak the native dialect")
    return there


def _some(actions: Any, places: NDArray[np.intp]) -> Any:
    """Those of some places, out of actions that are columns or a list of values."""
    if isinstance(actions, list):
        return [actions[place] for place in places.tolist()]
    return taken(actions, places)
