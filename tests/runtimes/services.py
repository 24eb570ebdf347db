"""Services for a child process: they do nothing, in the ways in which a server could."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from openenv_gym.errors import InvalidArgument

__all__ = ["Little", "dies", "raises", "refuses"]


class Little:
    """Says who it is, prints it too, and is busy while there is a file."""

    def __init__(self, busy: Path) -> None:
        self.url = f"process {os.getpid()}"
        self._busy = busy
        self._over = threading.Event()
        print("a little service", flush=True)

    @property
    def busy(self) -> bool:
        """Whether there is the file."""
        return self._busy.exists()

    def run(self) -> None:
        """Wait."""
        self._over.wait()

    def close(self) -> None:
        """End."""
        self._over.set()


def refuses() -> Little:
    """An error of ours."""
    raise InvalidArgument("not like this", tried="that")


def raises() -> Little:
    """An error of somebody else's."""
    print("about to fail", file=sys.stderr)
    raise ZeroDivisionError("by zero")


def dies() -> Little:
    """No error at all."""
    print("my last words", flush=True)
    os._exit(7)
