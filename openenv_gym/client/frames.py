"""Whole WebSocket messages out of a byte stream, past the library that handles the rest.

A message that arrives as one frame, which every answer does, is taken out of the stream here, into
memory that its receiver then owns. Everything else (pings, goodbyes, fragments, what is malformed
or too large) is handed on frame by frame to websockets' sans-I/O layer, which knows the rules
(RFC 6455, 5.2). Pure: bytes in, messages out.
"""

from __future__ import annotations

__all__ = ["FrameReader"]

_TEXT, _BINARY = 0x81, 0x82
_TRUSTED_BYTES = 1 << 22
"""Up to here a length is believed before its bytes have come; beyond it memory grows with them."""


class FrameReader:
    """Takes the messages of one connection apart from the rest.

    Args:
        max_bytes: the largest message that is taken; a larger one is handed on.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._stream = b""
        self._payload: bytearray | None = None
        self._filled = 0
        self._length = 0
        self._text = False
        self._fragmented = False
        self._blind = False
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Bytes that arrived while no :meth:`room` was offered."""
        self._stream = self._stream + data if self._stream else data

    def room(self) -> memoryview | None:
        """Where the next bytes belong, if a message is half there; else :meth:`feed` them."""
        payload = self._payload
        if payload is None:
            return None
        if self._filled == len(payload):
            payload.extend(bytes(min(self._length, 2 * len(payload)) - len(payload)))
        return memoryview(payload)[self._filled :]

    def filled(self, count: int) -> None:
        """Say that so many bytes were put into the :meth:`room`."""
        self._filled += count

    def take(self) -> bytearray | str | None:
        """The next message, or ``None`` until more has come.

        Look at :attr:`rest` after a ``None``: bytes for the library, of which it knows the meaning.
        """
        if self._payload is not None:
            if self._filled < self._length:
                return None
            payload, self._payload = self._payload, None
            return payload.decode() if self._text else payload
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
