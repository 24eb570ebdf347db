"""A trainer that thinks for a minute finds its session as it left it."""

from __future__ import annotations

import select

import pytest

from openenv_gym import Client, OpenEnvGym, serve_gym
from openenv_gym.client.transports import SocketTransport

SILENCE_SECONDS = 62.0


@pytest.mark.slow
def test_a_minute_of_silence_does_not_lose_the_session() -> None:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        env = OpenEnvGym(server.url)
        text = Client.to(server.url, dialect="json")
        env.reset(seed=1)
        env.step(0)
        text.reset(seeds=[1])
        connections = []
        for client in (env._remote.lanes, text):
            assert isinstance(client, Client)
            assert isinstance(client._transport, SocketTransport)
            connections.append(client._transport._socket)
        # Not a byte, so no ping either: nobody would answer it while the trainer thinks.
        heard, _, _ = select.select(connections, [], [], SILENCE_SECONDS)
        assert heard == []
        env.step(0)
        assert env.state()["step_count"] == 2
        assert text.step_one({"action": 1}).reward[0] == 1.0
        text.close()
        env.close()
