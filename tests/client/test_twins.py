"""Both twins, in both dialects, over a port and in process, play the trajectory that is played locally."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import pytest

from openenv_gym import AsyncClient, serve_gym
from openenv_gym.client.async_transports import AsyncSocketTransport
from openenv_gym.client.blocking import Client
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CallRefused, InvalidAction, InvalidArgument, ProtocolViolation, ResetNeeded
from openenv_gym.hosting.source import open_source
from openenv_gym.server.app import Application
from openenv_gym.server.house import House
from openenv_gym.server.limits import Limits
from openenv_gym.types import Rows
from openenv_gym.wire.messages import Hello
from tests.client.conftest import OpenClient
from tests.environments import Counter
from tests.served import eventually, health

STEPS = 60
Row: TypeAlias = tuple[bytes, float, bool, bool]


@pytest.fixture(scope="module")
def in_process() -> Application:
    return Application(House(open_source("CartPole-v1"), Limits()))


@pytest.fixture(params=["port", "application"])
def where(request: pytest.FixtureRequest, cartpole: GymServer, in_process: Application) -> str | Application:
    return cartpole.url if request.param == "port" else in_process


def local_trajectory() -> Iterator[Row]:
    env = gymnasium.make("CartPole-v1")
    actions = np.random.default_rng(7).integers(2, size=STEPS)
    observation, _ = env.reset(seed=3)
    yield observation.tobytes(), 0.0, False, False
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        yield observation.tobytes(), float(reward), terminated, truncated
        if terminated or truncated:
            observation, _ = env.reset()
            yield observation.tobytes(), 0.0, False, False
    env.close()


def read(rows: Rows, *, native: bool) -> Row:
    observation = rows.observation[0] if native else np.array(rows.values[0]["observation"], np.float32)
    return (
        observation.tobytes(),
        float(rows.reward[0]),
        bool(rows.terminated[0]),
        bool(rows.truncated[0]),
    )


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_the_trajectory_is_the_local_one(
    open_client: OpenClient, where: str | Application, dialect: str
) -> None:
    client = open_client(where, dialect=dialect)
    native = dialect == "native"
    assert client.native is native
    seen = [read(client.reset(seeds=[3]), native=native)]
    for action in np.random.default_rng(7).integers(2, size=STEPS).tolist():
        seen.append(read(client.step_one(action if native else {"action": action}), native=native))
        if seen[-1][2] or seen[-1][3]:
            seen.append(read(client.reset(), native=native))
    assert seen == list(local_trajectory())


def test_the_best_dialect_is_taken_unasked(open_client: OpenClient, where: str | Application) -> None:
    assert open_client(where).native


def test_several_lanes_step_together(open_client: OpenClient, where: str | Application) -> None:
    client = open_client(where, Hello(lanes=3, autoreset="NextStep"))
    assert client.signature.lanes == 3
    assert client.reset(seeds=5).observation.shape == (3, 4)
    rows = client.step(None, np.array([0, 1, 0]))
    assert rows.reward.tolist() == [1.0, 1.0, 1.0]
    assert client.state(2)["step_count"] == 1


def test_requests_may_be_sent_before_answers_are_awaited(
    open_client: OpenClient, where: str | Application
) -> None:
    client = open_client(where)
    client.send_reset(seeds=[0])
    client.send_step(None, np.array([1]))
    client.send_step(None, np.array([0]))
    phases = [int(client.receive_rows().phase[0]) for _ in range(3)]
    assert phases == [0, 1, 1]


def test_frames_and_calls_come_as_values(open_client: OpenClient) -> None:
    with serve_gym(Counter, port=0, block=False, calls=["steps"]) as server:
        client = open_client(server.url, Hello(config={"render_mode": "ansi"}))
        client.reset()
        client.step_one(1)
        assert client.render() == "1 steps"
        assert client.render(None) == ["1 steps"]
        assert client.call("steps") == 1
        with pytest.raises(CallRefused):
            client.call("close")
        with pytest.raises(InvalidArgument):
            client.observe()
        client.close()


def test_an_error_of_one_request_leaves_the_session_as_it_was(
    open_client: OpenClient, where: str | Application
) -> None:
    client = open_client(where)
    rows = client.step_one(0)
    assert rows.failures[0].code == ResetNeeded.code
    client.reset(seeds=[1])
    with pytest.raises(InvalidAction):
        client.step_one("left")
    assert client.state()["step_count"] == 0
    assert not client.step_one(1).failures


def test_the_json_dialect_knows_no_frames_and_no_signature(
    open_client: OpenClient, where: str | Application
) -> None:
    client = open_client(where, dialect="json")
    client.reset(seeds=[1])
    with pytest.raises(InvalidArgument):
        client.render()
    with pytest.raises(ProtocolViolation):
        _ = client.signature
    assert client.step(None, [{"action": 1}]).reward[0] == 1.0


def test_a_context_manager_ends_the_session(cartpole: GymServer) -> None:
    with Client.to(cartpole.url):
        assert eventually(lambda: health(cartpole.url)["active_lanes"] == 1)
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)

    async def within() -> None:
        async with await AsyncClient.to(cartpole.url) as client:
            await client.reset()

    asyncio.run(within())
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)


def test_many_clients_share_one_loop(cartpole: GymServer) -> None:
    async def play(seed: int) -> list[float]:
        async with await AsyncClient.to(cartpole.url) as client:
            rows = await client.reset(seeds=[seed])
            for step in range(5):
                rows = await client.step_one(step % 2)
            values: list[float] = rows.observation[0].tolist()
            return values

    async def play_all() -> list[list[float]]:
        return await asyncio.gather(*[play(seed) for seed in range(64)])

    remote = asyncio.run(play_all())
    env = gymnasium.make("CartPole-v1")
    for seed, values in enumerate(remote):
        env.reset(seed=seed)
        for step in range(5):
            observation, *_ = env.step(step % 2)
        assert observation.tolist() == values
    env.close()
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)


def test_tasks_that_share_a_client_wait_for_each_other(cartpole: GymServer) -> None:
    async def ask() -> list[Any]:
        async with await AsyncClient.to(cartpole.url, Hello(autoreset="NextStep")) as client:
            await client.reset(seeds=[0])
            await asyncio.gather(*[client.step_one(step % 2) for step in range(8)])
            return [*await asyncio.gather(client.state(), client.step_one(1), client.state())]

    before, rows, after = asyncio.run(ask())
    assert (before["step_count"], after["step_count"]) == (8, 9)
    assert rows.reward[0] == 1.0


def test_compression_is_not_asked_for(cartpole: GymServer) -> None:
    offered: list[str] = []

    async def headers() -> None:
        transport = await AsyncSocketTransport.to(cartpole.url.replace("http", "ws") + "/ws")
        request = transport._connection.request
        assert request is not None
        offered.extend(request.headers.get_all("Sec-WebSocket-Extensions"))
        await transport.close()

    asyncio.run(headers())
    transport = SocketTransport(cartpole.url.replace("http", "ws") + "/ws")
    with contextlib.closing(transport):
        assert transport.subprotocol is None
    assert offered == []
