"""The stock peer plays our server, and we play servers made with it; it lives in its own environment."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.children import ChildProcess
from openenv_gym import (
    AsyncClient,
    Client,
    OpenEnvGym,
    OpenEnvPool,
    OpenEnvVecEnv,
    OpenEnvVectorEnv,
    serve_gym,
)
from openenv_gym.errors import (
    CapacityReached,
    InvalidAction,
    InvalidArgument,
    OpenEnvGymError,
    ProtocolViolation,
)
from openenv_gym.wire.messages import Hello
from tests import web
from tests.peers.conftest import SESSIONS
from tests.served import eventually, health

pytestmark = pytest.mark.slow

PLAY = Path(__file__).parent / "scripts" / "play.py"
SERVE = Path(__file__).parents[2] / "benchmarks" / "stock" / "scripts" / "serve.py"


def episodes() -> list[tuple[int, list[int]]]:
    """Seeds, and actions that end the episode, or the last one of them in its middle."""
    rng, env = np.random.default_rng(11), gymnasium.make("CartPole-v1")
    played: list[tuple[int, list[int]]] = []
    for seed in (3, 4, 5):
        env.reset(seed=seed)
        actions: list[int] = []
        over = False
        while not over and len(actions) < 60:
            actions.append(int(rng.integers(2)))
            _, _, terminated, truncated, _ = env.step(actions[-1])
            over = terminated or truncated
        played.append((seed, actions))
    env.close()
    return played


def local_rows(played: list[tuple[int, list[int]]]) -> list[tuple[bytes, float, bool]]:
    """Observation, reward and whether it was the end, as Gymnasium gives them here."""
    rows: list[tuple[bytes, float, bool]] = []
    env = gymnasium.make("CartPole-v1")
    for seed, actions in played:
        rows.append((env.reset(seed=seed)[0].tobytes(), 0.0, False))
        for action in actions:
            observation, reward, terminated, truncated, _ = env.step(action)
            rows.append((observation.tobytes(), float(reward), terminated or truncated))
    env.close()
    return rows


# the stock client on our server ----------------------------------------------------------------


def run_stock_client(stock: Path, url: str, how: str, played: Any = ()) -> dict[str, Any]:
    done = subprocess.run(
        [str(stock), str(PLAY), url, how, json.dumps(played)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize(("how", "workers"), [("async", 1), ("sync", 1), ("async", 2)])
def test_the_stock_client_plays_cartpole(awake_stock: Path, how: str, workers: int) -> None:
    played = episodes()
    with serve_gym("CartPole-v1", port=0, block=False, workers=workers) as server:
        said = run_stock_client(awake_stock, server.url, how, played)
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
    rows = [
        (
            np.array(row["observation"]["observation"], np.float32).tobytes(),
            float(row["reward"]),
            row["done"],
        )
        for row in said["rows"]
    ]
    assert rows == local_rows(played)
    assert all(isinstance(row["observation"]["metadata"], dict) for row in said["rows"])
    assert said["state"]["step_count"] == len(played[-1][1])
    assert said["state"]["episode_id"]
    # Its pings were answered: the connection is the one it began with.
    assert said["kept"]
    assert "VALIDATION_ERROR" in said["refused"]
    assert said["after"]["reward"] == 1.0


def test_the_stock_client_is_told_that_the_server_is_full(awake_stock: Path) -> None:
    with serve_gym("CartPole-v1", port=0, block=False, max_lanes=2) as server:
        with Client.to(server.url, Hello(lanes=2)):
            assert "CAPACITY_REACHED" in run_stock_client(awake_stock, server.url, "refused")["refused"]
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_stock_client_of_tools_finds_none_and_plays(awake_stock: Path, workers: int) -> None:
    """It creates its session over HTTP, plays it over a WebSocket, and asks for tools meanwhile."""
    played = episodes()
    with serve_gym("CartPole-v1", port=0, block=False, max_lanes=1, workers=workers) as server:
        said = run_stock_client(awake_stock, server.url, "tools", played)
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
    assert said["tools"] == said["again"] == []
    rows = [
        (np.array(row["observation"], np.float32).tobytes(), float(row["reward"]), row["done"])
        for row in said["rows"]
    ]
    assert rows == local_rows(played)
    assert said["steps"] == len(played[-1][1])


# our clients on a server that `openenv init` made -----------------------------------------------


LENGTHS = Box(0, 100, (1,), np.int64)
LETTERS = Discrete(12)


def say(letters: Any) -> dict[str, Any]:
    return {"message": "x" * int(letters)}


def length_of(fields: dict[str, Any]) -> Any:
    return np.array([fields["message_length"]], np.int64)


def test_an_environment_of_a_scaffold(echo: str) -> None:
    env = OpenEnvGym(
        echo,
        action_space=LETTERS,
        observation_space=LENGTHS,
        encode_action=say,
        decode_observation=length_of,
    )
    assert (env.action_space, env.observation_space) == (LETTERS, LENGTHS)
    observation, _ = env.reset(seed=3)
    assert observation.tolist() == [0]
    for letters in (2, 11, 0):
        observation, reward, terminated, truncated, info = env.step(letters)
        assert observation.tolist() == [letters]
        assert observation.dtype == np.int64
        assert reward == pytest.approx(min(letters * 0.1, 1.0))
        assert (terminated, truncated) == (False, False)
        assert info["original_message"] == "x" * letters
    assert env.state()["step_count"] == 3
    env.reset()
    assert env.state()["step_count"] == 0
    with pytest.raises(InvalidArgument):
        env.render()
    env.close()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_lanes_of_a_scaffold(echo: str, mode: str) -> None:
    envs = OpenEnvVectorEnv(
        echo,
        num_envs=3,
        autoreset_mode=mode,
        action_space=LETTERS,
        observation_space=LENGTHS,
        encode_action=say,
        decode_observation=length_of,
    )
    observations, _ = envs.reset(seed=3)
    assert observations.tolist() == [[0], [0], [0]]
    observations, rewards, terminations, truncations, infos = envs.step(np.array([1, 5, 11]))
    assert observations.tolist() == [[1], [5], [11]]
    assert rewards.dtype == np.float64
    assert rewards.tolist() == pytest.approx([0.1, 0.5, 1.0])
    assert not terminations.any()
    assert not truncations.any()
    assert infos["original_message"].tolist() == ["x", "xxxxx", "x" * 11]
    assert [envs.state(lane)["step_count"] for lane in range(3)] == [1, 1, 1]
    envs.close()


def test_a_client_of_a_scaffold_speaks_in_fields(echo: str) -> None:
    with Client.to(echo, dialect="json") as client:
        rows = client.reset(seeds=[3], episode_ids=["mine"])
        assert rows.values[0]["echoed_message"]
        rows = client.step_one({"message": "hello"})
        assert rows.values[0]["echoed_message"] == "hello"
        assert client.step(None, [{"message": "he"}]).reward[0] == pytest.approx(0.2)
        assert client.state()["episode_id"] == "mine"
        with pytest.raises(InvalidAction) as caught:
            client.step_one({"massage": "hello"})
        assert caught.value.fields["openenv_code"] == "VALIDATION_ERROR"
        assert client.step_one({"message": "on"}).values[0]["message_length"] == 2


def test_an_async_client_of_a_scaffold_speaks_in_fields(echo: str) -> None:
    async def play(text: str) -> list[Any]:
        async with await AsyncClient.to(echo) as client:
            assert not client.native
            await client.reset()
            rows = [await client.step_one({"message": text * count}) for count in range(1, 4)]
            return [row.values[0]["echoed_message"] for row in rows]

    async def play_all() -> list[list[Any]]:
        return await asyncio.gather(*[play(text) for text in "abc"])

    said = asyncio.run(play_all())
    assert said == [[text * count for count in range(1, 4)] for text in "abc"]


def test_a_scaffold_that_is_full_says_so_by_type(echo: str) -> None:
    clients = [Client.to(echo) for _ in range(SESSIONS)]
    for client in clients:
        client.reset()
    with Client.to(echo) as late, pytest.raises(CapacityReached) as caught:
        late.reset()
    assert caught.value.fields["max_sessions"] == SESSIONS
    for client in clients:
        client.close()
    assert eventually(lambda: _has_room(echo))


def _has_room(url: str) -> bool:
    with Client.to(url) as client:
        try:
            client.reset()
        except CapacityReached:
            return False
        return True


def test_what_a_scaffold_cannot_do_is_said_by_type(echo: str) -> None:
    with pytest.raises(ProtocolViolation):
        Client.to(echo, dialect="native")
    with pytest.raises(InvalidArgument):
        OpenEnvGym(echo, render_mode="rgb_array")
    assert web.get(f"{echo}/health").json()["status"] == "healthy"


# our clients on a stock server of CartPole ------------------------------------------------------


@pytest.fixture(scope="module")
def stock_cartpole(awake_stock: Path) -> Iterator[str]:
    server = ChildProcess([str(awake_stock), str(SERVE), "cartpole", "--sessions", str(SESSIONS)])
    try:
        yield server.server_url()
    finally:
        server.stop()


def cartpole_spaces() -> dict[str, Any]:
    env = gymnasium.make("CartPole-v1")
    env.close()
    return {"action_space": env.action_space, "observation_space": env.observation_space}


def test_a_stock_cartpole_is_the_local_one(stock_cartpole: str) -> None:
    played = episodes()
    env = OpenEnvGym(stock_cartpole, **cartpole_spaces())
    rows: list[tuple[bytes, float, bool]] = []
    for seed, actions in played:
        rows.append((env.reset(seed=seed)[0].tobytes(), 0.0, False))
        for action in actions:
            observation, reward, terminated, truncated, _ = env.step(action)
            rows.append((observation.tobytes(), reward, terminated or truncated))
    env.close()
    assert rows == local_rows(played)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_lanes_of_a_stock_cartpole_are_those_of_sync_vector_env(stock_cartpole: str, mode: str) -> None:
    envs = OpenEnvVectorEnv(stock_cartpole, num_envs=3, autoreset_mode=mode, **cartpole_spaces())
    local = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("CartPole-v1")] * 3, autoreset_mode=gymnasium.vector.AutoresetMode(mode)
    )
    remote_first, local_first = envs.reset(seed=5)[0], local.reset(seed=5)[0]
    assert remote_first.tobytes() == local_first.tobytes()
    rng = np.random.default_rng(2)
    began_anew = np.zeros(3, bool)
    for _ in range(60):
        actions = rng.integers(2, size=3)
        ours, theirs = envs.step(actions), local.step(actions)
        over = theirs[2] | theirs[3]
        # Unseeded, a second episode begins with the server's own random state.
        same = ~began_anew & ~(over if mode == "SameStep" else np.zeros(3, bool))
        assert ours[0][same].tobytes() == theirs[0][same].tobytes()
        assert ours[1][~began_anew].tobytes() == theirs[1][~began_anew].tobytes()
        assert ((ours[2] | ours[3]) == over)[~began_anew].all()
        began_anew |= over
    assert began_anew.all()
    envs.close()
    local.close()


def first_episodes(pool: OpenEnvPool) -> list[list[float]]:
    """The rewards of each lane's first episode, from its reset on, with the actions 1, 0, 1, 0, ..."""
    rewards: list[list[float]] = [[] for _ in range(pool.num_envs)]
    ended = np.zeros(pool.num_envs, bool)
    pool.async_reset(seed=5)
    while not ended.all():
        _, reward, terminated, truncated, infos = pool.recv()
        lanes = infos["env_id"]
        for lane, each in zip(lanes.tolist(), reward.tolist(), strict=True):
            if not ended[lane]:
                rewards[lane].append(each)
        ended[lanes] |= terminated | truncated
        pool.send([len(rewards[lane]) % 2 for lane in lanes.tolist()], lanes)
    return rewards


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_pool_of_stock_lanes_gives_those_that_are_ready(stock_cartpole: str, batch_size: int) -> None:
    local = gymnasium.make("CartPole-v1")
    expected = []
    for lane in range(4):
        local.reset(seed=5 + lane)
        rewards, over = [0.0], False
        while not over:
            _, reward, terminated, truncated, _ = local.step(len(rewards) % 2)
            rewards.append(float(reward))
            over = terminated or truncated
        expected.append(rewards)
    local.close()
    with OpenEnvPool([stock_cartpole] * 2, 4, batch_size, **cartpole_spaces()) as pool:
        assert first_episodes(pool) == expected


