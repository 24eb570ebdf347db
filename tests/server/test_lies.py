"""What a client claims costs a server nothing: it is refused in a typed error before memory is taken."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from openenv_gym import Client, serve_gym
from openenv_gym.client.addresses import websocket_url
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CapacityReached, MessageTooLarge, OpenEnvGymError, Side
from openenv_gym.types import Slots
from openenv_gym.wire.blocks import Kind, MessageFlag
from openenv_gym.wire.client import ClientProtocol
from openenv_gym.wire.codecs.native import SUBPROTOCOL, NativeCodec
from openenv_gym.wire.messages import Hello
from tests.client.test_lies import SOME_VALUES
from tests.environments import Counter, Sleeper
from tests.served import eventually, health
from tests.wire.ends import patched

LANES = 3
MEGABYTES = 4
"""What a refusal may take, its connection, tasks and error included; what is claimed is hundreds at least."""
MANY = [10**9, 2**31, 2**63 - 1, 2**64, 10**4000]
MOST = 2**32 - 1


@pytest.fixture(scope="module", params=[Counter, Sleeper], ids=["inline", "own-threads"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    with serve_gym(request.param, port=0, block=False, max_lanes=2 * LANES, resume_grace=0) as server:
        yield server


@contextmanager
def cheap(url: str) -> Iterator[None]:
    """Nothing large is allocated meanwhile, here or in the server, and a neighbour steps on exactly."""
    with Client.to(url) as neighbour:
        neighbour.reset()
        tracemalloc.start()
        try:
            yield
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MEGABYTES * 2**20
        assert neighbour.step_one(1).observation[0].tolist() == [1.0]
    assert eventually(lambda: health(url)["active_lanes"] == 0)


@pytest.mark.parametrize("lanes", MANY, ids=lambda lanes: f"{len(str(lanes))} digits")
def test_lanes_that_cannot_be(server: GymServer, lanes: int) -> None:
    with cheap(server.url), pytest.raises(CapacityReached, match="max_lanes") as caught:
        Client.to(server.url, Hello(lanes=lanes))
    assert caught.value.side is Side.PEER


def test_lanes_that_cannot_be_over_workers() -> None:
    with serve_gym(Counter, port=0, block=False, workers=2) as server:
        for lanes in MANY:
            with pytest.raises(CapacityReached, match="max_lanes"):
                Client.to(server.url, Hello(lanes=lanes))
        assert health(server.url)["active_lanes"] == 0 and health(server.url)["workers"] == 2


def steps(client: ClientProtocol) -> list[bytes]:
    """Sound ones: of every lane, and of some."""
    some = Slots(np.array([2, 0], np.int32), np.zeros(2, np.int16))
    return [bytes(client.step(None, [1, 0, 1])), bytes(client.step(some, [1, 1]))]


LIES: dict[str, Callable[[bytes], bytes]] = {
    "rows": lambda step: patched(step, count=MOST),
    "some rows": lambda step: patched(step, count=MOST, flags=MessageFlag.COLUMNS),
    "values": lambda step: patched(step, count=MOST, flags=0),
    "a row more": lambda step: patched(step, count=4),
    "other dtypes": lambda step: step[:32] + np.ones(LANES, "<f4").tobytes(),
    "wider dtypes": lambda step: step[:32] + np.ones(LANES, "<c16").tobytes(),
    "no bytes": lambda step: step[:32],
    "other lanes": lambda step: patched(step, flags=MessageFlag.COLUMNS, count=1)[:32] + b"\xff" * 48,
    **{
        f"value {number}": partial(lambda lie, step: patched(step, flags=0)[:32] + lie, lie)
        for number, lie in enumerate(SOME_VALUES)
    },
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("form", [0, 1], ids=["dense", "slots"])
def test_a_step_that_lies(server: GymServer, lie: str, form: int) -> None:
    with cheap(server.url):
        transport = SocketTransport(websocket_url(server.url), subprotocols=(SUBPROTOCOL,))
        machine = ClientProtocol(NativeCodec())
        transport.send(machine.hello(Hello(lanes=LANES)))
        machine.receive(transport.receive(10))
        transport.send(machine.reset())
        machine.receive(transport.receive(10))
        transport.send(LIES[lie](steps(machine)[form]))
        with pytest.raises(OpenEnvGymError):
            machine.receive(transport.receive(10))
        transport.close()


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.RESET, Kind.CALL, Kind.ACK])
def test_lengths_that_lie_within_a_message(server: GymServer, kind: int) -> None:
    with cheap(server.url):
        for lie in SOME_VALUES:
            transport = SocketTransport(websocket_url(server.url), subprotocols=(SUBPROTOCOL,))
            transport.send(bytes([kind]) + bytes(31) + lie)
            machine = ClientProtocol(NativeCodec())
            machine.hello(Hello())
            with pytest.raises(OpenEnvGymError):
                machine.receive(transport.receive(10))
            transport.close()


@pytest.mark.parametrize("native", [True, False], ids=["native", "json"])
@pytest.mark.parametrize("length", [2**25, 2**40, 2**63 - 1])
def test_a_frame_that_is_announced_larger_than_any(server: GymServer, native: bool, length: int) -> None:
    with cheap(server.url):
        transport = SocketTransport(websocket_url(server.url), subprotocols=(SUBPROTOCOL,) if native else ())
        transport._socket.sendall(bytes([0x82 - (not native), 0xFF]) + struct.pack("!Q", length) + bytes(99))
        with pytest.raises(MessageTooLarge, match="--max-message-bytes"):
            transport.receive(10)
        transport.close()


def test_a_frame_that_is_announced_and_never_comes(server: GymServer) -> None:
    with cheap(server.url):
        transport = SocketTransport(websocket_url(server.url), subprotocols=(SUBPROTOCOL,))
        transport._socket.sendall(b"\x82\xff" + struct.pack("!Q", 2**24) + bytes(99))
        with Client.to(server.url) as other:  # which the server has taken after it
            other.reset()
        transport.abandon()


def test_fragments_that_never_end() -> None:
    with serve_gym(Counter, port=0, block=False, max_message_bytes=2**16) as server, cheap(server.url):
        transport = SocketTransport(websocket_url(server.url), subprotocols=(SUBPROTOCOL,))
        frame = b"\xff" + struct.pack("!Q", 2**14) + bytes(4 + 2**14)
        with pytest.raises(MessageTooLarge):
            transport._socket.sendall(b"\x02" + frame + (b"\x00" + frame) * 8)
            transport.receive(10)
        transport.close()
