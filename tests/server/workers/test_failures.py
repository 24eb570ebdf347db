"""A worker that dies, hangs or does not start; clients that dawdle; the end of the server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import gymnasium
import httpx
import numpy as np
import pytest

from openenv_gym import Client, OpenEnvGym, serve_gym
from openenv_gym.envs.serving import GymServer, open_server
from openenv_gym.errors import (
    ConnectionLost,
    FactoryFailed,
    InvalidArgument,
    ServerClosed,
)
from openenv_gym.server.workers import reception
from openenv_gym.server.workers.heads import worker_of
from tests.environments import Counter, Sleeper
from tests.served import ServerProcess, can_listen, eventually, health, is_running, serve_command

ENDED = (ConnectionLost, ServerClosed)
SECONDS = 15.0
"""For what takes two when nobody else is at work."""


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, NotADirectoryError):
            continue
        if entry.name.isdecimal() and fields[1] == str(pid):
            found.append(int(entry.name))
    return found


def replaced(server: GymServer, number: int, pid: int) -> bool:
    """Whether another process has come in the place of a worker, and serves."""
    pids = server.worker_pids
    return len(pids) == 2 and pids[number] != pid and health(server.url)["workers"] == 2


def trajectory(env: gymnasium.Env[np.ndarray, int], steps: int, seed: int) -> list[bytes]:
    """What an environment shows, to the bit."""
    seen = [env.reset(seed=seed)[0].tobytes()]
    for step in range(steps):
        observation, reward, terminated, truncated, _ = env.step(step % 2)
        seen.append(observation.tobytes() + bytes((terminated, truncated)) + str(reward).encode())
        if terminated or truncated:
            seen.append(env.reset()[0].tobytes())
    return seen


def test_a_worker_that_is_killed_is_replaced_and_the_others_do_not_notice() -> None:
    with serve_gym("CartPole-v1", port=0, block=False, workers=2) as server:
        envs = [OpenEnvGym(server.url, resume_timeout=0) for _ in range(4)]
        session_id = httpx.post(f"{server.url}/reset", json={}).json()["session_id"]
        for env in envs:
            env.reset(seed=1)
        victim = server.worker_pids[0]
        os.kill(victim, signal.SIGKILL)
        for env in envs[::2]:
            with pytest.raises(ENDED):
                for _ in range(1000):
                    env.step(0)
                    env.reset()
        for seed, env in enumerate(envs[1::2]):
            own = gymnasium.make("CartPole-v1")
            assert trajectory(env, 200, seed) == trajectory(own, 200, seed)
            own.close()
        assert worker_of(session_id) == 0
        lost = httpx.post(f"{server.url}/step", json={"action": {"action": 1}, "session_id": session_id})
        assert (lost.status_code, lost.json()["error"]["error_code"]) == (404, "UNKNOWN_SESSION")
        assert httpx.get(f"{server.url}/state").status_code == 409
        late = OpenEnvGym(server.url, resume_timeout=0)
        late.reset(seed=1)
        assert eventually(lambda: replaced(server, 0, victim), seconds=SECONDS)
        assert health(server.url)["active_lanes"] == 3
        for env in (*envs, late):
            env.close()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)


@pytest.mark.slow
def test_a_step_that_runs_when_its_worker_dies_ends_in_a_typed_error() -> None:
    with serve_gym(Sleeper, port=0, block=False, workers=2) as server:
        first, second = Client.to(server.url, resume_timeout=0), Client.to(server.url, resume_timeout=0)
        for client in (first, second):
            client.reset(options={"seconds": 0.5})
            client.send_step(None, [1])
        os.kill(server.worker_pids[0], signal.SIGKILL)
        with pytest.raises(ENDED):
            first.receive_rows()
        assert second.receive_rows().observation[0].tolist() == [1.0]
        first.close()
        second.close()


@pytest.mark.slow
def test_a_request_that_was_handed_on_to_a_worker_that_dies_ends_in_a_typed_error() -> None:
    with serve_gym(Sleeper, port=0, block=False, workers=2) as server, httpx.Client(timeout=20) as http:
        http.get(f"{server.url}/health")
        other = httpx.post(f"{server.url}/reset", json={"options": {"seconds": 0.2}}).json()["session_id"]
        number = worker_of(other)
        assert number == 1
        step = {"action": {"action": 1}, "session_id": other}
        assert http.post(f"{server.url}/step", json=step).status_code == 200
        os.kill(server.worker_pids[number], signal.SIGSTOP)  # so that the request surely is on its way
        pid = server.worker_pids[number]
        killer = subprocess.Popen(
            [sys.executable, "-c", f"import os, time; time.sleep(0.5); os.kill({pid}, 9)"]
        )
        answer = http.post(f"{server.url}/step", json=step)
        assert (answer.status_code, answer.json()["error"]["error_code"]) == (404, "UNKNOWN_SESSION")
        killer.wait()
        assert eventually(lambda: replaced(server, number, pid), seconds=SECONDS)


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced() -> None:
    with serve_gym(Counter, port=0, block=False, workers=2, worker_timeout=2.0) as server:
        clients = [Client.to(server.url, resume_timeout=0) for _ in range(2)]
        victim = server.worker_pids[0]
        os.kill(victim, signal.SIGSTOP)
        clients[1].reset()
        with pytest.raises(ENDED):
            clients[0].reset()
        assert eventually(lambda: replaced(server, 0, victim), seconds=SECONDS)
        clients[1].step_one(1)
        for client in clients:
            client.close()


def open_twice(path: Path) -> Callable[[], Counter]:
    """A factory that works until a file is there."""

    def build() -> Counter:
        if path.exists():
            raise RuntimeError("the licence has expired")
        return Counter()

    return build


@pytest.mark.slow
def test_a_worker_that_does_not_start_again_ends_the_server_with_its_error(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    impatient = {"again": 0.01, "starts": 2}
    server = open_server(open_twice(gone), host="127.0.0.1", port=0, workers=2, patience=impatient)
    with server.start():
        client = Client.to(server.url, resume_timeout=0)
        gone.touch()
        os.kill(server.worker_pids[1], signal.SIGKILL)
        with pytest.raises(ENDED):
            while True:
                client.reset()
                time.sleep(0.01)
        client.close()
        assert eventually(lambda: can_listen(server.url))
        assert "the licence has expired" in str(server.failure)


def die() -> Counter:
    os._exit(3)


@pytest.mark.parametrize(("env", "said"), [("Nope-v1", "there is no id"), (die, "before it was ready")])
def test_what_cannot_start_says_why(env: object, said: str) -> None:
    with pytest.raises(FactoryFailed, match=said):
        serve_gym(env, port=0, block=False, workers=2)


def test_what_cannot_be_sent_is_refused() -> None:
    lock = socket.socket()
    with lock, pytest.raises(InvalidArgument, match="pickled"):
        serve_gym(lambda: lock, port=0, workers=2)
    for wrong in ({"workers": 0}, {"workers": 2, "worker_timeout": 0}, {"workers": 2, "max_lanes": 0}):
        with pytest.raises(InvalidArgument):
            serve_gym("CartPole-v1", port=0, **wrong)  # type: ignore[arg-type]


def test_clients_that_dawdle_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = {"head": 0.5}
    with open_server(Counter, host="127.0.0.1", port=0, workers=2, patience=patience).start() as server:
        where = urlsplit(server.url)
        address = (where.hostname, where.port)
        slow = [socket.create_connection(address) for _ in range(20)]
        for index, each in enumerate(slow):
            each.sendall(b"GET /health HT" if index % 2 else b"")
        with Client.to(server.url, resume_timeout=0) as client:
            client.reset()
        patient = socket.create_connection(address)
        for part in (b"GET /health HTTP/1.1\r\n", b"Host: localhost\r\n", b"\r\n"):
            patient.sendall(part)
            time.sleep(0.05)
        assert patient.recv(12) == b"HTTP/1.1 200"
        for each in (*slow, patient):
            each.settimeout(SECONDS)
        for index, each in enumerate(slow):
            # What was sent and never read makes a reset of the goodbye.
            with pytest.raises(ConnectionResetError) if index % 2 else nullcontext():
                assert each.recv(1) == b""
        tls = socket.create_connection(address)
        tls.sendall(b"\x16\x03\x01\x00\x05hello")
        assert tls.recv(12) == b"HTTP/1.1 400"
        monkeypatch.setattr(reception, "_WAITING", 4)
        many = [socket.create_connection(address, SECONDS) for _ in range(7)]
        for each in many[:3]:
            assert each.recv(1) == b""
        many[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert many[-1].recv(12) == b"HTTP/1.1 200"
        for each in (*slow, patient, tls, *many):
            each.close()


def test_a_signal_drains() -> None:
    command = serve_command("tests.environments:Sleeper", "--workers", "2")
    with ServerProcess(command) as server:
        workers = children(server.process.pid)
        assert len(workers) == 2
        clients = [Client.to(server.url, resume_timeout=0) for _ in range(2)]
        for client in clients:
            client.reset(options={"seconds": 1.0})
            client.send_step(None, [1])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.receive_rows().observation[0].tolist() == [1.0]
            with pytest.raises(ServerClosed):
                client.step_one(1)
            client.close()
        assert server.process.wait(SECONDS) == -signal.SIGTERM
        assert not any(map(is_running, workers))
        assert "rror" not in server.output() and "Traceback" not in server.output()
        assert can_listen(server.url)


@pytest.mark.slow
def test_a_second_signal_ends_at_once() -> None:
    with ServerProcess(serve_command("tests.environments:Sleeper", "--workers", "2")) as server:
        workers = children(server.process.pid)
        with Client.to(server.url, resume_timeout=0) as client:
            client.reset(options={"seconds": 60.0})
            client.send_step(None, [1])
            time.sleep(0.2)
            server.interrupt()
            time.sleep(0.3)
            server.interrupt()
            with pytest.raises(ENDED):
                client.receive_rows()
        assert server.process.wait(SECONDS) in (0, 130)
        assert not any(map(is_running, workers))
        assert "Traceback" not in server.output()


FORKED = """
import os, sys, time
from openenv_gym import serve_gym
server = serve_gym("CartPole-v1", port=0, block=False, workers=2)
if os.fork() == 0:
    time.sleep(60)
