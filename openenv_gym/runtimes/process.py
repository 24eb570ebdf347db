"""A service in a child process of one's own, on a pipe that both inherit.

The pipe is the child's life line: it carries the work down and the address up, and when it ends, by
whatever end of the parent, the child ends at once. Pickle crosses it and nothing else: it is between
a process and its own child. The child is a session of its own, so that Ctrl-C is not for it.

Whoever else held our end of the pipe would keep the child alive, so a process that is forked from this
one, by whichever thread and while a child is being started, lets go of it in the fork itself.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from typing import Any
from weakref import WeakSet

from openenv_gym.errors import FactoryFailed, OpenEnvGymError

__all__ = ["KEEP", "RELEASE", "STOP", "ServiceProcess"]

KEEP, RELEASE, STOP = b"k", b"r", b"s"
"""What a parent says once the service runs: it is used; it is not, save by who is connected; end."""

# The path is set before anything of ours is imported: it may be known to this interpreter alone.
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from openenv_gym.runtimes.child import main; "
    "main(int(sys.argv[1]))"
)
_STOP_SECONDS = 5.0
_LOG_BYTES = 4096

_started: WeakSet[ServiceProcess] = WeakSet()
_starting = threading.RLock()
"""Held while both ends of a pipe are open here, and for a fork: only then does a fork see all or nothing."""


class ServiceProcess:
    """A service that runs in a child process.

    One thread at a time may use it; only the process that started it can.

    Args:
        work: a pickled function without arguments, which the child calls for its
            :class:`~openenv_gym.runtimes.child.Service`.
        grace: seconds for which a released service waits for somebody to connect before it ends.

    Attributes:
        endpoint: where the service is.

    Raises:
        FactoryFailed: if the child cannot be started, or does not live to tell.
        OpenEnvGymError: whatever the function raised.
    """

    def __init__(self, work: bytes, *, grace: float) -> None:
        _let_go_in_children()
        self._log = tempfile.TemporaryFile()
        with _starting:
            self._line, theirs = socket.socketpair()
            _started.add(self)
            with theirs:
                self._process = self._spawn(theirs.fileno())
        try:
            self.endpoint = self._begin(work, grace)
        except BaseException:  # Ctrl-C, too
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child runs; reaps it if not."""
        return self._process.poll() is None

    def keep(self) -> bool:
        """Use the service, a released one again; false if it has ended, or is about to."""
        try:
            self._line.sendall(KEEP)
            return self._line.recv(1) == KEEP
        except OSError:
            return False

    def release(self) -> None:
        """Have the service end once nobody has been connected to it for its grace."""
        with suppress(OSError):  # it has ended
            self._line.sendall(RELEASE)

    def logs(self) -> str:
        """The end of what the child has printed, both streams."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - _LOG_BYTES)
        return os.pread(self._log.fileno(), size - start, start).decode(errors="replace")

    def stop(self) -> None:
        """End the service, in order if it can; may be called twice."""
        if self._line.fileno() != -1:
            with suppress(OSError, subprocess.TimeoutExpired):
                self._line.sendall(STOP)
                self._process.wait(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the child at once, and its children; may be called twice."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its own children, too
        self._process.wait()
        self._let_go()

    def disown(self) -> None:
        """Let go of the pipe, as a forked child does: it must end with the process that started it."""
        descriptor = self._line.detach()  # for close() would wait for a file that another thread made of it
        if descriptor != -1:
            os.close(descriptor)
        self._log.close()

    def _spawn(self, descriptor: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-c", _START, str(descriptor), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        except OSError as error:
            self._let_go()
            raise FactoryFailed(f"no process for a server could be started: {error}") from error

    def _let_go(self) -> None:
        self._line.close()
        self._log.close()

    def _begin(self, work: bytes, grace: float) -> str:
        try:
            with self._line.makefile("rwb") as stream:
                pickle.dump((work, grace), stream)
                stream.flush()
                endpoint, error = pickle.load(stream)
        except (OSError, EOFError, pickle.UnpicklingError) as broken:
            raise FactoryFailed(
                f"the server's process ended before it was ready, {self._end()}; it said:\n{self.logs()}"
            ) from broken
        if error is not None:
            raise _with_logs(error, self.logs())
        return str(endpoint)

    def _end(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        code = self._process.returncode
        return "which hung up" if code is None else f"with exit code {code}"


def _with_logs(error: Any, logs: str) -> OpenEnvGymError:
    failure = (
        error if isinstance(error, OpenEnvGymError) else FactoryFailed(f"no server was started: {error}")
    )
    if logs:
        failure.add_note(f"its process said:\n{logs}")
    return failure


@cache
def _let_go_in_children() -> None:
    """Once, and with the first service: importing the package changes nothing."""
    os.register_at_fork(
        before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_disown_all
    )


def _disown_all() -> None:
    _starting.release()  # the thread that forked has it, and is the only one here
    for process in list(_started):
        process.disown()
    _started.clear()
