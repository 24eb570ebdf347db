"""A session belongs to the process that began it, and a forked child does it no harm."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import numpy as np
import pytest

from openenv_gym import AsyncClient, OpenEnvGym, OpenEnvGymError, OpenEnvPool, OpenEnvVectorEnv
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import Closed, ResetNeeded
from tests.client.conftest import OpenClient


def in_child(work: Callable[[], object]) -> None:
    """Run some work in a forked child and demand that it succeeds."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def expect(error: type[OpenEnvGymError], use: Callable[[], object]) -> None:
    """``pytest.raises`` in a child, where a failure has nobody to report to."""
    try:
        use()
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")


def test_a_forked_child_cannot_use_an_environment_and_does_no_harm(cartpole: GymServer) -> None:
    env = OpenEnvGym(cartpole.url)
    env.reset(seed=0)

    def work() -> None:
        expect(ResetNeeded, lambda: env.step(1))
        env.close()
        env.close()
        expect(Closed, env.reset)

    in_child(work)
    assert env.step(1)[1] == 1.0
    assert env.state()["step_count"] == 1
    env.close()


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_forked_child_cannot_use_lanes_and_does_no_harm(cartpole: GymServer, dialect: str) -> None:
    envs = OpenEnvVectorEnv(cartpole.url, 3, dialect=dialect)
    envs.reset(seed=0)

    def work() -> None:
        expect(ResetNeeded, lambda: envs.step(np.zeros(3, int)))
        envs.close()

    in_child(work)
    assert envs.step(np.zeros(3, int))[1].tolist() == [1.0, 1.0, 1.0]
    envs.close()


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_forked_child_cannot_use_a_pool_and_does_no_harm(cartpole: GymServer, dialect: str) -> None:
    pool = OpenEnvPool(cartpole.url, 2, dialect=dialect)
    pool.reset(seed=0)
    pool.send([0, 0])

    def work() -> None:
        for use in (pool.recv, pool.async_reset, lambda: pool.send([0, 0]), lambda: pool.state(0)):
            expect(ResetNeeded, use)
        pool.close()

    in_child(work)
    assert pool.recv()[1].tolist() == [1.0, 1.0]
    pool.close()


def test_a_forked_child_cannot_use_a_client_and_does_no_harm(
    open_client: OpenClient, cartpole: GymServer
) -> None:
    client = open_client(cartpole.url)
    client.reset(seeds=[0])

    def work() -> None:
        if isinstance(getattr(client, "client", None), AsyncClient):
            expect(Closed, lambda: asyncio.run(client.client.step_one(1)))
            asyncio.run(client.client.close())
        else:
            expect(Closed, lambda: client.step_one(1))
            client.close()

    in_child(work)
    in_child(work)
    assert client.step_one(1).reward[0] == 1.0


def test_a_forked_child_can_begin_a_session_of_its_own(cartpole: GymServer) -> None:
    env = OpenEnvGym(cartpole.url)
    env.reset(seed=0)

    def work() -> None:
        own = OpenEnvGym(cartpole.url)
        own.reset(seed=0)
        own.step(0)
        own.close()

    in_child(work)
    assert env.step(1)[1] == 1.0
    env.close()


def test_a_child_may_close_what_its_parent_has_closed(cartpole: GymServer) -> None:
    env = OpenEnvGym(cartpole.url)
    env._remote.lanes.close()  # the session is over; the face does not know it yet
    in_child(env.close)
    env.close()
