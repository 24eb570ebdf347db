"""Players, one a road (native, JSON, HTTP) for environments in trouble, and what must hold around them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from openenv_gym import Client, OpenEnvGymError, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import error_from_wire
from openenv_gym.types import Rows
from tests.environments import Trouble
from tests.served import eventually, health

__all__ = ["ROADS", "HttpPlayer", "Player", "play", "refused", "served"]

ROADS = ("native", "json", "http")


class WebSocketPlayer:
    """A session over a WebSocket."""

    def __init__(self, url: str, dialect: str) -> None:
        self._client = Client.to(url, dialect=dialect, timeout=20)
        self._action: Any = 1 if dialect == "native" else {"action": 1}

    def reset(self, **plan: str) -> None:
        _check(self._client.reset(options=plan or None))

    def step(self) -> None:
        _check(self._client.step_one(self._action))

    def close(self) -> None:
        self._client.close()


def _check(rows: Rows) -> None:
    for failure in rows.failures.values():
        raise error_from_wire(failure.code, failure.message, failure.fields, cause=failure.cause)


class HttpPlayer:
    """A session over plain HTTP."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=20)
        self._session: dict[str, str] = {}

    def reset(self, **plan: str) -> None:
        said = self.ask("/reset", options=plan or None, **self._session)
        self._session = {"session_id": said["session_id"]}

    def step(self, **more: Any) -> None:
        self.ask("/step", action={"action": 1}, **self._session, **more)

    def ask(self, path: str, **body: Any) -> Any:
        answer = self._http.post(path, json=body)
        said = answer.json()
        if answer.status_code != 200:
            error = said["error"]
            raise error_from_wire(error["error_code"], error["message"], error["fields"])
        return said

    def close(self) -> None:
        if self._session:
            self._http.post("/close", json=self._session)
        self._http.close()


Player = WebSocketPlayer | HttpPlayer


@contextmanager
def play(url: str, road: str) -> Iterator[Player]:
    """A session over one of the roads."""
    player = HttpPlayer(url) if road == "http" else WebSocketPlayer(url, road)
    try:
        yield player
    finally:
        player.close()


@contextmanager
def served(note: Path | None = None, **options: Any) -> Iterator[GymServer]:
    """A server of troubles with a neighbour that notices nothing; afterwards it holds what it held before."""
    kwargs = {"note": str(note or ""), "slow": options.pop("slow", False)}
    Trouble.release.clear()
    with serve_gym(Trouble, kwargs=kwargs, port=0, block=False, **options) as server:
        with play(server.url, "native") as neighbour:
            neighbour.reset()
            before = _held()
            yield server
            neighbour.step()
            assert eventually(lambda: health(server.url)["sessions"] == 1)
            assert health(server.url)["active_lanes"] == 1
            Trouble.release.set()
            assert eventually(lambda: health(server.url)["abandoned_threads"] == 0)
            assert eventually(lambda: all(now <= then for now, then in zip(_held(), before, strict=True)))
        assert eventually(lambda: server.house.active_sessions == 0)


def _children() -> int:
    """How many children this process has, the dead that nobody waited for included."""
    return sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))


def _held() -> tuple[int, int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd")), _children()


def refused(player: Player, expected: type[OpenEnvGymError], **plan: str) -> OpenEnvGymError:
    """The error that comes of a reset with this plan, or of the step behind it."""
    with pytest.raises(expected) as caught:
        player.reset(**plan)
        player.step()
    return caught.value
