"""``OpenEnvClient`` on a server that `openenv init` made; its own client, ported by changing imports."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from openenv_gym import OpenEnvClient, StepResult
from openenv_gym.errors import InvalidAction

pytestmark = pytest.mark.slow

PORT = {
    "from openenv.core import EnvClient": "from openenv_gym import OpenEnvClient as EnvClient",
    "from openenv.core.client_types import StepResult": "from openenv_gym import StepResult",
    "from openenv.core.env_server.types import": "from openenv_gym.models import",
}


@pytest.fixture
def ported(scaffold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The scaffold's client and models, with nothing but their imports changed."""
    package = tmp_path / "ported_client"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("client.py", "models.py"):
        text = (scaffold / name).read_text()
        for theirs, ours in PORT.items():
            text = text.replace(theirs, ours)
        assert "openenv.core" not in text
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("ported_client.client")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ported_client"]:
        del sys.modules[name]


def test_in_dicts(echo: str) -> None:
    async def play() -> None:
        async with OpenEnvClient(echo) as client:
            result = await client.reset(seed=3, episode_id="mine", options={"level": 1}, task="unknown")
            assert result.observation["echoed_message"]
            assert (result.terminated, result.truncated, result.info) == (False, False, {})
            result = await client.step({"message": "hello"})
            assert result.observation["echoed_message"] == "hello"
            assert result.reward == pytest.approx(0.5)
            with pytest.raises(InvalidAction):
                await client.step({"massage": "hello"})
            state = await client.state()
            assert (state["episode_id"], state["step_count"]) == ("mine", 1)

    asyncio.run(play())


def test_the_scaffolds_own_client_ports(echo: str, ported: Any) -> None:
    action = ported.EchoAction(message="hello")

    async def play() -> None:
        async with ported.EchoEnv(base_url=echo) as client:
            await client.reset()
            result = await client.step(action)
            assert isinstance(result, StepResult)
            assert type(result.observation) is ported.EchoObservation
            assert (result.observation.echoed_message, result.observation.message_length) == ("hello", 5)
            assert result.observation.metadata == {"original_message": "hello", "step": 1}

    asyncio.run(play())
    with ported.EchoEnv(base_url=echo).sync() as client:
        client.reset(episode_id="mine")
        assert client.step(action).observation.echoed_message == "hello"
        assert client.state().episode_id == "mine"
        assert client.state().step_count == 1


def test_the_scaffolds_models_need_no_client(echo: str, ported: Any) -> None:
    models = {"action": ported.EchoAction, "observation": ported.EchoObservation, "state": ported.State}
    with OpenEnvClient(echo, **models).sync() as client:
        assert client.reset().observation.reward == 0.0
        result = client.step(ported.EchoAction(message="hello"))
        assert result.observation.message_length == 5
        assert result.observation.reward == result.reward
        assert client.step({"message": "again"}).observation.echoed_message == "again"
        assert client.state().step_count == 2
