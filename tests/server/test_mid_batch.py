"""Who is killed in the middle of a batch, worker or client, takes only what is its own with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openenv_gym import Client, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import ConnectionLost, Side
from tests.environments import Counter
from tests.served import eventually, health, is_running
from tests.server.workers.test_failures import children, replaced

ROOT = Path(__file__).parents[2]
SECONDS = 20.0
"""For what takes one when nobody else is at work."""
IN_CHILDREN = pytest.param("process", 4, marks=pytest.mark.slow)


class Held(Counter):
    """Steps end when they are let go, whichever process or thread they run in.

    Args:
        notes: a folder. While ``hold`` is in it steps wait; ``running-*`` says which do, ``closed-*`` which
            instances were closed.
    """

    def __init__(self, notes: str) -> None:
        super().__init__()
        self.notes = Path(notes)
        self.name = f"{os.getpid()}-{id(self)}"

    def step(self, action: Any) -> Any:
        time.sleep(0.005)  # long enough for a thread, or a process, a lane
        hold, running = self.notes / "hold", self.notes / f"running-{self.name}"
        deadline = time.monotonic() + 60
        while hold.exists():
            running.touch()
            assert time.monotonic() < deadline, "nobody let go"
            time.sleep(0.02)
        running.unlink(missing_ok=True)
        return super().step(action)

    def close(self) -> None:
        (self.notes / f"closed-{self.name}").touch()


def count(notes: Path, what: str) -> int:
    return len(list(notes.glob(f"{what}-*")))


@contextmanager
def held_up(notes: Path) -> Iterator[None]:
    """Steps that begin meanwhile wait until its end."""
    (notes / "hold").touch()
    try:
        yield
    finally:
        (notes / "hold").unlink(missing_ok=True)


@pytest.mark.parametrize(("isolation", "lanes"), [("thread", 64), IN_CHILDREN])
def test_a_worker_that_is_killed_amid_a_batch(tmp_path: Path, isolation: str, lanes: int) -> None:
    own, actions = lanes // 2, np.ones(lanes // 2, int)
    with serve_gym(
        Held, port=0, block=False, workers=2, kwargs={"notes": str(tmp_path)}, isolation=isolation
    ) as server:
        first, second = (OpenEnvVectorEnv(server.url, own) for _ in range(2))
        for envs in (first, second):
            envs.reset(seed=1)
        victim, witness = server.worker_pids
        below = children(victim)
        assert len(below) == (own if isolation == "process" else 0)
        with held_up(tmp_path):
            first.step_async(actions)
            second.step_async(actions)
            assert eventually(lambda: count(tmp_path, "running") == lanes, seconds=SECONDS)
            os.kill(victim, signal.SIGKILL)
            with pytest.raises(ConnectionLost, match="make a new one") as caught:
                first.step_wait()
            assert caught.value.side is Side.WORLD
            assert eventually(lambda: not any(map(is_running, (victim, *below))), seconds=SECONDS)
        observations, rewards, *_ = second.step_wait()
        assert observations[:, 0].tolist() == rewards.tolist() == [1.0] * own
        assert second.step(actions)[0][:, 0].tolist() == [2.0] * own
        first.close()
        assert eventually(lambda: replaced(server, 0, victim), seconds=SECONDS)
        assert server.worker_pids[1] == witness and health(server.url)["active_lanes"] == own
        second.close()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0, seconds=SECONDS)


PLAYER = """
import sys, time
from openenv_gym import Client
from openenv_gym.wire.messages import Hello
lanes = int(sys.argv[2])
client = Client.to(sys.argv[1], Hello(lanes=lanes, early=sys.argv[3] == "parts"))
client.send_reset()
while client.protocol.waiting:
    client.receive_rows()
print("ready", flush=True)
sys.stdin.readline()
client.send_step(None, [1] * lanes)
time.sleep(60)
"""


@contextmanager
def playing(url: str, lanes: int, answers: str) -> Iterator[subprocess.Popen[bytes]]:
    """A client in a process of its own, which steps once it is written to; killed at the latest here."""
    player = subprocess.Popen(
        [sys.executable, "-c", PLAYER, url, str(lanes), answers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert player.stdout is not None
        assert player.stdout.readline() == b"ready\n"
        yield player
    finally:
        player.kill()
        player.communicate()


@pytest.mark.parametrize("answers", ["whole", "parts"])
@pytest.mark.parametrize(("isolation", "lanes"), [("thread", 32), IN_CHILDREN])
def test_a_client_that_is_killed_amid_a_batch(
    tmp_path: Path, isolation: str, lanes: int, answers: str
) -> None:
    with (
        serve_gym(
            Held,
            port=0,
            block=False,
            kwargs={"notes": str(tmp_path)},
            isolation=isolation,
            resume_grace=0.2,
        ) as server,
        Client.to(server.url) as neighbour,
        ExitStack() as stack,
    ):
        neighbour.reset()
        threads, own = threading.active_count(), set(children(os.getpid()))
        closed = count(tmp_path, "closed")
        player = stack.enter_context(playing(server.url, lanes, answers))
        assert player.stdin is not None
        below = set(children(os.getpid())) - own - {player.pid}
        assert len(below) == (lanes if isolation == "process" else 0)
        with held_up(tmp_path):
            player.stdin.write(b"\n")
            player.stdin.flush()
            assert eventually(lambda: count(tmp_path, "running") == lanes, seconds=SECONDS)
            player.kill()
            player.wait()
            if answers == "parts":  # whose end is noticed, and whose grace passes, while its lanes run
                assert eventually(lambda: health(server.url)["sessions"] == 1)
            assert health(server.url)["active_lanes"] == lanes + 1
            assert neighbour.state()["step_count"] == 0
        assert eventually(lambda: health(server.url)["active_lanes"] == 1, seconds=SECONDS)
        assert health(server.url)["sessions"] == 1 and health(server.url)["parked_sessions"] == 0
        assert count(tmp_path, "closed") == closed + lanes
        assert eventually(lambda: threading.active_count() <= threads)
        assert eventually(lambda: not any(map(is_running, below)))
        assert neighbour.step_one(1).observation[0].tolist() == [1.0]
