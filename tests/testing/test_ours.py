"""The kit on our own server: what it serves well passes, what an environment does wrong is said once."""

from __future__ import annotations

import asyncio
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo.classic import tictactoe_v3

from openenv_gym import Client, serve_gym
from openenv_gym.errors import CapacityReached, ConnectFailed, InvalidArgument, Unauthorized
from openenv_gym.testing import Finding, Outcome, Report, check_server, sessions
from openenv_gym.testing.findings import Failed
from openenv_gym.testing.sessions import Session
from openenv_gym.wire.messages import Hello
from tests.testing.little import Little, running


class Nested(gymnasium.Env[Any, Any]):
    """Observes a dict of a position and a speed; ends after four steps."""

    def __init__(self) -> None:
        self.observation_space = Dict(
            {"position": Discrete(10), "speed": Dict({"x": Box(-1, 1, (2,), np.float32)})}
        )
        self.action_space = Dict({"gas": Box(0, 1, (), np.float64), "wheel": Discrete(3, start=-1)})
        self.steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observation(), float(action["gas"]), False, self.steps == 4, {}

    def observation(self) -> Any:
        speed = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return {"position": np.int64(self.np_random.integers(10)), "speed": {"x": speed}}


class Straying(Nested):
    """Whose speed is not a number, and whose position leaves its space."""

    def observation(self) -> Any:
        observation = super().observation()
        if self.steps:
            observation["speed"]["x"][1] = np.nan
            observation["position"] = np.int64(10 + self.steps)
        return observation


class Tight(Nested):
    """Whose speed exceeds its bounds."""

    def observation(self) -> Any:
        observation = super().observation()
        observation["speed"]["x"][0] = 1.5
        return observation


def check(env: Any, *, local: Any = None, **arguments: Any) -> Report:
    with serve_gym(env, port=0, block=False, **arguments) as server:
        return check_server(server.url, local=local)


def found(report: Report, name: str) -> Finding:
    (finding,) = (finding for finding in report.findings if finding.check == name)
    return finding


@pytest.mark.parametrize(
    "env", ["CartPole-v1", "FrozenLake-v1", Nested], ids=["cartpole", "frozenlake", "dict"]
)
def test_our_server_passes(env: Any) -> None:
    report = check(env, local=env)
    assert {finding.check for finding in report.findings if finding.outcome is not Outcome.PASSED} <= {
        "limits-capacity"
    }, str(report)


def test_a_server_with_room_for_one_session_is_checked_one_at_a_time() -> None:
    report = check("CartPole-v1", local="CartPole-v1", max_lanes=1)
    assert report.ok and not report.of(Outcome.LACKING), str(report)
    skipped = {finding.check for finding in report.of(Outcome.SKIPPED)}
    assert skipped == {"isolation-interleaved", "native-lanes-equal-singles"}
    assert found(report, "limits-capacity").text == "1 of 1 sessions"


@pytest.mark.parametrize(
    ("env", "fields"),
    [
        (Straying, ["observation.position", "observation.speed.x is NaN"]),
        (Tight, ["observation.speed.x is 1.5"]),
    ],
    ids=["nan", "bounds"],
)
def test_an_observation_outside_its_space_is_said_once_by_field(env: Any, fields: list[str]) -> None:
    report = check(env, local=env)
    (failed,) = report.of(Outcome.FAILED)
    assert failed.check == "spaces-observations-inside"
    assert all(failed.text.count(field) == 1 for field in fields), failed.text


def test_a_server_that_is_not_the_local_environment_fails() -> None:
    report = check("FrozenLake-v1", local=lambda: gymnasium.make("FrozenLake-v1", is_slippery=False))
    assert {finding.check for finding in report.of(Outcome.FAILED)} == {"parity-native", "parity-json"}
    assert {
        finding.check for finding in check("FrozenLake-v1", local="CliffWalking-v1").of(Outcome.FAILED)
    } >= {"parity-spaces"}


