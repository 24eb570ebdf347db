"""A program in a fork of the stock interpreter that is awake ends, dies and is killed as one in its own."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks.stock.venv import STOCK_VERSION
from tests.served import eventually, is_running

pytestmark = pytest.mark.slow

WAITS = "import os, sys; print(os.getpid(), flush=True); print(len(sys.stdin.read())); sys.exit(3)"


def begun(python: Path) -> tuple[subprocess.Popen[str], int]:
    """A program that waits for the end of its input, and the number of its process."""
    process = subprocess.Popen(
        [str(python), "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_it_reads_its_input_and_ends_with_its_own_code(awake_stock: Path) -> None:
    process, pid = begun(awake_stock)
    assert pid != process.pid
    assert process.communicate("12345")[0] == "5\n"
    assert process.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(awake_stock: Path, number: signal.Signals) -> None:
    process, pid = begun(awake_stock)
    with process:
        process.send_signal(number)
        assert process.wait(10) == -number
    assert eventually(lambda: not is_running(pid))


def test_what_it_raises_is_shown(awake_stock: Path) -> None:
    done = subprocess.run(
        [str(awake_stock), "-c", "import os; os.chdir(os.environ['THERE']); print(os.getcwd()); 1 / 0"],
        capture_output=True,
        text=True,
        env={**os.environ, "THERE": "/"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "/\n")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_openenv_itself_is_there_as_it_is_published(awake_stock: Path) -> None:
    program = "import sys, openenv; print(openenv.__version__, 'gradio' in sys.modules)"
    done = subprocess.run([str(awake_stock), "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == f"{STOCK_VERSION} True\n", done.stderr
