"""What a worker knows of the others: it asks the dispatcher, and hands on what is not for it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl
from zlib import crc32

from openenv_gym.errors import UnknownSession
from openenv_gym.server.connection import Event, Receive, Send
from openenv_gym.server.house import House
from openenv_gym.server.whole import Tally
from openenv_gym.server.workers.heads import prefix_of, worker_of
from openenv_gym.server.workers.line import Hangup, Line
from openenv_gym.server.workers.links import Broken, Link
from openenv_gym.server.workers.messages import (
    ClaimDefault,
    Connect,
    DropDefault,
    FindDefault,
    Free,
    MakeRoom,
    Report,
    Take,
)

__all__ = ["Siblings"]

_PLAYED = frozenset({"/step", "/state", "/render", "/close"})
"""What means the session of the last reset if it names none."""
_NAMING = _PLAYED | {"/reset", "/mcp", "/ws"}
"""What may name a session."""
_IDLE_LINKS = 8


class Siblings:
    """The other workers of a server, as one worker sees them; its :class:`~..whole.Whole`.

    Args:
        number: of this worker.
        workers: how many there are.
        line: to the dispatcher.
        house: of this worker.
    """

    def __init__(self, number: int, workers: int, line: Line, house: House) -> None:
        self.prefix = prefix_of(number)
        self._number, self._workers = number, workers
        self._line = line
        self._house = house
        self._idle: dict[int, list[Link]] = {}

    async def take(self, lanes: int) -> None:
        """Count one session more."""
        await self._line.ask(lambda ask: Take(ask, lanes), late=lambda: self.free(lanes))

    def free(self, lanes: int) -> None:
        """Count one session less."""
        self._line.send(Free(lanes))

    async def make_room(self) -> bool:
        """End a session of another process that may be evicted, if there is one."""
        return bool(await self._line.ask(MakeRoom))

    async def claim_default(self) -> None:
        """Have calls that name no session mean one of this worker, until another claims them."""
        await self._line.ask(ClaimDefault)

    async def has_default(self) -> bool:
        """Whether they mean one of this worker."""
        return bool(await self._line.ask(FindDefault) == self._number)

    def drop_default(self) -> None:
        """Have them mean none, if they mean one of this worker."""
        self._line.send(DropDefault())

    async def tallies(self, own: Tally) -> tuple[Sequence[Tally], int]:
        """What each worker counts, and how many were replaced."""
        tallies, replaced = await self._line.ask(Report)
        return [Tally(**tally) for tally in tallies], replaced

    async def hand_on(self, path: str, scope: Any, body: bytes, receive: Receive, send: Send) -> bool:
        """Have another worker answer a request that is for it; false if it is for this one.

        What names a session of a worker that is not there is answered here, where it is unknown too.

        Raises:
            UnknownSession: if the other worker ends meanwhile.
        """
        if path not in _NAMING:
            return False
        named = _named(scope, path, body)
        if named is not None:
            return await self._carry(worker_of(named), scope, receive, send)
        if path in _PLAYED:
            return await self._carry(await self._line.ask(FindDefault), scope, receive, send)
        if path == "/reset" and (request_id := _request_id(body)) is not None:
            # Its repetition may arrive anywhere, and must find what was begun.
            worker = crc32(request_id.encode(errors="replace")) % self._workers
            return await self._carry(worker, scope, receive, send)
        return False

    async def _carry(self, worker: int | None, scope: Any, receive: Receive, send: Send) -> bool:
        """Whether another worker has answered; it does not if it is this one, or not there."""
        if worker is None or worker == self._number:
            return False
        link = await self._link(worker)
        if link is None:
            return False
        self._house.busy += scope["type"] == "http"
        try:
            await link.carry(scope, receive, send)
        except Broken as error:
            raise UnknownSession(
                "the process of this session has ended, and the session with it; begin a new one"
            ) from error
        finally:
            self._house.busy -= scope["type"] == "http"
        idle = self._idle.setdefault(worker, [])
        if len(idle) < _IDLE_LINKS:
            idle.append(link)
        else:
            link.close()
        return True

    def announced(self, send: Send) -> Send:
        """Say at a WebSocket's handshake which worker it has got; ``/ws?worker=...`` finds it again."""
        header = (b"x-openenv-worker", self.prefix.rstrip("-").encode())

        async def announce(event: Event) -> None:
            if event["type"] == "websocket.accept":
                event = {**event, "headers": [*event.get("headers", ()), header]}
            await send(event)

        return announce

    async def call(self, session_id: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """What the worker of a session answers to ``POST /mcp``, if it is another and there."""
        worker = worker_of(session_id)
        if worker is None or worker == self._number:
            return None
        request: list[Event] = [
            {"type": "http.request", "body": json.dumps(message).encode(), "more_body": False}
        ]
        answer = bytearray()

        async def receive() -> Event:
            if request:
                return request.pop()
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        async def send(event: Event) -> None:
            answer.extend(event.get("body", b""))

        headers = [(b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/mcp",
            "query_string": b"",
            "headers": headers,
        }
        with suppress(UnknownSession):
            if await self._carry(worker, scope, receive, send):
                said: dict[str, Any] = json.loads(answer)
                return said
        return None

    async def _link(self, worker: int) -> Link | None:
        idle = self._idle.get(worker)
        while idle:
            link = idle.pop()
            if link.usable:
                return link
            link.close()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                there = await self._line.ask(lambda ask: Connect(ask, worker), connection=theirs)
            except Hangup:
                there = False
            except BaseException:  # cancelled, too: nobody else could close it
                ours.close()
                raise
        if not there:
            ours.close()
            return None
        return await Link.over(ours)


def _named(scope: Any, path: str, body: bytes) -> str | None:
    """The session that a request names, in its body, its query or its header."""
    if b"session_id" in body and (said := _object(body)) is not None:
        inside = said.get("params") if path == "/mcp" else said
        within: Any = inside.get("session_id") if type(inside) is dict else None
        if isinstance(within, str):
            return within
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
    if query.get("session_id"):
        return str(query["session_id"])
    if path == "/ws":
        named_worker: str | None = query.get("worker")
        return named_worker
    if path == "/mcp":
        return None
    return next((str(value, "latin-1") for name, value in scope["headers"] if name == b"x-session-id"), None)


def _request_id(body: bytes) -> str | None:
    said = _object(body) if b"request_id" in body else None
    named: Any = None if said is None else said.get("request_id")
    return named if isinstance(named, str) else None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if type(said) is dict else None
