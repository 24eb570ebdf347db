"""``OpenEnvClient`` and its blocking twin: models or dicts in, ``StepResult`` out, on any server."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from openenv_gym import OpenEnvClient, StepResult, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import (
    CapacityReached,
    Closed,
    ConnectFailed,
    EnvironmentRaised,
    InvalidAction,
    LayoutMismatch,
    ResetNeeded,
)
from tests.environments import Counter, Fragile
from tests.served import eventually, health
from tests.strangers import Connection, accepting


class Push(BaseModel):
    model_config = ConfigDict(extra="forbid")

    action: int
    metadata: dict[str, Any] = {}


class Pole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    observation: list[float]
    reward: float | None = None
    done: bool = False
    metadata: dict[str, Any] = {}


class BarePole(BaseModel):
    """Without the fields that upstream's base class has."""

    model_config = ConfigDict(extra="forbid")

    observation: list[float]


class Progress(BaseModel):
    episode_id: str | None
    step_count: int


class Awaited:
    """An ``OpenEnvClient`` whose calls run to their end, so that one test serves both twins."""

    def __init__(self, runner: asyncio.Runner, client: Any) -> None:
        self._runner, self.client = runner, client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args, **kwargs: self._wrapped(self._runner.run(found(*args, **kwargs)))

    def _wrapped(self, answer: Any) -> Any:
        return Awaited(self._runner, answer) if isinstance(answer, OpenEnvClient) else answer


OpenTyped: TypeAlias = Callable[..., Any]


@pytest.fixture(params=["async", "sync"])
def open_typed(request: pytest.FixtureRequest) -> Iterator[OpenTyped]:
    """Makes one twin or the other; takes what ``OpenEnvClient`` takes, and a subclass of it as ``cls``."""
    opened: list[Any] = []
    with asyncio.Runner() as runner:

        def make(*args: Any, cls: type[Any] = OpenEnvClient, **kwargs: Any) -> Any:
            client = cls(*args, **kwargs)
            opened.append(client.sync() if request.param == "sync" else Awaited(runner, client))
            return opened[-1]

        yield make
        for client in opened:
            client.close()


@pytest.fixture(scope="module")
def cartpole() -> Iterator[GymServer]:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        yield server


@contextmanager
def scripted(*answers: Any) -> Iterator[tuple[str, list[Any]]]:
    """A stock server that answers each request with the next of some data, and what it heard."""
    heard: list[Any] = []
    left = list(answers)

    def serve(connection: Connection) -> None:
        for text in connection:
            heard.append(json.loads(text))
            if heard[-1]["type"] == "close":
                return
            kind = "state" if heard[-1]["type"] == "state" else "observation"
            connection.send(json.dumps({"type": kind, "data": left.pop(0)}))

    with accepting(serve) as url:
        yield url, heard


# on a server of ours ---------------------------------------------------------------------------


def test_an_episode_in_dicts_is_the_local_one(open_typed: OpenTyped, cartpole: GymServer) -> None:
    client = open_typed(cartpole.url)
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=3)
    result = client.reset(seed=3, episode_id="mine")
    over = False
    while not over:
        action = int(observation[2] > 0)
        assert np.array(result.observation["observation"], np.float32).tobytes() == observation.tobytes()
        observation, reward, terminated, truncated, _ = env.step(action)
        result = client.step({"action": action})
        assert (result.reward, result.terminated, result.truncated) == (reward, terminated, truncated)
        over = terminated or truncated
        assert result.done is over
    env.close()
    assert client.state()["episode_id"] == "mine"


def test_models_go_in_and_come_out(open_typed: OpenTyped, cartpole: GymServer) -> None:
    client = open_typed(cartpole.url, action=Push, observation=Pole, state=Progress)
    result = client.reset(seed=1)
    assert isinstance(result, StepResult) and isinstance(result.observation, Pole)
    result = client.step({"action": 1})
    assert result.observation.reward == result.reward == 1.0
    assert not result.observation.done
    assert result.observation.metadata["truncated"] is False
    assert client.state().step_count == 1
    assert isinstance(client.state(), Progress)
    bare = open_typed(cartpole.url, observation=BarePole)
    assert len(bare.reset().observation.observation) == 4


