"""An answer that comes after its time is nobody's: no other request, lane or session is given it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from openenv_gym import Client, OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import Closed, DeadlineExceeded
from tests.client.conftest import OpenClient, open_client
from tests.environments import Counter
from tests.served import eventually, health

__all__ = ["open_client"]

WAITS = 999
SECONDS = 0.3


class Echo(Counter):
    """Observes its action; the one that :data:`WAITS` is answered once it is let through."""

    let: ClassVar[threading.Event] = threading.Event()

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = Box(0, np.inf, (1,), np.float32)
        self.action_space = Discrete(1000)
        self.seen = 0

    def reset(self, **others: Any) -> Any:
        self.seen = 0
        return super().reset(**others)

    def step(self, action: Any) -> Any:
        time.sleep(0.003)  # lives on a thread of its own
        if action == WAITS and not self.let.wait(30):
            raise RuntimeError("nobody came")
        self.seen = int(action)
        return super().step(action)

    def _observation(self) -> Any:
        return np.array([self.seen], np.float32)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[GymServer]]:
    with serve_gym(Echo, port=0, block=False) as one, serve_gym(Echo, port=0, block=False) as other:
        yield [one, other]


@pytest.fixture
def url(servers: list[GymServer]) -> Iterator[str]:
    """Of a server that has no session afterwards."""
    Echo.let.clear()
    yield servers[0].url
    Echo.let.set()
    for server in servers:
        assert eventually(lambda server=server: health(server.url)["active_lanes"] == 0)  # type: ignore[misc]


def let_through(url: str) -> None:
    """Have the late answers given, and heard by whoever still listens."""
    Echo.let.set()
    assert eventually(lambda: health(url)["active_lanes"] == 0)


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_client_that_gave_up_hears_nothing_more(url: str, open_client: OpenClient, dialect: str) -> None:
    def act(client: Any, number: int) -> None:
        client.send_step(None, [number if dialect == "native" else {"action": number}])

    def heard(client: Any) -> Any:
        rows = client.receive_rows()
        return rows.values[0]["observation"] if dialect == "json" else rows.observation[0].tolist()

    client = open_client(url, dialect=dialect, timeout=SECONDS)
    client.reset()
    for number in (7, WAITS, 8):
        act(client, number)
    assert heard(client) == [7.0]
    with pytest.raises(DeadlineExceeded):
        heard(client)
    let_through(url)
    for use in (lambda: heard(client), client.reset, client.state, lambda: act(client, 9)):
        with pytest.raises(Closed):
            use()
    again = open_client(url, dialect=dialect)
    again.reset()
    act(again, 5)
    assert heard(again) == [5.0]
    again.close()


def is_over(*uses: Callable[[], object]) -> None:
    for use in uses:
        with pytest.raises(Closed):
            use()


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_an_environment_that_gave_up_says_so(url: str, dialect: str) -> None:
    env = OpenEnvGym(url, dialect=dialect, timeout=SECONDS)
    env.reset()
    with pytest.raises(DeadlineExceeded):
        env.step(WAITS)
    let_through(url)
    is_over(lambda: env.step(1), env.reset)
    env.close()


def test_lanes_of_one_session_end_together(url: str) -> None:
    envs = OpenEnvVectorEnv(url, 3, timeout=SECONDS)
    envs.reset()
    envs.step_async(np.array([1, WAITS, 3]))
    with pytest.raises(DeadlineExceeded):
        envs.step_wait()
    let_through(url)
    is_over(lambda: envs.step(np.ones(3, int)), envs.reset)
    envs.close()


def test_lanes_of_several_servers_end_together(url: str, servers: list[GymServer]) -> None:
    envs = OpenEnvVectorEnv([url, servers[1].url], 4, timeout=SECONDS)
    envs.reset()
    with pytest.raises(DeadlineExceeded):
        envs.step(np.array([1, WAITS, 3, 4]))
    let_through(url)
    is_over(lambda: envs.step(np.ones(4, int)), envs.reset)
    envs.close()


def test_a_lane_with_a_connection_of_its_own_ends_alone(url: str) -> None:
    """And the others go on: what they are asked while it is over, they answer in its turn."""
    envs = OpenEnvVectorEnv(url, 3, dialect="json", timeout=SECONDS, autoreset_mode="Disabled")
    envs.reset()
    with pytest.raises(DeadlineExceeded) as caught:
        envs.step(np.array([1, WAITS, 3]))
    assert caught.value.fields["lane"] == 1
    Echo.let.set()
    assert eventually(lambda: health(url)["active_lanes"] == 2)
    for number in (10, 20):
        with pytest.raises(Closed) as closed:
            envs.step(np.full(3, number))
        assert closed.value.fields["lane"] == 1
    others = {"reset_mask": np.array([True, False, True])}
    observations, _ = envs.reset(options=others)
    assert observations[[0, 2], 0].tolist() == [0.0, 0.0]
    lanes = envs._batches.remote.lanes
    lanes.send_step(None, np.array([31, 32, 33]))
    rows = lanes.receive_rows()
    assert list(rows.failures) == [1] and rows.observation[[0, 2], 0].tolist() == [31.0, 33.0]
    envs.close()


def test_ctrl_c_leaves_no_answer_behind(url: str) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    envs = OpenEnvVectorEnv(url, 3, dialect="json", autoreset_mode="Disabled")
    envs.reset()
    main = threading.main_thread().ident or 0
    timer = threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            envs.step(np.array([1, WAITS, 3]))
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    let_through(url)
    for use in (envs.reset, lambda: envs.step(np.ones(3, int))):
        with pytest.raises(Closed):
            use()
    envs.close()


def test_what_a_neighbour_gave_up_is_not_the_next_sessions(url: str) -> None:
    with Client.to(url, timeout=SECONDS) as first:
        first.reset()
        with pytest.raises(DeadlineExceeded):
            first.step_one(WAITS)
        with Client.to(url) as second:
            second.reset()
            Echo.let.set()
            assert [second.step_one(number).observation[0, 0] for number in (3, 4)] == [3.0, 4.0]
