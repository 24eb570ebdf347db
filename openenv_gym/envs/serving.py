"""``serve_gym``: an environment behind a port."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from openenv_gym.hosting.source import open_source
from openenv_gym.server.app import Application
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
    kwargs: Mapping[str, Any] | None,
    vectorization: str,
    calls: Sequence[str],
    max_lanes: int,
    max_message_bytes: int,
) -> GymServer:
    """Probe the environment and take the port; the server does not run yet."""
    source = open_source(env, kwargs=kwargs, vectorization=vectorization, calls=calls)
    house = House(source, Limits(max_lanes=max_lanes, max_message_bytes=max_message_bytes))
    listener = listen(host, port)
    return GymServer(WebServer(Application(house), listener), url_of(listener), house)