def test_a_dict_that_is_no_action_is_not_sent(open_typed: OpenTyped, cartpole: GymServer) -> None:
    client = open_typed(cartpole.url, action=Push)
    client.reset(seed=1)
    for wrong in ({"action": "left"}, {"action": 1, "force": 2}, {}):
        with pytest.raises(InvalidAction, match="Push"):
            client.step(wrong)
    assert client.state()["step_count"] == 0
    untyped = open_typed(cartpole.url)
    untyped.reset(seed=1)
    for strange in (1, {"action": object()}, {"action": {1: 2}}, None):
        with pytest.raises(InvalidAction):
            untyped.step(strange)
    with pytest.raises(InvalidAction):
        untyped.step({"action": "left"})
    assert untyped.step({"action": np.int64(1)}).reward == 1.0


def test_an_observation_that_is_none_says_so_by_type(open_typed: OpenTyped, cartpole: GymServer) -> None:
    client = open_typed(cartpole.url, observation=Progress, state=Push)
    with pytest.raises(LayoutMismatch, match="Progress"):
        client.reset(seed=1)
    with pytest.raises(LayoutMismatch, match="Push"):
        client.state()


class Telling(Counter):
    """Says in its info and reward what JSON cannot."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, *_ = super().step(action)
        return observation, math.nan, False, True, {"ram": np.array([1, 2], np.uint8), "odds": math.inf}


def test_info_and_reward_come_as_they_were(open_typed: OpenTyped) -> None:
    with serve_gym(Telling, port=0, block=False) as server:
        client = open_typed(server.url)
        assert client.reset(options={"level": 2}).info == {}
        result = client.step({"action": 0})
        assert result.done and result.truncated and not result.terminated
        assert math.isnan(result.reward)
        assert result.info["ram"].dtype == np.uint8 and result.info["odds"] == math.inf
        assert result.metadata["truncated"] is True
        client.close()


def test_errors_of_the_server_keep_their_type(open_typed: OpenTyped) -> None:
    with serve_gym(Fragile, port=0, block=False, max_lanes=1) as server:
        client = open_typed(server.url)
        with pytest.raises(ResetNeeded):
            client.step({"action": 1})
        client.reset(options={"fail": "step"})
        with pytest.raises(EnvironmentRaised):
            client.step({"action": 1})
        client.reset()
        assert client.step({"action": 1}).reward == 1.0
        late = open_typed(server.url)
        with pytest.raises(CapacityReached):
            late.reset()
        late.close()
        client.close()


# its life --------------------------------------------------------------------------------------


def test_it_connects_once_and_ends_once(open_typed: OpenTyped, cartpole: GymServer) -> None:
    client = open_typed(cartpole.url)
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)
    client.connect()
    client.connect()
    client.reset()
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 1)
    client.close()
    client.close()
    for use in (client.connect, client.reset, client.state, lambda: client.step({"action": 1})):
        with pytest.raises(Closed):
            use()
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)
    never = open_typed(cartpole.url)
    never.close()
    with pytest.raises(Closed):
        never.reset()


def test_context_managers_end_the_session(cartpole: GymServer) -> None:
    with OpenEnvClient(cartpole.url).sync() as client:
        client.reset()
        assert client.base_url == cartpole.url

    async def within() -> None:
        async with OpenEnvClient(cartpole.url) as client:
            # Tasks that begin it together share one session.
            await asyncio.gather(client.reset(), client.state(), client.state())
            assert eventually(lambda: health(cartpole.url)["active_lanes"] == 1)

    asyncio.run(within())
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)


def test_a_new_session_is_another_one_and_ends_with_its_maker(
    open_typed: OpenTyped, cartpole: GymServer
) -> None:
    client = open_typed(cartpole.url, state=Progress)
    client.reset(seed=1)
    other = client.new_session()
    other.reset(seed=1)
    other.step({"action": 1})
    assert (client.state().step_count, other.state().step_count) == (0, 1)
    client.close()
    with pytest.raises(Closed):
        other.reset()
    assert eventually(lambda: health(cartpole.url)["active_lanes"] == 0)


def test_nobody_listens(open_typed: OpenTyped) -> None:
    client = open_typed("http://127.0.0.1:1", wait_timeout=0)
    with pytest.raises(ConnectFailed):
        client.connect()


# on a server that says little ------------------------------------------------------------------


def test_what_a_reset_carries_goes_as_it_is(open_typed: OpenTyped) -> None:
    answer = {"observation": {"x": 1}, "reward": None, "done": False}
    with scripted(answer, answer, answer) as (url, heard):
        client = open_typed(url)
        client.reset()
        client.reset(
            seed=np.int64(7),
            episode_id="e",
            options={"level": 2},
            dataset="train",
            index=3,
            hints=[],
            none=None,
            push=Push(action=1),
        )
        client.reset(data={"a": 1})
        client.close()
    assert [message["data"] for message in heard[:3]] == [
        {},
        {
            "seed": 7,
            "episode_id": "e",
            "options": {"level": 2},
            "dataset": "train",
            "index": 3,
            "hints": [],
            "none": None,
            "push": {"action": 1, "metadata": {}},
        },
        {"data": {"a": 1}},
    ]


def test_a_stock_answer_fills_what_it_can(open_typed: OpenTyped) -> None:
    with scripted(
        {"observation": {"x": 1}, "reward": None, "done": False},
        {"observation": {"x": 2, "metadata": {"a": 1}}, "reward": 1, "done": True, "metadata": {"a": 1}},
        {"observation": {"x": 3}},
        {"episode_id": None, "board": [[None, "x"], {}], "step_count": 2},
    ) as (url, heard):
        client = open_typed(url)
        assert client.reset() == StepResult({"x": 1})
        result = client.step({"move": "a1"})
        assert result == StepResult(
            {"x": 2, "metadata": {"a": 1}}, 1.0, True, {"a": 1}, terminated=True, truncated=False, info={}
        )
        assert client.step({}) == StepResult({"x": 3})
        assert client.state() == {"episode_id": None, "board": [[None, "x"], {}], "step_count": 2}
        client.close()
    assert heard[1] == {"type": "step", "data": {"move": "a1"}}


class Word(BaseModel):
    text: str


class Heard(BaseModel):
    text: str
    done: bool = False
    reward: float | None = None


class EchoEnv(OpenEnvClient[Word, Heard, Progress]):
    """As upstream's users write their clients."""

    def _step_payload(self, action: Word) -> dict[str, Any]:
        return {"message": action.text}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[Heard]:
        fields = payload.get("observation", {})
        done, reward = payload.get("done", False), payload.get("reward")
        heard = Heard(text=fields.get("echoed", ""), done=done, reward=reward)
        return StepResult(observation=heard, reward=reward, done=done)

    def _parse_state(self, payload: dict[str, Any]) -> Progress:
        return Progress(episode_id=payload.get("episode_id"), step_count=payload.get("step_count", 0))


def test_a_client_in_upstreams_shape_ports_with_its_hooks(open_typed: OpenTyped) -> None:
    with scripted({"observation": {"echoed": "hello"}, "reward": 0.5, "done": True}, {"step_count": 4}) as (
        url,
        heard,
    ):
        client = open_typed(base_url=url, cls=EchoEnv)
        result = client.step(Word(text="hello"))
        assert result.observation == Heard(text="hello", done=True, reward=0.5)
        assert result.terminated and not result.truncated
        assert client.state().step_count == 4
        client.close()
    assert heard[0] == {"type": "step", "data": {"message": "hello"}}