@pytest.mark.parametrize(
    ("env", "vectorization"),
    [("CartPole-v1", "native"), (tictactoe_v3.env, "lanes")],
    ids=["vector", "agents"],
)
def test_what_has_no_typed_view_fails_once(env: Any, vectorization: str) -> None:
    report = check(env, vectorization=vectorization)
    assert [finding.check for finding in report.of(Outcome.FAILED)] == ["protocol-reset"], str(report)
    assert found(report, "native-negotiated").outcome is Outcome.PASSED


def test_production_mode_plays_no_episodes_over_http() -> None:
    report = check("CartPole-v1", mode="production")
    assert report.ok and not report.of(Outcome.LACKING), str(report)
    assert {"http-episodes", "http-reset-and-refusal"} <= {each.check for each in report.of(Outcome.SKIPPED)}


def test_nobody_there() -> None:
    with pytest.raises(ConnectFailed, match="no OpenEnv server answers"):
        check_server("http://127.0.0.1:9")


def test_a_full_server_is_not_checked() -> None:
    with serve_gym("CartPole-v1", port=0, block=False, max_lanes=1) as server:
        with Client.to(server.url, Hello()):
            with pytest.raises(CapacityReached):
                check_server(server.url)


def test_a_local_environment_that_cannot_be_made_is_the_callers_affair() -> None:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        with pytest.raises(InvalidArgument, match="cannot be made"):
            check_server(server.url, local="Nope-v1")


def test_what_the_deadline_leaves_is_skipped() -> None:
    with running(Little()) as url:
        report = check_server(url, deadline=0.0)
    assert report.counts == {Outcome.SKIPPED: len(report.findings)}
    assert "deadline of 0 s" in report.findings[0].text


def test_the_caller_says_how_to_act() -> None:
    seen: list[Any] = []

    def act(observation: dict[str, Any]) -> dict[str, Any]:
        seen.append(observation)
        return {"move": "left"}

    with running(Little()) as url:
        assert found(check_server(url, action=act), "episodes-step-after-end").outcome is Outcome.PASSED
        assert {"place"} in [observation.keys() for observation in seen]
        report = check_server(url, action=[{"move": "up"}])
    assert "protocol-step-answer" in {finding.check for finding in report.of(Outcome.FAILED)}


def test_headers_are_sent_with_every_request() -> None:
    class Guarded(Little):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            assert dict(scope["headers"])[b"x-team"] == b"blue"
            await super().__call__(scope, receive, send)

    with running(Guarded()) as url:
        assert check_server(url, headers={"X-Team": "blue"}).ok


def test_a_server_that_says_nothing_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "CLOSE_SECONDS", 0.2)

    class Mute(Little):
        async def serve_websocket(self, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await asyncio.sleep(60)

    with running(Mute()) as url:
        with pytest.raises(ConnectFailed, match="no answer came within"):
            check_server(url, timeout=0.2)
        with Session(f"ws{url.removeprefix('http')}/ws", {}, 0.2) as session:
            session.send("x" * 30_000_000)  # more than any buffer between the two
            with pytest.raises(Failed):
                session.receive()


def test_what_a_check_does_not_expect_is_a_finding_too() -> None:
    class Odd(Little):
        def schema(self) -> dict[str, Any]:
            return {**super().schema(), "action": ["move"]}

    with running(Odd()) as url:
        report = check_server(url, action=[{"move": "left"}])
    failed = {finding.check for finding in report.of(Outcome.FAILED)}
    assert failed == {"protocol-unknown-field", "protocol-missing-field", "http-schema"}, str(report)


def test_a_server_that_wants_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENENV_TOKEN", raising=False)
    with serve_gym("CartPole-v1", port=0, block=False, token="the-right-one") as server:
        with pytest.raises(Unauthorized, match=r"^the server refused .* OPENENV_TOKEN"):
            check_server(server.url)
        monkeypatch.setenv("OPENENV_TOKEN", "the-right-one")
        assert check_server(server.url).ok
