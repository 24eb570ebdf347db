"""A server that is sent spoilt messages goes on; nothing is in its log, and no other session notices."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openenv_gym import Client, serve_gym
from openenv_gym.client.addresses import websocket_url
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import OpenEnvGymError
from openenv_gym.wire.codecs.native import SUBPROTOCOL, NativeCodec
from openenv_gym.wire.messages import Close, Hello
from tests.environments import Counter, Sleeper
from tests.served import eventually, health
from tests.wire.samples import JSON_REQUESTS, SIGNATURE, native_requests
from tests.wire.strategies import spoilt

LANES = SIGNATURE.lanes
HELLO, GOODBYE = NativeCodec().encode(Hello(lanes=LANES)), NativeCodec().encode(Close())
REQUESTS = [HELLO, *native_requests(SIGNATURE)]
EXAMPLES = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module", params=[Counter, Sleeper], ids=["inline", "own-thread"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    with serve_gym(request.param, port=0, block=False, max_lanes=2 * LANES) as server:
        yield server


@pytest.fixture
def quiet(server: GymServer, caplog: pytest.LogCaptureFixture) -> Iterator[GymServer]:
    """The server, with a neighbour that steps on exactly, and nothing to be read in the log afterwards."""
    uvicorn = logging.getLogger("uvicorn")  # which does not propagate
    with caplog.at_level(logging.WARNING), Client.to(server.url) as neighbour:
        uvicorn.addHandler(caplog.handler)
        neighbour.reset()
        yield server
        uvicorn.removeHandler(caplog.handler)
        assert [neighbour.step_one(1).observation[0].tolist() for _ in range(2)] == [[1.0], [2.0]]
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)
        assert health(server.url)["sessions"] == 1
    assert not caplog.records
    assert eventually(lambda: health(server.url)["sessions"] == 0)


def send_all(server: GymServer, messages: list[Any], *, native: bool) -> None:
    """Send on a connection of its own, and hear it out to its end."""
    transport = SocketTransport(websocket_url(server.url), subprotocols=(SUBPROTOCOL,) if native else ())
    try:
        for message in messages:
            transport.send(message)
        while True:
            transport.receive(20)
    except OpenEnvGymError as error:
        assert "20 s" not in str(error), "the server neither answers nor hangs up"
    finally:
        transport.close()


@EXAMPLES
@given(
    parts=st.lists(spoilt([HELLO, *native_requests(SIGNATURE)]), min_size=1, max_size=3), greet=st.booleans()
)
def test_spoilt_native_messages(quiet: GymServer, parts: list[bytes], greet: bool) -> None:
    send_all(quiet, [HELLO] * greet + parts + [GOODBYE], native=True)


@EXAMPLES
@given(parts=st.lists(spoilt(JSON_REQUESTS), min_size=1, max_size=3), binary=st.booleans())
def test_spoilt_json_messages(quiet: GymServer, parts: list[bytes], binary: bool) -> None:
    sent = [part if binary else part.decode(errors="replace") for part in parts]
    send_all(quiet, [*sent, '{"type":"close"}'], native=False)
