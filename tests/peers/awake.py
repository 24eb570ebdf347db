"""A stock interpreter that is awake: it has imported ``openenv``, and forks for each program.

The import takes four CPU seconds and the tests run some thirty programs. Whoever needs the process itself,
its memory or its threads, takes ``stock_python()``, as the benchmarks do.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stock.venv import stock_python

__all__ = ["awake_python"]

_SCRIPTS = Path(__file__).parent / "scripts"


@contextmanager
def awake_python() -> Iterator[Path]:
    """Commands that behave as the stock interpreter and, beside it, as ``openenv``."""
    stock = stock_python()
    if not hasattr(os, "pidfd_open"):  # Linux has it
        yield stock
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        relay = shlex.join([sys.executable, "-IS", str(_SCRIPTS / "relay.py"), str(home / "socket")])
        _write(home / "python", f'exec {relay} "$@"')
        _write(home / "openenv", f'exec {relay} {shlex.quote(str(stock.with_name("openenv")))} "$@"')
        process = subprocess.Popen(
            [str(stock), str(_SCRIPTS / "awake.py"), str(home / "socket")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"awake\n"
            yield home / "python"
        finally:
            process.communicate()


def _write(command: Path, line: str) -> None:
    command.write_text(f"#!/bin/sh\n{line}\n")
    command.chmod(0o755)
