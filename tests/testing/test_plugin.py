"""The pytest plugin: tests of a server that is named, and nothing at all where none is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from openenv_gym import serve_gym
from openenv_gym.testing.kit import chosen_checks
from tests.testing.little import BROKEN, running

Run: TypeAlias = Callable[..., tuple[int, str]]

OPTIONS = ("-p", "pytest_openenv_gym", "-p", "no:cacheprovider")
MINE = """
def test_mine(openenv_server):
    assert openenv_server.startswith("http://127.0.0.1:")
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """pytest in a folder of its own, with this plugin and no other."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-config\n")
    (tmp_path / "test_mine.py").write_text(MINE)

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-vrfsx",
                *OPTIONS,
                "-c",
                str(tmp_path / "pytest.ini"),
                *arguments,
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


SUITE = ("--pyargs", "openenv_gym.testing.suite")


def test_each_check_is_a_test_with_a_readable_name(run: Run) -> None:
    with serve_gym("FrozenLake-v1", port=0, block=False) as server:
        code, said = run(*SUITE, "--openenv-url", server.url, "--openenv-local", "FrozenLake-v1")
    assert code == 0, said
    for check in chosen_checks(local=True):
        assert f"::test_openenv[openenv-{check.name}]" in said
    assert "SKIPPED" in said and "XFAIL" not in said


def test_what_failed_fails_and_what_is_lacking_is_an_expected_failure(run: Run) -> None:
    server, check, _ = BROKEN["miscounts"]
    with running(server()) as url:
        code, said = run(*SUITE, "--openenv-url", url)
    assert code == 1
    assert f"test_openenv[openenv-{check}] FAILED" in said
    assert "after 2 steps of an episode the step_count is 1" in said
    assert "1 failed" in said and "2 xfailed" in said and "parity" not in said


def test_own_tests_get_the_url(run: Run) -> None:
    code, said = run(
        "test_mine.py", "--openenv-url", "http://127.0.0.1:1", "--openenv-url", "http://127.0.0.1:2"
    )
    assert code == 0 and "2 passed" in said


@pytest.mark.parametrize("what", [("test_mine.py",), SUITE])
def test_without_a_url_such_tests_are_skipped(run: Run, what: tuple[str, ...]) -> None:
    code, said = run(*what)
    assert code == 0 and "--openenv-url http://127.0.0.1:8000" in said and "passed" not in said


def test_the_plugin_imports_nothing_but_pytest() -> None:
    program = (
        "import pytest, sys; before = set(sys.modules); import pytest_openenv_gym;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pytest_openenv_gym"]
