"""Keeps a number of workers running: starts them, and replaces those that die or hang."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from openenv_gym.errors import FactoryFailed, OpenEnvGymError
from openenv_gym.server.workers.line import Line
from openenv_gym.server.workers.messages import Drain, Message
from openenv_gym.server.workers.patience import Patience
from openenv_gym.server.workers.spread import Load

__all__ = ["Supervisor", "Worker"]

_log = logging.getLogger("openenv_gym.server")

# The path is set before anything of ours is imported: it may be known to this interpreter alone.
_START = (
    "import sys; sys.path[:] = sys.argv[6:]; "
    "from openenv_gym.server.workers.child import main; "
    "main(*map(int, sys.argv[1:5]), float(sys.argv[5]))"
)
_LOOK_SECONDS = 0.01
_DEAD_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Worker:
    """A worker, as the dispatcher sees it."""

    number: int
    process: subprocess.Popen[bytes]
    line: Line
    started: float
    heard: float
    ready: bool = False
    load: Load = field(default_factory=Load)
    error: OpenEnvGymError | None = None


class Supervisor:
    """The processes of the workers, on the running event loop.

    Args:
        work: a pickled function without arguments, which each worker calls for its application.
        count: how many workers.
        cores: the core that each worker keeps to, with all that it starts; none to let them move.
        patience: how long it waits for what.
        clock: seconds, growing.
        heard: called with each message of a worker, and the descriptor that came with it, if one did.
        lost: called with each worker that has ended, before another takes its place.
        failed: called with the reason when it would not help to start a worker again.

    Attributes:
        workers: those that live, by number.
        replaced: how many have been.
        complete: whether all were ready at once, some time.
        draining: whether no worker is replaced any more.
    """

    def __init__(
        self,
        work: bytes,
        count: int,
        *,
        cores: Sequence[int] = (),
        patience: Patience,
        clock: Callable[[], float],
        heard: Callable[[Worker, Message, socket.socket | None], None],
        lost: Callable[[Worker], None],
        failed: Callable[[OpenEnvGymError], None],
    ) -> None:
        self._count = count
        self._cores = cores
        self._patience = patience
        self._clock = clock
        self._heard, self._lost, self._failed = heard, lost, failed
        self._work = tempfile.TemporaryFile()
        self._work.write(work)
        self._work.flush()
        self.workers: dict[int, Worker] = {}
        self.replaced = 0
        self.complete = False
        self.draining = False
        self._dead: list[subprocess.Popen[bytes]] = []
        self._failed_starts = [0] * count
        self._young = [0] * count
        self._tasks: set[asyncio.Task[Any]] = set()
        self._all_gone = asyncio.Event()

    @property
    def ready(self) -> list[Worker]:
        """The workers that take connections, by number."""
        return [worker for _, worker in sorted(self.workers.items()) if worker.ready]

    def start(self) -> None:
        """Start all workers, and watch them from now on.

        Raises:
            FactoryFailed: if there is no process to be had.
        """
        for number in range(self._count):
            self._start(number)
        self._spawn_task(self._watch())

    def be_ready(self, worker: Worker) -> None:
        """Take note that a worker is."""
        worker.ready = True
        self._failed_starts[worker.number] = 0
        self.complete = self.complete or len(self.ready) == self._count

    async def drain(self) -> None:
        """Let the workers finish the steps that run; replaces nobody any more."""
        self.draining = True
        if not self.workers:
            self._all_gone.set()
        for worker in list(self.workers.values()):
            if worker.ready:
                worker.line.send(Drain())
            else:
                self._bury(worker)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.drain):
                await self._all_gone.wait()

    def kill(self) -> None:
        """Kill every worker that lives."""
        for worker in list(self.workers.values()):
            self._bury(worker)

    async def end(self) -> None:
        """Kill every worker, and wait until they are gone."""
        self.draining = True
        self.kill()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        deadline = time.monotonic() + _DEAD_SECONDS
        while self._dead and time.monotonic() < deadline:
            self._reap()
            await asyncio.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Let go of what workers are started with; may be called twice."""
        self._work.close()

    def disown(self) -> None:
        """In a forked child: close what must end with the process that made it."""
        for worker in self.workers.values():
            worker.line.forget()

    def _start(self, number: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        orders = [theirs.fileno(), self._work.fileno(), number, self._count, self._patience.beat]
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-c", _START, *map(str, orders), *sys.path],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), self._work.fileno()),
                    start_new_session=True,  # Ctrl-C is for the dispatcher
                )
            except OSError as error:
                ours.close()
                raise FactoryFailed(f"no process for a worker could be started: {error}") from error
        if self._cores:  # before it has any thread
            self._pin(process, number)
        now = self._clock()
        line = Line(
            ours,
            lambda message, connection: self._hear(worker, message, connection),
            lambda: self._bury(worker),
        )
        worker = self.workers[number] = Worker(number, process, line, now, now)

    def _pin(self, process: subprocess.Popen[bytes], number: int) -> None:
        core = self._cores[number]
        try:
            os.sched_setaffinity(process.pid, {core})
        except OSError as error:  # the core was taken from this process, or the machine, meanwhile
            _log.warning("worker %d cannot keep to core %d, and may move: %s", number, core, error)

    def _hear(self, worker: Worker, message: Message, connection: socket.socket | None) -> None:
        worker.heard = self._clock()
        self._heard(worker, message, connection)

    def _bury(self, worker: Worker) -> None:
        """Take leave of a worker that has ended, or must."""
        if self.workers.get(worker.number) is not worker:
            return
        del self.workers[worker.number]
        worker.line.close()
        with suppress(ProcessLookupError):  # its children too; it was not reaped, so the number is its own
            os.killpg(worker.process.pid, signal.SIGKILL)
        self._dead.append(worker.process)
        self._lost(worker)
        if self.draining:
            if not self.workers:
                self._all_gone.set()
            return
        delay = self._judge(worker)
        if delay is not None:
            self._spawn_task(self._replace(worker.number, delay))

    def _judge(self, worker: Worker) -> float | None:
        """After how long a worker is replaced; ``None`` if it would not help."""
        number = worker.number
        if worker.ready:
            self.replaced += 1
            lived = self._clock() - worker.started
            self._young[number] = self._young[number] + 1 if lived < self._patience.hung else 0
            _log.warning("worker %d has ended, and its sessions with it; it is replaced", number)
        else:
            self._failed_starts[number] += 1
            self._young[number] += 1
            if not self.complete or self._failed_starts[number] >= self._patience.starts:
                self._failed(
                    worker.error
                    or FactoryFailed("a worker ended before it was ready; what it printed stands above")
                )
                return None
        young = self._young[number]
        return 0.0 if young < 2 else min(30.0, self._patience.again * 2 ** (young - 2))

    async def _replace(self, number: int, delay: float) -> None:
        await asyncio.sleep(delay)
        if not self.draining:
            try:
                self._start(number)
            except FactoryFailed as error:
                self._failed(error)

    async def _watch(self) -> None:
        """Kill who has not been heard, and reap the dead."""
        while True:
            before = self._clock()
            await asyncio.sleep(self._patience.beat)
            now = self._clock()
            self._reap()
            if now - before - self._patience.beat > self._patience.hung / 2:
                # It is this process that did not run: what the workers said is still to be read.
                for worker in self.workers.values():
                    worker.heard = now
            for worker in list(self.workers.values()):
                if worker.ready and now - worker.heard > self._patience.hung:
                    _log.warning(
                        "worker %d has not been heard for %g s; it is killed",
                        worker.number,
                        now - worker.heard,
                    )
                    self._bury(worker)

    def _reap(self) -> None:
        self._dead = [process for process in self._dead if process.poll() is None]

    def _spawn_task(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
