"""The lanes of one server whose rows are taken as they come, and waiting on several such servers.

Two kinds answer the same questions: a session that sends its rows as lanes finish, and as many sessions of
the JSON dialect as there are lanes.
"""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openenv_gym.client.early import EarlyClient
from openenv_gym.envs.fields import FieldsLanes, Selector
from openenv_gym.envs.recovery import Recovery
from openenv_gym.envs.spread import naming
from openenv_gym.errors import InvalidArgument, ProtocolViolation
from openenv_gym.types import Rows, Signature, Slots
from openenv_gym.wire.messages import Answer, Value

__all__ = ["Early", "EarlyFields", "EarlyLanes", "wait_for"]


def _local(lanes: NDArray[np.int32], block: range) -> Slots | None:
    """What some lanes are called in their session; ``None`` for all of them in order."""
    local = lanes - block.start
    if len(local) == len(block) and bool((local == np.arange(len(local))).all()):
        return None
    return Slots(local.astype(np.int32), np.zeros(len(local), np.int16))


class EarlyLanes:
    """A session of one server that speaks the native dialect.

    Args:
        url: of the server.
        client: of the session; closed with this.
        first: what its first lane is called among all.

    Attributes:
        lanes: what its lanes are called among all.
        signature: what the server said of the environment.
        value: the answer to the latest question, once it is here.
    """

    def __init__(self, url: str, client: EarlyClient, first: int) -> None:
        self._url, self._client = url, client
        self.lanes = range(first, first + client.signature.lanes)
        self._under_way: dict[int, set[int]] = {}
        self._question = 0
        self.value: Value | None = None
        try:
            self.signature = self._checked()
        except BaseException:  # Ctrl-C, too: nobody else could close it
            self.close()
            raise

    def _checked(self) -> Signature:
        signature = self._client.signature
        if signature.vector or len(signature.agents) > 1:
            kind = "a native vector environment" if signature.vector else "a game of several agents"
            raise InvalidArgument(
                f"the server at {self._url} runs {kind}, which has no lanes to step one by one; a pool needs "
                "Gymnasium environments, served with vectorization='lanes'"
            )
        return signature

    @property
    def is_busy(self) -> bool:
        """Whether rows are to come."""
        return bool(self._under_way)

    def send_step(self, lanes: NDArray[np.int32], actions: Any) -> None:
        """Step some lanes, which are not busy, each with its action."""
        with naming(self._url):
            self._client.send_step(_local(lanes, self.lanes), actions)
        self._sent(lanes)

    def send_reset(
        self, lanes: Sequence[int], seeds: list[int | None] | None, options: dict[str, Any] | None
    ) -> None:
        """Reset some lanes, which are not busy, each with its seed."""
        local = [lane - self.lanes.start for lane in lanes]
        with naming(self._url):
            self._client.send_reset(local, seeds, options)
        self._sent(lanes)

    def _sent(self, lanes: Iterable[Any]) -> None:
        self._under_way[self._client.protocol.newest] = set(map(int, lanes))

    def ask_state(self, lane: int) -> None:
        """Ask for a lane's state, which comes as :attr:`value`."""
        self.value = None
        with naming(self._url):
            self._client.ask_state(lane - self.lanes.start)
        self._question = self._client.protocol.newest

    def receive(self, *, wait: bool) -> Rows | None:
        """Rows that have come; ``None`` if there are none yet, or a value has come that was waited for.

        Raises:
            OpenEnvGymError: what the server said, or what befell it; :meth:`given_up` then tells of which
                lanes no rows will come.
        """
        while True:
            with naming(self._url):
                answer = self._client.receive_part(wait=wait)
            if isinstance(answer, Answer):
                rows = self._fresh(answer)
                if rows is not None:
                    return rows
            elif isinstance(answer, Value):
                if answer.seq != self._question:
                    continue  # whoever asked for it was told of an error meanwhile
                self.value = answer
                if wait:
                    return None
            else:
                return None

    def _fresh(self, answer: Answer) -> Rows | None:
        """The rows of an answer, unless it is a part that came already, before the connection was lost."""
        under_way = self._under_way[answer.seq]
        lanes = set((answer.rows.lane + self.lanes.start).tolist())
        fresh = lanes <= under_way
        under_way -= lanes
        if not answer.more:
            if under_way:  # of which nothing would ever come
                missing = ", ".join(map(str, sorted(under_way)))
                raise ProtocolViolation(
                    f"the answer to request {answer.seq} had no rows of lanes {missing:.80}"
                )
            del self._under_way[answer.seq]
        return answer.rows if fresh else None

    def given_up(self) -> set[int]:
        """Lanes whose request has ended without their rows, of which it is told once."""
        protocol = self._client.protocol
        ended = [seq for seq in self._under_way if not protocol.is_due(seq)]
        return set().union(*[self._under_way.pop(seq) for seq in ended])

    def filenos(self) -> list[int]:
        """To wait on."""
        return [self._client.fileno()]

    def close(self) -> None:
        """End the session."""
        self._client.close()


