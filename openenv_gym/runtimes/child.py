"""The child process of a service; see :mod:`openenv_gym.runtimes.process`.

A thread watches the pipe, and not the parent's thread that made it, which may be long gone. When the
pipe ends, the process does, whatever its other threads are at, and so do its own children.
"""

from __future__ import annotations

import gc
import os
import pickle
import selectors
import signal
import socket
import threading
import time
from typing import Any, Protocol

from openenv_gym.errors import OpenEnvGymError
from openenv_gym.runtimes.process import KEEP, RELEASE

__all__ = ["Service", "main"]

_LOOK_SECONDS = 0.25


class Service(Protocol):
    """What a child process runs."""

    @property
    def url(self) -> str:
        """Where it is, known before it runs."""

    @property
    def busy(self) -> bool:
        """Whether anybody is connected."""

    def run(self) -> None:
        """Serve on this thread until it is closed."""

    def close(self) -> None:
        """End; from any thread."""


class _Watch:
    """Does what the parent says, and ends the process with the pipe."""

    def __init__(self, line: socket.socket, grace: float) -> None:
        self._line = line
        self._grace = grace
        self._kept = True
        self.service: Service | None = None

    def run(self) -> None:
        """Watch until the service has to end."""
        quiet_since = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            while True:
                if selector.select(None if self._kept else _LOOK_SECONDS):
                    self._obey()
                    quiet_since = time.monotonic()
                elif self.service is not None and self.service.busy:
                    quiet_since = time.monotonic()
                elif time.monotonic() - quiet_since >= self._grace:
                    self._line.shutdown(socket.SHUT_RDWR)  # whoever would keep it now learns that it is late
                    break
        if self.service is not None:
            self.service.close()

    def _obey(self) -> None:
        try:
            said = self._line.recv(1)
            if said == KEEP:
                self._line.sendall(KEEP)
        except OSError:
            said = b""
        if not said:
            os.killpg(0, signal.SIGKILL)  # this process and those that it has started
        self._kept = said == KEEP
        if said not in (KEEP, RELEASE) and self.service is not None:
            self.service.close()


def main(descriptor: int) -> None:
    """Run a service until it is closed, or the pipe ends.

    Args:
        descriptor: of this process's end of the pipe.
    """
    os.set_inheritable(descriptor, False)
    line = socket.socket(fileno=descriptor)
    os.register_at_fork(after_in_child=line.close)  # or the pipe would outlive this process
    gc.disable()  # what is imported stays, and to walk it again and again is an eighth of the start
    with line.makefile("rwb") as stream:
        work, grace = pickle.load(stream)
        watch = _Watch(line, grace)
        threading.Thread(target=watch.run, name="openenv-gym-life-line", daemon=True).start()
        service, error = _build(work)
        watch.service = service
        gc.enable()
        pickle.dump((None if service is None else service.url, error), stream)
    if service is not None:
        service.run()


def _build(work: bytes) -> tuple[Service | None, Any]:
    """The service, or what went wrong in a form that can be sent."""
    try:
        return pickle.loads(work)(), None
    except OpenEnvGymError as error:
        return None, error
    except Exception as error:  # the operator's code, told to the operator
        return None, f"{type(error).__name__}: {error}"
