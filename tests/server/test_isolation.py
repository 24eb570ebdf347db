"""With ``isolation="process"`` an environment can end nothing but its own session, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from openenv_gym import Client, OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import (
    EnvironmentDied,
    EnvironmentRaised,
    InvalidAction,
    InvalidArgument,
    LayoutMismatch,
    OpenEnvGymError,
    ResetNeeded,
    Side,
    UnknownSession,
)
from openenv_gym.types import Rows
from openenv_gym.wire.messages import Hello
from tests.environments import Counter, Fragile
from tests.served import ServerProcess, eventually, health, serve_command
from tests.server.troubled import ROADS, play, refused, served
from tests.typed import Counting

PROCESS: dict[str, Any] = {"isolation": "process"}


@pytest.mark.parametrize(
    ("what", "code", "said"), [("die", 7, "exit code 7"), ("crash", -signal.SIGSEGV, "SIGSEGV")]
)
@pytest.mark.parametrize("during", ["reset", "step"])
@pytest.mark.parametrize("road", ROADS)
def test_a_child_that_dies_ends_its_session_only(
    road: str, during: str, what: str, code: int, said: str
) -> None:
    with served(**PROCESS) as server:
        with play(server.url, road) as player:
            error = refused(player, EnvironmentDied, **{during: what})
            assert error.side is Side.ENVIRONMENT
            assert error.fields["exit_code"] == code
            assert error.fields["during"] == during
            assert said in str(error)
            assert eventually(lambda: health(server.url)["active_lanes"] == 1)
            if road != "http" or during == "step":
                with pytest.raises(OpenEnvGymError) as caught:
                    player.step()
                assert road != "http" or isinstance(caught.value, UnknownSession)


@pytest.mark.parametrize(("road", "what"), [("native", "crash"), ("json", "die"), ("http", "die")])
def test_a_child_that_dies_while_it_is_built_or_closed(road: str, what: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with served(note, **PROCESS) as server:
        note.write_text(what)
        with pytest.raises(EnvironmentDied, match="during construction"):
            with play(server.url, road) as player:
                player.reset()
        note.unlink()
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)
        with play(server.url, road) as player:
            player.reset(close=what)
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)


@pytest.mark.parametrize("what", ["exit", "interrupt"])
def test_an_environment_that_exits_has_raised_here_too(what: str) -> None:
    with served(**PROCESS) as server, play(server.url, "native") as player:
        assert refused(player, EnvironmentRaised, step=what).fields["during"] == "step"
        player.reset()
        player.step()


def test_a_child_that_is_killed_while_it_waits() -> None:
    with served(**PROCESS) as server, Client.to(server.url) as client:
        pid = child_of(client)
        assert pid != os.getpid()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EnvironmentDied, match="killed by SIGKILL"):
            client.step_one(1)


def test_ctrl_c_is_not_for_children() -> None:
    with served(**PROCESS) as server, Client.to(server.url) as client:
        os.kill(child_of(client), signal.SIGINT)
        assert client.step_one(1).observation[0].tolist() == [1.0]


def child_of(client: Client) -> int:
    return pid_in(client.reset())


def pid_in(rows: Rows) -> int:
    return int(rows.infos.of(0)["pid"])


def test_an_episode_equals_the_local_one() -> None:
    local = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    with serve_gym("CartPole-v1", port=0, block=False, **PROCESS) as server:
        envs = OpenEnvVectorEnv(server.url, 3)
        expected, _ = local.reset(seed=5)
        observation, _ = envs.reset(seed=5)
        assert observation.tobytes() == expected.tobytes()
        rng = np.random.default_rng(1)
        for _ in range(60):
            actions = rng.integers(0, 2, 3)
            for ours, theirs in zip(envs.step(actions)[:4], local.step(actions)[:4], strict=True):
                assert ours.dtype == theirs.dtype
                assert ours.tobytes() == theirs.tobytes()
        envs.close()
    local.close()


def test_a_native_vector_environment_in_a_child() -> None:
    with serve_gym("CartPole-v1", port=0, block=False, vectorization="native", **PROCESS) as server:
        envs = OpenEnvVectorEnv(server.url, 4)
        envs.reset(seed=1)
        observations, rewards, *_ = envs.step(np.ones(4, int))
        assert observations.shape == (4, 4)
        assert rewards.tolist() == [1.0] * 4
        envs.close()


def test_a_typed_environment_in_a_child() -> None:
    with serve_gym(Counting, port=0, block=False, isolation="process") as server:
        with Client.to(server.url) as client:
            client.reset(seeds=[3], episode_ids=["mine"])
            assert client.step(None, [{"by": 4}]).values[0]["total"] == 7
            with pytest.raises(InvalidAction, match="by"):
                client.step(None, [{"by": "many"}])
            assert client.state() == {"episode_id": "mine", "step_count": 1}


def test_a_lane_that_raises_leaves_its_child_and_the_other_lanes_alone() -> None:
    with serve_gym(Fragile, port=0, block=False, **PROCESS) as server:
        with Client.to(server.url, Hello(lanes=2)) as client:
            client.reset()
            client.reset([1], options={"fail": "step"})
            rows = client.step(None, [1, 1])
            assert rows.failures[1].code == "ENVIRONMENT_RAISED"
            assert "broken in step" in str(rows.failures[1].cause)
            assert rows.observation[0].tolist() == [1.0]


class Misshapen(Counter):
    """Observes what its layout cannot hold, after a step."""

    def step(self, action: Any) -> Any:
        super().step(action)
        return np.zeros((3, 3), np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_an_observation_that_cannot_be_held(isolation: str) -> None:
    with serve_gym(Misshapen, port=0, block=False, isolation=isolation) as server:
        env = OpenEnvGym(server.url)
        env.reset()
        with pytest.raises(LayoutMismatch):
            env.step(1)
        with pytest.raises(ResetNeeded):
            env.step(1)
        env.close()


def test_what_cannot_leave_the_child_fails_its_lane_alone() -> None:
    with served(**PROCESS) as server, play(server.url, "native") as player:
        error = refused(player, LayoutMismatch, step="lambda")
        assert "cannot leave its process" in str(error)
        player.reset()
        player.step()


def test_a_factory_that_cannot_be_sent_is_refused_at_the_start() -> None:
    lock = threading.Lock()

    def factory() -> Counter:
        with lock:
            return Counter()

    with pytest.raises(InvalidArgument, match="cannot be pickled"):
        serve_gym(factory, port=0, block=False, **PROCESS)


SCRIPT = """
import gymnasium
import numpy as np
from openenv_gym import OpenEnvGym, serve_gym

