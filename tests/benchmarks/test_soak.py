"""The soak tells growth from noise, and runs from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.soak import TOLERANCE_MEGABYTES, Course, main

FLAT = [50.0, 58.0, 60.0, 60.2, 60.1, 60.2, 60.0, 60.3]


def course(megabytes: list[float], threads: int = 0, descriptors: int = 0) -> Course:
    """One that ends with so many threads and descriptors more than it had."""
    before = len(megabytes) - 1
    return Course("one", megabytes, [3] * before + [3 + threads], [9] * before + [9 + descriptors])


def test_what_fills_in_the_first_quarter_is_no_growth() -> None:
    assert course(FLAT).is_flat and course(FLAT).growth < 0.2


@pytest.mark.parametrize(
    "grown",
    [
        course([50 + TOLERANCE_MEGABYTES * number / 3 for number in range(8)]),
        course(FLAT, threads=1),
        course(FLAT, descriptors=1),
    ],
    ids=["memory", "threads", "descriptors"],
)
def test_what_grows_is_noticed(grown: Course) -> None:
    assert not grown.is_flat


@pytest.mark.slow
def test_a_short_soak_is_cut_and_counts_every_step_once(tmp_path: Path) -> None:
    assert main(["--steps", "100000", "--rounds", "4", "--output", str(tmp_path)]) in (0, 1)
    record = json.loads((tmp_path / "soak.json").read_text())
    assert record["asked"] == record["counted"] and record["cuts"] > 0 and record["sessions"] >= 12
    assert [each["name"] for each in record["courses"]] == ["client", "server of vector", "server of lanes"]
    assert all(len(each["megabytes"]) == 4 for each in record["courses"])
    assert (tmp_path / "soak.png").exists()
