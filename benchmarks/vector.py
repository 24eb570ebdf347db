"""What do many remote lanes cost? ``python -m benchmarks.vector``.

A cheap environment, where the road is all of the cost; and the same environment vectorised by itself,
where Python's loop over lanes falls away. Our side is one server process throughout.
"""

from __future__ import annotations

import sys

from benchmarks.apart import envpool_lanes, subproc_vector
from benchmarks.cases import Benchmark, Case, Target
from benchmarks.command import main
from benchmarks.driven import Driven
from benchmarks.local import async_vector, native_vector, sync_vector
from benchmarks.ours import remote_lanes
from benchmarks.rig import Lanes, action_table
from benchmarks.stock.peer import StockSessions, stock_server

__all__ = ["VECTOR", "cartpole", "cartpole_native"]

ENV_ID = "CartPole-v1"
ACTIONS = 2


def cartpole(lanes: int = 64) -> Case:
    """Lanes of a microsecond environment, stepped one after the other."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "cartpole",
        f"{lanes} lanes of CartPole",
        lanes,
        alternatives=(
            Lanes("SyncVectorEnv", sync_vector(ENV_ID, lanes), actions),
            Lanes("AsyncVectorEnv", async_vector(ENV_ID, lanes), actions),
            Driven("SB3 SubprocVecEnv", subproc_vector(ENV_ID, lanes), actions),
            StockSessions(f"{lanes} stock sessions", stock_server("cartpole", lanes), actions),
            Lanes("ours", remote_lanes(ENV_ID, lanes), actions),
        ),
        targets=(
            Target("ours", "SyncVectorEnv", at_least=0.75),
            Target("ours", "AsyncVectorEnv", at_least=4.5),
            Target("ours", f"{lanes} stock sessions", at_least=16.0),
        ),
    )


def cartpole_native(lanes: int = 256) -> Case:
    """CartPole's own vector environment behind our server."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "cartpole-native",
        f"{lanes} lanes of CartPole's own vector environment",
        lanes,
        alternatives=(
            Lanes("SyncVectorEnv", sync_vector(ENV_ID, lanes), actions),
            Lanes("native, in process", native_vector(ENV_ID, lanes), actions),
            Lanes("native, ours", remote_lanes(ENV_ID, lanes, native_vectorization=True), actions),
            Driven("EnvPool", envpool_lanes(ENV_ID, lanes), actions),
        ),
        targets=(Target("native, ours", "SyncVectorEnv", at_least=7.0),),
    )


VECTOR = Benchmark("vector", "What do many remote lanes cost?", (cartpole, cartpole_native))

if __name__ == "__main__":
    sys.exit(main(VECTOR))
