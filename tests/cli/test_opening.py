"""What is named on the command line, and what is said where nothing can be meant by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openenv_gym import serve_gym
from openenv_gym.cli.opening import import_target, open_env, read_arguments
from openenv_gym.envs.embedded import close_servers
from openenv_gym.errors import OpenEnvGymError, UnsupportedSpace


@pytest.fixture
def ended_servers() -> Iterator[None]:
    """Embedded servers end at once, and not some seconds after their last user."""
    yield
    close_servers()


@pytest.mark.usefixtures("ended_servers")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://127.0.0.1:9", "openenv-gym serve ID starts one"),
        ("127.0.0.1:9", "openenv-gym serve ID starts one"),
        ("http://", "one looks like http://127.0.0.1:8000"),
        ("openenv/nope", "there are openenv/gym, openenv/remote, openenv/chess"),
        ("openenv/remote", "give its address instead"),
        ("openenv/gym", "give the id itself"),
        ("phys2d/CartPole-v1", "pip install 'gymnasium[jax]'"),
        ("tests.cli.worlds:Window", "(Doors, Grumpy, Parrot)"),
        ("nowhere:Env", "is looked for in the working directory"),
    ],
)
def test_what_cannot_be_meant_is_said_with_what_to_do(target: str, said: str) -> None:
    with pytest.raises(OpenEnvGymError) as caught:
        open_env(target, render_mode=None, arguments={})
    assert said in str(caught.value)


@pytest.mark.usefixtures("ended_servers")
def test_spaces_that_stay_open_name_the_verb_that_writes_them_down(tmp_path: Path) -> None:
    hints = tmp_path / "x.hints.json"
    hints.write_text('{"action.by": "setting"}')
    with pytest.raises(UnsupportedSpace, match="openenv-gym inspect URL -o"):
        open_env("tests.typed_app:app", render_mode=None, arguments={}, hints=hints)


@pytest.mark.usefixtures("ended_servers")
def test_an_app_is_played_on_a_server_of_its_own() -> None:
    env = open_env("openenv_gym.servers.chess.app:app", render_mode="ansi", arguments={"opponent": "greedy"})
    env.reset(seed=1)
    assert "White to move" in env.render()
    env.close()
    env.close()


def test_a_game_of_several_agents_is_refused_before_it_is_played() -> None:
    target = import_target("pettingzoo.classic.rps_v2:env")
    with serve_gym(target, port=0, block=False) as server:
        with pytest.raises(OpenEnvGymError, match="is a game of 2 agents"):
            open_env(server.url, render_mode=None, arguments={})


def test_our_names_stand_for_their_apps() -> None:
    assert import_target("openenv/chess") is import_target("openenv_gym.servers.chess.app:app")


@pytest.mark.parametrize("text", ["{", "[1]", "5"])
def test_arguments_are_a_json_object(text: str) -> None:
    with pytest.raises(OpenEnvGymError, match="one looks like --env-kwargs"):
        read_arguments("--env-kwargs", text)
