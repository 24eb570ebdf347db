"""An alternative in a process of its own, which is told over a pipe what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.children import ChildProcess, ProcessGroups, with_descendants
from benchmarks.rig import Rig

__all__ = ["Driven"]


class Driven:
    """Lanes that a driver steps: it reads a message a line, and answers each with a line.

    Args:
        name: how results call it.
        command: starts what the driver needs on a rig, and says how the driver itself is started.
        actions: a table with a column for each lane, played over and over.
    """

    def __init__(
        self, name: str, command: Callable[[Rig], Sequence[str]], actions: NDArray[np.int64]
    ) -> None:
        self.name = name
        self._command = command
        self._actions = actions
        self._rig = Rig()

    def setup(self) -> None:
        """Start the driver, and let it open and reset its lanes."""
        self.driver = ChildProcess(self._command(self._rig), piped=True)
        self._rig.stack.callback(self.driver.stop)
        self.driver.ask({"type": "actions", "table": self._actions.tolist()})

    def run(self, steps: int) -> float:
        """Have the driver move every lane ``steps`` times and return the seconds by its own clock."""
        return float(self.driver.ask({"type": "run", "calls": steps})["seconds"])

    def processes(self) -> ProcessGroups:
        """The client is the driver's process; those that it started are the environment's."""
        driver, *workers = with_descendants(self.driver.pid)
        return ProcessGroups((driver,), (*workers, *self._rig.server_pids()))

    def close(self) -> None:
        """End the driver and whatever served it."""
        self._rig.close()
