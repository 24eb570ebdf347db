"""A bare WebSocket exchange through our stack, with messages as long as ours and nothing behind them.

The floor under a remote step: uvicorn with uvloop and ``websockets-sansio`` before a raw ASGI
application, and a blocking client over the sans-I/O layer of websockets. Run as a module it is
the server.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from benchmarks.children import ProcessGroups
from benchmarks.rig import Rig

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from benchmarks.wire_sizes import MessageSizes

__all__ = ["Echo"]

CHUNK = 65_536


class Echo:
    """One connection on which a message is answered by a message, as fast as the stack can.

    Args:
        name: how results call it.
        sizes: finds out how long the messages are to be.
    """

    def __init__(self, name: str, sizes: Callable[[], MessageSizes]) -> None:
        self.name = name
        self._sizes = sizes
        self._rig = Rig()

    def setup(self) -> None:
        """Learn the sizes, start the server and open the connection."""
        sizes = self._sizes()
        self._request = bytes(sizes.request)
        url = self._rig.start_server(
            [sys.executable, "-m", "benchmarks.echo", "--answer-bytes", str(sizes.answer)]
        )
        target = urlsplit(url)
        self._socket = socket.create_connection((target.hostname, target.port))
        self._rig.stack.callback(self._socket.close)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = ClientProtocol(parse_uri(url.replace("http", "ws", 1) + "/ws"))
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        self._receive()
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc

    def run(self, steps: int) -> float:
        """Exchange ``steps`` pairs of messages and return the seconds."""
        start = time.perf_counter()
        for _ in range(steps):
            self._exchange()
        return time.perf_counter() - start

    def round_trips(self, steps: int) -> list[int]:
        """Return the nanoseconds of each of ``steps`` exchanges."""
        taken = []
        for _ in range(steps):
            start = time.perf_counter_ns()
            self._exchange()
            taken.append(time.perf_counter_ns() - start)
        return taken

    def processes(self) -> ProcessGroups:
        """The client is this process."""
        return ProcessGroups((os.getpid(),), self._rig.server_pids())

    def close(self) -> None:
        """Close the connection and end the server."""
        self._rig.close()

    def _exchange(self) -> None:
        self._protocol.send_binary(self._request)
        self._flush()
        self._receive()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._socket.sendall(data)

    def _receive(self) -> None:
        while True:
            data = self._socket.recv(CHUNK)
            if not data:
                raise ConnectionError("the echo server hung up")
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if not isinstance(event, Frame) or event.fin:
                    return


def _application(answer: bytes) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
            else:
                await send({"type": "websocket.send", "bytes": answer})

    return application


def _serve() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answer-bytes", type=int, required=True)
    uvicorn.run(
        _application(bytes(parser.parse_args().answer_bytes)),
        host="127.0.0.1",
        port=0,
        loop="uvloop",
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
    )


if __name__ == "__main__":
    _serve()