def test_stock_lanes_are_a_vec_env(stock_cartpole: str) -> None:
    local = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 3)
    envs = OpenEnvVecEnv([stock_cartpole] * 2, num_envs=3, **cartpole_spaces())
    for each in (envs, local):
        each.seed(5)
    first: Any = local.reset()
    assert envs.reset().tobytes() == first.tobytes()
    ended = np.zeros(3, bool)
    for step in range(40):
        actions = np.full(3, step % 2)
        envs.step_async(actions)
        observations, rewards, dones, infos = envs.step_wait()
        theirs: Any = local.step(actions)
        running = ~ended & ~dones
        assert observations[running].tobytes() == theirs[0][running].tobytes()
        for lane in np.flatnonzero(dones & ~ended):
            assert theirs[2][lane] and rewards[lane] == 1.0 and not infos[lane]["TimeLimit.truncated"]
            last = theirs[3][lane]["terminal_observation"]
            assert infos[lane]["terminal_observation"].tobytes() == last.tobytes()
        ended |= dones
    assert ended.any()
    envs.close()
    local.close()


def test_a_stock_lane_that_is_lost_is_named_and_the_others_go_on(
    awake_stock: Path, stock_cartpole: str
) -> None:
    server = ChildProcess([str(awake_stock), str(SERVE), "cartpole"])
    try:
        pool = OpenEnvPool([stock_cartpole, server.server_url()], 2, 1, **cartpole_spaces())
        pool.async_reset(seed=1)
        assert {int(pool.recv()[4]["env_id"][0]) for _ in range(2)} == {0, 1}
    finally:
        server.stop()
    with pool:
        pool.send([1], [1])
        with pytest.raises(OpenEnvGymError) as caught:
            pool.recv()
        assert isinstance(caught.value, ConnectionError) and caught.value.fields["lane"] == 1
        pool.send([1], [0])
        assert pool.recv()[4]["env_id"].tolist() == [0]
