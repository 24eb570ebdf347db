"""What this process holds: its threads, the processes below it, its open sockets.

The fixtures in ``conftest.py`` compare what is held before and after a test. Processes and sockets
are read from ``/proc``; where there is none, only threads are seen. Imports the standard library alone.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Holdings", "bearers", "held", "left_since", "wait_until_empty"]

_PROC = "/proc"
_FILES = f"{_PROC}/self/fd"
_TASKS = f"{_PROC}/self/task"
_LISTS_CHILDREN = os.path.exists(f"{_TASKS}/{os.getpid()}/children")  # an option of the kernel
_SHORTEST_POLL, _POLL = 0.001, 0.02

# The standard library starts these once, on first use, and keeps them until the interpreter ends.
_KEPT_BY_MULTIPROCESSING = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    started: int
    """In clock ticks since boot: tells a process from a later one with the same number."""

    def command(self) -> bytes:
        return _read(f"{_PROC}/{self.pid}/cmdline").replace(b"\0", b" ").strip()

    def environment(self) -> list[bytes]:
        return _read(f"{_PROC}/{self.pid}/environ").split(b"\0")

    def is_of_multiprocessing(self) -> bool:
        command = self.command()
        return any(name in command for name in _KEPT_BY_MULTIPROCESSING)

    def __str__(self) -> str:
        return f"process {self.pid}: {self.command().decode(errors='replace')[:200]}"


@dataclass(frozen=True)
class Holdings:
    """What the process held at one moment."""

    threads: frozenset[threading.Thread]
    processes: frozenset[_Process]
    """Children, their children and so on; the dead ones that nobody has waited for do not count."""
    sockets: frozenset[str]
    """As the kernel names them, ``socket:[inode]``."""

    def beyond(self, earlier: Holdings) -> list[str]:
        """Describe what is held here and was not held earlier."""
        threads = [f"thread {thread.name!r}" for thread in self.threads - earlier.threads]
        processes = [str(p) for p in self.processes - earlier.processes if not p.is_of_multiprocessing()]
        sockets = list(self.sockets - earlier.sockets)
        return sorted(threads + processes + sockets)


def held() -> Holdings:
    """Look at what this process holds now. Takes a tenth of a millisecond, or two with children."""
    return Holdings(frozenset(threading.enumerate()), frozenset(_descendants()), frozenset(_sockets()))


def left_since(earlier: Holdings, *, grace: float) -> list[str]:
    """Describe what is held beyond earlier, after waiting up to ``grace`` seconds for it to go."""
    return wait_until_empty(lambda: held().beyond(earlier), grace=grace)


def bearers(variable: str, value: str) -> list[str]:
    """Describe the other processes started with ``variable=value`` in their environment, orphans too.

    A process that was forked and never executed a program of its own shows its parent's environment.
    """
    mark = f"{variable}={value}".encode()
    others = (process for process in _living_processes() if process.pid != os.getpid())
    bearing = (process for process in others if mark in process.environment())
    return [str(process) for process in bearing if not process.is_of_multiprocessing()]


def wait_until_empty(look: Callable[[], list[str]], *, grace: float) -> list[str]:
    """Look until there is nothing to see or ``grace`` seconds are over, and return what is seen last."""
    deadline = time.monotonic() + grace
    pause = _SHORTEST_POLL
    while (seen := look()) and time.monotonic() < deadline:
        # Most of what is seen is about to go; what still stays is worth a collection, which takes longer.
        if pause > _POLL:
            # A socket in a reference cycle closes now, with its ResourceWarning, and not in a later test.
            gc.collect()
        time.sleep(min(pause, _POLL))
        pause *= 2
    return seen


def _sockets() -> Iterator[str]:
    if not os.path.isdir(_FILES):
        return
    for descriptor in os.listdir(_FILES):
        try:
            target = os.readlink(f"{_FILES}/{descriptor}")
        except OSError:
            continue  # the descriptor of the listing itself
        if target.startswith("socket:"):
            yield target


def _descendants() -> Iterator[_Process]:
    if _LISTS_CHILDREN and not _has_children():
        return  # as in nearly every test; to read all processes takes milliseconds
    children: dict[int, list[_Process]] = {}
    for process in _living_processes():
        children.setdefault(process.parent, []).append(process)
    parents = [os.getpid()]
    while parents:
        below = children.get(parents.pop(), [])
        yield from below
        parents.extend(process.pid for process in below)


def _has_children() -> bool:
    """Whether any process, even a dead one, was begun by a thread of this one and not waited for."""
    return any(_read(f"{_TASKS}/{thread}/children") for thread in os.listdir(_TASKS))


def _living_processes() -> Iterator[_Process]:
    if not os.path.isdir(_PROC):
        return
    for entry in os.listdir(_PROC):
        if not entry.isdecimal():
            continue
        # proc(5): the second field, the name in parentheses, may itself hold spaces and parentheses.
        fields = _read(f"{_PROC}/{entry}/stat").rpartition(b")")[2].split()
        if fields and fields[0] not in (b"Z", b"X"):
            yield _Process(pid=int(entry), parent=int(fields[1]), started=int(fields[19]))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return b""  # ended in the meantime, or another user's
