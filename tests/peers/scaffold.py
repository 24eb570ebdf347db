"""The environment that ``openenv init`` makes, which echoes texts; it and others on the stock server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import ChildProcess

__all__ = ["make_scaffold", "served"]


def make_scaffold(stock: Path, home: Path, sessions: int) -> Path:
    """The folder of the environment, with room for some sessions."""
    subprocess.run(
        [str(stock.with_name("openenv")), "init", "echo_env", "--output-dir", str(home)],
        check=True,
        capture_output=True,
        timeout=110,
    )
    app = home / "echo_env" / "server" / "app.py"
    text = app.read_text()
    assert "max_concurrent_envs=1" in text
    app.write_text(text.replace("max_concurrent_envs=1", f"max_concurrent_envs={sessions}"))
    return home / "echo_env"


@contextmanager
def served(stock: Path, folder: Path, app: str = "server.app:app") -> Iterator[str]:
    """The URL of an app below a folder."""
    command = [str(stock), "-m", "uvicorn", app, "--app-dir", str(folder)]
    server = ChildProcess([*command, "--host", "127.0.0.1", "--port", "0"])
    try:
        yield server.server_url()
    finally:
        server.stop()
