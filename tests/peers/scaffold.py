"""The environment that ``openenv init`` makes, on the stock server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import ChildProcess
from benchmarks.stock.venv import stock_python

__all__ = ["served_scaffold"]


@contextmanager
def served_scaffold(home: Path, sessions: int) -> Iterator[str]:
    """The URL of the scaffold's environment, which echoes texts, with room for some sessions."""
    python = stock_python()
    subprocess.run(
        [str(python.with_name("openenv")), "init", "echo_env", "--output-dir", str(home)],
        check=True,
        capture_output=True,
        timeout=90,
    )
    app = home / "echo_env" / "server" / "app.py"
    text = app.read_text()
    assert "max_concurrent_envs=1" in text
    app.write_text(text.replace("max_concurrent_envs=1", f"max_concurrent_envs={sessions}"))
    command = [str(python), "-m", "uvicorn", "server.app:app", "--app-dir", str(home / "echo_env")]
    server = ChildProcess([*command, "--host", "127.0.0.1", "--port", "0"])
    try:
        yield server.server_url()
    finally:
        server.stop()
