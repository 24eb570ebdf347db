"""Messages out of a byte stream, however it is cut."""

from __future__ import annotations

import random

import numpy as np
import pytest

from openenv_gym.client.frames import FrameReader

LIMIT = 1 << 24


def frame(payload: bytes, opcode: int = 0x82) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((opcode, length)) + payload
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + length.to_bytes(8, "big") + payload


def drain(reader: FrameReader, stream: bytes, chances: random.Random, most: int) -> list[bytes | str]:
    """What a transport would take: it receives what it has room for, in pieces of any size."""
    found: list[bytes | str] = []
    at = 0
    while True:
        while (message := reader.take()) is not None:
            found.append(message if isinstance(message, str) else bytes(message))
        assert not reader.rest
        if at == len(stream):
            return found
        size = chances.randint(1, most)
        room = reader.room()
        piece = stream[at : at + (size if room is None else min(size, len(room)))]
        if room is None:
            reader.feed(piece)
        else:
            room[: len(piece)] = piece
            room.release()
            reader.filled(len(piece))
        at += len(piece)


@pytest.mark.parametrize("seed", range(20))
def test_messages_of_all_sizes_come_whole_however_the_stream_is_cut(seed: int) -> None:
    chances = random.Random(seed)
    sizes = [
        chances.choice([0, 1, 125, 126, 70_000, 70_010, 65_536, 65_535, 140_000, 90_000]) for _ in range(30)
    ]
    payloads = [chances.randbytes(size) for size in sizes]
    most = chances.choice([3_000, 1 << 16, 1 << 18])
    assert drain(FrameReader(LIMIT), b"".join(map(frame, payloads)), chances, most) == payloads


def test_text_of_any_length_is_text() -> None:
    texts = ["é" * 50_000, "a" * 100_000, "b" * 100_001, "short"]
    stream = b"".join(frame(text.encode(), 0x81) for text in texts)
    assert drain(FrameReader(LIMIT), stream, random.Random(0), 1 << 18) == texts


def test_what_follows_a_large_message_is_received_where_it_stays() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(frame(bytes(100_000)))
    assert reader.take() is not None
    messages = []
    for value in (1, 2):
        head = frame(bytes([value]) * 100_000)
        room = reader.room()
        assert room is not None
        room[: len(head)] = head
        reader.filled(len(head))
        messages.append(reader.take())
    first, second = [
        np.frombuffer(message, np.uint8) for message in messages if isinstance(message, memoryview)
    ]
    assert first.flags.writeable
    assert first.ctypes.data % 16 == 0  # its columns are aligned as they are in a message of its own
    assert set(first) == {1}
    assert set(second) == {2}


def test_a_length_that_was_not_expected_is_not_believed_at_once() -> None:
    reader = FrameReader(1 << 40)
    reader.feed(frame(bytes(100_000)))
    assert reader.take() is not None
    room = reader.room()
    assert room is not None
    claim = bytes((0x82, 127)) + (1 << 39).to_bytes(8, "big")
    room[: len(claim)] = claim
    reader.filled(len(claim))
    assert reader.take() is None
    following = reader.room()
    assert following is not None
    assert len(following) <= 1 << 22


def test_a_ping_between_large_messages_is_handed_on() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(frame(bytes(100_000)))
    assert reader.take() is not None
    room = reader.room()
    assert room is not None
    room[:4] = bytes((0x89, 2)) + b"hi"
    reader.filled(4)
    assert reader.take() is None
    assert reader.rest == bytes((0x89, 2)) + b"hi"
