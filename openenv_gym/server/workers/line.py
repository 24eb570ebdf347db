"""The control socket between the dispatcher and one worker: whole messages, and descriptors with them."""

from __future__ import annotations

import array
import asyncio
import itertools
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from openenv_gym.errors import OpenEnvGymError, error_from_wire
from openenv_gym.server.workers.messages import Answer, Message, pack, unpack

__all__ = ["MAX_BYTES", "Hangup", "Line", "send_now"]

MAX_BYTES = 1 << 16


class Hangup(Exception):
    """The other end is gone."""


def send_now(end: socket.socket, message: Message) -> None:
    """Send a message where there is no event loop yet."""
    end.sendall(pack(message))


class Line:
    """One end of a control socket, on the running event loop.

    Args:
        end: of a ``SOCK_SEQPACKET`` pair; closed with the line.
        heard: called with each message, and the descriptor that came with it, if one did.
        ended: called once, when the other end is gone.
    """

    def __init__(
        self,
        end: socket.socket,
        heard: Callable[[Message, socket.socket | None], None],
        ended: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._heard, self._ended = heard, ended
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[bytes] = deque()
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._late: dict[int, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = True
        self._loop.add_reader(end, self._read)

    def send(self, message: Message) -> None:
        """Send a message, now or once the other end has room; into the void if it is gone."""
        if self.open:
            self._outbox.append(pack(message))
            if len(self._outbox) == 1:
                self._flush()

    def offer(self, message: Message, connection: socket.socket) -> bool:
        """Send a message with a descriptor, if the other end has room for it now."""
        if not self.open or self._outbox:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))]
        try:
            self._end.sendmsg([pack(message)], rights)
        except OSError:  # full, or gone: whoever reads will know
            return False
        return True

    async def ask(
        self,
        build: Callable[[int], Message],
        *,
        connection: socket.socket | None = None,
        late: Callable[[], None] | None = None,
    ) -> Any:
        """The answer to a question.

        Args:
            build: makes the question of a number.
            connection: goes with it.
            late: called if the answer is no error, and comes when nobody waits for it any more.

        Raises:
            Hangup: if the other end goes, or is too full for a descriptor.
            OpenEnvGymError: what was answered.
        """
        number = next(self._numbers)
        future: asyncio.Future[Any] = self._loop.create_future()
        if connection is None:
            self.send(build(number))
        elif not self.offer(build(number), connection):
            raise Hangup
        if not self.open:
            raise Hangup
        self._asked[number] = future
        try:
            return await future
        except asyncio.CancelledError:
            if late is not None and not future.cancelled():  # it was answered at the same moment
                if future.exception() is None:
                    late()
            elif late is not None:
                self._late[number] = late
            raise
        finally:
            self._asked.pop(number, None)

    def answer(self, ask: int, work: Coroutine[Any, Any, Any]) -> None:
        """Answer a question with what comes of work, which takes its time."""
        task = self._loop.create_task(self._answer(ask, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def settle(self, answer: Answer) -> None:
        """Give an answer that was heard to whoever waits for it."""
        late = self._late.pop(answer.ask, None)
        if late is not None and answer.error is None:
            late()
        future = self._asked.get(answer.ask)
        if future is None or future.done():
            return
        if answer.error is None:
            future.set_result(answer.value)
        else:
            future.set_exception(error_from_wire(*answer.error))

    def close(self) -> None:
        """Hang up; may be called twice."""
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        for task in self._tasks:
            task.cancel()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(Hangup())

    def forget(self) -> None:
        """In a forked child: close the descriptor, which must end with the process that made it."""
        self._end.close()

    async def _answer(self, ask: int, work: Coroutine[Any, Any, Any]) -> None:
        try:
            answer = Answer(ask, await work)
        except OpenEnvGymError as error:
            answer = Answer.of(ask, error)
        self.send(answer)

    def _flush(self) -> None:
        try:
            while self._outbox:
                self._end.send(self._outbox[0])
                self._outbox.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._end, self._flush)
            return
        except OSError:  # gone; the reader knows
            self._outbox.clear()
        self._loop.remove_writer(self._end)

    def _read(self) -> None:
        while self.open:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._end, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self.close()
                self._ended()
                return
            connection = socket.socket(fileno=descriptors[0]) if descriptors else None
            self._heard(unpack(data), connection)
