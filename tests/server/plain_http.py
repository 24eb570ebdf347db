"""A server, and a client that speaks plain HTTP to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from openenv_gym import serve_gym
from openenv_gym.envs.serving import GymServer
from tests import web

__all__ = ["served"]


@contextmanager
def served(env: Any, **options: Any) -> Iterator[tuple[GymServer, httpx.Client]]:
    """A server and a client of it; at its close, no lane is taken and no session left."""
    with serve_gym(env, port=0, block=False, **options) as server:
        with web.Client(base_url=server.url, timeout=20) as http:
            yield server, http
    assert server.house.active_lanes == 0
    assert server.house.sessions == {}
