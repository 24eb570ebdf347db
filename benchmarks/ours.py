"""The bridge as an alternative: our server in processes of its own, our client in this one."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.rig import AnyEnv, AnyVectorEnv, Lanes, Rig
from openenv_gym import OpenEnvGym, OpenEnvVectorEnv

__all__ = ["SpreadLanes", "our_server", "remote_lane", "remote_lanes"]


def our_server(
    env_id: str,
    *,
    native_vectorization: bool = False,
    kwargs: Mapping[str, Any] | None = None,
    workers: int = 1,
    pin_workers: bool = False,
) -> Callable[[Rig], str]:
    """Start ``python -m openenv_gym serve`` and return its URL."""
    command = [sys.executable, "-m", "openenv_gym", "serve", env_id, "--port", "0"]
    if native_vectorization:
        command += ["--vectorization", "native"]
    if kwargs:
        command += ["--kwargs", json.dumps(kwargs)]
    if workers > 1:
        command += ["--workers", str(workers)]
    if pin_workers:
        command += ["--pin-workers"]

    def start(rig: Rig) -> str:
        return rig.start_server(command)

    return start


def remote_lane(env_id: str, dialect: Literal["native", "json"]) -> Callable[[Rig], AnyEnv]:
    """Open an ``OpenEnvGym`` on a server of its own."""

    def open_env(rig: Rig) -> AnyEnv:
        env = OpenEnvGym(our_server(env_id)(rig), dialect=dialect)
        rig.stack.callback(env.close)
        return env

    return open_env


def remote_lanes(
    env_id: str, lanes: int, *, native_vectorization: bool = False
) -> Callable[[Rig], AnyVectorEnv]:
    """Open an ``OpenEnvVectorEnv`` on a server of its own, one process for all lanes."""

    def open_envs(rig: Rig) -> AnyVectorEnv:
        url = our_server(env_id, native_vectorization=native_vectorization)(rig)
        envs = OpenEnvVectorEnv(url, num_envs=lanes, autoreset_mode="NextStep")
        rig.stack.callback(envs.close)
        return envs

    return open_envs


class SpreadLanes(Lanes):
    """Lanes over several connections to one server, which spreads them over its worker processes.

    Args:
        name: how results call it.
        env_id: what is served.
        actions: a table with a column for each lane, played over and over.
        workers: processes that serve.
        connections: on each there are equally many lanes, and all of them step at once.
        pin_workers: whether each worker keeps to a core of its own.
    """

    def __init__(
        self,
        name: str,
        env_id: str,
        actions: NDArray[np.int64],
        *,
        workers: int,
        connections: int,
        pin_workers: bool = False,
    ) -> None:
        super().__init__(name, self._open_all, actions)
        self._env_id, self._lanes = env_id, actions.shape[1]
        self._workers, self._connections = workers, connections
        self._pin_workers = pin_workers

    def _open_all(self, rig: Rig) -> AnyVectorEnv:
        self._url = our_server(self._env_id, workers=self._workers, pin_workers=self._pin_workers)(rig)
        envs = OpenEnvVectorEnv([self._url] * self._connections, num_envs=self._lanes)
        rig.stack.callback(envs.close)
        return envs

    def connections(self) -> tuple[int, ...]:
        """Return how many of the connections each worker has got, as the server says it."""
        with urllib.request.urlopen(f"{self._url}/metrics") as answer:
            said = answer.read().decode()
        counts = re.findall(r'^openenv_gym_sessions{worker="\d+"} (\d+)$', said, re.MULTILINE)
        return tuple(map(int, counts))
