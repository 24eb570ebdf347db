"""A peer's interpreter is the one that is named, or one that is built once."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.peers import Peer, PeerUnavailable

PEER = Peer("peer-1.2", "OPENENV_TESTED_PEER_PYTHON", ("peer==1.2", "gymnasium"))


@pytest.fixture(autouse=True)
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PEER.variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


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

    monkeypatch.setattr(peers, "_run", run)
    return ran


def test_the_interpreter_that_is_named_is_taken(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PEER.variable, sys.executable)
    assert PEER.python() == Path(sys.executable)
    assert not commands


def test_a_name_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PEER.variable, str(tmp_path / "nothing"))
    with pytest.raises(PeerUnavailable, match=PEER.variable):
        PEER.python()


def test_it_is_built_once_and_kept(commands: list[list[str]]) -> None:
    built = PEER.python()
    assert PEER.python() == built
    make, install = commands
    assert make[1:3] == ["-m", "venv"]
    assert install[0] == str(built)
    assert "peer==1.2" in install


def test_two_peers_do_not_share_one(commands: list[list[str]]) -> None:
    assert PEER.python() != Peer("peer-1.3", PEER.variable, ("peer==1.3",)).python()
    assert len(commands) == 4


def test_other_requirements_are_built_anew(commands: list[list[str]]) -> None:
    assert PEER.python() == Peer(PEER.name, PEER.variable, ("peer==1.2",)).python()
    assert len(commands) == 4


def test_who_asks_meanwhile_waits_for_the_builder(commands: list[list[str]]) -> None:
    with ThreadPoolExecutor(4) as askers:
        answers = [future.result() for future in [askers.submit(PEER.python) for _ in range(4)]]
    assert len(set(answers)) == 1
    assert len(commands) == 2


def test_half_a_build_is_built_anew(commands: list[list[str]]) -> None:
    built = PEER.python()
    (built.parents[1] / "requirements-installed.txt").unlink()
    assert PEER.python() == built
    assert len(commands) == 4


def test_a_failed_installation_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PeerUnavailable, match=r"install peer==1\.2"):
        PEER.python()
