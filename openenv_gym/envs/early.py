"""The lanes of one server whose rows are taken as they come, and waiting on several such servers."""

from __future__ import annotations

import selectors
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openenv_gym.client.early import EarlyClient
from openenv_gym.envs.remote import Options
from openenv_gym.envs.spread import naming
from openenv_gym.errors import InvalidArgument, ProtocolViolation
from openenv_gym.types import Rows, Signature, Slots
from openenv_gym.wire.messages import Answer, Hello, Value

__all__ = ["EarlyLanes", "wait_for"]


class EarlyLanes:
    """A session of one server.

    Args:
        url: of the server.
        hello: the session to ask for.
        first: what its first lane is called among all.
        options: what the caller asks of the server.

    Attributes:
        lanes: what its lanes are called among all.
        signature: what the server said of the environment.
        value: the answer to the latest question, once it is here.
    """

    def __init__(self, url: str, hello: Hello, first: int, options: Options) -> None:
        self._url = url
        self.lanes = range(first, first + hello.lanes)
        self._client = EarlyClient.to(url, hello, **options.connection)
        self._under_way: dict[int, set[int]] = {}
        self.value: Value | None = None
        try:
            self.signature = self._checked()
        except BaseException:
            self.close()
            raise

    def _checked(self) -> Signature:
        if not self._client.native:
            raise ProtocolViolation(
                f"the server at {self._url} does not speak the native dialect, which a pool needs; play its "
                "lanes with OpenEnvVectorEnv"
            )
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
        local = lanes - self.lanes.start
        every = len(local) == len(self.lanes) and bool((local == np.arange(len(local))).all())
        slots = None if every else Slots(local.astype(np.int32), np.zeros(len(local), np.int16))
        with naming(self._url):
            self._client.send_step(slots, actions)
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
            del self._under_way[answer.seq]
        return answer.rows if fresh else None

    def given_up(self) -> set[int]:
        """Lanes whose request has ended without their rows, of which it is told once."""
        protocol = self._client.protocol
        ended = [seq for seq in self._under_way if not protocol.is_due(seq)]
        return set().union(*[self._under_way.pop(seq) for seq in ended])

    def fileno(self) -> int:
        """To wait on."""
        return self._client.fileno()

    def close(self) -> None:
        """End the session."""
        self._client.close()


def wait_for(servers: Sequence[EarlyLanes], timeout: float | None) -> None:
    """Wait until something has come from one of the servers, none of which has anything more now."""
    with selectors.DefaultSelector() as selector:
        for server in servers:
            selector.register(server.fileno(), selectors.EVENT_READ)
        selector.select(timeout)
