"""A server as a whole, which may be one process or several.

What must hold for all of its processes together, and not for each, is asked here: how many lanes are
left, which session is meant by a call that names none, how full the server is. A server of one process
is :class:`Alone`; a worker of several asks the process that it was started by, see
:mod:`openenv_gym.server.workers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from openenv_gym.errors import CapacityReached
from openenv_gym.server.limits import Limits

__all__ = ["Alone", "Capacity", "Tally", "Whole", "metrics"]


class Capacity:
    """The lanes and sessions that are taken, and how many there may be.

    Args:
        limits: ``max_lanes`` and ``max_sessions`` of them count here.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.lanes = 0
        self.sessions = 0

    def take(self, lanes: int) -> None:
        """Count one session more.

        Raises:
            CapacityReached: if there are not so many lanes, or no session, left.
        """
        limits = self._limits
        if self.sessions >= limits.sessions and limits.max_sessions is not None:
            raise CapacityReached(
                f"{self.sessions} of {limits.sessions} sessions are open; wait for others to "
                "close, or have the operator raise max_sessions (--max-sessions)",
                active_sessions=self.sessions,
                max_sessions=limits.sessions,
            )
        if self.lanes + lanes > limits.max_lanes:
            raise CapacityReached(
                f"{self.lanes} of {limits.max_lanes} lanes are taken and {lanes} were asked for; wait "
                "for others to close, ask for fewer, or have the operator raise max_lanes (--max-lanes)",
                active_lanes=self.lanes,
                max_lanes=limits.max_lanes,
            )
        self.lanes += lanes
        self.sessions += 1

    def free(self, lanes: int, sessions: int = 1) -> None:
        """Count one session less, or those of a process that has ended."""
        self.lanes -= lanes
        self.sessions -= sessions


@dataclass(frozen=True, slots=True)
class Tally:
    """What one process counts."""

    worker: int
    lanes: int
    sessions: int
    parked_sessions: int
    abandoned_threads: int
    steps: int


class Whole(Protocol):
    """What a process asks about the whole server that it is, or is one part of.

    Attributes:
        prefix: what the ids of its sessions begin with.
    """

    prefix: str

    async def take(self, lanes: int) -> None:
        """Count one session more.

        Raises:
            CapacityReached: if there are not so many lanes, or no session, left.
        """

    def free(self, lanes: int) -> None:
        """Count one session less."""

    async def make_room(self) -> bool:
        """End a session of another process that may be evicted, if there is one."""

    async def claim_default(self) -> None:
        """Have calls that name no session mean one of this process, until another claims them."""

    async def has_default(self) -> bool:
        """Whether they mean one of this process, if it thinks so."""

    def drop_default(self) -> None:
        """Have them mean none, if they mean one of this process."""

    async def call(self, session_id: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """What another process answers to JSON-RPC about its session, if it is of another."""

    async def tallies(self, own: Tally) -> tuple[Sequence[Tally], int]:
        """What each process counts, and how many processes were replaced."""


class Alone:
    """A server of one process.

    Args:
        limits: of the server.
    """

    prefix = ""

    def __init__(self, limits: Limits) -> None:
        self._capacity = Capacity(limits)

    async def take(self, lanes: int) -> None:
        """Count one session more."""
        self._capacity.take(lanes)

    def free(self, lanes: int) -> None:
        """Count one session less."""
        self._capacity.free(lanes)

    async def make_room(self) -> bool:
        """There is no other process."""
        return False

    async def claim_default(self) -> None:
        """Nobody else needs to know."""

    async def has_default(self) -> bool:
        """There is no other process that could."""
        return True

    def drop_default(self) -> None:
        """The same."""

    async def call(self, session_id: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """There is no other process."""
        return None

    async def tallies(self, own: Tally) -> tuple[Sequence[Tally], int]:
        """Its own, for there is no other process."""
        return (own,), 0


def metrics(tallies: Sequence[Tally], replaced: int, limits: Limits) -> str:
    """What a server counts, in the text format of Prometheus."""
    lines: list[str] = []

    def put(name: str, kind: str, what: str, values: dict[str, int]) -> None:
        lines.extend((f"# HELP openenv_gym_{name} {what}", f"# TYPE openenv_gym_{name} {kind}"))
        lines.extend(f"openenv_gym_{name}{labels} {value}" for labels, value in values.items())

    def put_each(name: str, kind: str, what: str, attribute: str) -> None:
        put(name, kind, what, {f'{{worker="{each.worker}"}}': getattr(each, attribute) for each in tallies})

    put_each("lanes", "gauge", "Lanes that are taken.", "lanes")
    put_each("sessions", "gauge", "Sessions that are open.", "sessions")
    put_each("parked_sessions", "gauge", "Sessions whose client may come back.", "parked_sessions")
    put_each("steps_total", "counter", "Steps that were taken, one for each lane.", "steps")
    put_each("abandoned_threads", "gauge", "Threads that did not end in time.", "abandoned_threads")
    put("max_lanes", "gauge", "Lanes that there are.", {"": limits.max_lanes})
    put("max_sessions", "gauge", "Sessions that there can be.", {"": limits.sessions})
    put("workers", "gauge", "Processes that serve.", {"": len(tallies)})
    put(
        "workers_replaced_total", "counter", "Processes that died or hung, and were replaced.", {"": replaced}
    )
    return "\n".join((*lines, ""))
