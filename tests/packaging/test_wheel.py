"""The wheel holds the whole package, the rooms behind the symbolic links too, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The names of the files in a wheel built from this checkout."""
    return _build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def _build_wheel(source: Path, folder: Path) -> frozenset[str]:
    _run("pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


def _run(module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | {"PIP_ROOT_USER_ACTION": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def _files_below(folder: str, *, named: str) -> frozenset[str]:
    """The files of a folder of the checkout, symbolic links followed, with their names in the wheel."""
    found: set[str] = set()
    for where, folders, names in os.walk(ROOT / folder, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        inner = Path(named, os.path.relpath(where, ROOT / folder))
        found.update((inner / name).as_posix() for name in names)
    return frozenset(found)


def test_the_package_says_that_it_is_typed(files: frozenset[str]) -> None:
    assert "openenv_gym/py.typed" in files


@pytest.mark.parametrize("room", ["servers", "wrappers"])
def test_a_room_at_the_top_is_inside_under_its_one_name(files: frozenset[str], room: str) -> None:
    expected = _files_below(room, named=f"openenv_gym/{room}")
    assert f"openenv_gym/{room}/__init__.py" in expected
    assert expected <= files


def test_every_server_brings_what_its_container_is_built_from(files: frozenset[str]) -> None:
    for manifest in (ROOT / "servers").glob("*/openenv.yaml"):
        assert f"openenv_gym/servers/{manifest.parent.name}/Dockerfile" in files


def test_every_file_of_the_package_is_inside_and_no_other(files: frozenset[str]) -> None:
    outside_metadata = {name for name in files if ".dist-info/" not in name}
    assert outside_metadata == _files_below("openenv_gym", named="openenv_gym") | {"pytest_openenv_gym.py"}


def test_the_licence_is_inside(files: frozenset[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in files)


def test_a_source_distribution_builds_the_same_wheel(files: frozenset[str], tmp_path: Path) -> None:
    _run("hatchling", "build", "--target", "sdist", "--directory", str(tmp_path))
    (archive,) = tmp_path.glob("*.tar.gz")
    assert _build_wheel(archive, tmp_path) == files
