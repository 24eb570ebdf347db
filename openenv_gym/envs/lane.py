"""One session of the JSON dialect as a lane: where its episode is, and autoreset on this side.

A stock server knows neither lanes nor autoreset, and what it does after the end of an episode is its own
affair: some take the end back, some begin anew by themselves, some repeat what they said. So this side keeps
the book. A step goes out only while there is an episode. What was over at its reset, for which Gymnasium has
no word, is shown as an episode of one step, which is not sent. And whatever is wrong with one lane is told in
its row, for the answers of others are on their way.

With ``on_failure="restart"`` a step that fails ends the lane's episode, and a lane whose reset fails, or
whose session is lost, is given another connection, which is another environment; see :mod:`.recovery` for
what a face makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple

from openenv_gym.client.early import EarlyClient
from openenv_gym.client.endings import SESSION_OVER
from openenv_gym.envs.promises import Promises
from openenv_gym.errors import OpenEnvGymError, ProtocolViolation, ResetNeeded, Side
from openenv_gym.hosting.gymnasium import RESETS
from openenv_gym.types import Autoreset, Phase
from openenv_gym.wire.codecs.json import FieldRows
from openenv_gym.wire.messages import Answer

__all__ = ["Failed", "FieldsLane", "LaneRow"]


class LaneRow(NamedTuple):
    """What came of a reset or a step, without its lane."""

    phase: Phase
    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Failed(NamedTuple):
    """An error in the place of a row."""

    error: OpenEnvGymError
    final: bool = False
    """Whether the reset that SameStep wants follows."""


class _Life(Enum):
    """Where a lane's episode is."""

    FRESH = auto()
    """There is none: no reset was answered."""
    RUNNING = auto()
    BEGUN_OVER = auto()
    """It was over at its reset, which is not told yet."""
    ENDED = auto()


