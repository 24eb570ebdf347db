"""``openenv-gym serve``: what it says, and how it fails."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from tests.served import ServerProcess, serve_command


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "openenv_gym", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Nope-v1"], "Nope-v1 could not be built: NameNotFound"),
        (["CartPole-v1", "--kwargs", "{"], "--kwargs is no JSON"),
        (["CartPole-v1", "--kwargs", "[1]"], "--kwargs is a JSON object"),
        (["CartPole-v1", "--kwargs", '{"bad": 1}'], "unexpected keyword argument 'bad'"),
        (["CartPole-v1", "--port", "99999"], "choose another port"),
        (["CartPole-v1", "--vectorization", "foo"], "'lanes' or 'native'"),
        (["Pendulum-v1", "--vectorization", "native"], "serve it with vectorization='lanes'"),
        (["nowhere:Env"], "cannot be imported"),
    ],
)
def test_a_command_that_cannot_work_says_why_in_one_line(arguments: list[str], said: str) -> None:
    ended = serve(*arguments)
    assert ended.returncode == 1
    assert said in ended.stderr and "Traceback" not in ended.stderr
    assert ended.stderr.startswith("openenv-gym: ") and ended.stdout == ""


@pytest.mark.parametrize("target", ["tests.typed:Counting", "tests.typed_app:app"])
def test_a_typed_environment_is_served_by_its_class_or_by_its_app(target: str) -> None:
    with ServerProcess(serve_command(target)) as server:
        assert httpx.post(f"{server.url}/reset", json={"seed": 4}).json()["observation"]["total"] == 4
