"""Gymnasium by itself, in process or in its own worker processes: what a remote lane is held up to."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
from gymnasium.vector import AsyncVectorEnv

from benchmarks.rig import AnyEnv, AnyVectorEnv, Rig

__all__ = ["async_vector", "in_process", "native_vector", "sync_vector"]


def in_process(env_id: str) -> Callable[[Rig], AnyEnv]:
    """Open ``gymnasium.make(env_id)``."""

    def open_env(rig: Rig) -> AnyEnv:
        env = gymnasium.make(env_id)
        rig.stack.callback(env.close)
        return env

    return open_env


def sync_vector(env_id: str, lanes: int) -> Callable[[Rig], AnyVectorEnv]:
    """Open a ``SyncVectorEnv``: lanes one after the other in this process."""
    return _vector(env_id, lanes, "sync")


def native_vector(env_id: str, lanes: int) -> Callable[[Rig], AnyVectorEnv]:
    """Open the vector environment that the environment itself brings along."""
    return _vector(env_id, lanes, "vector_entry_point")


def _vector(env_id: str, lanes: int, mode: str) -> Callable[[Rig], AnyVectorEnv]:
    def open_envs(rig: Rig) -> AnyVectorEnv:
        envs = gymnasium.make_vec(env_id, num_envs=lanes, vectorization_mode=mode)
        rig.stack.callback(envs.close)
        return envs

    return open_envs


def async_vector(env_id: str, lanes: int) -> Callable[[Rig], AnyVectorEnv]:
    """Open an ``AsyncVectorEnv``: a worker process for each lane, observations in shared memory."""

    def open_envs(rig: Rig) -> AnyVectorEnv:
        envs = gymnasium.make_vec(env_id, num_envs=lanes, vectorization_mode="async")
        assert isinstance(envs, AsyncVectorEnv)
        # Terminated, not asked: after an interrupt the workers may be gone, and asking would wait.
        rig.stack.callback(envs.close, terminate=True)
        for worker in envs.processes:
            assert worker.pid is not None
            rig.add_server(worker.pid)
        return envs

    return open_envs
