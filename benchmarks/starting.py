"""First observations in processes of their own: ``python -m benchmarks.starting WAY ENV_ID`` prints seconds.

``local`` is Gymnasium by itself; ``ours`` starts an embedded server and then shares it; ``stages`` does
the same once, with a clock in the server's process, whose time is the same as ours.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["STAGES", "traced_open"]

STAGES = (
    "import the client",
    "start Python, import Gymnasium",
    "import the server",
    "probe the environment",
    "make the application",
    "listen",
    "connect, hello",
    "reset",
)
"""What happens one after the other; the second to the sixth in the server's process."""


def main(way: str, env_id: str) -> None:
    """Measure one way, and print what was measured."""
    print(json.dumps(_WAYS[way](env_id)))


def _local(env_id: str) -> dict[str, float]:
    taken = _import("gymnasium")
    return {"import gymnasium": taken, "first observation, local": _first_observation(env_id)}


def _ours(env_id: str) -> dict[str, float]:
    _import("gymnasium")
    return {
        "import openenv_gym after it": _import("openenv_gym"),
        "first observation, server started": _first_observation("openenv/gym", env_id=env_id),
        "first observation, server shared": _first_observation("openenv/gym", env_id=env_id),
    }


def _stages(env_id: str) -> dict[str, float]:
    importlib.import_module("openenv_gym")
    gymnasium: Any = importlib.import_module("gymnasium")
    marks = [time.monotonic()]
    importlib.import_module("openenv_gym.envs.registered")
    marks.append(time.monotonic())
    embedded: Any = importlib.import_module("openenv_gym.envs.embedded")
    embedded._open = importlib.import_module("benchmarks.starting").traced_open
    env = gymnasium.make("openenv/gym", env_id=env_id)
    made = time.monotonic()
    env.reset(seed=0)
    reset = time.monotonic()
    (server,) = embedded._SERVERS._servers.values()
    marks += [*json.loads(server.process.logs().splitlines()[-1]), made, reset]
    env.close()
    return {name: marks[index + 1] - marks[index] for index, name in enumerate(STAGES)}


def traced_open(sealed: bytes, token: str) -> Any:
    """In the server's process: what is otherwise called there, which tells when its parts are done."""
    marks = [time.monotonic()]
    embedded: Any = importlib.import_module("openenv_gym.envs.embedded")
    serving: Any = importlib.import_module("openenv_gym.envs.serving")
    marks.append(time.monotonic())
    for name in ("open_source", "_application"):
        setattr(serving, name, _marked(getattr(serving, name), marks))
    server = embedded._open(sealed, token)
    print(json.dumps([*marks, time.monotonic()]), flush=True)
    return server


def _marked(work: Callable[..., Any], marks: list[float]) -> Callable[..., Any]:
    def marked(*args: Any, **kwargs: Any) -> Any:
        done = work(*args, **kwargs)
        marks.append(time.monotonic())
        return done

    return marked


def _import(module: str) -> float:
    start = time.perf_counter()
    importlib.import_module(module)
    return time.perf_counter() - start


def _first_observation(made: str, **arguments: Any) -> float:
    gymnasium: Any = importlib.import_module("gymnasium")
    start = time.perf_counter()
    env = gymnasium.make(made, **arguments)
    env.reset(seed=0)
    taken = time.perf_counter() - start
    env.close()
    return taken


_WAYS = {"local": _local, "ours": _ours, "stages": _stages}

if __name__ == "__main__":
    main(*sys.argv[1:])
