"""The process in front of the workers: it passes connections to them, and keeps what holds for the whole."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import pickle
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from openenv_gym.errors import CapacityReached
from openenv_gym.server.limits import Limits
from openenv_gym.server.whole import Capacity
from openenv_gym.server.workers.heads import Head
from openenv_gym.server.workers.line import Hangup
from openenv_gym.server.workers.messages import (
    Answer,
    Beat,
    ClaimDefault,
    Client,
    Connect,
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
from openenv_gym.server.workers.spread import by_preference
from openenv_gym.server.workers.supervisor import Supervisor, Worker

__all__ = ["Dispatcher"]

_log = logging.getLogger("openenv_gym.server")


class Dispatcher:
    """A server of several workers.

    Args:
        work: a pickled function without arguments, which each worker calls for its application.
        listener: a listening socket; closed with the server.
        workers: how many.
        cores: the core that each keeps to; none to let them move.
        patience: how long it waits for what.
        clock: seconds, growing.
    """

    def __init__(
        self,
        work: bytes,
        listener: socket.socket,
        workers: int,
        *,
        cores: Sequence[int] = (),
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._patience = patience
        self.started = threading.Event()
        """Set once connections are accepted."""
        self._settled = threading.Event()
        self._supervisor = Supervisor(
            work,
            workers,
            cores=cores,
            patience=patience,
            clock=clock,
            heard=self._hear,
            lost=self._lose,
            failed=self._end,
        )
        self._capacity: Capacity | None = None
        self._default: int | None = None
        self._numbers = itertools.count()
        self._reception = Reception(listener, self._place, patience)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._signals: list[int] = []
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        _DISPATCHERS.add(self)

    @property
    def pids(self) -> list[int]:
        """The processes of the workers, by number."""
        return [worker.process.pid for _, worker in sorted(self._supervisor.workers.items())]

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
        self._supervisor.disown()

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
        self._supervisor.close()

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        signals = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            self._supervisor.start()
            await self._ending.wait()
            if self._failure is None:
                self._reception.close()
                await self._supervisor.drain()
        finally:
            await self._supervisor.end()
            for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
                loop.remove_signal_handler(number)
        if self._failure is not None:
            raise self._failure

    def _on_signal(self, number: int) -> None:
        if self._supervisor.draining or (self._signals and not self.started.is_set()):
            self._supervisor.kill()
        self._signals.append(number)
        self._end()

    def _end(self, failure: BaseException | None = None) -> None:
        assert self._ending is not None
        if failure is not None and self._failure is None:
            self._failure = failure
        self._ending.set()

    def _lose(self, worker: Worker) -> None:
        """Count what has ended with a worker."""
        if worker.ready and self._capacity is not None:
            self._capacity.free(worker.load.lanes, worker.load.sessions)
        if self._default == worker.number:
            self._default = None

    def _hear(self, worker: Worker, message: Message, connection: socket.socket | None) -> None:
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
            case Connect(ask, number):  # without the connection, if there are no descriptors left here
                line.send(Answer(ask, connection is not None and self._connect(number, connection)))
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

    def _be_ready(self, worker: Worker, limits: Limits) -> None:
        if self._capacity is None:
            self._capacity = Capacity(limits)
        self._supervisor.be_ready(worker)
        if self._supervisor.complete and not self.started.is_set():
            self._reception.open()
            self.started.set()
            self._settled.set()

    def _take(self, worker: Worker, ask: int, lanes: int) -> Answer:
        assert self._capacity is not None
        try:
            self._capacity.take(lanes)
        except CapacityReached as error:
            return Answer.of(ask, error)
        worker.load.lanes += lanes
        worker.load.sessions += 1
        return Answer(ask)

    def _free(self, worker: Worker, lanes: int) -> None:
        assert self._capacity is not None
        self._capacity.free(lanes)
        worker.load.lanes -= lanes
        worker.load.sessions -= 1

    def _connect(self, number: int, connection: socket.socket) -> bool:
        with connection:
            other = self._supervisor.workers.get(number)
            return other is not None and other.ready and other.line.offer(Link(), connection)

    async def _make_room(self, asking: Worker) -> bool:
        for worker in self._supervisor.ready:
            if worker is not asking:
                with suppress(Hangup, TimeoutError):
                    async with asyncio.timeout(self._patience.hung):
                        if await worker.line.ask(MakeRoom):
                            return True
        return False

    async def _report(self) -> tuple[list[Any], int]:
        async def ask(worker: Worker) -> Any:
            async with asyncio.timeout(self._patience.hung):
                return await worker.line.ask(Report)

        said = await asyncio.gather(*map(ask, self._supervisor.ready), return_exceptions=True)
        return [tally for tally in said if not isinstance(tally, BaseException)], self._supervisor.replaced

    def _place(self, connection: socket.socket, head: Head) -> bool:
        """Pass a connection to a worker, if one takes it now."""
        loads = {worker.number: worker.load for worker in self._supervisor.ready}
        order = by_preference(loads, websocket=head.websocket)
        if head.worker in loads:
            order.insert(0, head.worker)
        for number in order:
            client = Client(next(self._numbers))
            if self._supervisor.workers[number].line.offer(client, connection):
                loads[number].begin(client.number, websocket=head.websocket)
                return True
        return False


_DISPATCHERS: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def _after_fork() -> None:
    for dispatcher in list(_DISPATCHERS):
        dispatcher.disown()


if hasattr(os, "register_at_fork"):  # this is imported also where nothing can fork
    os.register_at_fork(after_in_child=_after_fork)
