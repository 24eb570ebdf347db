"""Processes that use embedded servers, in ways in which they may be when somebody kills them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import gymnasium

import openenv_gym  # noqa: F401
from openenv_gym.errors import OpenEnvGymError

__all__ = ["MARK", "WAYS", "live"]

MARK = "OPENENV_GYM_TEST_PARENT"
"""An environment variable that the servers of a parent show."""

_FORKS = 4
_KINDS: list[dict[str, Any]] = [{}, {"is_slippery": False}]


def live(way: str, mark: str, told: Connection) -> None:
    """Use servers in a way, tell that it is so, and wait to be killed."""
    os.environ[MARK] = mark
    WAYS[way](told)
    told.send(True)
    time.sleep(60)


def _play(**arguments: Any) -> gymnasium.Env[Any, Any]:
    env = gymnasium.make("openenv/gym", env_id="FrozenLake-v1", **arguments)
    env.reset(seed=0)
    env.step(1)
    return env


def _alone(told: Connection) -> None:
    _kept.append(_play())


def _by_threads_that_are_gone(told: Connection) -> None:
    threads = [threading.Thread(target=lambda kind=kind: _kept.append(_play(**kind))) for kind in _KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_kept) == len(_KINDS)


def _having_forked(told: Connection) -> None:
    _kept.append(_play())
    if os.fork() == 0:
        _outlive(told, _play())


def _having_forked_during_the_start(told: Connection) -> None:
    starting = threading.Thread(target=_alone, args=(told,))
    starting.start()
    for _ in range(_FORKS):
        time.sleep(0.05)
        if os.fork() == 0:
            _outlive(told)
    starting.join()


def _during_the_start(told: Connection) -> None:
    told.send(True)
    _kept.append(_play())


def _outlive(told: Connection, env: gymnasium.Env[Any, Any] | None = None) -> None:
    """In a child of the parent: stay until the test has seen that the servers do not."""
    with suppress(OpenEnvGymError):
        while env is not None:
            env.step(env.action_space.sample())
            time.sleep(0.01)
    told.poll(None)
    os._exit(0)


_kept: list[Any] = []

WAYS: dict[str, Callable[[Connection], None]] = {
    "alone": _alone,
    "by threads that are gone": _by_threads_that_are_gone,
    "having forked": _having_forked,
    "having forked during the start": _having_forked_during_the_start,
    "during the start": _during_the_start,
}
