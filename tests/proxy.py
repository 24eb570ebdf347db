"""A TCP proxy on the loopback that cuts its one connection when it is told to."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["CuttingProxy"]

_CHUNK = 1 << 16
_POLL_SECONDS = 0.02


class CuttingProxy:
    """Carries bytes between one client and a server.

    Attributes:
        url: where clients connect.
    """

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = threading.Event()
        self._left: int | None = None
        self._reset = False
        self._thread = threading.Thread(target=self._carry, name="cutting-proxy")
        self._thread.start()

    def cut_after(self, answered_bytes: int, *, reset: bool) -> None:
        """Let so many further bytes of the server pass, then cut: with RST, or with FIN."""
        self._reset = reset
        self._left = answered_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()

    def _carry(self) -> None:
        self._listener.settimeout(10)
        client, _ = self._listener.accept()
        with (
            client,
            socket.create_connection(self._server) as server,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._stop.is_set():
                for key, _ in selector.select(_POLL_SECONDS):
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(_CHUNK)
                    if source is server and self._left is not None:
                        data = data[: self._left]
                        self._left -= len(data)
                    if data:
                        target.sendall(data)
                    if not data or self._left == 0:
                        self._cut(client)
                        return

    def _cut(self, client: socket.socket) -> None:
        if self._reset:
            # A linger of 0 seconds: close() sends RST in the place of FIN.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
