"""A session that was cut goes on in the worker that it is in."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, closing
from typing import Any

import gymnasium
import httpx
import numpy as np
from gymnasium.vector import SyncVectorEnv

from openenv_gym import AsyncClient, OpenEnvVectorEnv, serve_gym
from openenv_gym.wire.messages import Hello
from tests.fidelity import assert_identical
from tests.proxy import Fate, RoughProxy


def test_cut_sessions_find_their_worker_again() -> None:
    actions = np.array([0, 1])
    with (
        serve_gym("CartPole-v1", port=0, block=False, workers=2) as server,
        RoughProxy(server.url, lambda connection: Fate()) as proxy,
    ):
        remotes = [OpenEnvVectorEnv(proxy.url, 2) for _ in range(4)]
        locals_ = [SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2) for _ in remotes]
        for seed, (remote, local) in enumerate(zip(remotes, locals_, strict=True)):
            assert_identical(remote.reset(seed=seed), local.reset(seed=seed), "reset")
        for step in range(12):
            if step % 3 == 0:
                proxy.cut()
            for remote, local in zip(remotes, locals_, strict=True):
                assert_identical(remote.step(actions), local.step(actions), f"step {step}")
        health = httpx.get(f"{server.url}/health").json()
        assert (health["sessions"], health["parked_sessions"], health["workers"]) == (4, 0, 2)
        for env in (*remotes, *locals_):
            env.close()


def test_so_do_the_sessions_of_the_asynchronous_client() -> None:
    async def play(proxy: RoughProxy) -> list[list[Any]]:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(await AsyncClient.to(proxy.url, Hello())) for _ in range(3)
            ]
            seen = [[(await client.reset(seeds=3)).observation.tolist()] for client in clients]
            for step in range(6):
                if step % 2 == 0:
                    proxy.cut()
                for client, rows in zip(clients, seen, strict=True):
                    rows.append((await client.step(None, [1])).observation.tolist())
            return seen

    with closing(gymnasium.make("CartPole-v1")) as env:
        expected = [[env.reset(seed=3)[0].tolist()]]
        expected += [[env.step(1)[0].tolist()] for _ in range(6)]
    with (
        serve_gym("CartPole-v1", port=0, block=False, workers=2) as server,
        RoughProxy(server.url, lambda connection: Fate()) as proxy,
    ):
        assert asyncio.run(play(proxy)) == [expected] * 3
