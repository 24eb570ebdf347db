"""What do remote lanes of Atari cost? ``python -m benchmarks.atari``.

Raw screens, where bytes count: a step moves 100 kB a lane. Then ALE's own vector environment, which
shrinks and stacks its screens in C++ threads, in process and behind our server, beside EnvPool's.
"""

from __future__ import annotations

import sys

import ale_py
import gymnasium

from benchmarks.apart import envpool_lanes, subproc_vector
from benchmarks.cases import Benchmark, Case, Target
from benchmarks.command import main
from benchmarks.driven import Driven
from benchmarks.local import async_vector, native_vector, sync_vector
from benchmarks.ours import SpreadLanes, remote_lanes
from benchmarks.rig import Lanes, action_table
from benchmarks.stock.peer import StockSessions, stock_server

__all__ = ["ATARI", "pong", "pong_native"]

gymnasium.register_envs(ale_py)

PONG, ACTIONS = "ALE/Pong-v5", 6


def pong(lanes: int = 8) -> Case:
    """Screens of 210x160x3 bytes."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "pong",
        f"{lanes} lanes of Pong, 210x160x3 bytes a frame",
        lanes,
        alternatives=(
            Lanes("SyncVectorEnv", sync_vector(PONG, lanes), actions),
            Lanes("AsyncVectorEnv", async_vector(PONG, lanes), actions),
            Driven("SB3 SubprocVecEnv", subproc_vector(PONG, lanes), actions),
            StockSessions(f"{lanes} stock sessions", stock_server("pong", lanes), actions),
            Lanes("ours, 1 worker", remote_lanes(PONG, lanes), actions),
            SpreadLanes("ours, 2 workers", PONG, actions, workers=2, connections=2),
            SpreadLanes("ours, 2 pinned", PONG, actions, workers=2, connections=2, pin_workers=True),
        ),
        targets=tuple(
            Target(ours, other, at_least=ratio)
            for ours in ("ours, 2 workers", "ours, 2 pinned")
            for other, ratio in (("AsyncVectorEnv", 1.0), (f"{lanes} stock sessions", 30.0))
        ),
    )


def pong_native(lanes: int = 64) -> Case:
    """Four grey screens of 84x84 bytes, as ALE's vector environment stacks them by default."""
    actions = action_table(ACTIONS, lanes)
    return Case(
        "pong-native",
        f"{lanes} lanes of ALE's vector environment, 4x84x84 bytes a stack",
        lanes,
        alternatives=(
            Lanes("native, in process", native_vector(PONG, lanes), actions),
            Lanes("native, ours", remote_lanes(PONG, lanes, native_vectorization=True), actions),
            Driven("EnvPool", envpool_lanes("Pong-v5", lanes), actions),
        ),
        targets=(Target("native, ours", "native, in process", at_least=0.9),),
    )


ATARI = Benchmark("atari", "What do remote lanes of Atari cost?", (pong, pong_native))

if __name__ == "__main__":
    sys.exit(main(ATARI))
