"""Run an example as its reader would, in a process of its own, and read its last line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "run_example"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "notebooks" / "trainers"


def run_example(
    name: str, *arguments: str, python: str | Path = sys.executable, **variables: str
) -> dict[str, Any]:
    """Run ``notebooks/trainers/<name>``, and return the JSON that it prints last.

    Its home and its temporary files are gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="trainer-") as home:
        # Ray's sockets lie below; their paths may have 107 characters, too few for pytest's own folders.
        places = {"HOME": home, "TMPDIR": home, "RAY_TMPDIR": home}
        quiet = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [str(python), str(EXAMPLES / name), *arguments],
            capture_output=True,
            check=False,
            cwd=home,
            env={**os.environ, **places, **quiet, **variables},
            text=True,
            timeout=280,
        )
    assert done.returncode == 0, done.stderr
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**last, "stderr": done.stderr}
