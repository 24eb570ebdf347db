"""Ctrl-C of a server ends every client in a typed error, and the process without a word of complaint."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress
from typing import Any, ClassVar

import httpx
import pytest

from openenv_gym import AsyncClient, Client, OpenEnvClient, create_app, serve_gym
from openenv_gym.errors import ConnectFailed, ServerClosed
from openenv_gym.wire.messages import Hello
from tests import web
from tests.environments import Sleeper
from tests.served import ServerProcess, can_listen, eventually, health, serve_command
from tests.typed import Count, Counted, Counting

QUICK_SECONDS = 8.0
"""Less than a server waits for steps that still run."""


def assert_ended(server: ServerProcess, *, within: float = QUICK_SECONDS) -> None:
    code = server.process.wait(within)
    assert code in (0, 130), server.output()
    assert "Traceback" not in server.output()
    assert "rror" not in server.output()
    assert can_listen(server.url)


def test_ctrl_c_ends_every_client_in_a_typed_error() -> None:
    async def play(server: ServerProcess) -> None:
        blocking = Client.to(server.url)
        text = Client.to(server.url, dialect="json")
        lanes = Client.to(server.url, Hello(lanes=4))
        clients: list[Any] = [blocking, text, lanes]
        for client in clients:
            client.reset()
        async with await AsyncClient.to(server.url) as awaited:
            await awaited.reset()
            server.interrupt()
            assert await asyncio.to_thread(server.process.wait, QUICK_SECONDS) in (0, 130)
            with pytest.raises(ServerClosed):
                await awaited.step_one(1)
        with pytest.raises(ServerClosed):
            blocking.step_one(1)
        with pytest.raises(ServerClosed):
            text.step_one({"action": 1})
        with pytest.raises(ServerClosed):
            lanes.step(None, [0, 1, 0, 1])
        for client in clients:
            client.close()

    with ServerProcess(serve_command("CartPole-v1")) as server:
        asyncio.run(play(server))
        assert_ended(server)
        with pytest.raises(ConnectFailed):
            Client.to(server.url, wait_timeout=0)


def test_ctrl_c_ends_clients_that_wait_for_an_answer() -> None:
    with ServerProcess(serve_command("tests.environments:Sleeper")) as server:
        endings: list[BaseException] = []

        def play() -> None:
            with Client.to(server.url) as client:
                client.reset(options={"seconds": 0.05})
                ready.set()
                try:
                    while True:
                        client.step_one(1)
                except ServerClosed as error:
                    endings.append(error)

        ready = threading.Event()
        player = threading.Thread(target=play)
        player.start()
        try:
            assert ready.wait(10)
            server.interrupt()
            player.join(QUICK_SECONDS)
            assert_ended(server)
        finally:
            server.process.kill()
            player.join()
        assert len(endings) == 1


def test_a_running_step_is_answered_before_the_shutdown() -> None:
    with ServerProcess(serve_command("tests.environments:Sleeper")) as server:
        client = Client.to(server.url)
        client.reset(options={"seconds": 1.0})
        client.send_step(None, [1])
        time.sleep(0.2)
        server.interrupt()
        rows = client.receive_rows()
        assert rows.observation[0].tolist() == [1.0]
        with pytest.raises(ServerClosed):
            client.step_one(1)
        client.close()
        assert_ended(server)


def test_a_running_step_of_the_json_dialect_is_answered_before_the_shutdown() -> None:
    with ServerProcess(serve_command("tests.environments:Sleeper")) as server:
        client = Client.to(server.url, dialect="json")
        client.reset(options={"seconds": 1.0})
        client.send_step(None, [{"action": 1}])
        time.sleep(0.2)
        server.interrupt()
        assert client.receive_rows().values[0]["observation"] == [1.0]
        with pytest.raises(ServerClosed):
            client.reset()
        client.close()
        assert_ended(server)


def test_a_step_that_does_not_end_is_not_waited_for_after_a_second_ctrl_c() -> None:
    with ServerProcess(serve_command("tests.environments:Sleeper")) as server:
        client = Client.to(server.url)
        client.reset(options={"seconds": 20.0})
        client.send_step(None, [1])
        time.sleep(0.2)
        server.interrupt()
        time.sleep(0.3)
        server.interrupt()
        assert eventually(lambda: server.process.poll() is not None, seconds=QUICK_SECONDS)
        assert "Traceback" not in server.output()
        client.close()


IMPATIENT = """
from openenv_gym.cli import main
from openenv_gym.server import listening

