"""What the query of an address asks for: a render mode, and one of the views, which look alike in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from openenv_gym import Client, OpenEnvGym, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import InvalidArgument
from openenv_gym.hosting.source import open_source
from openenv_gym.wire import plain
from tests import web
from tests.environments import Painter
from tests.sockets import JsonSocket

STEP = {"type": "step", "data": {"action": 1}}


@pytest.fixture
def server() -> Iterator[GymServer]:
    with serve_gym(Painter, port=0, block=False) as server:
        yield server


def assert_refused(url: str, **query: Any) -> None:
    with JsonSocket(url, **query) as socket:
        said = socket.receive()
        assert (said["type"], said["data"]["code"]) == ("error", "SESSION_ERROR")
        assert said["data"]["error_code"] == "INVALID_ARGUMENT"
        assert said["data"]["supported"]
        assert socket.is_closed()
    assert web.get(f"{url}/health").json()["sessions"] == 0


# frames -----------------------------------------------------------------------------------------


def test_a_frame_comes_with_its_type(server: GymServer) -> None:
    with JsonSocket(server.url, render_mode="rgb_array") as socket:
        socket.ask({"type": "reset"})
        socket.ask(STEP)
        said = socket.ask({"type": "render"})
        assert said.keys() == {"type", "data"} and said["type"] == "render"
        data = said["data"]
        assert (data["render_mode"], data["types"]) == ("rgb_array", {"": ["array", "|u1", [2, 3, 3]]})
        frame = plain.restore(data["frame"], data["types"])
        assert frame.dtype == np.uint8
        assert frame.tolist() == (np.arange(18).reshape(2, 3, 3) + 1).tolist()
        assert socket.ask({"type": "render", "data": {}}) == said


def test_a_frame_of_text_has_no_type(server: GymServer) -> None:
    with JsonSocket(server.url, render_mode="ansi") as socket:
        socket.ask({"type": "reset"})
        shown = {"frame": "0 steps", "render_mode": "ansi"}
        assert socket.ask({"type": "render"}) == {"type": "render", "data": shown}


def test_http_shows_the_same_frame(server: GymServer) -> None:
    with web.Client(base_url=server.url) as http, OpenEnvGym(server.url, render_mode="rgb_array") as env:
        http.post("/reset", json={"render_mode": "rgb_array"})
        env.reset()
        shown = http.post("/render").json()
        frame = plain.restore(shown["frame"], shown["types"])
        assert frame.dtype == env.render().dtype
        assert frame.tobytes() == env.render().tobytes()


def test_a_session_that_does_not_render_says_so_and_goes_on(server: GymServer) -> None:
    with JsonSocket(server.url) as socket:
        socket.ask({"type": "reset"})
        error = socket.ask({"type": "render"})["data"]
        assert (error["code"], error["error_code"]) == ("VALIDATION_ERROR", "INVALID_ARGUMENT")
        assert "render_mode=" in error["message"]
        assert socket.ask({"type": "render", "data": 3})["data"]["error_code"] == "INVALID_MESSAGE"
        assert socket.ask(STEP)["data"]["observation"]["observation"] == [1.0]


@pytest.mark.parametrize("mode", ["human", "depth_array", ""])
def test_a_render_mode_that_the_environment_lacks_ends_the_session(server: GymServer, mode: str) -> None:
    assert_refused(server.url, render_mode=mode)
    with Client.to(server.url, dialect="json") as client:
        client.reset()
        with pytest.raises(InvalidArgument, match="does not render"):
            client.render()


# views ------------------------------------------------------------------------------------------


def without_ids(said: Any) -> Any:
    return {name: value for name, value in said.items() if name != "session_id"}


def test_both_views_answer_the_same(server: GymServer) -> None:
    asked: list[dict[str, Any]] = [{}, {"view": "array"}, {"view": "typed"}]
    over_sockets, over_http = [], []
    for query in asked:
        with JsonSocket(server.url, **query) as socket:
            over_sockets.append([socket.ask({"type": "reset", "data": {"seed": 1}}), socket.ask(STEP)])
        with web.Client(base_url=server.url, params=query) as http:
            begun = without_ids(http.post("/reset", json={"seed": 1}).json())
            stepped = without_ids(http.post("/step", json={"action": {"action": 1}}).json())
            over_http.append([begun, stepped])
    assert over_sockets == [over_sockets[0]] * 3
    assert over_http == [over_http[0]] * 3
    assert [said["data"] for said in over_sockets[0]] == over_http[0]


@pytest.mark.parametrize("view", ["picture", "", "ARRAY"])
def test_another_view_is_refused(server: GymServer, view: str) -> None:
    assert_refused(server.url, view=view)
    with web.Client(base_url=server.url, params={"view": view}) as http:
        for answer in (http.post("/reset"), http.get("/state"), http.post("/step", json={"action": {}})):
            assert answer.status_code == 422
            assert answer.json()["error"]["error_code"] == "INVALID_ARGUMENT"
    assert not server.house.sessions


def test_a_source_offers_the_views_of_its_signature() -> None:
    source = open_source(Painter)
    typed = replace(source, signature=replace(source.signature, views=("typed",)))
    source.check_view("array")
    typed.check_view("typed")
    with pytest.raises(InvalidArgument, match="typed"):
        typed.check_view("array")
