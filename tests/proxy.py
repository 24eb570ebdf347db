"""TCP proxies on the loopback: one cuts its one connection when it is told to, one is rough with many."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

__all__ = ["CuttingProxy", "Fate", "RoughProxy"]

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


@dataclass
class Fate:
    """What becomes of one connection.

    Attributes:
        up: bytes of the client that pass before the cut; ``None``: all.
        down: bytes of the server that pass before it.
        reset: whether both ends see RST in the place of FIN.
        chunk: how many bytes pass at a time.
        delay: seconds for which each is held up.
        deaf: whether the server is not told of the cut.
    """

    up: int | None = None
    down: int | None = None
    reset: bool = False
    chunk: int = _CHUNK
    delay: float = 0.0
    deaf: bool = False


class RoughProxy:
    """Carries the bytes of many connections, each to its fate.

    Args:
        server_url: behind it.
        fate: of the connection of a number, from 0.

    Attributes:
        url: where clients connect.
        cuts: how many connections were cut.
        carried: bytes of each connection, up and down, so far.
    """

    def __init__(self, server_url: str, fate: Callable[[int], Fate]) -> None:
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._fate = fate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        self.carried: list[list[int]] = []
        self._selector = selectors.DefaultSelector()
        self._ours, self._theirs = socket.socketpair()
        self._deaf: list[socket.socket] = []
        self._thread = threading.Thread(target=self._carry, name="rough-proxy")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._thread.join()

    def cut(self) -> None:
        """Cut all connections now."""
        before = self.cuts
        self._ours.send(b"!")
        while self.cuts == before:
            time.sleep(0.001)

    def go_to(self, server_url: str) -> None:
        """Connect to another server from now on."""
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "", parts.port or 0)

    def _carry(self) -> None:
        self._selector.register(self._theirs, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._theirs:
                    if not self._theirs.recv(1):
                        self._close()
                        return
                    self._cut_all()
                    break
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj.fileno() >= 0:  # type: ignore[union-attr]  # not cut by the event before
                    self._pass(key.fileobj, *key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._server)
        fate, carried = self._fate(len(self.carried)), [0, 0]
        self.carried.append(carried)
        for source, target, way in ((client, server, 0), (server, client, 1)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(source, selectors.EVENT_READ, (target, fate, way, carried))
        if 0 in (fate.up, fate.down):
            self._cut(client, server, fate)

    def _pass(self, source: Any, target: socket.socket, fate: Fate, way: int, carried: list[int]) -> None:
        client, server = (target, source) if way else (source, target)
        limit = fate.down if way else fate.up
        left = _CHUNK if limit is None else limit - carried[way]
        try:
            data = source.recv(min(fate.chunk, left))
            if fate.delay:
                time.sleep(fate.delay)
            target.sendall(data)
        except OSError:
            data = b""
        carried[way] += len(data)
        if not data:
            self._end(client, server)
        elif carried[way] == limit:
            self._cut(client, server, fate)

    def _cut(self, client: socket.socket, server: socket.socket, fate: Fate) -> None:
        self.cuts += 1
        if fate.reset:
            for end in (client, server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if fate.deaf:
            self._deaf.append(server)
            self._selector.unregister(server)
            self._end(client)
        else:
            self._end(client, server)

    def _cut_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None and key.data[2] == 0:
                client, (server, fate, *_) = key.fileobj, key.data
                assert isinstance(client, socket.socket)
                self._cut(client, server, fate)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            self._selector.unregister(end)
            end.close()

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        for end in self._deaf:
            end.close()
        self._selector.close()
