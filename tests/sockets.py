"""A raw WebSocket that speaks JSON, for tests of what a server says to it."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from openenv_gym.client.addresses import http_url
from openenv_gym.client.transports import SocketTransport
from openenv_gym.errors import ServerClosed

__all__ = ["JsonSocket"]

_SECONDS = 10.0


class JsonSocket:
    """A connection to a path of a server; a context manager that closes it."""

    def __init__(self, url: str, path: str = "/ws", *, offer: tuple[str, ...] = (), **query: str) -> None:
        address = http_url(url, path).replace("http", "ws", 1)
        if query:
            address += f"?{urlencode(query)}"
        self._transport = SocketTransport(address, subprotocols=offer)
        self.subprotocol = self._transport.subprotocol

    def send(self, message: Any) -> None:
        """Send text or bytes as they are, anything else as JSON."""
        self._transport.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self) -> Any:
        """The next message."""
        return json.loads(self._transport.receive(_SECONDS))

    def ask(self, message: Any) -> Any:
        """The answer to a message."""
        self.send(message)
        return self.receive()

    def is_closed(self) -> bool:
        """Whether the server says goodbye, and nothing else, next."""
        try:
            self._transport.receive(_SECONDS)
        except ServerClosed:
            return True
        return False

    def close(self) -> None:
        """Say goodbye."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
