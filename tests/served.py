"""A server in a process of its own, as ``openenv-gym serve`` starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests import web

__all__ = ["ServerProcess", "eventually", "health", "is_running", "serve_command"]

START_SECONDS = 30.0
_URL = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")
_ROOT = Path(__file__).parents[1]


def serve_command(env: str, *options: str) -> list[str]:
    """The command line that serves an environment on a free port."""
    return [sys.executable, "-m", "openenv_gym", "serve", env, "--port", "0", *options]


class ServerProcess:
    """A process that says on its output where it listens; a context manager that ends it."""

    def __init__(self, command: Sequence[str], *, cwd: Path = _ROOT) -> None:
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            self.url = self._wait_for_url()
        except BaseException:
            self.end()
            raise

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := _URL.search(self.output()):
                return found.group()
            time.sleep(0.02)
        raise RuntimeError(f"the server did not start\n{self.output()}")

    def output(self) -> str:
        """What it has printed, both streams."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def health(url: str) -> dict[str, Any]:
    """What ``/health`` says."""
    answer = web.get(f"{url}/health", timeout=10)
    answer.raise_for_status()
    said: dict[str, Any] = answer.json()
    return said


def eventually(holds: Callable[[], bool], *, seconds: float = 5.0) -> bool:
    """Whether something comes to hold in time."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def is_running(pid: int) -> bool:
    """Whether a process lives, whose child it may be."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def can_listen(url: str) -> bool:
    """Whether the port of a server that is gone can be had again."""
    port = urlsplit(url).port
    assert port is not None
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
