"""``serve_gym``: an environment behind a port."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from openenv_gym.errors import InvalidArgument
from openenv_gym.hosting.source import open_source
from openenv_gym.server.app import Application, Mode
from openenv_gym.server.episodes import Episodes
from openenv_gym.server.listening import WebServer, listen, url_of
from openenv_gym.server.sessions import House, Limits

__all__ = ["GymServer", "open_server"]


class GymServer:
    """A running server; a context manager that stops it.

    Attributes:
        url: where it listens, ``http://127.0.0.1:8000``.
        house: its sessions.
    """

    def __init__(self, web: WebServer, url: str, house: House) -> None:
        self._web = web
        self.url = url
        self.house = house

    def __repr__(self) -> str:
        return f"GymServer({self.house.source.signature.env_id!r}, url={self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def started(self) -> threading.Event:
        """Set once connections are accepted."""
        return self._web.started

    def start(self) -> Self:
        """Serve on a thread of its own, and return once connections are accepted."""
        self._web.start()
        return self

    def run(self) -> None:
        """Serve on this thread until Ctrl-C or :meth:`close`."""
        self._web.run_process()

    def close(self) -> None:
        """End every session and the server; may be called twice."""
        self._web.stop()


def open_server(
    env: Any,
    *,
    host: str,
    port: int,
    kwargs: Mapping[str, Any] | None = None,
    vectorization: str = "lanes",
    calls: Sequence[str] = (),
    limits: Mapping[str, Any] | None = None,
    doors: Mapping[str, Any] | None = None,
    client_ids: Sequence[str] = (),
    client_kwargs: Sequence[str] = (),
    mode: str | None = None,
) -> GymServer:
    """Probe the environment and take the port; the server does not run yet."""
    checked = _mode(mode)
    source = open_source(env, kwargs=kwargs, vectorization=vectorization, calls=calls)
    house = House(source, Limits(**(limits or {})))
    application = Application(house, Episodes(house, idle_timeout=house.limits.idle_timeout), mode=checked)
    listener = listen(host, port)
    return GymServer(WebServer(application, listener), url_of(listener), house)


def _mode(asked: str | None) -> Mode:
    """The mode that was asked for, or that the environment variable of OpenEnv names."""
    mode = (os.environ.get("OPENENV_MODE", "simulation") if asked is None else asked).lower()
    if mode == "simulation":
        return "simulation"
    if mode == "production":
        return "production"
    raise InvalidArgument(f"there is no mode {mode!r:.40}; take simulation or production")
