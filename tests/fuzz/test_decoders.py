"""A short run of what ``python -m tests.fuzz.decoders`` does for long; without Atheris, always the same."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS, recorded

INPUTS = 1500
WORDS = [b"\0" * 4, b"\xff" * 4, b"\0\0\0\x80", b"\x7f" + b"\xff" * 7, b"\xdf", b"{}", b"[[", b"1e999"]
"""What a guided fuzzer soon finds by itself."""


def mutated(draw: random.Random, inputs: list[bytes]) -> bytes:
    """An input of which some bytes were changed, cut out, put in, or taken from another."""
    data = bytearray(draw.choice(inputs))
    for _ in range(draw.randrange(1, 6)):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(5):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del data[at : at + draw.randrange(1, 32)]
            case 2:
                data[at:at] = draw.choice(WORDS)
            case 3:
                data[at : at + 4] = draw.choice(WORDS)
            case _:
                other = draw.choice(inputs)
                data[at:] = other[draw.randrange(len(other)) :]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_recorded_and_what_is_made_of_it_is_read_or_refused(name: str) -> None:
    draw, inputs = random.Random(5), recorded(name)
    for data in [b"", *inputs, *(mutated(draw, inputs) for _ in range(INPUTS))]:
        TARGETS[name](data)
