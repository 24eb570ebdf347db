"""What is asked over HTTP: health, schema and metadata."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import pytest

from openenv_gym import Client, __version__, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.spaces import from_schema
from openenv_gym.wire.messages import Hello
from tests import web
from tests.served import health


@pytest.fixture(scope="module")
def server() -> Iterator[GymServer]:
    with serve_gym("CartPole-v1", port=0, block=False, max_lanes=9) as server:
        yield server


def test_health_says_how_full_it_is(server: GymServer) -> None:
    empty = health(server.url)
    assert empty == {
        "status": "healthy",
        "active_lanes": 0,
        "max_lanes": 9,
        "sessions": 0,
        "max_sessions": 9,
        "parked_sessions": 0,
        "abandoned_threads": 0,
        "workers": 1,
        "limits": server.house.limits.facts(),
    }
    with Client.to(server.url, Hello(lanes=4)):
        assert health(server.url) == {**empty, "active_lanes": 4, "sessions": 1}


def test_metadata_names_the_environment(server: GymServer) -> None:
    metadata = web.get(f"{server.url}/metadata").json()
    assert metadata["name"] == "CartPole-v1"
    assert metadata["version"] == __version__
    assert set(metadata) == {
        "name",
        "description",
        "readme_content",
        "version",
        "author",
        "documentation_url",
    }


def test_schema_holds_both_views(server: GymServer) -> None:
    schema = web.get(f"{server.url}/schema").json()
    assert schema["action"]["required"] == ["action"]
    assert schema["observation"]["required"] == ["observation"]
    assert {"observation", "reward", "done", "metadata"} <= set(schema["observation"]["properties"])
    assert {"episode_id", "step_count"} <= set(schema["state"]["properties"])
    exact = schema["gymnasium"]
    env = gymnasium.make("CartPole-v1")
    ours, theirs = from_schema(exact["observation_spaces"][0]), env.observation_space
    assert isinstance(ours, gymnasium.spaces.Box)
    assert isinstance(theirs, gymnasium.spaces.Box)
    assert ours.low.tobytes() == theirs.low.tobytes()
    assert ours.high.tobytes() == theirs.high.tobytes()
    assert from_schema(exact["action_spaces"][0]) == env.action_space
    assert exact["spec"]["max_episode_steps"] == 500
    assert exact["env_id"] == "CartPole-v1"
    env.close()


def test_a_page_that_is_not_there(server: GymServer) -> None:
    assert web.get(f"{server.url}/nowhere").status_code == 404


def test_the_openapi_page_has_a_version(server: GymServer) -> None:
    assert isinstance(web.get(f"{server.url}/openapi.json").json()["info"]["version"], str)


def test_the_openapi_page_knows_the_environments_actions(server: GymServer) -> None:
    schemas = web.get(f"{server.url}/openapi.json").json()["components"]["schemas"]
    assert schemas["StepBody"]["properties"]["action"] == {"$ref": "#/components/schemas/Action"}
    assert schemas["StepBody"]["examples"] == [{"action": {"action": 1}}]
    action = schemas["Action"]["properties"]["action"]
    assert (action["type"], action["minimum"], action["maximum"]) == ("integer", 0, 1)
    assert schemas["Observed"]["properties"]["observation"] == {"$ref": "#/components/schemas/Observation"}
