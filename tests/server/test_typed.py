"""Typed environments over the wire, by ``create_app`` and by ``serve_gym``."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import uvicorn
from gymnasium.spaces import Box, Discrete
from websockets.sync.client import connect

from openenv_gym import Client, OpenEnvGym, create_app, serve_gym
from openenv_gym.errors import InvalidAction, InvalidArgument, ProtocolViolation
from openenv_gym.models import State
from tests import web
from tests.typed import Count, Counted, Counting, CountingAsync, Foreign


@pytest.fixture(params=[Counting, CountingAsync])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    app = create_app(request.param, Count, Counted, env_name="counting", max_concurrent_envs=4)
    with serve_gym(app, port=0, block=False) as server:
        yield server.url


def ask(socket: Any, kind: str, **data: Any) -> dict[str, Any]:
    socket.send(json.dumps({"type": kind, "data": data} if data or kind == "step" else {"type": kind}))
    answer: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return answer


def test_messages_are_openenvs_to_the_key(url: str) -> None:
    with connect(url.replace("http", "ws") + "/ws") as socket:
        assert ask(socket, "reset", seed=4, episode_id="e1", why="x") == {
            "type": "observation",
            "data": {
                "observation": {"metadata": {"why": "x"}, "total": 4},
                "reward": None,
                "done": False,
                "metadata": {"why": "x"},
            },
        }
        assert ask(socket, "step", by=7) == {
            "type": "observation",
            "data": {"observation": {"metadata": {}, "total": 11}, "reward": 1.0, "done": True},
        }
        assert ask(socket, "state") == {"type": "state", "data": {"episode_id": "e1", "step_count": 1}}
        assert ask(socket, "step", by=1)["data"]["error_code"] == "RESET_NEEDED"
        refused = ask(socket, "step", by=100)["data"]
        assert refused["code"] == "VALIDATION_ERROR"
        assert refused["errors"][0]["loc"] == ["by"]
        ask(socket, "reset")
        assert ask(socket, "step", by=-1)["data"]["code"] == "EXECUTION_ERROR"
        assert ask(socket, "state")["type"] == "state"


def test_an_episode_over_http(url: str) -> None:
    with web.Client(base_url=url) as http:
        first = http.post("/reset", json={"seed": 1, "episode_id": "mine", "why": 2}).json()
        assert first["observation"] == {"metadata": {"why": 2}, "total": 1}
        step = {"action": {"by": 2}, "session_id": first["session_id"]}
        assert http.post("/step", json=step).json()["observation"]["total"] == 3
        assert http.get("/state").json() == {"episode_id": "mine", "step_count": 1}
        refused = http.post("/step", json={"action": {"by": "x"}})
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"] == ["by"]


def test_names_that_have_no_seat_are_the_environments_own() -> None:
    class Listed(Counting):
        def reset(self, seed: int | None = 5, episode_id: str | None = None, **kwargs: Any) -> Counted:
            return Counted(total=-1 if seed is None else seed, metadata=kwargs)

        def step(self, action: Count, timeout_s: float | None = None, **kwargs: Any) -> Counted:
            return Counted(total=action.by, metadata={"timeout_s": timeout_s, **kwargs})

        @property
        def state(self) -> Any:
            return {"total": 3}

    Listed.STEP_NEEDS_RESET = False
    app = create_app(Listed, Count, Counted, max_concurrent_envs=4)
    with serve_gym(app, port=0, block=False) as server:
        with web.Client(base_url=server.url) as http:
            seen = http.post("/reset", json={"seed": None, "options": ["a"]}).json()
            assert (seen["observation"]["total"], seen["metadata"]) == (-1, {"options": ["a"]})
            assert http.post("/reset", json={}).json()["metadata"] is None
            step = {"action": {"by": 1}, "timeout_s": 9, "request_id": "r", "loud": True}
            said = http.post("/step", json=step).json()["metadata"]
            assert said == {"timeout_s": 9.0, "request_id": "r", "loud": True}
            assert http.get("/state").json() == {"total": 3}
        with connect(server.url.replace("http", "ws") + "/ws") as socket:
            assert ask(socket, "reset", seed=None, options="b")["data"]["metadata"] == {"options": "b"}
            assert ask(socket, "state")["data"] == {"total": 3}


def test_what_it_says_of_itself(url: str) -> None:
    with web.Client(base_url=url) as http:
        schema = http.get("/schema").json()
        assert set(schema) == {"action", "observation", "reset_observation", "state"}
        assert schema["action"] == Count.model_json_schema()
        assert http.get("/metadata").json()["name"] in ("Counting", "CountingAsync")
        assert http.get("/list_environments").json() == ["counting"]


def test_its_tasks_are_found(url: str) -> None:
    with web.Client(base_url=url) as http:
        assert http.get("/counting/splits").json() == [
            {"name": "train", "type": "train"},
            {"name": "hard", "type": "test"},
            {"name": "odd", "type": "validation"},
        ]
        assert http.post("/Counting/num_tasks", json={"split": "train"}).json() == {"num_tasks": 5}
        asked = {"split": "hard", "index": 0}
        assert http.post("/counting/task", json=asked).json() == {"task": {"id": "hard-0"}}
        assert http.post("/counting/task", json={**asked, "index": 1}).status_code == 400
        assert http.post("/counting/tasks", json={"split": "hard"}).status_code == 501
        assert http.get("/other/splits").status_code == 404


@pytest.mark.parametrize("error", [SystemExit(1), StopIteration(), KeyError("split")])
def test_a_question_that_fails_costs_its_own_answer(error: BaseException) -> None:
    class Leaving(Counting):
        def num_tasks(self, split: str) -> int:
            raise error

    with serve_gym(create_app(Leaving, Count, Counted), port=0, block=False) as server:
        answer = web.post(f"{server.url}/leaving/num_tasks", json={"split": "train"})
        assert answer.status_code == 500
        assert answer.json()["error"]["error_code"] == "ENVIRONMENT_RAISED"
        assert web.get(f"{server.url}/leaving/splits").status_code == 200


def test_our_client_falls_back_to_json(url: str) -> None:
    with Client.to(url) as client:
        assert not client.native
        client.reset(seeds=[3])
        assert client.step(None, [{"by": 4}]).values[0]["total"] == 7
        with pytest.raises(InvalidAction, match="by"):
            client.step(None, [{"by": "x"}])
    with pytest.raises(ProtocolViolation, match="json"):
        Client.to(url, dialect="native")


def test_spaces_that_the_caller_knows_make_it_a_gym_env(url: str) -> None:
    env = OpenEnvGym(
        url,
        action_space=Discrete(10),
        observation_space=Box(0, 100, (1,), np.int64),
        encode_action=lambda action: {"by": int(action)},
        decode_observation=lambda fields: np.array([fields["total"]]),
    )
    assert env.reset(seed=2)[0].tolist() == [2]
    observation, reward, terminated, truncated, _ = env.step(9)
    assert (observation.tolist(), reward, terminated, truncated) == ([11], 1.0, True, False)
    env.close()


def test_a_class_is_served_by_its_annotations() -> None:
    with serve_gym(Counting, port=0, block=False) as server, Client.to(server.url) as client:
        client.reset(seeds=[3])
        assert client.step(None, [{"by": 4}]).values[0]["total"] == 7


def test_more_sessions_than_the_environment_bears_are_refused_at_start() -> None:
    with pytest.raises(InvalidArgument, match="SUPPORTS_CONCURRENT_SESSIONS"):
        create_app(Foreign, Count, Counted, max_concurrent_envs=2)
    with pytest.raises(InvalidArgument, match="SUPPORTS_CONCURRENT_SESSIONS"):
        create_app(lambda: Foreign(), Count, Counted, max_concurrent_envs=2)
    with pytest.raises(InvalidArgument, match="SUPPORTS_CONCURRENT_SESSIONS"):
        create_app(Foreign, Count, Counted, max_sessions=2)
    with pytest.raises(InvalidArgument, match="SUPPORTS_CONCURRENT_SESSIONS"):
        serve_gym(Foreign, port=0, block=False, max_sessions=2)
    with pytest.raises(InvalidArgument, match="pydantic"):
        create_app(Counting, int, Counted)
    with pytest.raises(InvalidArgument, match="instance"):
        create_app(Counting(), Count, Counted)  # type: ignore[arg-type]


def test_all_sessions_share_a_thread_where_the_environment_wants_it() -> None:
    threads = set()

    class OneThread(Counting):
        REQUIRES_SINGLE_THREAD_EXECUTOR = True

        def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Counted:
            threads.add(threading.get_ident())
            return super().reset(seed, episode_id)

    # Room for two pairs: the first may still be ending when the second begins.
    app = create_app(OneThread, Count, Counted, max_concurrent_envs=4)
    with serve_gym(app, port=0, block=False) as server:
        for _ in range(2):
            with Client.to(server.url) as one, Client.to(server.url) as other:
                one.reset()
                other.reset()
    assert len(threads) == 1


def test_any_asgi_server_runs_it() -> None:
    app = create_app(Counting, Count, Counted, state_cls=State)

    @app.get("/extra")
    async def extra() -> str:
        return "more"

    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="on", ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        assert web.get(f"{url}/extra").json() == "more"
        assert web.post(f"{url}/reset", json={"seed": 5}).json()["observation"]["total"] == 5
    finally:
        server.should_exit = True
        thread.join()
    assert not app.house.sessions
