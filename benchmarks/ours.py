"""The bridge as an alternative: our server in a process of its own, our client in this one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

from benchmarks.rig import AnyEnv, AnyVectorEnv, Rig
from openenv_gym import OpenEnvGym, OpenEnvVectorEnv

__all__ = ["our_server", "remote_lane", "remote_lanes"]


def our_server(
    env_id: str, *, native_vectorization: bool = False, kwargs: Mapping[str, Any] | None = None
) -> Callable[[Rig], str]:
    """Start ``python -m openenv_gym serve`` and return its URL."""
    command = [sys.executable, "-m", "openenv_gym", "serve", env_id, "--port", "0"]
    if native_vectorization:
        command += ["--vectorization", "native"]
    if kwargs:
        command += ["--kwargs", json.dumps(kwargs)]

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
