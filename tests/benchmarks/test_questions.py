"""Each benchmark runs from end to end, with every alternative, and leaves nothing behind.

How fast anything is, is not asked here: machines that run tests are busy.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cases import Benchmark
from benchmarks.command import main
from benchmarks.single import SINGLE
from benchmarks.vector import VECTOR


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("benchmark", [SINGLE, VECTOR], ids=lambda benchmark: benchmark.name)
def test_every_alternative_is_measured(benchmark: Benchmark, tmp_path: Path) -> None:
    assert main(benchmark, ["--quick", "--rounds", "1", "--seconds", "0.05", "--output", str(tmp_path)]) == 0
    record = json.loads((tmp_path / f"{benchmark.name}.json").read_text())
    for case in record["cases"]:
        assert case["unavailable"] == {}
        assert all(verdict["ratio"] for verdict in case["verdicts"])
    assert (tmp_path / f"{benchmark.name}.png").exists()
