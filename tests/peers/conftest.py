"""What is below ``scripts`` is run by the stock peer's interpreter, against packages that are not here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.peers.scaffold import make_scaffold, served

collect_ignore = ["scripts"]

SCRIPTS = Path(__file__).parent / "scripts"
SESSIONS = 8


class Twins(NamedTuple):
    """Where the same environment is served by stock OpenEnv and by us."""

    stock: str
    ours: str


@pytest.fixture(scope="session")
def scaffold(awake_stock: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``openenv init`` makes, an environment that echoes texts, with room for eight sessions."""
    return make_scaffold(awake_stock, tmp_path_factory.mktemp("scaffold"), SESSIONS)


@pytest.fixture(scope="module")
def echo(awake_stock: Path, scaffold: Path) -> Iterator[str]:
    """The URL of the scaffold's environment on its own server."""
    with served(awake_stock, scaffold) as url:
        yield url


@pytest.fixture(scope="session")
def twins(
    awake_stock: Path, scaffold: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Twins]]:
    """The scaffold and the odd environments of ``scripts/worlds.py``, each served twice."""
    command = [str(awake_stock), str(SCRIPTS / "host.py"), str(scaffold)]
    with _hosted(command, tmp_path_factory.mktemp("host") / "log") as said:
        yield {name: Twins(*urls) for name, urls in said.items()}


@pytest.fixture(scope="session")
def variants(awake_stock: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The URL of each environment of ``scripts/variants.py``, on stock servers."""
    command = [str(awake_stock), str(SCRIPTS / "variants.py")]
    with _hosted(command, tmp_path_factory.mktemp("variants") / "log") as said:
        yield said


@contextmanager
def _hosted(command: list[str], log: Path) -> Iterator[dict[str, Any]]:
    """What a program says once its servers listen; it ends with the fixture."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()[-3000:]
        said: dict[str, Any] = json.loads(line)
        yield said
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