class EarlyFields:
    """Sessions of one server that speaks JSON, one a lane; used as :class:`EarlyLanes` is.

    Args:
        url: of the server.
        there: the sessions; closed with this.
        first: what their first lane is called among all.
        recovery: makes ends of episodes of the failures of lanes that restart.

    Attributes:
        lanes: what the lanes are called among all.
        signature: what is known of the environment.
        value: the answer to the latest question.
    """

    def __init__(self, url: str, there: FieldsLanes, first: int, recovery: Recovery | None = None) -> None:
        self._url, self._there = url, there
        self._recovery = recovery
        self._resetting: set[int] = set()
        self._here: deque[Rows] = deque()
        self.signature = there.signature
        self.lanes = range(first, first + there.signature.lanes)
        self.value: Value | None = None

    @property
    def is_busy(self) -> bool:
        """Whether rows are to come."""
        return bool(self._here) or self._there.is_due

    def send_step(self, lanes: NDArray[np.int32], actions: Any) -> None:
        """Step some lanes, which are not busy, each with its action."""
        with naming(self._url):
            self._there.send_step(_local(lanes, self.lanes), actions)

    def send_reset(
        self, lanes: Sequence[int], seeds: list[int | None] | None, options: dict[str, Any] | None
    ) -> None:
        """Reset some lanes, which are not busy, each with its seed."""
        local = [lane - self.lanes.start for lane in lanes]
        with naming(self._url):
            self._there.send_reset(local, seeds, options)
        self._resetting.update(local)

    def ask_state(self, lane: int) -> None:
        """Ask for the state of a lane, which is not busy; its connection has nothing else to say."""
        with naming(self._url):
            self.value = Value(0, self._there.state(lane - self.lanes.start))

    def receive(self, *, wait: bool) -> Rows | None:
        """Rows that have come; ``None`` if there are none yet. Whatever befalls a lane is told in its row."""
        if self._here:
            return self._here.popleft()
        with naming(self._url):
            rows = self._there.receive_ready(wait=wait)
        return rows if rows is None or self._recovery is None else self._recovered(rows, self._recovery)

    def _recovered(self, rows: Rows, recovery: Recovery) -> Rows:
        """The same rows, those of lanes that were being reset and those of others apart."""
        resetting = np.isin(rows.lane, list(self._resetting))
        self._resetting.difference_update(rows.lane.tolist())
        if not resetting.any():
            return recovery.stepped(rows)
        if resetting.all():
            return recovery.reset(rows)
        self._here.append(recovery.stepped(recovery.chosen(rows, ~resetting)))
        return recovery.reset(recovery.chosen(rows, resetting))

    def given_up(self) -> set[int]:
        """Lanes whose request has ended without their rows: none."""
        return set()

    def filenos(self) -> list[int]:
        """To wait on."""
        return self._there.filenos()

    def close(self) -> None:
        """End the sessions."""
        self._there.close()


Early = EarlyLanes | EarlyFields
"""Lanes of one server, whichever dialect it speaks."""


def wait_for(servers: Sequence[Early], timeout: float | None) -> None:
    """Wait until something has come from one of the servers, none of which has anything more now."""
    descriptors = [descriptor for server in servers for descriptor in server.filenos()]
    if min(descriptors, default=-1) < 0:
        return  # another thread has closed one, or taken what was due
    with Selector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        selector.select(timeout)
