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
    program = f"import sys, openenv_gym; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
