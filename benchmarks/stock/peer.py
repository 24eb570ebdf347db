"""The stock client as an alternative: a process under the stock interpreter, told what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Held
from benchmarks.children import ChildProcess, ProcessGroups, usage, with_descendants
from benchmarks.driven import Driven
from benchmarks.rig import Rig
from benchmarks.stock.venv import stock_python

__all__ = ["StockCrowd", "StockLane", "StockSessions", "stock_server"]

SCRIPTS = Path(__file__).parent / "scripts"


def stock_server(game: Literal["cartpole", "pong"], sessions: int = 1) -> Callable[[Rig], str]:
    """Start a stock server of a game in a process of its own and return its URL."""

    def start(rig: Rig) -> str:
        return rig.start_server(
            [str(stock_python()), str(SCRIPTS / "serve.py"), game, "--sessions", str(sessions)]
        )

    return start


def client_python() -> Path:
    """The interpreter of the clients; whose memory and threads are not looked at, unlike a server's."""
    return stock_python()


class StockLane(Driven):
    """One session, through ``GenericEnvClient(...).sync()``.

    Args:
        name: how results call it.
        start_server: starts a server on a rig and returns its URL.
        actions: a table whose first column is played, over and over.
    """

    def __init__(self, name: str, start_server: Callable[[Rig], str], actions: NDArray[np.int64]) -> None:
        super().__init__(name, lambda rig: _driver(start_server(rig)), actions)

    def round_trips(self, steps: int) -> list[int]:
        """Return the nanoseconds of each of ``steps`` steps by the driver's clock, resets left out."""
        taken: list[int] = self.driver.ask({"type": "round_trips", "calls": steps})["nanoseconds"]
        return taken


class StockSessions(Driven):
    """A session for each lane, all of them awaited together: upstream's own way to many lanes.

    Args:
        name: how results call it.
        start_server: starts a server on a rig and returns its URL.
        actions: a table with a column for each session.
    """

    def __init__(self, name: str, start_server: Callable[[Rig], str], actions: NDArray[np.int64]) -> None:
        sessions = str(actions.shape[1])
        super().__init__(name, lambda rig: _driver(start_server(rig), "--sessions", sessions), actions)


def _driver(url: str, *options: str) -> list[str]:
    return [str(client_python()), str(SCRIPTS / "drive.py"), url, *options]


class StockCrowd:
    """Many sessions that open, reset, take their steps, each at its own pace, and close, round after round.

    Args:
        name: how results call it.
        start_server: starts a server on a rig and returns its URL.
        sessions: how many.
    """

    def __init__(self, name: str, start_server: Callable[[Rig], str], sessions: int) -> None:
        self.name = name
        self._start_server = start_server
        self._sessions = sessions
        self._rig = Rig()

    def setup(self) -> None:
        """Start the server and the driver, and see what the server takes while nobody is there."""
        url = self._start_server(self._rig)
        self._driver = ChildProcess(
            [str(client_python()), str(SCRIPTS / "crowd.py"), url, "--sessions", str(self._sessions)],
            piped=True,
        )
        self._rig.stack.callback(self._driver.stop)
        self._idle = usage(self._rig.server_pids())

    def begin(self) -> None:
        """Have the driver open and reset the sessions."""
        self._driver.ask({"type": "open"})

    def run(self, steps: int) -> float:
        """Have every session take ``steps`` steps; the seconds are the driver's, of the steps alone."""
        answer = self._driver.ask({"type": "run", "calls": steps})
        self._lost = int(answer["lost"])
        return float(answer["seconds"])

    def end(self) -> Held:
        """Look at the server while all sessions are open, then have the driver close them."""
        now = usage(self._rig.server_pids())
        self._driver.ask({"type": "close"})
        idle = self._idle
        return Held(self._lost, idle.threads, now.threads, idle.megabytes, now.megabytes, now.peak_megabytes)

    def processes(self) -> ProcessGroups:
        """The client is the driver's process."""
        return ProcessGroups(with_descendants(self._driver.pid), self._rig.server_pids())

    def close(self) -> None:
        """End the driver and the server."""
        self._rig.close()
