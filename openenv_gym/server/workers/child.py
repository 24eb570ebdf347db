"""The process of a worker; see :mod:`openenv_gym.server.workers`."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import select
import signal
import socket
import sys
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any

from openenv_gym.errors import FactoryFailed, OpenEnvGymError
from openenv_gym.server.app import Application
from openenv_gym.server.listening import WebServer
from openenv_gym.server.workers.line import MAX_BYTES, Line, send_now
from openenv_gym.server.workers.links import Link as LinkEnd
from openenv_gym.server.workers.messages import (
    Answer,
    Beat,
    Client,
    Drain,
    Ended,
    Failed,
    Link,
    MakeRoom,
    Message,
    Ready,
    Report,
)
from openenv_gym.server.workers.siblings import Siblings

__all__ = ["main"]


class _Worker:
    """One worker, once its application is built."""

    def __init__(
        self, end: socket.socket, application: Application, number: int, workers: int, beat_seconds: float
    ) -> None:
        self._end = end
        self._application = application
        self._number, self._workers = number, workers
        self._beat_seconds = beat_seconds
        self._web = WebServer(application, None)
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Serve until the dispatcher says that it is enough."""
        self._web.when_started(self._begin)
        self._web.run_process()

    def _begin(self) -> None:
        self._line = Line(self._end, self._hear, self._web.stop)
        limits = self._application.house.limits
        house = self._application.house
        self._application.join(Siblings(self._number, self._workers, self._line, house))
        self._line.send(Ready(limits.max_lanes, limits.max_sessions))
        self._keep(self._beat())

    async def _beat(self) -> None:
        while True:
            self._line.send(Beat())
            await asyncio.sleep(self._beat_seconds)

    def _hear(self, message: Message, connection: socket.socket | None) -> None:
        match message:
            case Client(number) if connection is not None:
                self._keep(self._take(number, connection))
            case Link() if connection is not None:
                self._keep(self._serve_link(connection))
            case Client(number):  # there are no descriptors left here, and it is closed
                self._line.send(Ended(number))
            case Link():
                pass
            case MakeRoom(ask):
                self._line.answer(ask, self._application.house.make_room_here())
            case Report(ask):
                self._line.answer(ask, self._report())
            case Drain():
                self._web.stop()
            case Answer():
                self._line.settle(message)
            case _:
                raise AssertionError(f"a dispatcher does not say {message!r}")

    async def _take(self, number: int, connection: socket.socket) -> None:
        ended = partial(self._line.send, Ended(number))
        try:
            await self._web.take(connection, ended)
        except OSError:  # it was gone before it was served
            connection.close()
            ended()

    async def _serve_link(self, connection: socket.socket) -> None:
        link = await LinkEnd.over(connection)
        await link.serve(self._application.serve_relayed)

    async def _report(self) -> object:
        return self._application.house.tally(self._number)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _watch(descriptor: int) -> None:
    """Wait for the end of the dispatcher, and end this process and its children at once, whatever they do."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is told whether it is asked for or not
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def main(control: int, work: int, number: int, workers: int, beat_seconds: float) -> None:
    """Live until the dispatcher says that it is enough, or ends.

    Args:
        control: the descriptor of this process's end of the control socket.
        work: that of a file which holds, pickled, a function without arguments that builds the application.
        number: of this worker.
        workers: how many there are.
        beat_seconds: how often it says that it lives.
    """
    del sys.argv[1:]
    os.set_inheritable(control, False)
    os.set_inheritable(work, False)
    end = socket.socket(fileno=control)
    os.register_at_fork(after_in_child=end.close)  # or the control socket would outlive this process
    threading.Thread(target=_watch, args=(control,), name="openenv-gym-watch", daemon=True).start()
    try:
        if number > 0:  # each probe warns of the same
            logging.disable(logging.WARNING)
        application = pickle.loads(os.pread(work, os.fstat(work).st_size, 0))()
        logging.disable(logging.NOTSET)
    except Exception as error:  # the operator's code, told to the operator
        send_now(end, Failed(_pickled(error)))
        sys.exit(1)
    _Worker(end, application, number, workers, beat_seconds).run()


def _pickled(error: Exception) -> bytes:
    """An error in a form that can be sent."""
    if isinstance(error, OpenEnvGymError):
        data = pickle.dumps(error)
        if len(data) < MAX_BYTES // 2:
            return data
    return pickle.dumps(FactoryFailed(f"no worker was started: {type(error).__name__}: {error!s:.2000}"))
