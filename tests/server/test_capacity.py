"""Lanes are what a server has to give; it counts them, and says so when there are none left."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box

from openenv_gym import Client, OpenEnvPool, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import (
    CapacityReached,
    FactoryFailed,
    InvalidArgument,
    ProtocolViolation,
    UnknownSession,
    UnsupportedAutoreset,
)
from openenv_gym.server import house
from openenv_gym.wire.messages import Hello
from tests.environments import Counter, Sleeper, Trouble
from tests.served import eventually, health
from tests.server.troubled import served


def test_lanes_are_counted_and_not_sessions() -> None:
    with serve_gym(Counter, port=0, block=False, max_lanes=5) as server:
        with Client.to(server.url, Hello(lanes=3)), Client.to(server.url):
            assert health(server.url)["active_lanes"] == 4
            assert health(server.url)["sessions"] == 2
            with pytest.raises(CapacityReached) as caught:
                Client.to(server.url, Hello(lanes=2))
            assert caught.value.fields == {"active_lanes": 4, "max_lanes": 5}
            assert health(server.url)["active_lanes"] == 4
            Client.to(server.url).close()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        Client.to(server.url, Hello(lanes=5)).close()


def test_the_json_dialect_says_it_at_the_first_request() -> None:
    with serve_gym(Counter, port=0, block=False, max_lanes=1) as server:
        with Client.to(server.url), Client.to(server.url, dialect="json") as late:
            with pytest.raises(CapacityReached) as caught:
                late.reset()
            assert caught.value.fields["max_sessions"] == 1
            assert caught.value.fields["active_sessions"] == 1


def test_a_vector_environment_that_is_too_large_takes_nothing() -> None:
    with serve_gym(Counter, port=0, block=False, max_lanes=2) as server:
        with pytest.raises(CapacityReached):
            OpenEnvVectorEnv(server.url, 3)
        assert health(server.url)["active_lanes"] == 0
        envs = OpenEnvVectorEnv(server.url, 3, dialect="json")
        with pytest.raises(CapacityReached):
            envs.reset()
        envs.close()


WIDE = Box(-1, 1, (2**20,), np.float64)


class Wide(Counter):
    """33 actions of it are more than a step may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = WIDE

    def step(self, action: Any) -> Any:
        return super().step(0)


def test_a_session_whose_steps_would_be_too_large_takes_nothing() -> None:
    with serve_gym(Wide, port=0, block=False) as server:
        with pytest.raises(ProtocolViolation, match="the actions of 33 lanes"):
            Client.to(server.url, Hello(lanes=33))
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        assert health(server.url)["sessions"] == 0


@pytest.mark.parametrize("config", [{}, {"env_id": "CartPole-v1"}], ids=["to step on", "to probe on"])
def test_where_no_thread_can_be_had(config: dict[str, Any]) -> None:
    hello = Hello(config=config)
    with serve_gym(Sleeper, port=0, block=False, client_ids=["CartPole-v1"]) as server:
        before = threading.stack_size(1 << 47)  # more than there are addresses
        try:
            for _ in range(17):  # one more than may be probed at the same time
                with pytest.raises(FactoryFailed, match="no thread"):
                    Client.to(server.url, hello)
        finally:
            threading.stack_size(before)
        assert health(server.url)["active_lanes"] == 0
        Client.to(server.url, hello).close()


def test_a_factory_that_raises() -> None:
    left = [1000]

    def factory() -> Counter:
        if not left[0]:
            raise RuntimeError("no more of them")
        left[0] -= 1
        return Counter()

    with serve_gym(factory, port=0, block=False) as server:
        for dialect in (None, "json"):
            left[0] = 1
            with Client.to(server.url), pytest.raises(FactoryFailed, match="no more of them") as caught:
                with Client.to(server.url, dialect=dialect) as second:
                    second.reset()
            assert caught.value.fields["factory_name"] == "factory"
            assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        # Two of three lanes are built when the third fails; they are closed and not counted.
        left[0] = 2
        with pytest.raises(FactoryFailed):
            Client.to(server.url, Hello(lanes=3))
        assert health(server.url)["active_lanes"] == 0


def test_a_factory_that_raises_at_once_never_opens_its_door() -> None:
    def factory() -> Any:
        raise RuntimeError("nothing to serve")

    with pytest.raises(FactoryFailed, match="nothing to serve"):
        serve_gym(factory, port=0, block=False)


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        (Hello(lanes=0), InvalidArgument),
        (Hello(config={"size": 3}), InvalidArgument),
        (Hello(config={"render_mode": "rgb_array"}), InvalidArgument),
        (Hello(attach="nobody"), UnknownSession),
        (Hello(autoreset="Sometimes"), (ProtocolViolation, UnsupportedAutoreset)),
        (Hello(view="inside"), (ProtocolViolation, InvalidArgument)),
        (Hello(lanes="many"), (InvalidArgument, ProtocolViolation)),  # type: ignore[arg-type]
    ],
)
def test_a_hello_that_cannot_be_granted(hello: Hello, expected: type[Exception]) -> None:
    with serve_gym(Counter, port=0, block=False) as server:
        with pytest.raises(expected):
            Client.to(server.url, hello)
        assert health(server.url)["active_lanes"] == 0
        Client.to(server.url).close()


def test_the_typed_view_is_refused_in_the_native_dialect() -> None:
    with serve_gym(Counter, port=0, block=False) as server:
        with pytest.raises(InvalidArgument, match="spoken in JSON"):
            Client.to(server.url, Hello(view="typed"))
        assert health(server.url)["active_lanes"] == 0


# who comes while another goes ---------------------------------------------------------------------


class Lingering(Sleeper):
    """Takes its time to close."""

    def close(self) -> None:
        time.sleep(0.1)


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_what_was_closed_makes_room_for_the_next(dialect: str) -> None:
    with serve_gym(Lingering, port=0, block=False, max_lanes=2) as server:
        for _ in range(3):
            envs = OpenEnvVectorEnv(server.url, 2, dialect=dialect)
            envs.reset()
            envs.close()


def test_a_pool_that_is_closed_amid_its_steps_makes_room_too() -> None:
    with serve_gym(Lingering, port=0, block=False, max_lanes=2) as server:
        for _ in range(2):
            with OpenEnvPool(server.url, 2) as pool:
                pool.reset(options={"seconds": 0.2})
                pool.send([1, 1])


@pytest.mark.slow  # workers start
def test_room_is_made_in_another_process_too() -> None:
    with serve_gym(Lingering, port=0, block=False, workers=2, max_lanes=2) as server:
        for _ in range(4):
            with closing(OpenEnvVectorEnv(server.url, 2)) as envs:
                envs.reset()


def test_nobody_waits_long_for_what_does_not_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "ROOM_SECONDS", 0.05)
    with served(slow=True, max_lanes=2) as server:  # one lane is held
        with Client.to(server.url) as client:
            client.reset(options={"close": "hang"})
        with pytest.raises(CapacityReached):
            Client.to(server.url)
        Trouble.release.set()
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)
        Client.to(server.url).close()
