"""What a client may choose of a server: ids and constructor arguments that its operator offers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from openenv_gym import Client, OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CapacityReached, FactoryFailed, InvalidArgument
from openenv_gym.wire.messages import Hello
from tests import web
from tests.environments import Counter
from tests.served import eventually, health


class Sized(Counter):
    """Observes a number that its constructor is given; ``wait`` has it wait for a word."""

    built_on: ClassVar[list[int]] = []
    word: ClassVar[threading.Event] = threading.Event()

    def __init__(self, size: int = 0, wait: bool = False, secret: int = 0) -> None:
        super().__init__()
        self.built_on.append(threading.get_ident())
        if wait:
            assert self.word.wait(20)
        self.size = size + secret

    def _observation(self) -> Any:
        return np.array([self.size], np.float32)


@pytest.fixture
def server() -> Iterator[GymServer]:
    Sized.word.clear()
    Sized.built_on.clear()
    with serve_gym(
        Sized,
        port=0,
        block=False,
        kwargs={"size": 1},
        client_ids=["CartPole-v1", "Pendulum-v1"],
        client_kwargs=["size", "wait", "goal_velocity"],
    ) as server:
        yield server


def first_of(url: str, **asked: Any) -> list[float]:
    """The first observation of a session that is asked for so."""
    env = OpenEnvGym(url, **asked)
    try:
        observation, _ = env.reset(seed=1)
        return list(map(float, observation))
    finally:
        env.close()


def test_constructor_arguments_that_are_offered(server: GymServer) -> None:
    assert first_of(server.url) == [1.0]
    assert first_of(server.url, env_kwargs={"size": 7}) == [7.0]
    assert first_of(server.url, env_id="Sized", env_kwargs={"size": 8}) == [8.0]
    envs = OpenEnvVectorEnv(server.url, 3, env_kwargs={"size": 9})
    assert envs.reset()[0].tolist() == [[9.0]] * 3
    envs.close()


def test_an_id_that_is_offered_comes_with_its_own_spaces(server: GymServer) -> None:
    env = OpenEnvGym(server.url, env_id="Pendulum-v1", render_mode="rgb_array")
    assert env.observation_space.shape == (3,) and env.action_space.shape == (1,)
    env.reset(seed=1)
    assert env.render().shape == (500, 500, 3)
    env.close()
    assert len(first_of(server.url, env_id="CartPole-v1")) == 4


@pytest.mark.parametrize(
    "asked",
    [
        {"env_id": "Acrobot-v1"},
        {"env_id": "os:Env-v0"},
        {"env_kwargs": {"secret": 1}},
        {"env_kwargs": {"size": float("nan")}},
        {"env_kwargs": {"size": (1, 2)}},
    ],
)
def test_what_is_not_offered_is_refused(server: GymServer, asked: dict[str, Any]) -> None:
    built = len(Sized.built_on)
    with pytest.raises(InvalidArgument, match=r"it serves|may choose|plain JSON"):
        OpenEnvGym(server.url, **asked)
    with pytest.raises(InvalidArgument):
        Client.to(server.url, Hello(config=asked))
    assert len(Sized.built_on) == built and eventually(lambda: health(server.url)["active_lanes"] == 0)


def test_without_lists_only_the_render_mode_is_chosen() -> None:
    with serve_gym(Counter, port=0, block=False) as server:
        for asked in ({"env_kwargs": {"render_mode": "ansi"}}, {"env_id": "CartPole-v1"}):
            with pytest.raises(InvalidArgument, match="client_"):
                OpenEnvGym(server.url, **asked)
        OpenEnvGym(server.url, env_id="Counter", render_mode="ansi").close()


def test_an_argument_that_breaks_the_constructor(server: GymServer) -> None:
    with pytest.raises(FactoryFailed, match="goal_velocity"):
        OpenEnvGym(server.url, env_kwargs={"goal_velocity": 1})
    with pytest.raises(FactoryFailed, match="Pendulum-v1"):
        OpenEnvGym(server.url, env_id="Pendulum-v1", env_kwargs={"size": 1})
    assert first_of(server.url) == [1.0]


def test_the_probe_does_not_hold_up_other_sessions(server: GymServer) -> None:
    built = len(Sized.built_on)
    opened: list[list[float]] = []
    asked = {"env_kwargs": {"size": 2, "wait": True}}
    waiting = threading.Thread(target=lambda: opened.append(first_of(server.url, **asked)))
    waiting.start()
    assert eventually(lambda: len(Sized.built_on) > built)
    assert first_of(server.url) == [1.0]
    assert opened == []
    Sized.word.set()
    waiting.join(20)
    assert opened == [[2.0]]


def test_only_so_many_are_tried_out_at_once(server: GymServer) -> None:
    built = len(Sized.built_on)

    def ask(size: int) -> None:
        first_of(server.url, env_kwargs={"size": size, "wait": True})

    waiting = [threading.Thread(target=ask, args=(size,)) for size in range(1, 17)]
    for thread in waiting:
        thread.start()
    assert eventually(lambda: len(Sized.built_on) == built + 16)
    with pytest.raises(CapacityReached, match="tried out"):
        first_of(server.url, env_kwargs={"size": 99, "wait": True})
    assert first_of(server.url) == [1.0]
    Sized.word.set()
    for thread in waiting:
        thread.join(20)


def test_an_http_session_chooses_as_well(server: GymServer) -> None:
    with web.Client(base_url=server.url, timeout=20) as http:
        chosen = http.post("/reset", json={"env_id": "Sized", "env_kwargs": {"size": 5}}).json()
        assert chosen["observation"]["observation"] == [5.0]
        assert (
            len(http.post("/reset", json={"env_id": "CartPole-v1"}).json()["observation"]["observation"]) == 4
        )
        late = http.post("/reset", json={"env_id": "CartPole-v1", "session_id": chosen["session_id"]})
        assert late.status_code == 422 and "env_id is for a new session" in late.json()["error"]["message"]
        for asked in ({"env_id": "os:Env-v0"}, {"env_kwargs": {"secret": 1}}, {"env_kwargs": 3}):
            refused = http.post("/reset", json=asked)
            assert refused.status_code == 422 and refused.json()["detail"]


def test_lists_that_cannot_be_offered_stop_the_start() -> None:
    with pytest.raises(InvalidArgument, match="--import"):
        serve_gym(Counter, port=0, block=False, client_ids=["os:Env-v0"])
    with pytest.raises(FactoryFailed, match="Nope-v1"):
        serve_gym(Counter, port=0, block=False, client_ids=["Nope-v1"])
    with pytest.raises(InvalidArgument, match="render_mode"):
        serve_gym(Counter, port=0, block=False, client_kwargs=["render_mode"])
