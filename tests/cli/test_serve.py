"""``openenv-gym serve``: what it says, and how it fails."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from openenv_gym import OpenEnvGym
from openenv_gym.errors import InvalidArgument, Unauthorized
from tests import web
from tests.cli.refusals import assert_ends_in_one_line
from tests.served import ServerProcess, serve_command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Nope-v1"], "there is no id 'Nope-v1'; is the package that registers it imported"),
        (["CartPole-v1", "--kwargs", "{"], "--env-kwargs is no JSON"),
        (["CartPole-v1", "--env-kwargs", "[1]"], "--env-kwargs is a JSON object"),
        (["CartPole-v1", "--kwargs", '{"bad": 1}'], "unexpected keyword argument 'bad'"),
        (["CartPole-v1", "--port", "99999"], "choose another port"),
        (["CartPole-v1", "--vectorization", "foo"], "'lanes' or 'native'"),
        (["Pendulum-v1", "--vectorization", "native"], "serve it with vectorization='lanes'"),
        (["openenv/gym"], "give the id itself"),
        (["nowhere:Env"], "cannot be imported"),
        ([":Env"], "cannot be imported"),
        (["CartPole-v1", "--import", "nowhere"], "nowhere cannot be imported"),
        (["CartPole-v1", "--host", "0.0.0.0"], "OPENENV_TOKEN"),
        (["CartPole-v1", "--token-file", "nowhere/token"], "--token-file nowhere/token cannot be read"),
        (["CartPole-v1", "--token-file", "tests/__init__.py"], "a token is"),
        (["CartPole-v1", "--allow-origin", "page.example"], "an origin looks like"),
        (["CartPole-v1", "--client-id", "os:Env-v0"], "--import"),
        (["CartPole-v1", "--client-kwarg", "render_mode"], "render_mode"),
        (["CartPole-v1", "--host", "8.8.8.8", "--allow-anonymous"], "an address of this machine"),
        (["tests.typed_app:app", "--step-timeout", "1"], "step_timeout cannot be set here"),
        (["tests.typed_app:app", "--isolation", "process"], "isolation cannot be set here"),
    ],
)
def test_a_command_that_cannot_work_says_why_in_one_line(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert_ends_in_one_line(["serve", *arguments], said, monkeypatch, capsys)


def test_it_says_so_as_a_program_too() -> None:
    ended = subprocess.run(serve_command("Nope-v1"), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("openenv-gym: there is no id 'Nope-v1'") and ended.stdout == ""


@pytest.mark.parametrize("target", ["tests.typed:Counting", "tests.typed_app:app"])
def test_a_typed_environment_is_served_by_its_class_or_by_its_app(target: str) -> None:
    with ServerProcess(serve_command(target)) as server:
        assert web.post(f"{server.url}/reset", json={"seed": 4}).json()["observation"]["total"] == 4


PLUGIN = """
import gymnasium
from gymnasium.envs.classic_control import PendulumEnv

gymnasium.register("Heavy-v0", PendulumEnv)
gymnasium.register("Other-v0", PendulumEnv)
"""


def test_a_plug_in_is_imported_before_its_ids_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "my_plug_in.py").write_text(PLUGIN)
    options = ["--import", "my_plug_in", "--client-id", "Other-v0", "--client-kwarg", "g"]
    with ServerProcess(serve_command("Heavy-v0", *options), cwd=tmp_path) as server:
        for asked in ({}, {"env_id": "Other-v0"}, {"env_kwargs": {"g": 1.5}}):
            env = OpenEnvGym(server.url, **asked)
            env.reset(seed=1)
            env.close()
        with pytest.raises(InvalidArgument, match="may choose: g"):
            OpenEnvGym(server.url, env_kwargs={"m": 2})


@pytest.mark.parametrize("how", ["file", "variable"])
def test_a_token_keeps_others_out(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "the-token-of-the-operator"
    (tmp_path / "token").write_text(f"{token}\n")
    monkeypatch.setenv("OPENENV_TOKEN", "" if how == "file" else token)
    options = ["--token-file", str(tmp_path / "token")] if how == "file" else []
    options += ["--allow-host", "env.example", "--allow-origin", "https://page.example"]
    with ServerProcess(serve_command("CartPole-v1", *options)) as server:
        monkeypatch.delenv("OPENENV_TOKEN")
        with pytest.raises(Unauthorized):
            OpenEnvGym(server.url)
        shown = {"Authorization": f"Bearer {token}", "Host": "env.example", "Origin": "https://page.example"}
        assert web.post(f"{server.url}/reset", headers=shown).status_code == 200
        monkeypatch.setenv("OPENENV_TOKEN", token)
        OpenEnvGym(server.url).close()
        assert token not in server.output()


@pytest.mark.slow  # a server starts
def test_it_needs_no_standard_streams() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [*serve_command("tests.environments:Counter"), "--port", port]
    process = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
    try:
        with OpenEnvGym(f"http://127.0.0.1:{port}", wait_timeout=30) as env:
            env.reset()
    finally:
        process.terminate()
        process.wait()
