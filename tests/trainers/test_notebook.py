"""The first notebook runs top to bottom, and what is committed of it is fit to be read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.trainers.examples import ROOT

NOTEBOOK = ROOT / "notebooks" / "01_from_install_to_trained_agent.ipynb"
EXECUTE = "from nbclient.cli import main; main()"


def outputs(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text())["cells"]
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def shows(said: list[dict[str, Any]], kind: str) -> int:
    """How many outputs have something of a kind, also inside HTML."""
    return sum(kind in json.dumps(output.get("data", {})) for output in said)


def check_outputs(said: list[dict[str, Any]]) -> None:
    assert [output for output in said if output.get("name") == "stderr"] == []
    assert shows(said, "image/png") == 2
    assert shows(said, "video/mp4") == 1


def test_what_is_committed_was_run_in_order_and_names_no_folder() -> None:
    text = NOTEBOOK.read_text()
    assert len(text) < 400_000
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    check_outputs(outputs(NOTEBOOK))
    said = "".join("".join(output.get("text", [])) for output in outputs(NOTEBOOK))
    assert not re.search(r"/(home|tmp|root|var|Users)\b", said)
    assert float(re.findall(r"20 episodes: ([\d.]+)", said)[0]) > 400


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_runs_top_to_bottom(tmp_path: Path) -> None:
    done = tmp_path / "done.ipynb"
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "NOTEBOOK_STEPS": "2048"}
    places = {"HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    execute = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(NOTEBOOK), "--output", str(done)],
        check=False,
        cwd=tmp_path,
        env={**os.environ, **quiet, **places},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
    )
    assert execute.returncode == 0, execute.stdout
    check_outputs(outputs(done))
