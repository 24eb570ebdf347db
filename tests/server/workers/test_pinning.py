"""Workers that keep to a core each, with all that they start, and after one was replaced too."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from openenv_gym import OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import InvalidArgument
from openenv_gym.server.workers.patience import Patience
from openenv_gym.server.workers.supervisor import Supervisor
from tests.environments import Counter, Sleeper
from tests.served import eventually, health

CORES = sorted(os.sched_getaffinity(0))
SECONDS = 15.0


def cores_of(pid: int) -> list[set[int]]:
    """Where each thread of a process may run."""
    return [os.sched_getaffinity(int(thread.name)) for thread in Path(f"/proc/{pid}/task").iterdir()]


@pytest.mark.skipif(len(CORES) < 2, reason="two workers want two cores")
def test_each_worker_keeps_to_its_core() -> None:
    with serve_gym(Sleeper, port=0, block=False, workers=2, pin_workers=True) as server:
        envs = OpenEnvVectorEnv([server.url] * 2, num_envs=4)
        envs.reset(seed=0)
        for pid, core in zip(server.worker_pids, CORES, strict=False):
            assert all(cores == {core} for cores in cores_of(pid))
        envs.close()
        first, second = server.worker_pids
        os.kill(second, signal.SIGKILL)
        assert eventually(
            lambda: len(server.worker_pids) == 2 and second not in server.worker_pids, seconds=SECONDS
        )
        assert eventually(lambda: health(server.url)["workers"] == 2, seconds=SECONDS)
        assert [cores_of(pid)[0] for pid in server.worker_pids] == [{CORES[0]}, {CORES[1]}]
        assert server.worker_pids[0] == first
    assert os.sched_getaffinity(0) == set(CORES)


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (1, "pin_workers is for several workers"),
        (len(CORES) + 1, f"may use {len(CORES)}; take fewer"),
    ],
)
def test_what_cannot_be_pinned_is_refused(workers: int, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        serve_gym(Counter, port=0, block=False, workers=workers, pin_workers=True)


def test_a_core_that_is_gone_costs_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    async def replace_one() -> int:
        supervisor = Supervisor(
            pickle.dumps(time.time),
            1,
            cores=[1 << 20],
            patience=Patience(),
            clock=time.monotonic,
            heard=lambda *_: None,
            lost=lambda _: None,
            failed=lambda _: None,
        )
        try:
            supervisor.start()
            return len(supervisor.workers)
        finally:
            await supervisor.end()
            supervisor.close()

    assert asyncio.run(replace_one()) == 1
    assert "worker 0 cannot keep to core" in caplog.text
