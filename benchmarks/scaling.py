"""What do more server processes bring? ``python -m benchmarks.scaling``.

A microsecond environment in many lanes, with all of its cost in Python: first one and two workers behind
two connections, two of them each on a core of its own as well, beside what Gymnasium does in process and
with a process a lane; then the same lanes behind many connections, and how evenly the server spreads these
over its workers. The client is one process, and takes a core to itself once the server is fast enough.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.cases import Benchmark, Case, Target
from benchmarks.command import main
from benchmarks.local import async_vector, sync_vector
from benchmarks.ours import SpreadLanes
from benchmarks.rig import Lanes, action_table

__all__ = ["SCALING", "connections", "workers"]

ENV_ID = "CartPole-v1"
ACTIONS = 2


def workers(lanes: int = 256) -> Case:
    """One worker and two, with a connection for each of two."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "workers",
        f"{lanes} lanes of CartPole over 2 connections",
        lanes,
        alternatives=(
            Lanes("SyncVectorEnv", sync_vector(ENV_ID, lanes), actions),
            Lanes("AsyncVectorEnv", async_vector(ENV_ID, lanes), actions),
            SpreadLanes("ours, 1 worker", ENV_ID, actions, workers=1, connections=2),
            SpreadLanes("ours, 2 workers", ENV_ID, actions, workers=2, connections=2),
            SpreadLanes("ours, 2 pinned", ENV_ID, actions, workers=2, connections=2, pin_workers=True),
        ),
        targets=tuple(
            Target(ours, other, at_least=ratio)
            for ours in ("ours, 2 workers", "ours, 2 pinned")
            for other, ratio in (("SyncVectorEnv", 1.4), ("AsyncVectorEnv", 12.0), ("ours, 1 worker", 1.6))
        ),
    )


def connections(lanes: int = 256, count: int = 64, numbers: Sequence[int] = (1, 2, 4)) -> Case:
    """As many connections as a server may well have, over these numbers of workers."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "connections",
        f"{lanes} lanes of CartPole over {count} connections",
        lanes,
        alternatives=tuple(
            SpreadLanes(
                f"ours, {number} worker{'s' if number > 1 else ''}",
                ENV_ID,
                actions,
                workers=number,
                connections=count,
            )
            for number in numbers
        ),
    )


SCALING = Benchmark("scaling", "What do more server processes bring?", (workers, connections))

if __name__ == "__main__":
    sys.exit(main(SCALING))
