"""Pickled messages between a server and the child process of one of its sessions.

The pipe is inherited, so whoever writes to it is the server or its own child: nothing here ever
reads what came over a network.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct

__all__ = ["Channel"]

_LENGTH = Struct("<Q")


class Channel:
    """One end of a socket pair.

    Args:
        connection: the end; closed with the channel.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, parts: Sequence[bytes]) -> None:
        """Send pickles, one behind the other, as one message.

        Raises:
            OSError: if the other end is gone.
        """
        self._connection.sendall(_LENGTH.pack(sum(map(len, parts))) + b"".join(parts))

    def receive(self) -> io.BytesIO:
        """The next message, to ``pickle.load`` its objects from.

        Raises:
            EOFError: if the other end is gone.
        """
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return io.BytesIO(self._exactly(length))

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        room = memoryview(data)
        while room:
            try:
                got = self._connection.recv_into(room)
            except OSError:
                got = 0
            if not got:
                raise EOFError("the other end of the pipe is gone")
            room = room[got:]
        return data

    def hang_up(self) -> None:
        """End both directions, so that whoever waits for a message is told; from any thread."""
        with suppress(OSError):  # the other end may have done it
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the descriptor."""
        self._connection.close()
