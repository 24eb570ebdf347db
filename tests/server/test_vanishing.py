"""A client that goes frees its lanes, however it goes; and nothing is left of a hundred of them.

Who goes without a goodbye keeps them for the grace, in the native dialect.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from openenv_gym import Client, serve_gym
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.wire.messages import Hello
from tests.environments import Counter, Sleeper
from tests.served import eventually, health

ROOT = Path(__file__).parents[2]
PLAYER = """
import sys, time
from openenv_gym import Client
from openenv_gym.wire.messages import Hello
client = Client.to(sys.argv[1], Hello(lanes=5))
client.reset()
client.send_step(None, [1] * 5)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("env", [Counter, Sleeper])
def test_a_killed_client_frees_its_lanes(env: type[Counter]) -> None:
    with serve_gym(env, port=0, block=False, resume_grace=0.5) as server:
        player = subprocess.Popen(
            [sys.executable, "-c", PLAYER, server.url], stdout=subprocess.PIPE, cwd=ROOT
        )
        try:
            assert player.stdout is not None
            assert player.stdout.readline() == b"ready\n"
            assert health(server.url)["active_lanes"] == 5
        finally:
            player.send_signal(signal.SIGKILL)
            player.communicate()
        assert eventually(lambda: server.house.parked == 1)
        assert server.house.active_lanes == 5
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        assert health(server.url)["sessions"] == health(server.url)["parked_sessions"] == 0


@pytest.mark.parametrize("env", [Counter, Sleeper])
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_socket_that_closes_without_goodbye_frees_its_lanes(
    env: type[Counter], reset: bool, dialect: str
) -> None:
    with serve_gym(env, port=0, block=False, resume_grace=0) as server:
        client = Client.to(server.url, dialect=dialect)
        client.reset()
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)
        transport = client._transport
        assert isinstance(transport, SocketTransport)
        if reset:
            transport._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport._socket.close()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)


def test_a_client_that_goes_during_a_step_frees_its_lanes() -> None:
    with serve_gym(Sleeper, port=0, block=False) as server:
        client = Client.to(server.url)
        client.reset(options={"seconds": 0.3})
        client.send_step(None, [1])
        client.close()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)


@pytest.mark.parametrize("env", [Counter, Sleeper])
def test_a_hundred_sessions_leave_nothing(env: type[Counter]) -> None:
    with serve_gym(env, port=0, block=False) as server:
        cycle(server, 3)
        threads, files = threading.active_count(), open_files()
        cycle(server, 100)
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        assert eventually(lambda: threading.active_count() <= threads)
        assert eventually(lambda: open_files() <= files)
        assert not server.house.sessions


def cycle(server: GymServer, count: int) -> None:
    for number in range(count):
        with Client.to(server.url, Hello(lanes=2), dialect=None if number % 2 else "native") as client:
            client.reset()
            client.step(None, [0, 1])
    assert eventually(lambda: not server.house.sessions)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
