"""A session goes on over another connection, wherever the one before was cut, and no step is done twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from openenv_gym import AsyncClient, Client, serve_gym
from openenv_gym.client.resuming import Resumption
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import Closed, ConnectFailed, ConnectionLost, DeadlineExceeded, UnknownSession
from openenv_gym.wire.messages import Hello
from tests.client.conftest import OpenClient
from tests.environments import Sleeper
from tests.proxy import Fate, RoughProxy
from tests.served import eventually, health

LANES = 3


class Tallied(CartPoleEnv):
    """CartPole that counts all steps and resets of its process."""

    steps: ClassVar[int] = 0
    resets: ClassVar[int] = 0

    def step(self, action: Any) -> Any:
        Tallied.steps += 1
        return super().step(action)  # type: ignore[no-untyped-call]

    def reset(self, **others: Any) -> Any:
        Tallied.resets += 1
        return super().reset(**others)


class SlowTallied(Tallied):
    """The same, slow enough for a thread of its own."""

    def step(self, action: Any) -> Any:
        time.sleep(0.002)
        return super().step(action)


@pytest.fixture(scope="module")
def tallied() -> Iterator[GymServer]:
    with serve_gym(Tallied, port=0, block=False) as server:
        yield server


@pytest.fixture(scope="module")
def slow_tallied() -> Iterator[GymServer]:
    with serve_gym(SlowTallied, port=0, block=False) as server:
        yield server


def play(client: Any, goes_on: Callable[[int], bool]) -> tuple[list[Any], tuple[int, int], int]:
    """Play lanes with random actions: what is seen and what is done, in how many steps."""
    actions = np.random.default_rng(5)
    before = Tallied.steps, Tallied.resets
    seen = [shown(client.reset(seeds=11))]
    step = 0
    while goes_on(step):
        seen.append(shown(client.step(None, actions.integers(2, size=LANES))))
        if step % 50 == 0:
            seen.append(client.state(1)["step_count"])
        step += 1
    return seen, (Tallied.steps - before[0], Tallied.resets - before[1]), step


def shown(rows: Any) -> list[bytes]:
    parts = (rows.observation, rows.reward, rows.terminated, rows.truncated, rows.phase)
    return [np.ascontiguousarray(part).tobytes() for part in parts]


def fates(seed: int, cuts: int) -> Callable[[int], Fate]:
    """So many connections that are cut somewhere, each in its own way, and then good ones."""
    draw = random.Random(seed)

    def fate(number: int) -> Fate:
        if number >= cuts:
            return Fate()
        # Mostly beyond the welcome, at some 2,000 bytes down and 500 up.
        up, down = draw.randrange(1000), draw.randrange(4000)
        ways = draw.randrange(3)
        return Fate(
            up=up if ways == 0 else None,
            down=down if ways > 0 else None,
            reset=draw.random() < 0.5,
            chunk=draw.choice([1 << 16, 700, 90]),
            delay=draw.choice([0, 0, 0.0005]),
            deaf=draw.random() < 0.2,
        )

    return fate


@pytest.mark.parametrize(("pace", "cuts"), [("fast", 200), ("slow", 30)])
def test_a_trajectory_with_cuts_is_the_one_without(
    open_client: OpenClient, tallied: GymServer, slow_tallied: GymServer, pace: str, cuts: int
) -> None:
    server = tallied if pace == "fast" else slow_tallied
    hello = Hello(lanes=LANES, autoreset="SameStep")
    with RoughProxy(server.url, fates(1, cuts)) as proxy:
        client = open_client(proxy.url, hello, resume_timeout=60)
        rough = play(client, lambda step: proxy.cuts < cuts or step % 10 > 0)
        client.close()
        assert proxy.cuts == cuts
    straight = open_client(server.url, hello)
    assert rough == play(straight, lambda step: step < rough[2])
    straight.close()
    assert eventually(lambda: is_empty(server))


def converse(client: Any) -> list[Any]:
    return [
        client.reset(seeds=[3]).observation.tobytes(),
        client.step_one(1).observation.tobytes(),
        client.state()["step_count"],
        client.step_one(0).observation.tobytes(),
    ]


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_conversation_may_be_cut_at_any_byte(tallied: GymServer, way: str, open_client: OpenClient) -> None:
    """Also in the handshake, the hello and the welcome, though there not at each."""
    doomed, fate = -1, Fate()
    with RoughProxy(tallied.url, lambda number: fate if number == doomed else Fate()) as proxy:
        client = open_client(proxy.url)
        expected = converse(client)
        end = proxy.carried[0][way == "down"]
        client.close()
        for position in [*range(0, end - 300, 37), *range(end - 300, end, 2)]:
            doomed, fate = len(proxy.carried), Fate(**{way: position}, reset=position % 4 < 2)
            before = Tallied.steps, Tallied.resets
            client = open_client(proxy.url)
            assert converse(client) == expected
            client.close()
            assert (Tallied.steps - before[0], Tallied.resets - before[1]) == (2, 1)
            assert proxy.cuts and len(proxy.carried) == doomed + 2
    assert eventually(lambda: is_empty(tallied))


def is_empty(server: GymServer) -> bool:
    return not server.house.sessions and not server.house.parked


def test_requests_that_wait_are_all_repeated_in_order(open_client: OpenClient, tallied: GymServer) -> None:
    """Though they were written into one buffer, one after the other."""
    actions = [1, 0, 0, 1, 1]

    def ask(client: Any) -> list[bytes]:
        client.reset(seeds=[4])
        for action in actions:
            client.send_step(None, [action])
        return [client.receive_rows().observation.tobytes() for _ in actions]

    expected = ask(open_client(tallied.url))
    with RoughProxy(tallied.url, lambda number: Fate()) as proxy:
        measured = open_client(proxy.url)
        measured.reset(seeds=[4])
        sofar = proxy.carried[0][0]
        measured.close()
    for fate in (Fate(up=sofar + 20), Fate(up=sofar + 150)):
        with RoughProxy(tallied.url, [fate, Fate()].__getitem__) as proxy:
            client = open_client(proxy.url)
            assert ask(client) == expected and proxy.cuts == 1
            client.close()


def test_a_step_that_runs_at_the_cut_is_joined(open_client: OpenClient) -> None:
    with serve_gym(Sleeper, port=0, block=False) as server:
        with RoughProxy(server.url, lambda number: Fate()) as proxy:
            client = open_client(proxy.url)
            client.reset(options={"seconds": 0.3})
            client.send_step(None, [1])
            assert eventually(lambda: server.house.busy == 1)
            proxy.cut()
            rows = client.receive_rows()
            assert proxy.cuts == 1 and rows.observation[0, 0] == 1.0
            assert client.state()["step_count"] == 1
            client.close()


@pytest.mark.parametrize("env", [CartPoleEnv, Sleeper])
def test_a_session_whose_grace_is_over_is_lost(open_client: OpenClient, env: Any) -> None:
    with serve_gym(env, port=0, block=False, resume_grace=0.1) as server:
        with RoughProxy(server.url, lambda number: Fate()) as proxy:
            client = open_client(proxy.url)
            client.reset()
            proxy.cut()
            assert eventually(lambda: health(server.url)["active_lanes"] == 0)
            with pytest.raises(ConnectionLost, match=r"make a new one.*does not have the session") as lost:
                client.step_one(1)
            assert isinstance(lost.value.__cause__, UnknownSession)
            with pytest.raises(Closed):
                client.step_one(1)


def test_a_session_of_a_server_that_was_started_anew_is_lost(open_client: OpenClient) -> None:
    with (
        serve_gym(CartPoleEnv, port=0, block=False) as old,
        serve_gym(CartPoleEnv, port=0, block=False) as new,
    ):
        servers = [old.url, new.url]
        with RoughProxy(old.url, lambda number: Fate()) as proxy:
            client = open_client(proxy.url)
            client.reset()
            proxy.go_to(servers[1])
            proxy.cut()
            with pytest.raises(ConnectionLost, match="does not have the session"):
                client.step_one(1)
        assert new.house.active_sessions == 0


@pytest.mark.parametrize(("offered", "asked"), [(0, 20), (60, 0)])
def test_who_does_not_want_to_resume_does_not(open_client: OpenClient, offered: float, asked: float) -> None:
    with serve_gym(CartPoleEnv, port=0, block=False, resume_grace=offered) as server:
        with RoughProxy(server.url, lambda number: Fate()) as proxy:
            client = open_client(proxy.url, resume_timeout=asked)
            client.reset()
            proxy.cut()
            with pytest.raises(ConnectionLost):
                client.step_one(1)
            assert len(proxy.carried) == 1


def test_patience_ends_when_nobody_answers_any_more(open_client: OpenClient, cartpole: GymServer) -> None:
    with RoughProxy(cartpole.url, lambda number: Fate(up=0) if number else Fate()) as proxy:
        client = open_client(proxy.url, resume_timeout=0.2)
        client.reset()
        proxy.cut()
        with pytest.raises(ConnectionLost, match="resume_timeout"):
            client.step_one(1)
        assert len(proxy.carried) > 2
        with pytest.raises(Closed):
            client.step_one(1)


def test_a_timeout_bounds_the_resumption_too(open_client: OpenClient, cartpole: GymServer) -> None:
    with RoughProxy(cartpole.url, lambda number: Fate(up=0) if number else Fate()) as proxy:
        client = open_client(proxy.url, timeout=0.2, resume_timeout=None)
        client.reset()
        proxy.cut()
        with pytest.raises(ConnectionLost):
            client.step_one(1)


def test_after_a_resumption_the_time_for_an_answer_still_counts(open_client: OpenClient) -> None:
    with serve_gym(Sleeper, port=0, block=False) as server:
        with RoughProxy(server.url, lambda number: Fate()) as proxy:
            client = open_client(proxy.url, timeout=0.4)
            client.reset(options={"seconds": 1.0})
            client.send_step(None, [1])
            proxy.cut()
            with pytest.raises(DeadlineExceeded):
                client.receive_rows()
            with pytest.raises(Closed):
                client.state()
        assert eventually(lambda: is_empty(server))


def test_a_forked_child_does_not_resume_its_parents_session(tallied: GymServer) -> None:
    with RoughProxy(tallied.url, lambda number: Fate()) as proxy:
        client = Client.to(proxy.url)
        client.reset(seeds=[0])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                client.step_one(1)
            except Closed:
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(proxy.carried) == 1
        proxy.cut()
        assert client.step_one(1).reward[0] == 1.0 and client.state()["step_count"] == 1
        client.close()


def test_a_task_may_ask_while_another_resumes(tallied: GymServer) -> None:
    async def both(proxy: RoughProxy) -> None:
        client = await AsyncClient.to(proxy.url)
        await client.reset(seeds=[0])
        proxy.cut()
        waiting = asyncio.create_task(client.step_one(1))
        await asyncio.sleep(0.003)  # in the handshake, which takes longer, or just before it
        await client.send_step(None, [0])
        await client.send_step(None, [1])
        assert (await waiting).phase[0] == 1
        for _ in range(2):
            await client.receive_rows()
        assert (await client.state())["step_count"] == 3
        await client.close()

    with RoughProxy(tallied.url, lambda number: Fate(delay=0.002)) as proxy:
        asyncio.run(both(proxy))
    assert eventually(lambda: is_empty(tallied))


def test_faces_take_the_time_to_resume_as_they_take_the_others(tallied: GymServer) -> None:
    with RoughProxy(tallied.url, lambda number: Fate()) as proxy:
        envs = gymnasium.make_vec("openenv/remote", num_envs=2, base_url=proxy.url, resume_timeout=5.0)
        envs.reset(seed=0)
        proxy.cut()
        assert envs.step(np.zeros(2, int))[1].tolist() == [1.0, 1.0]
        envs.close()


LEAVER = """
import sys
from openenv_gym import OpenEnvGym
env = OpenEnvGym(sys.argv[1])
env.reset()
"""


def test_a_program_that_ends_without_close_says_goodbye(tallied: GymServer) -> None:
    program = [sys.executable, "-c", LEAVER, tallied.url]
    subprocess.run(program, check=True, cwd=Path(__file__).parents[2])
    assert eventually(lambda: is_empty(tallied))


def test_the_pauses_between_attempts_grow_and_end() -> None:
    now = [0.0]
    resumption = Resumption(ConnectionLost("lost"), 10.0, clock=lambda: now[0])
    pauses = []
    with pytest.raises(ConnectionLost, match=r"lost\. Nor can it be resumed: .*10 seconds"):
        while True:
            pauses.append(resumption.pause_after(ConnectFailed("refused")))
            now[0] += pauses[-1]
    assert pauses[:3] == [0.02, 0.04, 0.08] and max(pauses) == 1.0 and sum(pauses) == pytest.approx(10.0)


def test_a_server_that_refuses_is_not_asked_again() -> None:
    resumption = Resumption(ConnectionLost("lost"), None)
    with pytest.raises(ConnectionLost, match="404"):
        resumption.pause_after(ConnectFailed("status 404", status=404))
