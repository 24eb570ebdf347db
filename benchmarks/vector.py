"""What do many remote lanes cost? ``python -m benchmarks.vector``.

Cheap environments, where the road is all of the cost; an environment that is vectorised by
itself, where Python's loop over lanes falls away; and large frames, where bytes count. Our side
is one server process throughout.
"""

from __future__ import annotations

import sys

import ale_py
import gymnasium

from benchmarks.cases import Benchmark, Case, Target
from benchmarks.command import main
from benchmarks.local import async_vector, native_vector, sync_vector
from benchmarks.ours import remote_lanes
from benchmarks.rig import Lanes, action_table
from benchmarks.stock.peer import StockSessions, stock_server

gymnasium.register_envs(ale_py)

CARTPOLE, CARTPOLE_ACTIONS = "CartPole-v1", 2
PONG, PONG_ACTIONS = "ALE/Pong-v5", 6


def cartpole() -> Case:
    """Sixty-four lanes of a microsecond environment."""
    lanes = 64
    actions = action_table(CARTPOLE_ACTIONS, lanes)
    return Case(
        "cartpole",
        f"{lanes} lanes of CartPole",
        lanes,
        alternatives=(
            Lanes("SyncVectorEnv", sync_vector(CARTPOLE, lanes), actions),
            Lanes("AsyncVectorEnv", async_vector(CARTPOLE, lanes), actions),
            StockSessions(f"{lanes} stock sessions", stock_server("cartpole", lanes), actions),
            Lanes("ours", remote_lanes(CARTPOLE, lanes), actions),
        ),
        targets=(
            Target("ours", "SyncVectorEnv", at_least=0.65, aim=0.75),
            Target("ours", "AsyncVectorEnv", at_least=4.0),
            Target("ours", f"{lanes} stock sessions", at_least=15.0),
        ),
    )


def cartpole_native() -> Case:
    """CartPole's own vector environment behind our server."""
    lanes = 256
    actions = action_table(CARTPOLE_ACTIONS, lanes)
    return Case(
        "cartpole-native",
        f"{lanes} lanes of CartPole's own vector environment",
        lanes,
        alternatives=(
            Lanes("SyncVectorEnv", sync_vector(CARTPOLE, lanes), actions),
            Lanes("native, in process", native_vector(CARTPOLE, lanes), actions),
            Lanes("native, ours", remote_lanes(CARTPOLE, lanes, native_vectorization=True), actions),
        ),
        targets=(Target("native, ours", "SyncVectorEnv", at_least=5.0),),
    )


def pong() -> Case:
    """Screens of 210x160x3 bytes."""
    lanes = 8
    actions = action_table(PONG_ACTIONS, lanes)
    return Case(
        "pong",
        f"{lanes} lanes of Pong, 210x160x3 bytes a frame",
        lanes,
        alternatives=(
            Lanes("SyncVectorEnv", sync_vector(PONG, lanes), actions),
            Lanes("AsyncVectorEnv", async_vector(PONG, lanes), actions),
            StockSessions(f"{lanes} stock sessions", stock_server("pong", lanes), actions),
            Lanes("ours", remote_lanes(PONG, lanes), actions),
        ),
        targets=(Target("ours", f"{lanes} stock sessions", at_least=15.0),),
    )


VECTOR = Benchmark("vector", "What do many remote lanes cost?", (cartpole, cartpole_native, pong))

if __name__ == "__main__":
    sys.exit(main(VECTOR))
