"""Lanes that go on when their environment, or their whole session, is gone; see :mod:`.recovery`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from openenv_gym.client.endings import SESSION_OVER
from openenv_gym.envs.connecting import successor
from openenv_gym.envs.lanes import Lanes
from openenv_gym.envs.recovery import FAILURES_IN_A_ROW, Recovery, is_loss
from openenv_gym.errors import Closed, OpenEnvGymError
from openenv_gym.types import Rows, Slots

__all__ = ["Restarting"]

T = TypeVar("T")


class Restarting:
    """The lanes of one session after the other.

    A session that is lost is followed by another, over a new connection, in the call that finds out. All
    lanes of the lost one have ended their episodes then; those that were just being reset are reset in the
    new one.

    Args:
        url: of the server, for people.
        connect: begins a session.
        first: what its first lane is called among all.
    """

    def __init__(self, url: str, connect: Callable[[], Lanes], first: int = 0) -> None:
        self._url, self._connect = url, connect
        self._lanes = connect()
        self.signature = self._lanes.signature
        self._every = list(range(self.signature.lanes))
        self._recovery = Recovery(self.signature, first)
        self._over = self._closed = False
        self._cause: OpenEnvGymError | None = None
        self._begun: Rows | None = None
        self._asked: tuple[Any, Any, Any] | None = None
        self._microseconds: int | None = 0
        self._sent = self._received = 0

    @property
    def microseconds(self) -> int | None:
        """What the environments took so far, in all sessions."""
        now = self._lanes.microseconds
        return None if now is None or self._microseconds is None else self._microseconds + now

    @property
    def sent(self) -> int:
        """Bytes of all messages that were sent."""
        return self._sent + self._lanes.sent

    @property
    def received(self) -> int:
        """Bytes of all messages that came."""
        return self._received + self._lanes.received

    def reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all."""
        self.send_reset(lanes, seeds, options)
        return self.receive_rows()

    def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Ask for it, and wait for nothing."""
        self._asked = lanes, seeds, options
        self._attempt(lambda there: there.send_reset(lanes, seeds, options))

    def send_step(self, slots: Slots | None, actions: Any) -> None:
        """Send a batch of actions for all lanes, and wait for nothing.

        Raises:
            InvalidAction: if the actions do not fit; no lane was stepped.
        """
        self._asked = None
        if self._cause is None and self._begun is None:
            self._attempt(lambda there: there.send_step(slots, actions))

    def receive_rows(self) -> Rows:
        """The rows of what was sent.

        Raises:
            OpenEnvGymError: if a lost session cannot be followed by another.
        """
        asked, self._asked = self._asked, None
        return self._stepped(lambda there: there.receive_rows()) if asked is None else self._was_reset(*asked)

    def step_one(self, action: Any) -> Rows:
        """The action of the only lane."""
        return self._stepped(lambda there: there.step_one(action))

    def _stepped(self, take: Callable[[Lanes], Rows]) -> Rows:
        if self._begun is not None:
            rows, self._begun = self._begun, None
            return rows
        if self._cause is None:
            taken = self._attempt(take)
            if taken is not None:
                return self._recovery.stepped(taken)
        assert self._cause is not None
        return self._told(self._cause)

    def _told(self, cause: OpenEnvGymError) -> Rows:
        """The ends of all episodes of a session that was lost."""
        mode = self.signature.autoreset
        # The next episodes of all lanes are there at once, if only for the next step.
        begun = None if mode == "Disabled" else self._anew(lambda there: there.reset())
        self._there()
        lost = self._recovery.lost(self._every, cause)
        self._cause = None
        if begun is not None:
            self._recovery.reset(begun)
        if begun is not None and mode == "SameStep":
            return self._recovery.together([(begun, False), (lost, True)], dense=True)
        self._begun = begun
        return self._recovery.together([(lost, False)], dense=True)

    def _was_reset(self, lanes: list[int] | None, seeds: Any, options: Any) -> Rows:
        rows = None if self._over else self._attempt(lambda there: there.receive_rows())
        if rows is None:
            # Of lanes that are not reset now, the next step tells; the others' new episodes end with it.
            rows = self._anew(lambda there: there.reset(lanes, seeds, options))
        if lanes is None:
            self._cause = self._begun = None
        elif self._begun is not None:
            newer = {int(lane): row for row, lane in enumerate(rows.lane)}
            each = [(rows, newer[lane]) if lane in newer else (self._begun, lane) for lane in self._every]
            self._begun = self._recovery.picked(each)
        return self._recovery.reset(rows)

    def _there(self) -> Lanes:
        """The session; another if it is over."""
        if not self._over:
            return self._lanes
        lanes = successor(self._url, self._connect, self.signature, self._cause, self._check_open)
        past, self._lanes = self._lanes, lanes
        self._sent, self._received = self._sent + past.sent, self._received + past.received
        if self._microseconds is not None:
            self._microseconds += past.microseconds or 0
        self._over = False
        return lanes

    def _anew(self, begin: Callable[[Lanes], Rows]) -> Rows:
        """The first rows of another session, or of the one after it."""
        for _ in range(FAILURES_IN_A_ROW - 1):
            rows = self._attempt(begin)
            if rows is not None:
                return rows
        return self._ask(begin)

    def _attempt(self, work: Callable[[Lanes], T]) -> T | None:
        """What comes of some work; nothing if the session is lost meanwhile."""
        try:
            return self._ask(work)
        except OpenEnvGymError as error:
            if not is_loss(error):
                raise
            return None

    def _ask(self, work: Callable[[Lanes], T]) -> T:
        """What comes of some work; the next step tells if the session is over then."""
        there = self._there()
        try:
            return work(there)
        except SESSION_OVER as error:
            assert isinstance(error, OpenEnvGymError)
            self._over, self._cause = True, error
            there.close()
            raise

    def state(self, lane: int = 0, agent: int = 0) -> dict[str, Any]:
        """What OpenEnv calls state."""
        return self._ask(lambda there: there.state(lane, agent))

    def render(self, lane: int | None = 0) -> Any:
        """A frame of one lane, or of all."""
        return self._ask(lambda there: there.render(lane))

    def call(self, name: str, *args: Any, lane: int | None = 0) -> Any:
        """A method or attribute that the operator offers."""
        return self._ask(lambda there: there.call(name, *args, lane=lane))

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this environment was closed; make a new one")

    def close(self) -> None:
        """End the session; no other follows it."""
        self._closed = True
        self._lanes.close()

    def abandon(self) -> None:
        """Let go of the session."""
        self._lanes.abandon()
