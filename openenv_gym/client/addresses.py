"""The addresses behind a server's URL, however its user spelled it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from openenv_gym.errors import InvalidArgument

__all__ = ["http_url", "websocket_url"]

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


def http_url(url: str, path: str) -> str:
    """The address of a page.

    Raises:
        InvalidArgument: if it is not an http, https, ws or wss URL.

    >>> http_url("ws://host:8000/ws", "/schema")
    'http://host:8000/schema'
    """
    return _address(url, ("http", "https"), path)


def _address(url: str, schemes: tuple[str, str], path: str, query: str = "") -> str:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        secure = _SECURE.get(parts.scheme) if parts.hostname else None
        _ = parts.port  # which is read, and refused, only here
    except (TypeError, ValueError):
        secure = None
    if secure is None:
        raise InvalidArgument(f"{url!r:.200} is no server address; one looks like http://127.0.0.1:8000")
    base = parts.path.rstrip("/").removesuffix("/ws")
    return urlunsplit((schemes[secure], parts.netloc, base + path, query, ""))