class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}
    def step(self, action):
        return np.ones(1, np.float32), 1.0, False, False, {}

with serve_gym(Mine, port=0, block=False, isolation="process") as server:
    env = OpenEnvGym(server.url)
    env.reset()
    print(env.step(1)[0])
    env.close()
"""


def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[1.]\n", 0), done.stderr


def test_children_end_with_a_server_that_is_killed_even_amid_a_step() -> None:
    command = serve_command("tests.environments:Trouble", "--isolation", "process")
    with ServerProcess(command) as server:
        idle, busy = Client.to(server.url), Client.to(server.url)
        pids = [child_of(idle), pid_in(busy.reset(options={"step": "hang"}))]
        busy.send_step(None, [1])
        assert all(alive(pid) for pid in pids)
        server.process.kill()
        assert eventually(lambda: not any(alive(pid) for pid in pids))
        for client in (idle, busy):
            client.close()


def test_ctrl_c_of_a_server_ends_its_children() -> None:
    command = serve_command("tests.environments:Trouble", "--isolation", "process")
    with ServerProcess(command) as server:
        client = Client.to(server.url)
        pid = child_of(client)
        server.interrupt()
        assert server.process.wait(10) in (0, 130)
        assert "Traceback" not in server.output()
        assert eventually(lambda: not alive(pid))
        client.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
