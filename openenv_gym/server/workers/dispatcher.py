"""The process that starts workers, passes connections to them, and replaces those that die or hang."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from openenv_gym.errors import CapacityReached, FactoryFailed, OpenEnvGymError
from openenv_gym.server.limits import Limits
from openenv_gym.server.whole import Capacity
from openenv_gym.server.workers.heads import Head
from openenv_gym.server.workers.line import Hangup, Line
from openenv_gym.server.workers.messages import (
    Answer,
    Beat,
    ClaimDefault,
    Client,
    Connect,
    Drain,
    DropDefault,
    Ended,
    Failed,
    FindDefault,
    Free,
    Link,
    MakeRoom,
    Message,
    Ready,
    Report,
    Take,
)
from openenv_gym.server.workers.patience import Patience
from openenv_gym.server.workers.reception import Reception
from openenv_gym.server.workers.spread import Load, by_preference

__all__ = ["Dispatcher"]

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
class _Worker:
    """A worker, as the dispatcher sees it."""

    number: int
    process: subprocess.Popen[bytes]
    line: Line
    started: float
    heard: float
    ready: bool = False
    load: Load = field(default_factory=Load)
    error: OpenEnvGymError | None = None


class Dispatcher:
    """A server of several workers.

    Args:
        work: a pickled function without arguments, which each worker calls for its application.
        listener: a listening socket; closed with the server.
        workers: how many.
        patience: how long it waits for what.
        clock: seconds, growing.
    """

    def __init__(
        self,
        work: bytes,
        listener: socket.socket,
        workers: int,
        *,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._count = workers
        self._patience = patience
        self._clock = clock
        self._work = tempfile.TemporaryFile()
        self._work.write(work)
        self._work.flush()
        self.started = threading.Event()
        """Set once connections are accepted."""
        self._settled = threading.Event()
        self._workers: dict[int, _Worker] = {}
        self._dead: list[subprocess.Popen[bytes]] = []
        self._failed_starts = [0] * workers
        self._young = [0] * workers
        self._replaced = 0
        self._capacity: Capacity | None = None
        self._default: int | None = None
        self._numbers = itertools.count()
        self._reception = Reception(listener, self._place, patience)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._draining = False
        self._all_gone = asyncio.Event()
        self._signals: list[int] = []
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        _DISPATCHERS.add(self)

    @property
    def pids(self) -> list[int]:
        """The processes of the workers, by number."""
        return [worker.process.pid for _, worker in sorted(self._workers.items())]

    @property
    def busy(self) -> bool:
        """Whether there are sessions."""
        return self._capacity is not None and self._capacity.sessions > 0

    @property
    def failure(self) -> BaseException | None:
        """Why it has ended, if nobody stopped it."""
        return self._failure

    def run_process(self) -> None:
        """Serve on the main thread until a signal or :meth:`stop`."""
        self._run()
        if self._failure is not None:
            raise self._failure
        for number in reversed(self._signals):
            signal.raise_signal(number)

    def start(self) -> None:
        """Serve on a thread of its own; returns once connections are accepted."""
        self._thread = threading.Thread(target=self._run, name="openenv-gym-dispatcher", daemon=True)
        self._thread.start()
        self._settled.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """End every session and the server; may be called twice, and from any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._end)
        elif self._thread is None:
            self._close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def disown(self) -> None:
        """In a forked child: close what must end with the process that made it."""
        self._listener.close()
        for worker in self._workers.values():
            worker.line.forget()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to whoever waits for it
            self._failure = error
            if self.started.is_set() and self._thread is not None:
                _log.error("the server has ended: %s", error)
        finally:
            self._close()
            self._settled.set()

    def _close(self) -> None:
        self._listener.close()
        self._work.close()

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        signals = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            self._start_all()
            self._spawn_task(self._watch())
            await self._ending.wait()
            if self._failure is None:
                await self._drain()
        finally:
            await self._kill_all()
            for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
                loop.remove_signal_handler(number)
        if self._failure is not None:
            raise self._failure

    def _on_signal(self, number: int) -> None:
        if self._draining or (self._signals and not self.started.is_set()):
            self._kill_now()
        self._signals.append(number)
        self._end()

    def _end(self, failure: BaseException | None = None) -> None:
        assert self._ending is not None
        if failure is not None and self._failure is None:
            self._failure = failure
        self._ending.set()

    def _spawn_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _start_all(self) -> None:
        for number in range(self._count):
            self._start(number)

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
        now = self._clock()
        line = Line(
            ours,
            lambda message, connection: self._hear(worker, message, connection),
            lambda: self._bury(worker),
        )
        worker = self._workers[number] = _Worker(number, process, line, now, now)

    def _bury(self, worker: _Worker) -> None:
        """Take leave of a worker that has ended, or must."""
        if self._workers.get(worker.number) is not worker:
            return
        del self._workers[worker.number]
        self._kill(worker)
        if worker.ready and self._capacity is not None:
            self._capacity.free(worker.load.lanes, worker.load.sessions)
        if self._default == worker.number:
            self._default = None
        if self._draining:
            if not self._workers:
                self._all_gone.set()
            return
        delay = self._judge(worker)
        if delay is not None:
            self._spawn_task(self._replace(worker.number, delay))

    def _judge(self, worker: _Worker) -> float | None:
        """After how long a worker is replaced; ends the server if it would not help."""
        number = worker.number
        if worker.ready:
            self._replaced += 1
            lived = self._clock() - worker.started
            self._young[number] = self._young[number] + 1 if lived < self._patience.hung else 0
            _log.warning("worker %d has ended, and its sessions with it; it is replaced", number)
        else:
            self._failed_starts[number] += 1
            self._young[number] += 1
            if not self.started.is_set() or self._failed_starts[number] >= self._patience.starts:
                self._end(
                    worker.error
                    or FactoryFailed("a worker ended before it was ready; what it printed stands above")
                )
                return None
        young = self._young[number]
        return 0.0 if young < 2 else min(30.0, self._patience.again * 2 ** (young - 2))

    async def _replace(self, number: int, delay: float) -> None:
        await asyncio.sleep(delay)
        if not self._draining:
            try:
                self._start(number)
            except FactoryFailed as error:
                self._end(error)

    def _kill(self, worker: _Worker) -> None:
        worker.line.close()
        with suppress(ProcessLookupError):  # its children too; it was not reaped, so the number is its own
            os.killpg(worker.process.pid, signal.SIGKILL)
        self._dead.append(worker.process)

    async def _watch(self) -> None:
        """Kill who has not been heard, and reap the dead."""
        while True:
            before = self._clock()
            await asyncio.sleep(self._patience.beat)
            now = self._clock()
            self._dead = [process for process in self._dead if process.poll() is None]
            if now - before - self._patience.beat > self._patience.hung / 2:
                # It is this process that did not run: what the workers said is still to be read.
                for worker in self._workers.values():
                    worker.heard = now
            for worker in list(self._workers.values()):
                if worker.ready and now - worker.heard > self._patience.hung:
                    _log.warning(
                        "worker %d has not been heard for %g s; it is killed",
                        worker.number,
                        now - worker.heard,
                    )
                    self._bury(worker)

    async def _drain(self) -> None:
        self._draining = True
        self._reception.close()
        if not self._workers:
            self._all_gone.set()
        for worker in list(self._workers.values()):
            if worker.ready:
                worker.line.send(Drain())
            else:
                self._bury(worker)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.drain):
                await self._all_gone.wait()

    def _kill_now(self) -> None:
        for worker in list(self._workers.values()):
            self._bury(worker)

    async def _kill_all(self) -> None:
        self._draining = True
        self._kill_now()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        deadline = time.monotonic() + _DEAD_SECONDS
        while self._dead and time.monotonic() < deadline:
            self._dead = [process for process in self._dead if process.poll() is None]
            await asyncio.sleep(_LOOK_SECONDS)

    def _hear(self, worker: _Worker, message: Message, connection: socket.socket | None) -> None:
        worker.heard = self._clock()
        line = worker.line
        match message:
            case Beat():
                pass
            case Ready(max_lanes, max_sessions):
                self._be_ready(worker, Limits(max_lanes=max_lanes, max_sessions=max_sessions))
            case Failed(error):
                worker.error = pickle.loads(error)
            case Ended(number):
                worker.load.end(number)
            case Take(ask, lanes):
                line.send(self._take(worker, ask, lanes))
            case Free(lanes):
                self._free(worker, lanes)
            case Connect(ask, number) if connection is not None:
                line.send(Answer(ask, self._connect(number, connection)))
            case MakeRoom(ask):
                line.answer(ask, self._make_room(worker))
            case ClaimDefault(ask):
                self._default = worker.number
                line.send(Answer(ask))
            case DropDefault():
                if self._default == worker.number:
                    self._default = None
            case FindDefault(ask):
                line.send(Answer(ask, self._default))
            case Report(ask):
                line.answer(ask, self._report())
            case Answer():
                line.settle(message)
            case _:
                raise AssertionError(f"a worker does not say {message!r}")

    def _be_ready(self, worker: _Worker, limits: Limits) -> None:
        if self._capacity is None:
            self._capacity = Capacity(limits)
        worker.ready = True
        self._failed_starts[worker.number] = 0
        if not self.started.is_set() and self._ready_count() == self._count:
            self._reception.open()
            self.started.set()
            self._settled.set()

    def _ready_count(self) -> int:
        return sum(worker.ready for worker in self._workers.values())

    def _take(self, worker: _Worker, ask: int, lanes: int) -> Answer:
        assert self._capacity is not None
        try:
            self._capacity.take(lanes)
        except CapacityReached as error:
            return Answer.of(ask, error)
        worker.load.lanes += lanes
        worker.load.sessions += 1
        return Answer(ask)

    def _free(self, worker: _Worker, lanes: int) -> None:
        assert self._capacity is not None
        self._capacity.free(lanes)
        worker.load.lanes -= lanes
        worker.load.sessions -= 1

    def _connect(self, number: int, connection: socket.socket) -> bool:
        with connection:
            other = self._workers.get(number)
            return other is not None and other.ready and other.line.offer(Link(), connection)

    async def _make_room(self, asking: _Worker) -> bool:
        for worker in list(self._workers.values()):
            if worker is not asking and worker.ready:
                with suppress(Hangup, TimeoutError):
                    async with asyncio.timeout(self._patience.hung):
                        if await worker.line.ask(MakeRoom):
                            return True
        return False

    async def _report(self) -> tuple[list[Any], int]:
        async def ask(worker: _Worker) -> Any:
            async with asyncio.timeout(self._patience.hung):
                return await worker.line.ask(Report)

        ready = [worker for _, worker in sorted(self._workers.items()) if worker.ready]
        said = await asyncio.gather(*map(ask, ready), return_exceptions=True)
        return [tally for tally in said if not isinstance(tally, BaseException)], self._replaced

    def _place(self, connection: socket.socket, head: Head) -> bool:
        """Pass a connection to a worker, if one takes it now."""
        loads = {number: worker.load for number, worker in self._workers.items() if worker.ready}
        order = by_preference(loads, websocket=head.websocket)
        if head.worker in loads:
            order.insert(0, head.worker)
        for number in order:
            client = Client(next(self._numbers))
            if self._workers[number].line.offer(client, connection):
                loads[number].begin(client.number, websocket=head.websocket)
                return True
        return False


_DISPATCHERS: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def _after_fork() -> None:
    for dispatcher in list(_DISPATCHERS):
        dispatcher.disown()


os.register_at_fork(after_in_child=_after_fork)
