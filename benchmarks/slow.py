"""What do slow lanes cost beside one another? ``python -m benchmarks.slow``.

A step sleeps for 100 ms. What all is held up to is one step, by itself and in process: if lanes cost
nothing beside one another, a batch of all of them would take as long. So rates are of as many lanes
as the case has, whatever is stepped, and a ratio to ``one step`` is its time over the other's.
"""

from __future__ import annotations

import itertools
import os
import sys
import time

import gymnasium
import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Benchmark, Case, Target
from benchmarks.children import ProcessGroups
from benchmarks.command import main
from benchmarks.local import async_vector, sync_vector
from benchmarks.ours import our_server, remote_lanes
from benchmarks.rig import Lanes, Rig, action_table
from openenv_gym import OpenEnvPool

__all__ = ["SLOW", "FirstReady", "batch", "few"]

ENV_ID, SERVED = "Sleeping-v0", "benchmarks.sleeping:Sleeping"
ACTIONS = 2

gymnasium.register(ENV_ID, SERVED)


class FirstReady:
    """A pool whose lanes are all sent their actions; what counts is the time until the first batch of them.

    Args:
        name: how results call it.
        batch_size: how many lanes are waited for.
        actions: a table with a column for each lane, played over and over.
    """

    def __init__(self, name: str, batch_size: int, actions: NDArray[np.int64]) -> None:
        self.name = name
        self._batch_size = batch_size
        self._lanes = actions.shape[1]
        self._actions = itertools.cycle(list(actions))
        self._rig = Rig()

    def setup(self) -> None:
        """Serve the environment, and begin the first episode of every lane."""
        self._pool = OpenEnvPool(our_server(SERVED)(self._rig), self._lanes, self._batch_size)
        self._rig.stack.callback(self._pool.close)
        self._pool.async_reset(seed=0)
        self._receive_others(self._lanes)

    def run(self, steps: int) -> float:
        """Send all lanes ``steps`` actions each; the seconds until the first batches were there."""
        seconds = 0.0
        for actions in itertools.islice(self._actions, steps):
            start = time.perf_counter()
            self._pool.send(actions)
            self._pool.recv()
            seconds += time.perf_counter() - start
            self._receive_others(self._lanes - self._batch_size)
        return seconds

    def _receive_others(self, lanes: int) -> None:
        for _ in range(lanes // self._batch_size):
            self._pool.recv()

    def processes(self) -> ProcessGroups:
        """The client is this process."""
        return ProcessGroups((os.getpid(),), self._rig.server_pids())

    def close(self) -> None:
        """Close the pool and its server."""
        self._rig.close()


def batch(lanes: int = 256, first: int = 64) -> Case:
    """As many lanes as a session of waiting has."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "batch",
        f"{lanes} lanes whose step sleeps 100 ms",
        lanes,
        alternatives=(
            Lanes("one step", sync_vector(ENV_ID, 1), actions[:, :1]),
            Lanes("ours, all lanes", remote_lanes(SERVED, lanes), actions),
            FirstReady(f"ours, first {first} ready", first, actions),
        ),
        targets=(
            Target("ours, all lanes", "one step", at_least=1 / 1.3),
            Target(f"ours, first {first} ready", "one step", at_least=1 / 1.1),
        ),
    )


def few(lanes: int = 64) -> Case:
    """As many lanes as ``AsyncVectorEnv`` has processes for."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "few",
        f"{lanes} lanes whose step sleeps 100 ms",
        lanes,
        alternatives=(
            Lanes("one step", sync_vector(ENV_ID, 1), actions[:, :1]),
            Lanes("AsyncVectorEnv", async_vector(ENV_ID, lanes), actions),
            Lanes("ours", remote_lanes(SERVED, lanes), actions),
        ),
        targets=(Target("ours", "AsyncVectorEnv", at_least=1.0),),
    )


SLOW = Benchmark("slow", "What do slow lanes cost beside one another?", (batch, few))

if __name__ == "__main__":
    sys.exit(main(SLOW))
