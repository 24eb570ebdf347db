"""What a client sends ahead while its session's thread is busy is answered in order, and bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box

from openenv_gym import serve_gym
from openenv_gym.client.addresses import websocket_url
from openenv_gym.client.transports import SocketTransport
from openenv_gym.types import Phase
from openenv_gym.wire.blocks import HEADER
from openenv_gym.wire.client import ClientProtocol
from openenv_gym.wire.codecs.native import SUBPROTOCOL, NativeCodec
from openenv_gym.wire.messages import Answer, Hello, Welcome
from tests.environments import Sleeper

LARGE = Box(0, 255, (1 << 24,), np.uint8)
"""More than a connection takes from a client that does not read."""
FRAME = np.zeros(LARGE.shape, np.uint8)
MANY = 48


class Gated(Sleeper):
    """Steps when it is let to; shows large pictures."""

    gate: ClassVar[threading.Semaphore | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = LARGE  # type: ignore[assignment]

    def step(self, action: Any) -> Any:
        if Gated.gate is not None:
            assert Gated.gate.acquire(timeout=60)
        return super().step(action)

    def _observation(self) -> Any:
        return FRAME


@contextmanager
def session() -> Iterator[tuple[SocketTransport, ClientProtocol]]:
    """A session after its first reset, whose steps wait for :attr:`Gated.gate`."""
    Gated.gate = None
    with serve_gym(Gated, port=0, block=False) as server:
        transport = SocketTransport(websocket_url(server.url), subprotocols=(SUBPROTOCOL,))
        machine = ClientProtocol(NativeCodec())
        transport.send(machine.hello(Hello()))
        assert isinstance(machine.receive(transport.receive(10)), Welcome)
        transport.send(machine.reset())
        answer = machine.receive(transport.receive(10))
        assert isinstance(answer, Answer) and answer.rows.phase[0] == Phase.RESET
        Gated.gate = threading.Semaphore(0)
        try:
            yield transport, machine
        finally:
            Gated.gate.release(1000)
            transport.abandon()


def test_answers_come_in_order_to_a_client_that_does_not_read() -> None:
    with session() as (transport, machine):
        assert Gated.gate is not None
        for _ in range(3):
            transport.send(machine.step_one(1))
        Gated.gate.release(2)
        time.sleep(0.3)  # the first two wait to be read
        for _ in range(3):
            transport.send(machine.step_one(1))
        time.sleep(0.1)
        Gated.gate.release(4)
        time.sleep(0.1)
        numbers = [HEADER.unpack_from(transport.receive(20))[7] for _ in range(6)]
        assert numbers == [2, 3, 4, 5, 6, 7]


def test_a_client_that_sends_ahead_waits_in_the_network() -> None:
    with session() as (transport, machine):
        transport.send(machine.step_one(1))
        large = machine.call("nothing", [bytes(1 << 22)])

        def send() -> None:
            for _ in range(MANY):
                transport.send(large)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        sender.join(1.5)
        assert sender.is_alive()
        assert Gated.gate is not None
        Gated.gate.release()
        for _ in range(1 + MANY):  # each is sent again and again, and answered
            transport.receive(20)
        sender.join(20)
        assert not sender.is_alive()
