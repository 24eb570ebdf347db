"""Run an example as its reader would, in a process of its own, and read what it prints last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "run_example", "run_examples"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "notebooks" / "trainers"


_ONE_AFTER_ANOTHER = """
import json, runpy, sys
program, *runs = sys.argv[1:]
for run in runs:
    sys.argv = [program, *json.loads(run)]
    runpy.run_path(program, run_name="__main__")
"""


def run_example(
    name: str, *arguments: str, python: str | Path = sys.executable, **variables: str
) -> dict[str, Any]:
    """Run ``notebooks/trainers/<name>``, and return the JSON that it prints last.

    Its home and its temporary files are gone afterwards.
    """
    done = _run([str(python), str(EXAMPLES / name), *arguments], variables)
    return {**_said(done)[-1], "stderr": done.stderr}


def run_examples(name: str, *runs: Sequence[str]) -> list[dict[str, Any]]:
    """Run it once for each of several arguments, in one process: a trainer takes seconds to import.

    Returns the JSON that each run prints last.
    """
    program = [sys.executable, "-c", _ONE_AFTER_ANOTHER, str(EXAMPLES / name)]
    done = _run([*program, *(json.dumps(run) for run in runs)], {})
    said = _said(done)
    assert len(said) == len(runs) and done.stderr == "", done.stderr
    return said


def _run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="trainer-") as home:
        # Ray's sockets lie below; their paths may have 107 characters, too few for pytest's own folders.
        places = {"HOME": home, "TMPDIR": home, "RAY_TMPDIR": home}
        quiet = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=home,
            env={**os.environ, **places, **quiet, **variables},
            text=True,
            timeout=280,
        )
    assert done.returncode == 0, done.stderr
    return done


def _said(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What was printed as JSON."""
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
