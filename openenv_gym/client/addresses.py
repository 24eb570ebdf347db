"""The addresses behind a server's URL, however its user spelled it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from openenv_gym.errors import InvalidArgument

__all__ = ["WORKER_HEADER", "Destination", "http_url", "websocket_url", "without_user"]

WORKER_HEADER = "X-OpenEnv-Worker"
"""In the answer to a handshake: which of a server's processes answers; ``/ws?worker=`` reaches it again."""

_WORKER = re.compile(r"w\d{1,4}")
_ID = re.compile(r"([\w-]+/)?[\w-]+-v\d+")
_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


def websocket_url(url: str, **query: Any) -> str:
    """The address of the ``/ws`` endpoint, with a query of the names that are not ``None``.

    Raises:
        InvalidArgument: if it is not an http, https, ws or wss URL.

    >>> websocket_url("https://host/prefix/")
    'wss://host/prefix/ws'
    >>> websocket_url("http://host", render_mode="ansi", view=None)
    'ws://host/ws?render_mode=ansi'
    """
    said = {name: value for name, value in query.items() if value is not None}
    return _address(url, ("ws", "wss"), "/ws", urlencode(said))


class Destination:
    """The ``/ws`` endpoint of a server: of any of its workers, and after the first handshake of the same.

    Args:
        url: of the server.
        **query: names for the address, as in :func:`websocket_url`.
    """

    def __init__(self, url: str, **query: Any) -> None:
        self._url, self._query = url, query
        self.address = websocket_url(url, **query)

    def arrived(self, worker: str | None) -> None:
        """Remember the worker that answered a handshake, where the session is; ``None``: it said none."""
        if worker is not None and _WORKER.fullmatch(worker):
            self.address = websocket_url(self._url, **self._query, worker=worker)


def http_url(url: str, path: str) -> str:
    """The address of a page.

    Raises:
        InvalidArgument: if it is not an http, https, ws or wss URL.

    >>> http_url("ws://host:8000/ws", "/schema")
    'http://host:8000/schema'
    """
    return _address(url, ("http", "https"), path)


def without_user(url: str) -> str:
    """An address as it may be shown: without a user and a password.

    >>> without_user("http://user:password@host:8000"), without_user("host:8000")
    ('http://host:8000', 'host:8000')
    """
    before, scheme, rest = url.rpartition("://")
    authority, slash, path = rest.partition("/")
    return f"{before}{scheme}{authority.rpartition('@')[2]}{slash}{path}"


def _address(url: str, schemes: tuple[str, str], path: str, query: str = "") -> str:
    is_id = None
    try:
        is_id = _ID.fullmatch(url)
        parts = urlsplit(url if "://" in url else f"http://{url}")
        secure = _SECURE.get(parts.scheme) if parts.hostname else None
        _ = parts.port  # which is read, and refused, only here
    except (TypeError, ValueError):
        secure = None
    if is_id:
        raise InvalidArgument(
            f"{url!r} is an id and no server address; gym.make('openenv/gym', env_id={url!r}) plays it, and "
            f"openenv-gym serve {url} serves it. An address begins with http://"
        )
    if secure is None:
        raise InvalidArgument(f"{url!r:.200} is no server address; one looks like http://127.0.0.1:8000")
    base = parts.path.rstrip("/").removesuffix("/ws")
    return urlunsplit((schemes[secure], parts.netloc, base + path, query, ""))
