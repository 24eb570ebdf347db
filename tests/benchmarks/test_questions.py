"""Each benchmark runs from end to end, with every alternative, and leaves nothing behind.

How fast anything is, is not asked here: machines that run tests are busy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import apart, atari, command, scaling, sessions, slow, start, vector
from benchmarks.cases import Benchmark
from benchmarks.command import main
from benchmarks.readme import shown
from benchmarks.single import SINGLE
from benchmarks.starting import STAGES
from benchmarks.stock import peer

VECTOR = replace(vector.VECTOR, cases=(partial(vector.cartpole, 4), partial(vector.cartpole_native, 4)))
ATARI = replace(atari.ATARI, cases=(partial(atari.pong, 2), partial(atari.pong_native, 2)))
SCALING = replace(
    scaling.SCALING, cases=(partial(scaling.workers, 4), partial(scaling.connections, 8, 8, [4]))
)
SLOW = replace(slow.SLOW, cases=(partial(slow.batch, 16, 4), partial(slow.few, 4)))
SESSIONS = replace(sessions.SESSIONS, cases=(sessions.cartpole,))
CROWD = replace(sessions.SESSIONS, cases=(partial(sessions.crowd, 30),))
SPREAD = {"atari": [[1, 1], [1, 1]], "scaling": [[2], [1, 1], [1, 1], [2, 2, 2, 2]]}
"""Connections at each worker, of what has several."""


@pytest.fixture
def no_envpool_is_built(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It weighs a gigabyte: it is measured where it is named, and missing otherwise."""
    if "OPENENV_ENVPOOL_PYTHON" not in os.environ:
        monkeypatch.setenv("OPENENV_ENVPOOL_PYTHON", "nowhere")
    apart.envpool_python.cache_clear()
    yield
    apart.envpool_python.cache_clear()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("no_envpool_is_built")
@pytest.mark.parametrize(
    "benchmark", [SINGLE, VECTOR, ATARI, SCALING, SLOW, SESSIONS], ids=lambda each: each.name
)
def test_every_alternative_is_measured(
    benchmark: Benchmark, awake_stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "stock_python", lambda: awake_stock)
    monkeypatch.setattr(command, "QUICK", replace(command.QUICK, round_trips=50))
    assert main(benchmark, ["--quick", "--rounds", "1", "--seconds", "0.05", "--output", str(tmp_path)]) == 0
    cases = assert_all_measured(benchmark.name, tmp_path)
    spread = [each["connections"] for case in cases for each in case["measured"] if each["connections"]]
    assert spread == SPREAD.get(benchmark.name, [])


def assert_all_measured(name: str, folder: Path) -> list[Any]:
    """Every alternative has its figures, and there is a picture; the cases."""
    cases: list[Any] = json.loads((folder / f"{name}.json").read_text())["cases"]
    for case in cases:
        assert case["unavailable"].keys() <= {"EnvPool"}
        assert all(verdict["ratio"] for verdict in case["verdicts"])
    assert (folder / f"{name}.png").exists()
    return cases


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_crowd_loses_nobody_and_takes_no_thread_a_session(
    awake_stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "client_python", lambda: awake_stock)
    arguments = ["--rounds", "2", "--case", "crowd", "--output", str(tmp_path)]
    assert main(CROWD, arguments) == 0
    (case,) = assert_all_measured("sessions", tmp_path)
    stock, ours = case["measured"]
    assert case["calls"] == 5 and ours["steps_per_round"] == 5
    for held in (*stock["held"], *ours["held"]):
        assert held["lost"] == 0
        assert 0 < held["idle_megabytes"] <= held["megabytes"] <= held["peak_megabytes"]
    assert {held["threads"] - held["idle_threads"] for held in ours["held"]} == {0}
    assert min(held["threads"] - held["idle_threads"] for held in stock["held"]) >= 30


@pytest.mark.slow
def test_what_a_start_spends_is_measured_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The round that fills the caches of files, and is thrown away, does for the one that counts.
    monkeypatch.setattr(start, "_in_a_new_process", cache(start._in_a_new_process))
    assert start.main(["--rounds", "1", "--output", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "start.json").read_text())
    assert [stage["name"] for stage in record["stages"]] == list(STAGES)
    assert all(len(timed["seconds"]) == 1 for timed in (*record["totals"], *record["stages"]))
    assert all(figure >= 0 for timed in (*record["totals"], *record["stages"]) for figure in timed["seconds"])
    text = shown(record)
    assert "| import the server |" in text
    assert "1 rounds" in text
    assert (tmp_path / "start.png").exists()
