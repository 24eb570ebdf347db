"""Players, one a road (native, JSON, HTTP) for environments in trouble, and what must hold around them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openenv_gym import Client, OpenEnvGymError, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import error_from_wire
from openenv_gym.types import Rows
from openenv_gym.wire.messages import Hello
from tests import web
from tests.environments import Trouble
from tests.served import eventually, health

__all__ = ["ROADS", "HttpPlayer", "Player", "WebSocketPlayer", "held", "play", "refused", "served"]

ROADS = ("native", "json", "http")


class WebSocketPlayer:
    """A session over a WebSocket; of several lanes, all do the same.

    Args:
        url: of the server.
        dialect: ``native`` or ``json``.
        lanes: how many; the first is the one that is looked at.
        field: of a JSON action.
    """

    def __init__(self, url: str, dialect: str, *, lanes: int = 1, field: str = "action") -> None:
        self.client = Client.to(url, Hello(lanes=lanes), dialect=dialect, timeout=20)
        self._native, self._lanes, self._field = dialect == "native", lanes, field

    def reset(self, **plan: str) -> Any:
        return self._seen(self.client.reset(options=plan or None))

    def step(self, action: Any = 1) -> Any:
        sent = action if self._native else {self._field: action}
        alone = self._lanes == 1
        return self._seen(
            self.client.step_one(sent) if alone else self.client.step(None, [sent] * self._lanes)
        )

    def _seen(self, rows: Rows) -> Any:
        _check(rows)
        if self._native:
            return rows.observation[0].tolist() if rows.observation is not None else rows.values[0]
        fields = rows.values[0]
        return fields["observation"] if "observation" in fields else fields["total"]

    def close(self) -> None:
        self.client.close()


def _check(rows: Rows) -> None:
    for failure in rows.failures.values():
        raise error_from_wire(failure.code, failure.message, failure.fields, cause=failure.cause)


class HttpPlayer:
    """A session over plain HTTP."""

    def __init__(self, url: str, *, field: str = "action") -> None:
        self._http = web.Client(base_url=url, timeout=20)
        self._field = field
        self._session: dict[str, str] = {}

    def reset(self, **plan: str) -> Any:
        said = self.ask("/reset", options=plan or None, **self._session)
        self._session = {"session_id": said["session_id"]}
        return self._seen(said)

    def step(self, action: Any = 1, **more: Any) -> Any:
        return self._seen(self.ask("/step", action={self._field: action}, **self._session, **more))

    def _seen(self, said: Any) -> Any:
        fields = said["observation"]
        return fields["observation"] if "observation" in fields else fields["total"]

    def ask(self, path: str, **body: Any) -> Any:
        # json, for it writes NaN, which httpx refuses to.
        headers = {"Content-Type": "application/json"}
        answer = self._http.post(path, content=json.dumps(body), headers=headers)
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
            before = held()
            yield server
            neighbour.step()
            assert eventually(lambda: health(server.url)["active_lanes"] == 1)
            assert health(server.url)["sessions"] == 1
            Trouble.release.set()
            assert eventually(lambda: health(server.url)["abandoned_threads"] == 0)
            assert eventually(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))
        assert eventually(lambda: server.house.active_sessions == 0)


def _children() -> int:
    """How many children this process has, the dead that nobody waited for included."""
    return sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))


def held() -> tuple[int, int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd")), _children()


def refused(player: Player, expected: type[OpenEnvGymError], **plan: str) -> OpenEnvGymError:
    """The error that comes of a reset with this plan, or of the step behind it."""
    with pytest.raises(expected) as caught:
        player.reset(**plan)
        player.step()
    return caught.value
