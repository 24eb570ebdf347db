"""Processes that a benchmark starts, and the CPU seconds that processes have used."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = [
    "ChildFailed",
    "ChildProcess",
    "ProcessGroups",
    "Usage",
    "cpu_seconds",
    "usage",
    "with_descendants",
]

START_TIMEOUT = 60.0
ANSWER_TIMEOUT = 180.0
STOP_TIMEOUT = 5.0
SERVER_URL = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class ChildFailed(RuntimeError):
    """A process that the benchmark needs ended, or did not answer in time."""


@dataclass(frozen=True)
class ProcessGroups:
    """The process ids on either side of an alternative; in process, one side is empty."""

    client: tuple[int, ...]
    server: tuple[int, ...] = ()


@dataclass(frozen=True)
class Usage:
    """What processes take of a machine, all of them together."""

    threads: int
    megabytes: float
    """Resident now."""
    peak_megabytes: float
    """Resident at most so far."""


class ChildProcess:
    """A process whose output cannot block it, and which ends with ``stop``.

    Output goes to an unnamed file rather than to a pipe: nobody reads it while the benchmark
    runs, and a full pipe would stop the process in the middle of a measurement. The process has
    a session of its own, so that Ctrl-C reaches the benchmark alone, which then stops the child.
    It may open as many files as the system lets it: its soft limit is raised to the hard one.

    Args:
        command: the program and its arguments.
        piped: leave standard output to ``ask`` instead of the file.
    """

    def __init__(self, command: Sequence[str], *, piped: bool = False) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if piped else self._log,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            cwd=Path(__file__).parents[1],
        )
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (hard, hard))

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def server_url(self) -> str:
        """Wait until the process prints where it listens.

        Raises:
            ChildFailed: it ended first, or said nothing for a minute.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if found := SERVER_URL.search(self._output()):
                return found.group()
            if self._process.poll() is not None:
                raise ChildFailed(f"the server ended before it listened\n{self._output()[-2000:]}")
            time.sleep(0.02)
        raise ChildFailed(f"the server named no address within {START_TIMEOUT:.0f} s")

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send one JSON message on a line and return the one that answers it.

        Raises:
            ChildFailed: the process ended, or did not answer within three minutes.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ChildFailed(f"the driver is gone\n{self._output()[-2000:]}") from error
        # One answer to each question: nothing can wait unseen in the buffered reader.
        if not select.select([self._process.stdout], [], [], ANSWER_TIMEOUT)[0]:
            raise ChildFailed(f"the driver did not answer within {ANSWER_TIMEOUT:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise ChildFailed(f"the driver ended without an answer\n{self._output()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """Ask the process to end, insist after five seconds, and reap it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # A message that the process never read went with it.
        self._log.close()

    def _output(self) -> str:
        # pread: the file's position is shared with the process, which writes at it.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")


def _stat_fields(pid: int) -> list[str]:
    # The command's name stands in parentheses and may hold spaces; the fields follow it (proc_pid_stat(5)).
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pids: Iterable[int]) -> float:
    """Sum the CPU seconds, user and system, that processes have used so far."""
    ticks = 0
    for pid in pids:
        try:
            fields = _stat_fields(pid)
        except OSError:
            continue  # Ended meanwhile; its share of this round is lost.
        ticks += int(fields[11]) + int(fields[12])
    return ticks / CLOCK_TICKS


def usage(pids: Iterable[int]) -> Usage:
    """Add up the threads and the resident memory of processes; shared pages count once for each."""
    threads, resident, peak = 0, 0, 0
    for pid in pids:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        threads += int(status["Threads"])
        resident += int(status["VmRSS"].split()[0])
        peak += int(status["VmHWM"].split()[0])
    return Usage(threads, resident * 1024 / 1e6, peak * 1024 / 1e6)


def with_descendants(pid: int) -> tuple[int, ...]:
    """Return a process id together with those of its children, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat_fields(int(entry.name))[1])
            except OSError:
                continue  # It ended while the list was read.
    family = [pid]
    for member in family:
        family.extend(child for child, parent in parents.items() if parent == member)
    return tuple(family)
