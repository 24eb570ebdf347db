"""Other libraries' lanes as alternatives, each in a process of its own.

What they import would weigh on this process, and may not even be installed beside us. A library that
is missing is reported, and the others are measured without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from benchmarks.peers import Peer, PeerUnavailable
from benchmarks.rig import Rig

__all__ = ["ENVPOOL_VERSION", "envpool_lanes", "envpool_python", "subproc_vector"]

ENVPOOL_VERSION = "1.2.5"
ENVPOOL = Peer(
    f"envpool-{ENVPOOL_VERSION}", "OPENENV_ENVPOOL_PYTHON", (f"envpool=={ENVPOOL_VERSION}", "gymnasium>=1.4")
)


def subproc_vector(env_id: str, lanes: int) -> Callable[[Rig], list[str]]:
    """Drive Stable-Baselines3's ``SubprocVecEnv``: a worker process for each lane, pickled through pipes."""

    def command(rig: Rig) -> list[str]:
        if find_spec("stable_baselines3") is None:
            raise PeerUnavailable("Stable-Baselines3 is missing; pip install 'openenv-gym[trainers]'")
        return _driver(Path(sys.executable), "subproc", env_id, lanes)

    return command


def envpool_lanes(env_id: str, lanes: int) -> Callable[[Rig], list[str]]:
    """Drive EnvPool's own environment of that name: C++, a pool of threads in one process."""
    return lambda rig: _driver(envpool_python(), "envpool", env_id, lanes)


@cache
def envpool_python() -> Path:
    """Return an interpreter that has EnvPool."""
    return ENVPOOL.python()


def _driver(python: Path, library: str, env_id: str, lanes: int) -> list[str]:
    return [str(python), "-m", "benchmarks.driver", library, env_id, str(lanes)]
