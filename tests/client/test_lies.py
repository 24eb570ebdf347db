"""What a server claims costs a client nothing: it is refused in a typed error before memory is taken."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import websockets
from gymnasium.spaces import Box, Dict, Text

from openenv_gym import OpenEnvPool
from openenv_gym.errors import DeadlineExceeded, OpenEnvGymError, ProtocolViolation
from openenv_gym.types import Signature
from openenv_gym.wire import signature as signatures
from openenv_gym.wire.answers import AnswerBuffer
from openenv_gym.wire.blocks import Kind, MessageFlag
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Hello, Welcome
from tests.client.conftest import OpenClient
from tests.strangers import Connection, accepting
from tests.wire.ends import buffer_of, patched, put_lanes, signature_of, welcome_of
from tests.wire.test_fuzz import LYING_VALUES

LANES = 3
MEGABYTES = 8
"""What a refusal may take; up to 4 MiB the blocking client believes a frame's length."""
SIGNATURE = signature_of(lanes=LANES)
MOST = 2**32 - 1
SOME_VALUES = LYING_VALUES[4:-2:5] + LYING_VALUES[-2:]
"""Each sort once, as long as can be said."""
WIDE = Box(-1, 1, (2**16,), np.float64)


@contextmanager
def saying(*answers: bytes) -> Iterator[str]:
    """A server that says the next of its answers to whatever it is asked."""

    def handle(connection: Connection) -> None:
        left = list(answers)
        for _ in connection:
            if left:
                connection.send(left.pop(0))

    with accepting(handle, native=True, compression=None) as url:
        yield url


@contextmanager
def cheap(megabytes: float = MEGABYTES) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 2**20


def welcome(signature: Signature = SIGNATURE, **changes: Any) -> bytes:
    said = welcome_of(signature)
    own = {name: changes.pop(name) for name in list(changes) if name in Welcome.__struct_fields__}
    return NativeCodec().encode(
        welcome_of(signature, **{**own, "signature": {**said.signature, **changes}})
        if changes
        else welcome_of(signature, **own)
    )


# the welcome ------------------------------------------------------------------------------------

SCHEMA = signatures.to_plain(signature_of(WIDE))["observation_spaces"][0]
ENORMOUS = {**SCHEMA, "gymnasium": {**SCHEMA["gymnasium"], "shape": [2**40]}}

WELCOMES: dict[str, tuple[int, Callable[[], bytes]]] = {
    "other lanes": (LANES, partial(welcome, lanes=10**9)),
    "no lanes": (LANES, partial(welcome, lanes=0)),
    "an enormous space": (LANES, partial(welcome, observation_spaces=[ENORMOUS])),
    "wide actions in many lanes": (1024, lambda: welcome(signature_of(action=WIDE, lanes=1024))),
    "wide observations in many lanes": (8192, lambda: welcome(signature_of(WIDE, lanes=8192))),
    "wide ones beside a text": (8192, lambda: welcome(signature_of(Dict(a=WIDE, b=Text(5)), lanes=8192))),
    "agents": (2**20, lambda: welcome(signature_of(Box(0, 1, (100,)), lanes=2**20, agents=tuple("abc")))),
    "another layout": (LANES, partial(welcome, observation=[{"path": [], "dtype": "<f8", "shape": [2**40]}])),
    "no limit": (LANES, partial(welcome, limits={"max_message_bytes": "many"})),
    "more kinds": (LANES, partial(welcome, kinds=[["array"]] * 9)),
    **{f"value {number}": (LANES, partial(bytes.__add__, bytes([Kind.WELCOME]) + bytes(31), lie))
       for number, lie in enumerate(SOME_VALUES)},
}  # fmt: skip


@pytest.mark.parametrize("which", WELCOMES)
def test_a_welcome_that_lies(open_client: OpenClient, which: str) -> None:
    lanes, build = WELCOMES[which]
    said = build()
    with saying(said) as url, cheap():
        with pytest.raises(OpenEnvGymError) as caught:
            open_client(url, Hello(lanes=lanes, autoreset="SameStep"), resume_timeout=0)
        assert isinstance(caught.value, ProtocolViolation) or which.startswith("value")


