"""Another library's lanes, stepped on command: ``python -m benchmarks.driver subproc CartPole-v1 64``.

It runs under whatever interpreter has the library, and imports nothing of ours. Standard input brings
one JSON message a line, standard output answers with one:

    {"type": "actions", "table": [[...], ...]} -> {"ready": true}      once, first
    {"type": "run", "calls": n}                -> {"seconds": s}

A call moves every lane once. Both libraries reset their own lanes: EnvPool as Gymnasium's next-step
mode does, ``SubprocVecEnv`` in the call that ends the episode.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any


def subproc(env_id: str, lanes: int) -> Any:
    """Stable-Baselines3's worker processes, a lane each."""
    gymnasium = importlib.import_module("gymnasium")
    if env_id.startswith("ALE/"):
        gymnasium.register_envs(importlib.import_module("ale_py"))
    vec_env = importlib.import_module("stable_baselines3.common.vec_env")
    # Forked, as AsyncVectorEnv's are: any other way would import Python's packages once for each lane.
    return vec_env.SubprocVecEnv([lambda: gymnasium.make(env_id)] * lanes, start_method="fork")


def envpool(env_id: str, lanes: int) -> Any:
    """EnvPool's threads, as many as it takes by itself."""
    return importlib.import_module("envpool").make(env_id, env_type="gymnasium", num_envs=lanes)


OPEN: dict[str, Callable[[str, int], Any]] = {"subproc": subproc, "envpool": envpool}


def play(envs: Any) -> None:
    """Do as told until standard input ends."""
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # whatever the library prints
        table = json.loads(sys.stdin.readline())["table"]
        asarray = importlib.import_module("numpy").asarray
        rows = itertools.cycle([asarray(row, envs.action_space.dtype) for row in table])
        envs.reset()
        answers.write('{"ready": true}\n')
        for line in sys.stdin:
            step = envs.step
            start = time.perf_counter()
            for actions in itertools.islice(rows, json.loads(line)["calls"]):
                step(actions)
            answers.write(json.dumps({"seconds": time.perf_counter() - start}) + "\n")


def leave(number: int, frame: FrameType | None) -> None:
    """As an exception, so that worker processes are ended on the way out."""
    raise SystemExit(128 + number)


def main(library: str, env_id: str, lanes: str) -> None:
    """Open the lanes of a library, and play them."""
    signal.signal(signal.SIGTERM, leave)
    envs = OPEN[library](env_id, int(lanes))
    try:
        play(envs)
    finally:
        envs.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
