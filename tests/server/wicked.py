"""Environments that do what they must not, on all roads, lifted and typed, and what must hold around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from openenv_gym import create_app, serve_gym
from openenv_gym.envs.serving import GymServer
from tests.environments import Trouble
from tests.served import eventually, health
from tests.server.troubled import HttpPlayer, Player, WebSocketPlayer, held
from tests.typed import Count, Counted, Counting

__all__ = [
    "MAX_BYTES",
    "MAX_LANES",
    "PLAIN",
    "ROADS",
    "TEXT",
    "TYPED",
    "Wicked",
    "WickedTyped",
    "player_of",
    "playing",
    "unnoticed",
    "wicked",
]

MAX_BYTES, MAX_LANES = 1 << 16, 6
STEP_SECONDS = 0.3
PLAIN = ("native", "three lanes", "json", "http")
TYPED = ("typed json", "typed http")
ROADS = PLAIN + TYPED
TEXT = ("json", "http", *TYPED)


class Wicked(Trouble):
    """A trouble that may also raise, end, or observe what it must not."""

    broken = False

    def __init__(self) -> None:
        super().__init__()
        if self.broken:
            raise ZeroDivisionError("broken")

    def _happen(self, what: str | None) -> None:
        if what == "raise":
            raise ZeroDivisionError("broken")
        super()._happen(what)

    def step(self, action: Any) -> Any:
        observation, reward, _, truncated, info = super().step(action)
        what = self.plan.get("step")
        shown = {"misfit": np.zeros((3, 3), np.float32), "outside": np.array([-5.0], np.float32)}
        return shown.get(what or "", observation), reward, what == "end", truncated, info


class WickedTyped(Counting):
    """The same of a typed environment."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: dict[str, str] = {}
        if Wicked.broken:
            raise ZeroDivisionError("broken")

    def _happen(self, during: str) -> None:
        match self._plan.get(during):
            case "raise":
                raise ZeroDivisionError("broken")
            case "hang":
                Trouble.release.wait(30)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Counted:
        self._plan = kwargs.get("options") or {}
        self._happen("reset")
        return super().reset(seed, episode_id)

    def step(self, action: Count, timeout_s: float | None = None, **kwargs: Any) -> Counted:
        self._happen("step")
        what = self._plan.get("step")
        seen = super().step(Count(by=-2) if what == "misfit" else action)
        if what == "end":
            seen.done = True
        return seen

    def close(self) -> None:
        self._happen("close")


@contextmanager
def wicked(road: str) -> Iterator[GymServer]:
    limits: dict[str, Any] = {"max_message_bytes": MAX_BYTES, "resume_grace": 0.2}
    if road in TYPED:
        limits |= {"step_timeout": STEP_SECONDS}
        app = create_app(WickedTyped, Count, Counted, max_concurrent_envs=MAX_LANES, **limits)
        with serve_gym(app, port=0, block=False) as server:
            yield server
    else:
        with serve_gym(Wicked, port=0, block=False, max_lanes=MAX_LANES, **limits) as server:
            yield server


def player_of(url: str, road: str) -> Player:
    field = "by" if road in TYPED else "action"
    if road.endswith("http"):
        return HttpPlayer(url, field=field)
    return WebSocketPlayer(
        url,
        "json" if road.endswith("json") else "native",
        lanes=3 if road == "three lanes" else 1,
        field=field,
    )


@contextmanager
def unnoticed(server: GymServer, road: str) -> Iterator[None]:
    """A session that was there before goes on exactly, and afterwards the server holds what it held."""
    neighbour = player_of(server.url, "typed json" if road in TYPED else "native")
    try:
        seen = [neighbour.reset(), neighbour.step()]
        before = held()
        yield
        seen += [neighbour.step(), neighbour.step()]
        assert seen == ([0, 1, 2, 3] if road in TYPED else [[0.0], [1.0], [2.0], [3.0]])
        Trouble.release.set()
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)
        assert health(server.url)["sessions"] == 1
        assert eventually(lambda: health(server.url)["abandoned_threads"] == 0)
        assert eventually(lambda: all(now <= then for now, then in zip(held(), before, strict=True))), (
            before,
            held(),
        )
    finally:
        neighbour.close()
        assert eventually(lambda: health(server.url)["sessions"] == 0)
        Trouble.release.clear()


@contextmanager
def playing(url: str, road: str) -> Iterator[Player]:
    player = player_of(url, road)
    try:
        yield player
    finally:
        player.close()
