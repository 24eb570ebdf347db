"""Chess over the wire: both dialects, both views, and what its folder ships with."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openenv_gym import OpenEnvClient, OpenEnvGym, create_app, serve_gym
from openenv_gym.errors import InvalidAction
from openenv_gym.servers.chess.app import app
from openenv_gym.servers.chess.array import ChessEnv
from openenv_gym.servers.chess.environment import ChessAction, ChessEnvironment, ChessObservation, ChessState
from tests.fidelity import assert_identical, assert_same_faces, assert_same_step
from tests.servers.chess.games import chosen

FOLDER = Path(__file__).parents[3] / "servers" / "chess"
ARGUMENTS: dict[str, Any] = {"opponent": "greedy", "color": "random"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of the application itself, both views."""
    with serve_gym(app, port=0, block=False) as server:
        yield server.url


@pytest.fixture(scope="module")
def array_url() -> Iterator[str]:
    with serve_gym(ChessEnv, port=0, block=False, kwargs=ARGUMENTS, calls=["action_masks"]) as server:
        yield server.url


@pytest.fixture(scope="module")
def typed_url() -> Iterator[str]:
    app = create_app(
        lambda: ChessEnvironment(**ARGUMENTS),
        ChessAction,
        ChessObservation,
        env_name="chess",
        state_cls=ChessState,
        max_concurrent_envs=4,
    )
    with serve_gym(app, port=0, block=False) as server:
        yield server.url


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_served_game_of_planes_is_the_local_one(array_url: str, dialect: Any) -> None:
    local, rng = ChessEnv(**ARGUMENTS), np.random.default_rng(0)
    with closing(OpenEnvGym(array_url, dialect=dialect)) as remote:
        assert_same_faces(remote, local)
        for seed in (5, None):
            reset = local.reset(seed=seed)
            assert_identical(remote.reset(seed=seed), reset, "reset")
            mask, over = reset[1]["action_mask"], False
            while not over:
                action = np.int64(chosen(mask, rng))
                step = local.step(action)
                assert_same_step(remote.step(action), step, f"move {local.game.plies}")
                mask, over = step[4]["action_mask"], step[2]


def test_masks_can_be_asked_for(array_url: str) -> None:
    local = ChessEnv(**ARGUMENTS)
    with closing(OpenEnvGym(array_url)) as remote:
        remote.reset(seed=5)
        local.reset(seed=5)
        assert_identical(remote.call("action_masks"), local.action_masks(), "action_masks")


def test_a_served_game_of_texts_is_the_local_one(typed_url: str) -> None:
    local = ChessEnvironment(**ARGUMENTS)
    with _client(typed_url) as client:
        seen = local.reset(seed=5, episode_id="one")
        result = client.reset(seed=5, episode_id="one")
        while not result.done:
            assert result.observation == seen
            assert client.state() == local.state
            action = ChessAction(move=seen.legal_moves[len(seen.fen) % len(seen.legal_moves)])
            seen, result = local.step(action), client.step(action)
        assert result.observation == seen
        assert result.reward in (-1.0, 0.0, 1.0)


def test_an_illegal_move_over_the_wire_leaves_the_position_as_it_is(typed_url: str) -> None:
    with _client(typed_url) as client:
        legal = client.reset(seed=0).observation.legal_moves
        before = client.state()
        with pytest.raises(InvalidAction, match=legal[0]):
            client.step(ChessAction(move="a1a8"))
        assert client.state() == before
        assert not client.step(ChessAction(move=legal[0])).done


def _client(url: str) -> Any:
    return OpenEnvClient(url, action=ChessAction, observation=ChessObservation, state=ChessState).sync()


def test_one_app_serves_both_views(url: str) -> None:
    with _client(url) as client, closing(OpenEnvGym(url)) as env:
        fields = client.reset(seed=0).observation
        _, info = env.reset(seed=0)
        assert len(fields.legal_moves) == info["action_mask"].sum() == 20
        assert set(env.metadata["render_modes"]) == {"ansi", "rgb_array"}


def test_the_readmes_code_runs(url: str) -> None:
    text = (FOLDER / "README.md").read_text()
    found = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for code in found:
        exec(compile(code.replace("http://127.0.0.1:8000", url), "README.md", "exec"), {})
    assert len(found) == 2


def test_the_container_and_the_manifest_name_the_same_app_and_port() -> None:
    manifest = dict(line.split(": ") for line in (FOLDER / "openenv.yaml").read_text().splitlines())
    assert manifest["app"] == "openenv_gym.servers.chess.app:app"
    command = (FOLDER / "Dockerfile").read_text().splitlines()[-1]
    assert f'"{manifest["app"]}"' in command
    assert f'"--port", "{manifest["port"]}"' in command


@pytest.mark.parametrize(
    ("missing", "program"),
    [
        ("chess", "import openenv_gym.servers.chess.game"),
        (
            "PIL.Image",
            "from openenv_gym.servers.chess.array import ChessEnv\n"
            "env = ChessEnv('rgb_array')\nenv.reset()\nenv.render()",
        ),
    ],
)
def test_what_is_missing_is_named_with_the_line_that_installs_it(missing: str, program: str) -> None:
    program = f"import sys\nsys.modules[{missing!r}] = None\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "MissingExtra" in done.stderr.splitlines()[-1]
    assert "pip install 'openenv-gym[chess]'" in done.stderr.splitlines()[-1]


def test_a_refused_number_over_the_wire_leaves_the_position_as_it_is() -> None:
    with serve_gym(ChessEnv, port=0, block=False, kwargs={"illegal": "error"}) as server:
        with closing(OpenEnvGym(server.url)) as env:
            _, info = env.reset(seed=0)
            with pytest.raises(InvalidAction, match="20 legal moves"):
                env.step(np.int64(np.flatnonzero(info["action_mask"] == 0)[0]))
            _, reward, terminated, *_ = env.step(
                np.int64(chosen(info["action_mask"], np.random.default_rng(0)))
            )
            assert (reward, terminated) == (0.0, False)
