"""What stands in front of a server: a reverse proxy, one that terminates TLS, a forward proxy."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

__all__ = ["FrontProxy", "Rewrite", "forward", "saying", "strip_prefix"]

_CHUNK = 1 << 16

Rewrite: TypeAlias = Callable[[bytes], tuple[bytes, bytes | None]]
"""The head of a request -> what to answer at once, and what the server is sent; ``None`` hangs up."""


def strip_prefix(prefix: str) -> Rewrite:
    """A reverse proxy that shows a server below a path, and nothing else."""

    def rewrite(head: bytes) -> tuple[bytes, bytes | None]:
        method, path, rest = head.split(b" ", 2)
        if not path.startswith(f"{prefix}/".encode()):
            return saying("404 Not Found"), None
        return b"", b" ".join([method, path.removeprefix(prefix.encode()), rest])

    return rewrite


def forward(heard: list[str], *, credentials: str | None = None) -> Rewrite:
    """A forward proxy that notes what it was asked for, and knows one server, whatever its name."""
    wanted = None if credentials is None else base64.b64encode(credentials.encode())

    def rewrite(head: bytes) -> tuple[bytes, bytes | None]:
        line = head.partition(b"\r\n")[0].decode()
        heard.append(line)
        if wanted is not None and b"Proxy-Authorization: Basic " + wanted not in head:
            return saying("407 Proxy Authentication Required"), None
        method, target, version = line.split(" ")
        if method == "CONNECT":
            return b"HTTP/1.1 200 Connection established\r\n\r\n", b""
        return b"", head.replace(line.encode(), f"{method} {urlsplit(target).path} {version}".encode())

    return rewrite


def saying(status: str) -> bytes:
    """A whole answer without a body."""
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


class FrontProxy:
    """Reads the head of each connection's first request, and carries bytes from there on.

    Attributes:
        port: where it listens, on the loopback.
    """

    def __init__(
        self, server_url: str, rewrite: Rewrite | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(server_url)
        self._server = (parts.hostname, parts.port)
        self._rewrite, self._tls = rewrite, tls
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        listening = threading.Event()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._run(listening)), name="front-proxy"
        )
        self._thread.start()
        assert listening.wait(10)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _run(self, listening: threading.Event) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = server.sockets[0].getsockname()[1]
        listening.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        carriers: list[asyncio.Task[None]] = []
        with suppress(OSError, asyncio.IncompleteReadError):
            try:
                head = b""
                if self._rewrite is not None:
                    head = await reader.readuntil(b"\r\n\r\n")
                    answer, changed = self._rewrite(head)
                    writer.write(answer)
                    await writer.drain()
                    if changed is None:
                        return
                    head = changed
                server_reader, server_writer = await asyncio.open_connection(*self._server)
                writers.append(server_writer)
                server_writer.write(head)
                for source, target in ((reader, server_writer), (server_reader, writer)):
                    carriers.append(self._loop.create_task(_carry(source, target)))
                await asyncio.wait(carriers, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for carrier in carriers:
                    carrier.cancel()
                for one in writers:
                    one.close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
