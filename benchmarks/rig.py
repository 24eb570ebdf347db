"""What an alternative holds open, and the loops that step whatever was opened.

Every loop over ``env.step`` in these benchmarks is here, once: in process or remote, a lane is
stepped by the same lines.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

from benchmarks.children import ChildProcess, ProcessGroups, with_descendants

__all__ = ["Lanes", "Rig", "SingleLane", "Stepped", "action_table"]

AnyEnv: TypeAlias = gymnasium.Env[Any, Any]
AnyVectorEnv: TypeAlias = gymnasium.vector.VectorEnv[Any, Any, Any]

ACTION_SEED = 20_261_121
TABLE_CALLS = 1024


def action_table(actions: int, lanes: int) -> NDArray[np.int64]:
    """Return the random but fixed actions that every alternative of a case plays, over and over.

    Returns:
        int64, ``(1024, lanes)``: one row a call.
    """
    return np.random.default_rng(ACTION_SEED).integers(actions, size=(TABLE_CALLS, lanes), dtype=np.int64)


class Rig:
    """What one alternative holds open: everything it started is undone by ``close``, last first."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self._server_pids: list[int] = []

    def start_server(self, command: Sequence[str]) -> str:
        """Start a server in a process of its own and return its URL once it listens."""
        server = ChildProcess(command)
        self.stack.callback(server.stop)
        self.add_server(server.pid)
        return server.server_url()

    def add_server(self, pid: int) -> None:
        """Count a process, and what it starts, on the environment's side."""
        self._server_pids.append(pid)

    def server_pids(self) -> tuple[int, ...]:
        """Return the processes on the environment's side that exist now."""
        return tuple(itertools.chain.from_iterable(map(with_descendants, self._server_pids)))

    def close(self) -> None:
        """Close and stop what was opened and started; nothing is left to do a second time."""
        self._server_pids.clear()
        self.stack.close()


class SingleLane:
    """One environment, stepped as anybody's loop does it: ``step``, and ``reset`` when it is over.

    Args:
        name: how results call it.
        open_env: opens the environment on a rig, which it leaves the closing to.
        actions: a table whose first column is played, over and over.
    """

    def __init__(self, name: str, open_env: Callable[[Rig], AnyEnv], actions: NDArray[np.int64]) -> None:
        self.name = name
        self._open = open_env
        self._actions = itertools.cycle(actions[:, 0].tolist())
        self._rig = Rig()

    def setup(self) -> None:
        """Open the environment and begin its first episode."""
        self._env = self._open(self._rig)
        self._env.reset(seed=0)

    def run(self, steps: int) -> float:
        """Take ``steps`` steps, and the resets between them, and return the seconds."""
        step, reset = self._env.step, self._env.reset
        start = time.perf_counter()
        for action in itertools.islice(self._actions, steps):
            _, _, terminated, truncated, _ = step(action)
            if terminated or truncated:
                reset()
        return time.perf_counter() - start

    def round_trips(self, steps: int) -> list[int]:
        """Return the nanoseconds of each of ``steps`` steps, resets left out."""
        clock, step, reset = time.perf_counter_ns, self._env.step, self._env.reset
        taken = []
        for action in itertools.islice(self._actions, steps):
            start = clock()
            _, _, terminated, truncated, _ = step(action)
            taken.append(clock() - start)
            if terminated or truncated:
                reset()
        return taken

    def processes(self) -> ProcessGroups:
        """The client is this process."""
        return ProcessGroups((os.getpid(),), self._rig.server_pids())

    def close(self) -> None:
        """Close the environment and whatever served it."""
        self._rig.close()


class Stepped(Protocol):
    """What of a vector environment is measured."""

    def reset(self, *, seed: int) -> Any:
        """Begin an episode in every lane."""

    def step(self, actions: Any) -> Any:
        """Move every lane."""


class Lanes:
    """A vector environment that resets its own lanes, in Gymnasium's default mode, next-step.

    Args:
        name: how results call it.
        open_envs: opens the lanes on a rig, which it leaves the closing to.
        actions: a table with a column for each lane, played over and over.
    """

    def __init__(self, name: str, open_envs: Callable[[Rig], Stepped], actions: NDArray[np.int64]) -> None:
        self.name = name
        self._open = open_envs
        self._actions = itertools.cycle(list(actions))
        self._rig = Rig()

    def setup(self) -> None:
        """Open the lanes and begin their first episodes."""
        self._envs = self._open(self._rig)
        self._envs.reset(seed=0)

    def run(self, steps: int) -> float:
        """Step all lanes ``steps`` times and return the seconds."""
        step = self._envs.step
        start = time.perf_counter()
        for actions in itertools.islice(self._actions, steps):
            step(actions)
        return time.perf_counter() - start

    def processes(self) -> ProcessGroups:
        """The client is this process."""
        return ProcessGroups((os.getpid(),), self._rig.server_pids())

    def close(self) -> None:
        """Close the lanes and whatever served them."""
        self._rig.close()
