"""What has no typed view says so where JSON is spoken, and is played in the native dialect as before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pettingzoo.classic import tictactoe_v3

from openenv_gym import Client, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import InvalidArgument
from openenv_gym.types import Slots
from tests import web
from tests.served import health
from tests.sockets import JsonSocket

SAYS = "no typed view.*native dialect"


@pytest.fixture(scope="module", params=["game", "vector"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    if request.param == "game":
        with serve_gym(tictactoe_v3.env, port=0, block=False) as server:
            yield server
    else:
        with serve_gym("CartPole-v1", port=0, block=False, vectorization="native") as server:
            yield server


def test_json_is_told_so_at_once(server: GymServer) -> None:
    with JsonSocket(server.url) as socket:
        said = socket.receive()["data"]
        assert (said["code"], said["error_code"]) == ("SESSION_ERROR", "INVALID_ARGUMENT")
        assert socket.is_closed()
    with (
        Client.to(server.url, dialect="json") as client,
        pytest.raises(InvalidArgument, match=SAYS) as caught,
    ):
        client.reset()
    assert caught.value.side == "you"
    assert health(server.url)["sessions"] == 0


def test_http_is_told_so(server: GymServer) -> None:
    answer = web.post(f"{server.url}/reset")
    assert answer.status_code == 422
    assert answer.json()["error"]["error_code"] == "INVALID_ARGUMENT"
    assert "no typed view" in answer.json()["detail"][0]["msg"]
    rpc = {"jsonrpc": "2.0", "method": "openenv/session/create", "id": 1}
    assert "no typed view" in web.post(f"{server.url}/mcp", json=rpc).json()["error"]["message"]
    assert health(server.url)["sessions"] == 0


def test_the_schema_has_the_spaces_alone(server: GymServer) -> None:
    schema = web.get(f"{server.url}/schema").json()
    assert schema.pop("gymnasium")["agents"]
    assert set(schema) == {"action", "observation", "reset_observation", "state"}
    assert not any(schema.values())
    assert web.get(f"{server.url}/openapi.json").status_code == 200


def test_the_native_dialect_goes_on_as_before(server: GymServer) -> None:
    if server.house.source.signature.vector:
        envs = OpenEnvVectorEnv(server.url, 2)
        envs.reset(seed=1)
        envs.step(np.ones(2, int))
        envs.close()
        return
    with Client.to(server.url) as client:
        assert len(client.reset()) == 2
        mover = Slots(np.zeros(1, np.int32), np.zeros(1, np.int16))
        assert not client.step(mover, [4]).failures
