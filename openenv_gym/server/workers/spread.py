"""How busy each worker is, and which one gets the next connection; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Load", "by_preference"]


@dataclass(slots=True)
class Load:
    """What a worker has got, counted where it is given: so nothing that is on its way is missing.

    Attributes:
        websockets: connections that are.
        requests: connections that are not.
        lanes: granted to its sessions.
        sessions: granted.
    """

    websockets: int = 0
    requests: int = 0
    lanes: int = 0
    sessions: int = 0
    _connections: dict[int, bool] = field(default_factory=dict)

    def begin(self, number: int, *, websocket: bool) -> None:
        """Count a connection."""
        self._connections[number] = websocket
        self._count(websocket, 1)

    def end(self, number: int) -> None:
        """Count it no more."""
        self._count(self._connections.pop(number), -1)

    def _count(self, websocket: bool, change: int) -> None:
        if websocket:
            self.websockets += change
        else:
            self.requests += change


def by_preference(loads: Mapping[int, Load], *, websocket: bool) -> list[int]:
    """The workers, the one that should get a connection first.

    A WebSocket that has no session yet will get one, and until then counts as much as the average.
    """
    sessions = sum(load.sessions for load in loads.values())
    mean = sum(load.lanes for load in loads.values()) / sessions if sessions else 1.0

    def rank(worker: int) -> tuple[float, ...]:
        load = loads[worker]
        lanes = load.lanes + mean * max(0, load.websockets - load.sessions)
        return (lanes, load.websockets, worker) if websocket else (load.requests, lanes, worker)

    return sorted(loads, key=rank)