# answers ----------------------------------------------------------------------------------------


def answer(*, dense: bool = True, info: Any = None) -> bytes:
    out: AnswerBuffer = buffer_of(SIGNATURE)
    out.begin(dense=dense)
    put_lanes(out, LANES)
    return bytes(out.finish(1).payload)


LIES: dict[str, Callable[[], bytes]] = {
    "rows": lambda: patched(answer(), count=MOST),
    "rows in any order": lambda: patched(answer(dense=False), count=MOST),
    "a row more": lambda: patched(answer(dense=False), count=LANES + 1),
    "a tail": lambda: patched(answer(), tail=MOST),
    "a tail that overlaps": lambda: patched(answer(), tail=1),
    "a trailer": lambda: patched(answer(), flags=15),
    "values": lambda: patched(answer(), flags=MessageFlag.DENSE | MessageFlag.TRAILER),
    "a dtype": lambda: patched(answer(), reward=200),
    "another dtype": lambda: answer()[:-48] + bytes(96),
    "no bytes": lambda: answer()[:32],
    "a lane": lambda: answer(dense=False)[:32] + b"\xff\xff\xff\x7f" + answer(dense=False)[36:],
    "another request": lambda: patched(answer(), seq=7),
    **{f"trailer {number}": partial(lambda lie: patched(answer(), flags=14) + lie, lie)
       for number, lie in enumerate(SOME_VALUES)},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_lies(open_client: OpenClient, lie: str) -> None:
    with saying(welcome(), LIES[lie]()) as url, cheap():
        client = open_client(url, Hello(lanes=LANES, autoreset="SameStep"), resume_timeout=0)
        with pytest.raises(ProtocolViolation):
            client.reset()


def test_an_answer_that_does_not_lie_is_read(open_client: OpenClient) -> None:
    """Or else the tests above would test nothing."""
    with saying(welcome(), answer()) as url, cheap():
        client = open_client(url, Hello(lanes=LANES, autoreset="SameStep"), resume_timeout=0)
        assert client.reset().observation[:, 0].tolist() == [0.0, 1.0, 2.0]
        client.close()


# frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2**29, 2**31, 2**40, 2**63 - 1])
def test_a_frame_that_is_announced_and_never_comes(open_client: OpenClient, length: int) -> None:
    def handle(connection: Connection) -> None:
        connection.recv()
        connection.socket.sendall(b"\x82\x7f" + struct.pack("!Q", length) + bytes(1000))
        connection.recv(timeout=20)

    with cheap(), raw(handle) as url, pytest.raises((ProtocolViolation, DeadlineExceeded)) as caught:
        open_client(url, timeout=0.3, resume_timeout=0)
    assert isinstance(caught.value, ProtocolViolation) == (length > 2**30)


@contextmanager
def raw(handle: Callable[[Connection], None]) -> Iterator[str]:
    def quiet(connection: Connection) -> None:
        try:
            handle(connection)
        except (websockets.ConnectionClosed, TimeoutError):
            return

    with accepting(quiet, native=True) as url:
        yield url


def test_a_pool_that_is_not_told_of_all_its_lanes() -> None:
    def some() -> bytes:
        out: AnswerBuffer = buffer_of(SIGNATURE)
        out.begin(dense=False)
        put_lanes(out, LANES - 1)
        return bytes(out.finish(1).payload)

    with saying(welcome(), some()) as url:
        with OpenEnvPool(url, LANES, batch_size=1, autoreset_mode="SameStep", resume_timeout=0) as pool:
            pool.async_reset()
            with pytest.raises(ProtocolViolation, match=r"no rows of lanes 2\b"):
                for _ in range(LANES):
                    pool.recv(timeout=5.0)
