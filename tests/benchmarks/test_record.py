"""A run is written so that others can judge it, without telling where on a machine it ran."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.alternation import CaseResult, Effort, Measured, Verdict
from benchmarks.cases import Held, Target
from benchmarks.machine import Machine
from benchmarks.placement import PlacedRoundTrips, Placement
from benchmarks.readme import shown
from benchmarks.record import Run
from benchmarks.spread import Spread
from benchmarks.table import print_case


def measured(name: str, rate: float) -> Measured:
    rates = (0.9 * rate, rate, 1.2 * rate)
    seconds = tuple(100 / each for each in rates)
    return Measured(name, 100, seconds, rates, Spread.of(rates), 12.345678, 1e6 / rate, connections=(32, 31))


@pytest.fixture
def result() -> CaseResult:
    return CaseResult(
        case="cartpole-native",
        title="256 lanes of CartPole's own vector environment",
        lanes=256,
        effort=Effort(),
        measured=(measured("native, in process", 4_650_000.0), measured("SyncVectorEnv", 140_123.456789)),
        unavailable={"native, ours": "ChildFailed: the server ended\n/somewhere/private.py"},
        verdicts=(
            Verdict(Target("native, ours", "SyncVectorEnv", 5.0), None),
            Verdict(Target("native, in process", "SyncVectorEnv", 5.0, aim=40.0), Spread.of([33.0, 34.0])),
        ),
        round_trips=tuple(
            PlacedRoundTrips("stock client, our server", each, 4000, 474.2, 621.9) for each in Placement
        ),
    )


def run_of(result: CaseResult) -> Run:
    return Run(
        "vector",
        "What?",
        "python -m benchmarks.vector",
        "2026-11-21T06:00:00+00:00",
        Machine.here(),
        [result],
    )


def test_the_record_holds_rounds_verdicts_and_versions_but_no_file_names(
    result: CaseResult, tmp_path: Path
) -> None:
    written = run_of(result).write(tmp_path).read_text()
    record = json.loads(written)
    (case,) = record["cases"]
    assert record["machine"]["packages"]["gymnasium"]
    assert case["measured"][1]["rates"][1] == 140123
    assert [verdict["is_met"] for verdict in case["verdicts"]] == [False, True]
    assert [verdict["reaches_aim"] for verdict in case["verdicts"]] == [False, False]
    assert "private" not in written
    assert str(Path.home()) not in written


def test_the_table_fits_eighty_columns_uncut(result: CaseResult) -> None:
    terminal = io.StringIO()
    print_case(Console(file=terminal, width=80), result)
    printed = terminal.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    for said in (
        "4.65M",
        "below aim",
        "not measured",
        "stock client, our server",
        "474, 622",
        "12.3 ",
        "32, 31",
    ):
        assert said in printed


def test_what_servers_held_is_shown_on_the_terminal_and_in_the_readme(
    result: CaseResult, tmp_path: Path
) -> None:
    held = tuple(Held(lost, 3, 1003, 160.0, 300.0 + lost, 310.0) for lost in (0, 2, 1))
    claim = Target("stock server", "ours", 2.0, figure="memory")
    crowd = replace(
        result,
        measured=(replace(measured("stock server", 1700.0), held=held),),
        verdicts=(Verdict(claim, Spread.of([2.75])),),
        round_trips=(),
        calls=5,
    )
    terminal = io.StringIO()
    print_case(Console(file=terminal, width=80), crowd)
    printed = terminal.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    assert "7 rounds of 5 steps a lane" in printed
    assert "stock server / ours, memory" in printed
    assert printed.count("1003") == 1
    text = shown(json.loads(run_of(crowd).write(tmp_path).read_text()))
    assert "| stock server | 3 | 1003 | 301 | 160 | 310 |" in text
    assert "stock server / ours, memory **2.75** (2.75 to 2.75; target 2, met)" in text


def test_the_picture_is_drawn(result: CaseResult, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.plot import draw

    assert draw(run_of(result), tmp_path).stat().st_size > 10_000
