"""Whole WebSocket messages out of a byte stream, past the library that handles the rest.

A message that arrives as one frame, which every answer does, is taken out of the stream here, into
memory that its receiver then owns. Everything else (pings, goodbyes, fragments, what is malformed
or too large) is handed on frame by frame to websockets' sans-I/O layer, which knows the rules
(RFC 6455, 5.2). Large messages are often followed by others of about that length, so the next one is
received straight into the memory that it is handed out in. Pure: bytes in, messages out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameReader"]

_TEXT, _BINARY = 0x81, 0x82
_TRUSTED_BYTES = 1 << 22
"""Up to here a length is believed before its bytes have come; beyond it memory grows with them."""
_LARGE_BYTES = 1 << 16
_LONG_HEAD, _LEAD = 10, 16
"""The head of a large frame, and where its payload lies behind it, so that its columns are aligned."""
_SLACK = 4096


class FrameReader:
    """Takes the messages of one connection apart from the rest.

    Args:
        max_bytes: the largest message that is taken; a larger one is handed on.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._stream = b""
        self._payload: Any = None
        self._likely = 0
        self._guess: NDArray[np.uint8] | None = None
        self._filled = 0
        self._length = 0
        self._text = False
        self._fragmented = False
        self._blind = False
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Bytes that arrived while no :meth:`room` was offered."""
        self._stream = self._stream + data if self._stream else data

    @property
    def holds(self) -> bool:
        """Whether there is what :meth:`take`, or the library, has not had yet."""
        return bool(self._stream or self.rest)

    @property
    def begun(self) -> bool:
        """Whether a part of a message is here, and the rest on its way."""
        return self._payload is not None

    def room(self) -> memoryview | None:
        """Where the next bytes belong, if it is known; else :meth:`feed` them."""
        payload = self._payload
        if payload is None:
            if not self._likely or self._stream or self._blind or self._fragmented:
                return None
            self._guess = np.empty(_LEAD + self._likely + _SLACK, np.uint8)
            return self._guess.data[_LEAD - _LONG_HEAD :]
        if self._filled == len(payload):
            payload.extend(bytes(min(self._length, 2 * len(payload)) - len(payload)))
        return memoryview(payload)[self._filled :]

    def filled(self, count: int) -> None:
        """Say that so many bytes were put into the :meth:`room`."""
        if self._guess is None:
            self._filled += count
            return
        guess, self._guess = self._guess.data, None
        came = guess[_LEAD - _LONG_HEAD :][:count]
        length = int.from_bytes(came[2:_LONG_HEAD], "big") if count >= _LONG_HEAD else 0
        if (
            count < _LONG_HEAD
            or came[0] not in (_TEXT, _BINARY)
            or came[1] != 127
            or not _LARGE_BYTES <= length <= min(self._max_bytes, len(guess) - _LEAD)
        ):
            self._stream = bytes(came)
            return
        self._payload = guess[_LEAD : _LEAD + length]
        self._filled = min(count - _LONG_HEAD, length)
        self._stream = bytes(came[_LONG_HEAD + length :])
        self._length, self._text = length, came[0] == _TEXT

    def take(self) -> bytearray | memoryview | str | None:
        """The next message, or ``None`` until more has come.

        Look at :attr:`rest` after a ``None``: bytes for the library, of which it knows the meaning.
        """
        if self._payload is not None:
            if self._filled < self._length:
                return None
            payload, self._payload = self._payload, None
            self._likely = self._length if self._length >= _LARGE_BYTES else 0
            return str(payload, "utf-8") if self._text else payload
        stream = self._stream
        if self._blind or len(stream) < 2:
            self._hand_on_if_blind()
            return None
        first, second = stream[0], stream[1]
        start, length = 2, second & 0x7F
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(stream) < start:
                return None
            length = int.from_bytes(stream[2:start], "big")
        if first not in (_TEXT, _BINARY) or second >= 128 or self._fragmented or length > self._max_bytes:
            self._hand_on(first, start, length, masked=second >= 128)
            return None
        end = start + length
        if len(stream) >= end:
            self._stream = stream[end:]
            self._likely = length if length >= _LARGE_BYTES else 0
            message = bytearray(memoryview(stream)[start:end])
            return message.decode() if first == _TEXT else message
        self._payload = bytearray(min(length, max(_TRUSTED_BYTES, len(stream))))
        self._filled = len(stream) - start
        self._payload[: self._filled] = memoryview(stream)[start:]
        self._length, self._text, self._stream = length, first == _TEXT, b""
        return None

    def _hand_on(self, first: int, start: int, length: int, *, masked: bool) -> None:
        """Give one frame to the library, or, if it breaks the rules, everything from here on."""
        if masked or first & 0x70 or length > self._max_bytes:
            self._blind = True
            self._hand_on_if_blind()
            return
        if len(self._stream) < start + length:
            return
        if not first & 0x08:  # a data frame: fragments go on until a final one
            self._fragmented = not first & 0x80
        self.rest += self._stream[: start + length]
        self._stream = self._stream[start + length :]

    def _hand_on_if_blind(self) -> None:
        if self._blind:
            self.rest += self._stream
            self._stream = b""