class FieldsLane:
    """A lane that is a session of its own.

    Args:
        client: of the session, which speaks JSON; closed with this.
        number: what the lane is called.
        url: of the server, for people.
        autoreset: Gymnasium's mode.
        read: an answer -> observation and info.
        promises: what to hold its answers against.
        connect: begins another session, if the lane restarts when it fails.
        begun: the answer to a reset that was asked for before; it serves the first one that asks for no more.

    Attributes:
        client: of the session.
        number: what the lane is called.
        waits: whether something of the latest request is still to come.
    """

    def __init__(
        self,
        client: EarlyClient,
        number: int,
        url: str,
        autoreset: Autoreset,
        read: Callable[[FieldRows], tuple[Any, dict[str, Any]]],
        promises: Promises,
        connect: Callable[[], EarlyClient] | None = None,
        begun: FieldRows | None = None,
    ) -> None:
        self.client, self.number = client, number
        self._connect = connect
        self._begun_before = begun
        self._gone = self._begun = False
        self._tries = 0
        self._sent = self._received = 0
        self._url = url
        self.waits = False
        self._autoreset, self._read, self._promises = autoreset, read, promises
        self._life = _Life.FRESH
        self._phase = Phase.RESET
        self._seed: int | None = None
        self._options: dict[str, Any] | None = None
        self._named: str | None = None
        self._end: LaneRow | None = None
        self._rows: list[LaneRow | Failed] = []

    @property
    def steps(self) -> bool:
        """Whether there is an episode to step."""
        return self._life is _Life.RUNNING

    @property
    def is_due(self) -> bool:
        """Whether :meth:`take` has something to give, now or later."""
        return self.waits or bool(self._rows)

    @property
    def sent(self) -> int:
        """Characters of all messages that were sent."""
        return self._sent + self.client.sent

    @property
    def received(self) -> int:
        """Characters of all messages that came."""
        return self._received + self.client.received

    def there(self) -> EarlyClient:
        """The client of the session; of another if it is over.

        Raises:
            OpenEnvGymError: if it cannot be followed by another.
        """
        if self._gone and self._connect is not None:
            client = self._connect()
            past, self.client = self.client, client
            past.close()
            self._sent, self._received = self._sent + past.sent, self._received + past.received
            self._gone = False
        return self.client

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Ask for an episode."""
        self._tries = 0
        self._begin(seed, options)

    def _begin(self, seed: int | None, options: dict[str, Any] | None) -> None:
        self._life = _Life.FRESH
        self._seed, self._options = seed, options
        self._tries += 1
        try:
            self.there()
        except OpenEnvGymError as error:
            self._rows.append(Failed(error))
            return
        begun, self._begun_before = self._begun_before, None
        if begun is not None and seed is None and not options:
            self._phase = Phase.RESET
            self._take(begun)
            return
        self._named = self._promises.episode_to_name(seed)
        names = None if self._named is None else [self._named]
        self._send(Phase.RESET, lambda: self.client.send_reset(None, [seed], options, names))

    def step(self, fields: dict[str, Any] | None) -> None:
        """Send the fields of an action, if there is an episode; in NextStep mode begin one after its end."""
        if self._life is _Life.RUNNING:
            self._send(Phase.STEP, lambda: self.client.send_step(None, [fields]))
        elif self._life is _Life.BEGUN_OVER and self._end is not None:
            self._put(self._end)
        elif self._life is _Life.ENDED and self._autoreset == "NextStep":
            self.reset()
        else:
            why = "its episode has ended" if self._life is _Life.ENDED else "it was not reset yet"
            needed = f"lane {self.number} cannot step: {why}; call reset() first"
            self._rows.append(Failed(ResetNeeded(needed, lane=self.number)))

    def _send(self, phase: Phase, send: Callable[[], None]) -> None:
        self._phase = phase
        try:
            send()
        except OpenEnvGymError as error:
            self._fail(error)
        else:
            self.waits = True

    def receive(self, *, wait: bool) -> None:
        """Take the next answer; SameStep resets what has ended with it.

        Args:
            wait: for it; otherwise nothing happens if it is not there yet.
        """
        try:
            answer = self.client.receive_part(wait=wait)
            if answer is None:
                return
            self.waits = False
            if not isinstance(answer, Answer) or not isinstance(answer.rows, FieldRows):
                raise ProtocolViolation(f"rows were due, a {type(answer).__name__} came")
        except OpenEnvGymError as error:
            self.waits = False
            self._fail(error)
        else:
            self._take(answer.rows)

    def _take(self, rows: FieldRows) -> None:
        try:
            self._settle(rows)
        except OpenEnvGymError as error:
            self._fail(error)

    def _fail(self, error: OpenEnvGymError) -> None:
        """Put down an error; one that ends the session says which server's it was."""
        if isinstance(error, SESSION_OVER):
            error.add_note(f"from the server at {self._url}")
        if self._connect is None or error.side is Side.YOU:
            self._rows.append(Failed(error))
            return
        resets = self._phase is Phase.RESET
        self._gone = resets or isinstance(error, SESSION_OVER)
        if resets and self._tries < RESETS:
            self._begin(self._seed, self._options)
            return
        self._life = _Life.ENDED if self._begun else _Life.FRESH
        again = not resets and self._autoreset == "SameStep"
        self._rows.append(Failed(error, final=again))
        if again:
            self.reset()

    def _settle(self, rows: FieldRows) -> None:
        """Put down what an answer says."""
        begins = self._phase is Phase.RESET
        terminated, truncated = bool(rows.terminated[0]), bool(rows.truncated[0])
        ended = terminated or truncated
        self._life = _Life.ENDED if ended else _Life.RUNNING
        self._begun = True
        reward = float(rows.reward[0])
        if not rows.ours:
            self._promises.check(rows.body, self._phase)
            if math.isnan(reward):
                reward = self._promises.reward_of_nothing()
            if begins and self._seed is not None:
                self._check_seed(self._seed, rows.values[0])
        observation, info = self._read(rows)
        row = LaneRow(self._phase, observation, reward, terminated, truncated, info)
        if not (begins and ended):
            self._put(row)
            return
        self._promises.over_at_reset()
        self._life = _Life.BEGUN_OVER
        info = {**info, "done_at_reset": True}
        self._end = row._replace(phase=Phase.STEP, info=info)
        self._put(row._replace(reward=0.0, terminated=False, truncated=False, info=info))

    def _check_seed(self, seed: int, fields: dict[str, Any]) -> None:
        """Hold how an episode began against its seed; the first time, ask what the server took with it."""
        if self._named is not None:
            try:
                state = self.client.state()
            except SESSION_OVER:
                raise
            except OpenEnvGymError:  # it has none, or fails at it; nobody but us asked
                state = None
            self._promises.check_named(self._named, seed, state)
        if not self._options:  # which may begin another episode
            self._promises.check_begun(seed, fields)

    def _put(self, row: LaneRow) -> None:
        """Put down a row; SameStep resets what has ended with it."""
        again = row.phase is Phase.STEP and (row.terminated or row.truncated)
        if again:
            self._life = _Life.ENDED
        again = again and self._autoreset == "SameStep"
        self._rows.append(row._replace(phase=Phase.FINAL) if again else row)
        if again:
            self.reset()

    def close(self) -> None:
        """End the session; no other follows it."""
        self._connect = None
        self.client.close()

    def abandon(self) -> None:
        """Let go of the session."""
        self.client.abandon()

    def take(self) -> list[LaneRow | Failed]:
        """What came of the latest request, the end of an episode before what follows it."""
        rows, self._rows = self._rows, []
        return rows
