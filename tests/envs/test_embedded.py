"""Embedded servers go when their users do, and nothing of them is left, whatever end the users take."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from jupyter_client.manager import AsyncKernelManager

from openenv_gym.envs import embedded
from tests.envs import parents
from tests.leaks import bearers
from tests.served import eventually, is_running

ROOT = Path(__file__).parents[2]
GRACE = 1.0


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers of this test alone, with a short grace."""
    mine = embedded._Servers(grace=GRACE)
    monkeypatch.setattr(embedded, "_SERVERS", mine)
    yield
    mine.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process, and those that it starts, put their temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def holdings(folder: Path) -> dict[str, list[Any]]:
    """All that could be left: processes, dead ones too, open files and sockets, threads, and files."""
    tasks = sorted(os.listdir("/proc/self/task"))
    return {
        "processes": [Path(f"/proc/self/task/{task}/children").read_text().split() for task in tasks],
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "threads": threading.enumerate(),
        "files": sorted(folder.rglob("*")),
    }


def play(**arguments: Any) -> None:
    """Make an environment, take a step, and close it."""
    with closing(gymnasium.make("openenv/gym", env_id="FrozenLake-v1", **arguments)) as env:
        env.reset(seed=0)
        env.step(2)


@pytest.mark.slow
@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize(
    "kinds",
    [[{}], [{}, {"is_slippery": False}, {"map_name": "8x8"}]],
    ids=["the same", "changing arguments"],
)
def test_a_hundred_environments_leave_nothing(kinds: list[dict[str, Any]], folder: Path) -> None:
    play()
    embedded._SERVERS.close()
    eventually(lambda: not embedded._SERVERS._reaping)
    before = holdings(folder)
    for number in range(100):
        play(**kinds[number * len(kinds) // 100])
    eventually(lambda: holdings(folder) == before)
    assert holdings(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("way", parents.WAYS)
def test_killed_parents_leave_no_server(way: str) -> None:
    """Four parents of each of five ways are twenty."""
    context: Any = get_context("forkserver")
    context.set_forkserver_preload(["openenv_gym.envs.registered"])
    mark = uuid.uuid4().hex
    pipes = [context.Pipe() for _ in range(4)]
    family = [context.Process(target=parents.live, args=(way, mark, told)) for _, told in pipes]
    try:
        for process, (_, told) in zip(family, pipes, strict=True):
            process.start()
            told.close()
        for number, (heard, _) in enumerate(pipes):
            assert heard.poll(60) and heard.recv()
            if way == "during the start":
                time.sleep(0.2 * number)
        assert len(bearers(parents.MARK, mark)) >= (way != "during the start") * len(family)
        for process in family:
            process.kill()
            process.join()
        eventually(lambda: not bearers(parents.MARK, mark))
        assert bearers(parents.MARK, mark) == []
    finally:
        for process, (heard, _) in zip(family, pipes, strict=True):
            process.kill()
            process.join()
            process.close()
            heard.close()


INTERRUPTED = """
import time
import gymnasium
import openenv_gym
from openenv_gym.envs import embedded

env = gymnasium.make("openenv/gym", env_id="FrozenLake-v1")
env.reset(seed=0)
pid = next(iter(embedded._SERVERS._servers.values())).process.pid
try:
    print(pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print(env.step(2)[2], flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_is_for_the_script_alone() -> None:
    spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"
    terminal = subprocess.Popen(
        [sys.executable, "-c", spawn, sys.executable, "-c", INTERRUPTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with terminal:
        assert terminal.stdin is not None and terminal.stdout is not None
        try:
            pid = int(terminal.stdout.readline())
            terminal.stdin.write(b"\x03")
            assert b"False" in terminal.stdout.readline()
            assert is_running(pid)
            terminal.stdin.write(b"\x03")
            assert b"KeyboardInterrupt" in terminal.stdout.read()
        except BaseException:
            terminal.kill()
            raise
    assert terminal.returncode == signal.SIGINT
    assert eventually(lambda: not is_running(pid))


CELL = """
import gymnasium
import openenv_gym
from openenv_gym.envs import embedded

class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return 1, {}
    def step(self, action):
        return 2, 1.0, False, False, {}

env = gymnasium.make("openenv/gym", env_id=Mine)
env.reset()
print(env.step(1)[0], next(iter(embedded._SERVERS._servers.values())).process.pid)
"""


@pytest.mark.slow
def test_a_restarted_notebook_leaves_no_server() -> None:
    asyncio.run(_restart(AsyncKernelManager()))


async def _restart(manager: Any) -> None:
    """Run the cell in a kernel, which is asked to restart, and then killed for it."""
    await manager.start_kernel(env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    client = manager.client()
    client.start_channels()
    try:
        for now in (False, True):
            pid = await _run(client)
            await manager.restart_kernel(now=now)
            assert eventually(lambda: not is_running(pid))  # noqa: B023
        pid = await _run(client)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel()
    assert eventually(lambda: not is_running(pid))


async def _run(client: Any) -> int:
    """The id of the server that the cell uses."""
    printed: list[str] = []
    await client.wait_for_ready(timeout=60)
    await client.execute_interactive(
        CELL, timeout=60, output_hook=lambda said: printed.append(said["content"].get("text", ""))
    )
    observation, pid = "".join(printed).split()
    assert observation == "2"
    return int(pid)
