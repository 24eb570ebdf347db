"""``import openenv_gym`` is a short menu, and it is served at once."""

from __future__ import annotations

import subprocess
import sys

import openenv_gym

HEAVY = ["docker", "fastapi", "matplotlib", "starlette", "uvicorn", "uvloop"]


def test_the_menu_is_sorted_and_names_nothing_twice() -> None:
    assert list(openenv_gym.__all__) == sorted(set(openenv_gym.__all__))


def test_every_name_on_the_menu_can_be_had() -> None:
    assert [name for name in openenv_gym.__all__ if not hasattr(openenv_gym, name)] == []


def test_importing_the_package_imports_nothing_heavy() -> None:
    done = _python("-X", "importtime", "-c", "import openenv_gym")
    imported = {line.rpartition("|")[2].split(".")[0].strip() for line in done.stderr.splitlines()}
    assert "openenv_gym" in imported
    assert imported.isdisjoint([*HEAVY, "httpx", "pydantic", "websockets"])


def test_making_an_environment_imports_no_more_than_a_client() -> None:
    show = "import sys, openenv_gym.envs.registered; print(*sys.modules)"
    imported = set(_python("-c", show).stdout.split())
    assert "websockets" in imported
    assert imported.isdisjoint([*HEAVY, "httpx", "pydantic", "rich"])


def test_a_server_can_be_imported_where_there_is_no_fork() -> None:
    _python("-c", "import os; del os.fork, os.register_at_fork; import openenv_gym.envs.serving")


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
