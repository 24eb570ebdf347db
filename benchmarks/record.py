"""A run as a JSON file: every round, and all that is needed to judge or to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.alternation import CaseResult, Verdict
from benchmarks.machine import Machine

__all__ = ["Run", "rounded"]


@dataclass(frozen=True)
class Run:
    """One run of one benchmark."""

    benchmark: str
    question: str
    command: str
    started: str
    """ISO 8601, UTC."""
    machine: Machine
    cases: Sequence[CaseResult]

    def write(self, folder: Path) -> Path:
        """Write ``<benchmark>.json`` and return its path."""
        path = folder / f"{self.benchmark}.json"
        record = asdict(self) | {"cases": [_case(result) for result in self.cases]}
        path.write_text(json.dumps(rounded(record), indent=2) + "\n")
        return path


def _case(result: CaseResult) -> dict[str, Any]:
    return asdict(result) | {
        "verdicts": [_verdict(verdict) for verdict in result.verdicts],
        # What a server last said may name files of this machine; that is for the terminal alone.
        "unavailable": {name: reason.partition("\n")[0] for name, reason in result.unavailable.items()},
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict) | {"is_met": verdict.is_met, "reaches_aim": verdict.reaches_aim}


def rounded(value: Any) -> Any:
    """Keep six significant digits: more than any clock here can mean, and a file one can read."""
    match value:
        case float():
            return float(f"{value:.6g}")
        case dict():
            return {key: rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [rounded(item) for item in value]
        case _:
            return value
