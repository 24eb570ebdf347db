"""``openenv-gym check``: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from openenv_gym import serve_gym
from tests.cli.refusals import assert_ends_in_one_line
from tests.testing.little import BROKEN, Little, running


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openenv_gym", "check", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
    )


def test_a_good_server_is_said_to_be_good() -> None:
    with serve_gym("FrozenLake-v1", port=0, block=False) as server:
        ended = check(server.url, "--local", "FrozenLake-v1", "--header", "X-Team: blue")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Parity with the local environment" in ended.stdout
    assert f"{server.url} keeps to OpenEnv's protocol" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_a_broken_server_ends_it_with_1_and_the_reason() -> None:
    with running(BROKEN["reward is a bool"][0]()) as url:
        ended = check(url)
    assert ended.returncode == 1
    assert "a reward is True; a finite number was expected" in ended.stdout
    assert "breaks OpenEnv's protocol" in ended.stdout


def test_the_report_as_json() -> None:
    with running(Little()) as url:
        ended = check(url, "--json")
    said = json.loads(ended.stdout)
    assert ended.returncode == 0 and said["ok"] and said["url"] == url
    assert said["counts"]["lacking"] == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["http://127.0.0.1:9"], "no OpenEnv server answers"),
        (["ftp://host"], "is no server address"),
        (["CartPole-v1"], "openenv-gym serve CartPole-v1"),
        (["http://127.0.0.1:9", "--header", "blue"], "--header takes a name and a value"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(
    arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_ends_in_one_line(["check", *arguments], why, monkeypatch, capsys)