listening._DRAIN_SECONDS = 0.5
main()
"""
"""As ``python -m openenv_gym``, which would wait for ten."""


@pytest.mark.slow
def test_a_step_that_does_not_end_is_not_waited_for_for_ever() -> None:
    command = [sys.executable, "-c", IMPATIENT, *serve_command("tests.environments:Sleeper")[3:]]
    with ServerProcess(command) as server:
        client = Client.to(server.url)
        client.reset(options={"seconds": 50.0})
        client.send_step(None, [1])
        time.sleep(0.2)
        server.interrupt()
        with pytest.raises(ServerClosed):
            client.receive_rows()
        client.close()
        assert_ended(server, within=20)


def test_a_server_of_this_process_ends_its_clients_too() -> None:
    with serve_gym(Sleeper, port=0, block=False) as server:
        idle, busy = Client.to(server.url), Client.to(server.url)
        busy.reset(options={"seconds": 0.3})
        busy.send_step(None, [1])
        time.sleep(0.05)
        server.close()
        server.close()
        assert busy.receive_rows().observation[0].tolist() == [1.0]
        for client in (idle, busy):
            with pytest.raises(ServerClosed):
                client.reset()
            client.close()


def test_ctrl_c_without_clients() -> None:
    with ServerProcess(serve_command("CartPole-v1")) as server:
        server.interrupt()
        assert_ended(server)


class OneThread(Counting):
    """Of which all instances live on one thread."""

    REQUIRES_SINGLE_THREAD_EXECUTOR = True


@pytest.mark.parametrize("environment", [Counting, OneThread])
def test_an_application_is_served_again(environment: type[Counting]) -> None:
    application = create_app(environment, Count, Counted, max_concurrent_envs=4)
    for _ in range(2):
        with serve_gym(application, port=0, block=False) as server:
            with OpenEnvClient(server.url).sync() as client:
                assert client.reset(seed=4).observation["total"] == 4
            assert web.post(f"{server.url}/reset", json={"seed": 4}).json()["observation"]["total"] == 4


def test_a_question_that_hangs_does_not_hold_up_the_end() -> None:
    entered, released, told = threading.Event(), threading.Event(), threading.Event()

    class Pondering(Counting):
        def num_tasks(self, split: str) -> int:
            entered.set()
            released.wait(20)
            told.set()
            return 0

    app = create_app(Pondering, Count, Counted)
    with serve_gym(app, port=0, block=False) as server:

        def ask() -> None:
            with suppress(httpx.HTTPError):
                web.post(server.url + "/pondering/num_tasks", json={"split": "train"})

        asker = threading.Thread(target=ask)
        asker.start()
        assert entered.wait(20)
    assert not told.is_set()
    released.set()
    asker.join()


class Parting(Sleeper):
    """Closes together with two others, or in vain after less than a server waits for one."""

    together: ClassVar[threading.Barrier | None] = None
    closed: ClassVar[list[bool]] = []

    def close(self) -> None:
        if Parting.together is not None:
            with suppress(threading.BrokenBarrierError):
                Parting.together.wait(1.5)
                Parting.closed.append(True)


@pytest.mark.parametrize("by", ["http", "native"])
def test_sessions_that_nobody_holds_close_side_by_side(by: str) -> None:
    Parting.together = None
    Parting.closed.clear()
    with serve_gym(Parting, port=0, block=False) as server:
        for _ in range(3):
            if by == "http":
                web.post(server.url + "/reset", json={}).raise_for_status()
            else:
                client = Client.to(server.url)
                client.reset()
                client.abandon()
        if by == "native":
            assert eventually(lambda: health(server.url)["parked_sessions"] == 3)
        Parting.together = threading.Barrier(3)
    assert Parting.closed == [True] * 3
