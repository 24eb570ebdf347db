"""A WebSocket server that is none of ours, and does with each connection what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import websockets.sync.server

from openenv_gym.wire.codecs.native import SUBPROTOCOL

__all__ = ["Connection", "accepting"]

Connection: TypeAlias = websockets.sync.server.ServerConnection


@contextmanager
def accepting(
    handle: Callable[[Connection], None], *, native: bool = False, compression: str | None = "deflate"
) -> Iterator[str]:
    """The URL of a server.

    Args:
        handle: what it does with each connection.
        native: whether it accepts the native dialect.
        compression: what it offers.
    """
    subprotocols = [websockets.Subprotocol(SUBPROTOCOL)] if native else None
    with websockets.sync.server.serve(
        handle, "127.0.0.1", 0, subprotocols=subprotocols, compression=compression
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