print(server.url, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["command", pytest.param("forked", marks=pytest.mark.slow)])
def test_workers_end_with_a_dispatcher_that_is_killed(how: str) -> None:
    command = serve_command("CartPole-v1", "--workers", "2", "--isolation", "process")
    with ServerProcess(command if how == "command" else [sys.executable, "-c", FORKED]) as server:
        forked = [] if how == "command" else [max(children(server.process.pid))]
        workers = [pid for pid in children(server.process.pid) if pid not in forked]
        client = Client.to(server.url, resume_timeout=0)
        client.reset()
        below = [pid for worker in workers for pid in children(worker)]
        assert len(workers) == 2 and len(below) == (how == "command")
        server.process.kill()
        with pytest.raises(ENDED):
            while True:
                client.reset()
        client.close()
        assert eventually(lambda: not any(map(is_running, (*workers, *below))))
        for pid in forked:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_an_application_is_imported_by_each_worker() -> None:
    with ServerProcess(serve_command("tests.typed_app:app", "--workers", "2")) as server:
        assert httpx.post(f"{server.url}/reset", json={"seed": 4}).json()["observation"]["total"] == 4
        assert health(server.url)["workers"] == 2


@pytest.mark.slow
def test_a_command_that_cannot_work_says_why() -> None:
    command = [sys.executable, "-m", "openenv_gym", "serve", "Nope-v1", "--port", "0", "--workers", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and ended.stdout == ""
    assert "there is no id 'Nope-v1'" in ended.stderr and "Traceback" not in ended.stderr
