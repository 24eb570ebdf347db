"""The stock peer's interpreter is the one that is named, or one that is built once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.stock import venv


@pytest.fixture(autouse=True)
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(venv.INTERPRETER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    venv.stock_python.cache_clear()
    yield
    venv.stock_python.cache_clear()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that builds have run, or rather only pretended to."""
    ran: list[list[str]] = []

    def run(command: list[str]) -> None:
        ran.append(command)
        if command[2] == "venv":
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        time.sleep(0.05)

    monkeypatch.setattr(venv, "_run", run)
    return ran


def test_the_interpreter_that_is_named_is_taken(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(venv.INTERPRETER_VARIABLE, sys.executable)
    assert venv.stock_python() == Path(sys.executable)
    assert not commands


def test_a_name_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(venv.INTERPRETER_VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(venv.StockUnavailable, match=venv.INTERPRETER_VARIABLE):
        venv.stock_python()


def test_it_is_built_once_and_kept(commands: list[list[str]]) -> None:
    built = venv.stock_python()
    venv.stock_python.cache_clear()
    assert venv.stock_python() == built
    make, install = commands
    assert make[1:3] == ["-m", "venv"]
    assert install[0] == str(built)
    assert f"openenv=={venv.STOCK_VERSION}" in install


def test_who_asks_meanwhile_waits_for_the_builder(commands: list[list[str]]) -> None:
    with ThreadPoolExecutor(4) as askers:
        answers = [future.result() for future in [askers.submit(venv.stock_python) for _ in range(4)]]
    assert len(set(answers)) == 1
    assert len(commands) == 2


def test_half_a_build_is_built_anew(commands: list[list[str]]) -> None:
    built = venv.stock_python()
    (built.parents[1] / "requirements-installed.txt").unlink()
    venv.stock_python.cache_clear()
    assert venv.stock_python() == built
    assert len(commands) == 4


def test_a_failed_installation_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(venv.StockUnavailable, match="install openenv=="):
        venv.stock_python()
