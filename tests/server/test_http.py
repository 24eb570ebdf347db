"""Episodes over plain HTTP: sessions that stay, retries that step once, and errors that are typed JSON."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import gymnasium
import httpx
import numpy as np
import pytest

from openenv_gym import Client, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CapacityReached, InvalidArgument
from openenv_gym.hosting.source import open_source
from openenv_gym.server.app import Application
from openenv_gym.server.episodes import Episodes
from openenv_gym.server.house import House
from openenv_gym.server.limits import Limits
from openenv_gym.server.listening import WebServer, listen, url_of
from tests import web
from tests.environments import Counter, Fragile, Sleeper
from tests.served import eventually, health
from tests.server.plain_http import served


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with served(Counter) as (_, http):
        yield http


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "error_code", "message", "side", "fields"}
    assert error["error_code"] == code
    return error


def step(http: httpx.Client, action: Any = 1, **more: Any) -> Any:
    return ok(http.post("/step", json={"action": {"action": action}, **more}))


def steps_of(answer: Any) -> int:
    """How many steps the episode has, as ``Counter`` observes it."""
    return int(answer["observation"]["observation"][0])


# episodes ---------------------------------------------------------------------------------------


def test_a_whole_episode_equals_the_local_one() -> None:
    env, rng = gymnasium.make("CartPole-v1"), np.random.default_rng(5)
    with served("CartPole-v1") as (_, http):
        answer = http.post("/reset", json={"seed": 42, "episode_id": "one"})
        session_id = ok(answer)["session_id"]
        assert answer.headers["X-Session-Id"] == session_id
        expected, _ = env.reset(seed=42)
        assert np.array_equal(
            np.array(answer.json()["observation"]["observation"], np.float32), expected, equal_nan=False
        )
        assert answer.json()["done"] is False
        done, count = False, 0
        while not done:
            action = int(rng.integers(2))
            expected, reward, terminated, truncated, _ = env.step(action)
            said = step(http, action, session_id=session_id)
            count += 1
            done = said["done"]
            assert np.array(said["observation"]["observation"], np.float32).tobytes() == expected.tobytes()
            assert (said["reward"], done) == (reward, terminated or truncated)
            assert said["metadata"]["terminated"] is terminated
            assert said["session_id"] == session_id
        assert ok(http.get("/state", params={"session_id": session_id})) == {
            "episode_id": "one",
            "step_count": count,
        }
        refused(http.post("/step", json={"action": {"action": 0}}), 409, "RESET_NEEDED")
    env.close()


def test_calls_without_an_id_share_the_session_of_the_last_reset(http: httpx.Client) -> None:
    first = ok(http.post("/reset"))["session_id"]
    step(http)
    assert steps_of(step(http)) == 2
    second = ok(http.post("/reset", json={}))["session_id"]
    assert second != first
    assert step(http)["session_id"] == second
    assert steps_of(step(http, session_id=first)) == 3
    assert ok(http.get("/state"))["step_count"] == 1


def test_the_header_names_a_session_as_the_body_does(http: httpx.Client) -> None:
    first = {"X-Session-Id": ok(http.post("/reset"))["session_id"]}
    ok(http.post("/reset"))
    assert steps_of(ok(http.post("/step", json={"action": {"action": 1}}, headers=first))) == 1
    assert ok(http.get("/state", headers=first))["step_count"] == 1
    assert ok(http.post("/reset", headers=first))["session_id"] == first["X-Session-Id"]
    assert ok(http.get("/state", headers=first))["step_count"] == 0
    refused(http.get("/state", params={"session_id": "another"}, headers=first), 422, "INVALID_ARGUMENT")


def test_a_closed_session_is_unknown(http: httpx.Client) -> None:
    session_id = ok(http.post("/reset"))["session_id"]
    assert ok(http.post("/close", json={"session_id": session_id})) == {
        "session_id": session_id,
        "closed": True,
    }
    assert ok(http.get("/health"))["active_lanes"] == 0
    named = {"session_id": session_id}
    for answer in (
        http.post("/reset", json=named),
        http.post("/step", json={"action": {"action": 1}, **named}),
        http.get("/state", params=named),
        http.post("/render", json=named),
        http.post("/close", json=named),
    ):
        assert refused(answer, 404, "UNKNOWN_SESSION")["fields"] == named
    refused(http.post("/step", json={"action": {"action": 1}}), 409, "RESET_NEEDED")
    refused(http.get("/state"), 409, "RESET_NEEDED")


def test_a_session_renders_if_it_was_made_to(http: httpx.Client) -> None:
    ok(http.post("/reset"))
    refused(http.post("/render"), 422, "INVALID_ARGUMENT")
    refused(http.post("/reset", json={"render_mode": "human_eye"}), 422, "INVALID_ARGUMENT")
    session_id = ok(http.post("/reset", json={"render_mode": "ansi"}))["session_id"]
    step(http)
    assert ok(http.post("/render")) == {"frame": "1 steps", "render_mode": "ansi", "session_id": session_id}
    refused(
        http.post("/reset", json={"render_mode": "ansi", "session_id": session_id}), 422, "INVALID_ARGUMENT"
    )


def test_a_frame_is_nested_lists() -> None:
    with served("CartPole-v1") as (_, http):
        ok(http.post("/reset", json={"render_mode": "rgb_array", "seed": 1}))
        shown = ok(http.post("/render"))
        assert np.array(shown["frame"]).shape == (400, 600, 3)
        assert shown["types"] == {"": ["array", "|u1", [400, 600, 3]]}


# retries ----------------------------------------------------------------------------------------


def test_a_repeated_request_id_steps_once(http: httpx.Client) -> None:
    ok(http.post("/reset", json={"request_id": "a"}))
    once = step(http, request_id="a")
    assert step(http, request_id="a") == once
    assert ok(http.get("/state"))["step_count"] == 1
    assert steps_of(step(http, request_id="b")) == 2
    assert step(http, request_id="a") == once


def test_a_repeated_reset_gives_the_session_that_it_began(http: httpx.Client) -> None:
    begun = ok(http.post("/reset", json={"request_id": "begin"}))
    assert ok(http.post("/reset", json={"request_id": "begin"})) == begun
    assert ok(http.get("/health"))["sessions"] == 1
    ok(http.post("/close"))
    assert ok(http.post("/reset", json={"request_id": "begin"}))["session_id"] != begun["session_id"]


def test_a_repeated_request_gets_the_same_refusal(http: httpx.Client) -> None:
    ok(http.post("/reset"))
    bad = {"action": {"action": "x"}, "request_id": "bad"}
    first = http.post("/step", json=bad)
    refused(first, 422, "INVALID_ACTION")
    assert http.post("/step", json=bad).json() == first.json()


def test_a_retry_joins_the_step_that_still_runs() -> None:
    with served(Sleeper) as (_, http):
        ok(http.post("/reset", json={"options": {"seconds": 0.2}}))
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda _: step(http, request_id="slow"), range(2)))
        assert both[0] == both[1]
        assert ok(http.get("/state"))["step_count"] == 1


# many at once -----------------------------------------------------------------------------------


def test_two_sessions_do_not_notice_each_other(http: httpx.Client) -> None:
    first, second = (ok(http.post("/reset"))["session_id"] for _ in range(2))
    for count in range(1, 4):
        assert steps_of(step(http, session_id=first)) == count
    assert steps_of(step(http, session_id=second)) == 1


def test_simultaneous_steps_of_one_session_come_one_after_the_other() -> None:
    alone = threading.Lock()

    class Alone(Sleeper):
        def step(self, action: Any) -> Any:
            assert alone.acquire(blocking=False), "two steps at once"
            try:
                return super().step(action)
            finally:
                alone.release()

    with served(Alone) as (_, http):
        ok(http.post("/reset"))
        with ThreadPoolExecutor(6) as pool:
            counts = sorted(steps_of(said) for said in pool.map(lambda _: step(http), range(12)))
        assert counts == list(range(1, 13))


def test_a_full_server_evicts_what_nobody_has_named() -> None:
    with served(Counter, max_lanes=2) as (server, http):
        mine = ok(http.post("/reset"))["session_id"]
        step(http, session_id=mine)
        evicted = ok(http.post("/reset"))["session_id"]
        last = ok(http.post("/reset"))["session_id"]
        refused(http.get("/state", params={"session_id": evicted}), 404, "UNKNOWN_SESSION")
        assert steps_of(step(http, session_id=mine)) == 2
        step(http, session_id=last)
        error = refused(http.post("/reset"), 503, "CAPACITY_REACHED")
        assert error["code"] == "CAPACITY_REACHED"
        assert (error["fields"]["active_sessions"], error["fields"]["max_sessions"]) == (2, 2)
        assert steps_of(step(http)) == 2  # the default is still there
        with pytest.raises(CapacityReached):
            Client.to(server.url)


def test_a_websocket_takes_the_place_of_the_default_session() -> None:
    with served(Counter, max_lanes=1) as (server, http):
        ok(http.post("/reset"))
        with Client.to(server.url):
            refused(http.post("/step", json={"action": {"action": 1}}), 409, "RESET_NEEDED")
            refused(http.post("/reset"), 503, "CAPACITY_REACHED")
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        ok(http.post("/reset"))


def test_an_idle_session_ends_by_the_clock() -> None:
    now = [0.0]
    with with_clock(lambda: now[0], idle_timeout=60.0) as (server, http):
        first, second = (ok(http.post("/reset"))["session_id"] for _ in range(2))
        now[0] = 50.0
        step(http, session_id=first)
        now[0] = 70.0
        error = refused(http.get("/state", params={"session_id": second}), 404, "UNKNOWN_SESSION")
        assert "60 s" in error["message"]
        assert steps_of(step(http, session_id=first)) == 2
        now[0] = 200.0
        refused(http.get("/state"), 409, "RESET_NEEDED")
        assert server.house.active_lanes == 0


def test_an_idle_session_ends_though_nobody_calls() -> None:
    with served(Counter, idle_timeout=0.1) as (server, http):
        ok(http.post("/reset"))
        assert eventually(lambda: server.house.active_lanes == 0)


@contextmanager
def with_clock(clock: Callable[[], float], idle_timeout: float) -> Iterator[tuple[GymServer, httpx.Client]]:
    house = House(open_source(Counter), Limits(idle_timeout=idle_timeout))
    application = Application(house, Episodes(house, clock=clock))
    listener = listen("127.0.0.1", 0)
    with GymServer(WebServer(application, listener), url_of(listener), house).start() as server:
        with web.Client(base_url=server.url) as http:
            yield server, http
    assert house.active_lanes == 0


# what goes wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"nope",
        b"[]",
        b"{}",
        b'{"action": 1}',
        b'{"action": {}}',
        b'{"action": {"action": "x"}}',
        b'{"action": {"action": NaN}}',
        b'{"action": {"action": 1, "extra": NaN}}',
        b'{"action": {"action": 1, "\\ud800": "\\ud800"}}',
        b'{"action": {"action": 100000000000000000000000}}',
        b'{"action": {"action": ' + b"9" * 5000 + b"}}",
        b'{"action": {"action": "\xff"}}',
        b'{"action": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"action": {"action": 1, "extra": ' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"action": {"action": 1}, "timeout_s": -1}',
        b'{"action": {"action": 1}, "timeout_s": NaN}',
        b'{"action": {"action": 1}, "session_id": 7}',
    ],
)
def test_a_step_that_does_not_fit_steps_nothing(http: httpx.Client, body: bytes) -> None:
    ok(http.post("/reset"))
    answer = http.post("/step", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["code"] in ("VALIDATION_ERROR", "INVALID_JSON")
    assert all({"type", "loc", "msg"} <= complaint.keys() for complaint in answer.json()["detail"])
    assert ok(http.get("/state"))["step_count"] == 0


@pytest.mark.parametrize(
    "body", [b"nope", b"[]", b'{"seed": -1}', b'{"seed": NaN}', b'{"seed": 1.5}', b'{"options": 3}']
)
def test_a_reset_that_does_not_fit_begins_nothing(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/reset", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert ok(http.get("/health"))["sessions"] == 0


def test_an_environment_that_raises() -> None:
    with served(Fragile) as (server, http):
        ok(http.post("/reset", json={"options": {"fail": "step"}}))
        error = refused(http.post("/step", json={"action": {"action": 1}}), 500, "ENVIRONMENT_RAISED")
        assert (error["code"], error["side"]) == ("EXECUTION_ERROR", "environment")
        assert "broken in step" in error["message"]
        refused(http.post("/step", json={"action": {"action": 1}}), 409, "RESET_NEEDED")
        refused(
            http.post("/reset", json={"options": {"fail": "reset"}, "session_id": named(http)}),
            500,
            "ENVIRONMENT_RAISED",
        )
        ok(http.post("/close"))
        refused(http.post("/reset", json={"options": {"fail": "reset"}}), 500, "ENVIRONMENT_RAISED")
        assert server.house.active_lanes == 0  # nobody has learnt the id of that one
        ok(http.post("/reset", json={"options": {"fail": "close"}}))
        ok(http.post("/close"))


def named(http: httpx.Client) -> str:
    """The id of the default session."""
    return http.get("/state").headers["X-Session-Id"]


def test_a_step_past_its_deadline_ends_its_session() -> None:
    with served(Sleeper) as (server, http):
        session_id = ok(http.post("/reset", json={"options": {"seconds": 0.5}}))["session_id"]
        late = http.post("/step", json={"action": {"action": 1}, "timeout_s": 0.05})
        assert refused(late, 504, "DEADLINE_EXCEEDED")["fields"] == {
            "session_id": session_id,
            "timeout_s": 0.05,
        }
        assert server.house.active_lanes == 0
        refused(http.get("/state", params={"session_id": session_id}), 404, "UNKNOWN_SESSION")


# MCP, tasks, modes ------------------------------------------------------------------------------


def rpc(http: httpx.Client, method: str, **params: Any) -> Any:
    said = ok(http.post("/mcp", json={"jsonrpc": "2.0", "id": 7, "method": method, "params": params}))
    assert (said["jsonrpc"], said["id"]) == ("2.0", 7)
    return said.get("result", said.get("error"))


def test_mcp_has_sessions_and_no_tools() -> None:
    with served(Counter, max_lanes=1) as (_, http):
        session_id = rpc(http, "openenv/session/create")["session_id"]
        assert rpc(http, "tools/list") == {"tools": []}
        assert rpc(http, "tools/list", session_id=session_id) == {"tools": []}
        assert rpc(http, "tools/list", session_id="nobody")["code"] == -32602
        assert rpc(http, "tools/call", name="hammer")["code"] == -32602
        assert rpc(http, "tools/call")["code"] == -32602
        full = rpc(http, "openenv/session/create")
        assert (full["code"], full["data"]) == (-32000, {"active_sessions": 1, "max_sessions": 1})
        ok(http.post("/reset", json={"session_id": session_id}))
        closed = rpc(http, "openenv/session/close", session_id=session_id)
        assert closed == {"session_id": session_id, "closed": True}
        assert rpc(http, "openenv/session/close", session_id=session_id)["code"] == -32602
        assert rpc(http, "openenv/session/close")["code"] == -32602


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", -32600),
        (b'{"jsonrpc": "1.0", "method": "tools/list"}', -32600),
        (b'{"jsonrpc": "2.0", "method": "tools/list", "params": []}', -32600),
        (b'{"jsonrpc": "2.0", "method": "tools/list", "\\ud800": 1}', -32600),
        (b'{"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "\\ud800"}}', -32602),
        (b"nope", -32700),
        (b"[]", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc": "2.0", "method": "nothing"}', -32601),
    ],
)
def test_mcp_says_in_json_rpc_what_is_wrong(http: httpx.Client, body: bytes, code: int) -> None:
    said = ok(http.post("/mcp", content=body, headers={"content-type": "application/json"}))
    assert (said["jsonrpc"], said["id"], said["error"]["code"]) == ("2.0", None, code)


def test_the_task_routes_answer_as_upstream_does_without_tasks() -> None:
    with served("CartPole-v1") as (_, http):
        assert ok(http.get("/list_environments")) == ["CartPole-v1"]
        answers = {
            "list_splits": http.get("/cartpole-v1/splits"),
            "list_tasks": http.post("/CartPole-v1/tasks", json={"split": "train"}),
            "num_tasks": http.post("/CartPole-v1/num_tasks", json={"split": "train"}),
            "get_task": http.post("/CartPole-v1/task", json={"split": "train", "index": 0}),
            "get_task_range": http.post("/CartPole-v1/task_range", json={"split": "train"}),
        }
        for method, answer in answers.items():
            assert answer.status_code == 501
            assert answer.json() == {"detail": f"{method} is not supported for this environment"}
        unknown = http.get("/Pong/splits")
        assert (unknown.status_code, unknown.json()) == (404, {"detail": "unknown environment 'Pong'"})
        assert http.post("/CartPole-v1/tasks", json={}).status_code == 422


EPISODE_ROUTES = {"/reset", "/step", "/state"}


def test_openapi_names_the_routes(http: httpx.Client) -> None:
    paths = ok(http.get("/openapi.json"))["paths"]
    assert EPISODE_ROUTES | {"/render", "/close", "/mcp"} <= paths.keys()
    assert http.get("/docs").status_code == 200


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_production_plays_no_episodes_over_http(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "variable":
        monkeypatch.setenv("OPENENV_MODE", "PRODUCTION")
    with served(Counter, mode="production" if how == "argument" else None) as (server, http):
        assert not EPISODE_ROUTES & ok(http.get("/openapi.json"))["paths"].keys()
        assert http.post("/reset").status_code == 404
        assert rpc(http, "tools/list") == {"tools": []}
        with Client.to(server.url) as client:
            client.reset()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="simulation or production"):
        serve_gym(Counter, port=0, block=False, mode="rehearsal")
