"""Episodes over plain HTTP: attachments that outlive a request, found again by the id of their session.

An HTTP session is an attachment that speaks JSON, like a stock WebSocket; only nobody holds a
connection open for it. So it has an idle limit, one of them may be meant by calls that name none,
and a request may carry an id that makes its repetition safe.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from openenv_gym.errors import (
    CapacityReached,
    DeadlineExceeded,
    InvalidArgument,
    OpenEnvGymError,
    ResetNeeded,
    UnknownSession,
)
from openenv_gym.server.house import House
from openenv_gym.server.sessions import Attachment
from openenv_gym.wire import plain
from openenv_gym.wire.answers import Encoded
from openenv_gym.wire.codecs.json import describe_frame
from openenv_gym.wire.messages import Hello, Render, Reset, State, Step
from openenv_gym.wire.server import ServerProtocol

__all__ = ["Episode", "Episodes"]

_KEPT_ANSWERS = 64
_REAP_SECONDS = 15.0
_CLOSE_SECONDS = 2.0

Perform: TypeAlias = Callable[[Callable[[], Encoded | None]], Awaitable[Encoded | None]]
Build: TypeAlias = Callable[[int], Reset | Step | State | Render]


class _HttpProtocol(ServerProtocol):
    """The JSON dialect where each answer is framed by HTTP: errors and values stay what they are."""

    def __init__(self) -> None:
        super().__init__(native=False)

    def encode_value(self, seq: int, value: Any) -> Any:
        return plain.describe(value)[0]

    def encode_frame(self, seq: int, frame: Any, render_mode: str) -> Any:
        return describe_frame(frame, render_mode)

    def encode_error(self, seq: int, error: OpenEnvGymError) -> Any:
        return error


class Episode:
    """One HTTP session: its attachment, one request at a time, and the last answers.

    HTTP has no numbers, so requests are numbered here: a ``request_id`` has the number that its kind of
    request had when it came first, and the attachment's window, which knows nothing of HTTP, gives the
    kept answer. The last 64 of these are kept; what is older, or has no id, is done again.

    Attributes:
        id: the session's.
        named: whether a call has named it by its id; if so, it is somebody's and is not evicted.
        touched: when it was last used, by the clock of its :class:`Episodes`.
        over: whether it was closed; it answers nothing any more.
        kept: whether the connection that it lasts as long as is open.
        tell: how the WebSocket that is attached to it learns of its end.
        lock: held while a request is done.
    """

    def __init__(self, attachment: Attachment, touched: float) -> None:
        self.attachment = attachment
        self.id = attachment.session.id
        self.named = False
        self.touched = touched
        self.over = False
        self.kept = False
        self.tell: Callable[[OpenEnvGymError], None] | None = None
        self.lock = asyncio.Lock()
        self._seq = 0
        self._numbers: dict[tuple[str, str], int] = {}

    @property
    def in_use(self) -> bool:
        """Whether somebody has it; then it is neither idle nor evicted."""
        return self.lock.locked() or self.kept or self.tell is not None

    async def ask(self, kind: str, build: Build, request_id: str | None, perform: Perform) -> Any:
        """The answer to a request, done once for each ``request_id`` by ``perform``; requires the lock.

        Raises:
            OpenEnvGymError: what the session answered; it is kept like any other answer.
        """
        seq = self._number(kind, request_id)
        encoded = await perform(partial(self.attachment.receive, build(seq), 0))
        assert encoded is not None, "one request is done at a time, so none is joined"
        if request_id is None:
            self.attachment.forget(seq)
        answer = encoded.payload
        if isinstance(answer, OpenEnvGymError):
            raise answer.with_traceback(None)
        return answer

    def _number(self, kind: str, request_id: str | None) -> int:
        """The number of a request: the one that it had, or the next."""
        key = None if request_id is None else (kind, request_id)
        if key is not None and key in self._numbers:
            return self._numbers[key]
        self._seq += 1
        if key is not None:
            if len(self._numbers) >= _KEPT_ANSWERS:
                self.attachment.forget(self._numbers.pop(next(iter(self._numbers))))
            self._numbers[key] = self._seq
        return self._seq


class Episodes:
    """The HTTP sessions of a house.

    Args:
        house: where their lanes are counted; it asks here for room when it is full.
        clock: seconds, growing.
    """

    def __init__(self, house: House, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._house = house
        self._idle_timeout = house.limits.idle_timeout
        self._clock = clock
        self._open: dict[str, Episode] = {}
        self._default: Episode | None = None
        self._begun: dict[str, asyncio.Task[Episode]] = {}
        self._reaper: asyncio.Task[None] | None = None
        house.make_room = self.make_room

    async def begin(
        self, config: dict[str, Any] | None = None, *, view: str = "typed", request_id: str | None = None
    ) -> Episode:
        """A new session, which calls that name none will mean; the same for the same ``request_id``.

        Raises:
            CapacityReached: if the house is full, and no session may be evicted.
            FactoryFailed: if the environment cannot be built.
            InvalidArgument: if the ``config`` of a hello may not be so.
        """
        if request_id is None:
            episode = await self.create(config, view)
        else:
            episode = await asyncio.shield(self._begin_once(config, view, request_id))
        self._default = None if episode.over else episode
        if self._default is not None:
            await self._house.whole.claim_default()
        return episode

    def _begin_once(self, config: dict[str, Any] | None, view: str, request_id: str) -> asyncio.Task[Episode]:
        task = self._begun.get(request_id)
        if task is None or (task.done() and (task.exception() is not None or task.result().over)):
            self._begun.pop(request_id, None)
            if len(self._begun) >= _KEPT_ANSWERS:
                self._begun.pop(next(iter(self._begun)))
            task = self._begun[request_id] = asyncio.create_task(self.create(config, view))
        return task

    async def create(self, config: dict[str, Any] | None = None, view: str = "typed") -> Episode:
        """A new session that only calls with its id will mean; raises what :meth:`begin` does."""
        if self._house.closing:
            raise CapacityReached("the server is shutting down", active_lanes=0, max_lanes=0)
        await self.expire()
        hello = Hello(view=view, config=config or {})
        # Any step may come with a deadline of its own, so none runs on the event loop.
        attachment = await self._house.attach(hello, _HttpProtocol(), inline=False)
        episode = self._open[attachment.session.id] = Episode(attachment, self._clock())
        if self._reaper is None or self._reaper.done():
            self._reaper = asyncio.create_task(self._reap())
        return episode

    async def find(self, session_id: str | None) -> Episode:
        """The session of that id, or the one that is meant without.

        Raises:
            UnknownSession: if there is none of that id, or none any more.
            ResetNeeded: if none is named and none is there.
        """
        await self.expire()
        if session_id is None:
            default = self._default
            if default is None or not await self._house.whole.has_default():
                raise ResetNeeded("no session is open for calls without a session_id; POST /reset first")
            return default
        episode = self._open.get(session_id)
        if episode is None:
            raise self._unknown(session_id)
        episode.named = True
        return episode

    async def ask(
        self,
        episode: Episode,
        kind: str,
        build: Build,
        *,
        request_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - past it the session is given up, not only the wait
    ) -> Any:
        """What a session answers, after whatever is asked of it already.

        Raises:
            DeadlineExceeded: if the answer took longer than ``timeout``, or than the server allows; the
                session is over.
            UnknownSession: if it was closed while this request waited.
            OpenEnvGymError: what the session answered.
        """

        def perform(work: Callable[[], Encoded | None]) -> Awaitable[Encoded | None]:
            return self._house.perform(episode.attachment, work, kind, timeout)

        async with episode.lock:
            if episode.over:
                raise self._unknown(episode.id)
            self._house.busy += 1
            try:
                return await episode.ask(kind, build, request_id, perform)
            except DeadlineExceeded:
                self._remove(episode)
                raise
            finally:
                self._house.busy -= 1
                self.touch(episode)
                if episode.attachment.over:
                    await self._discard(episode)

    async def call(self, session_id: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """What another worker answers to JSON-RPC about its session, if it is of another."""
        return await self._house.whole.call(session_id, message)

    async def attach(self, session_id: str, tell: Callable[[OpenEnvGymError], None]) -> Episode:
        """The session of that id, for the one WebSocket that it may have.

        Args:
            session_id: the session's.
            tell: called with what to say when the session ends.

        Raises:
            UnknownSession: if there is none of that id, or none any more.
            InvalidArgument: if it has a WebSocket.
        """
        episode = await self.find(session_id)
        if episode.tell is not None:
            raise InvalidArgument(
                f"session {session_id!r:.80} already has an attached WebSocket; close that one first"
            )
        episode.tell = tell
        return episode

    def release(self, episode: Episode) -> None:
        """End what :meth:`attach` began; the session stays."""
        episode.tell = None
        self.touch(episode)

    def touch(self, episode: Episode) -> None:
        """Note that a session is in use."""
        episode.touched = self._clock()

    async def end(self, episode: Episode) -> None:
        """Close a session once it has answered.

        Raises:
            UnknownSession: if it was closed meanwhile.
        """
        async with episode.lock:
            if episode.over:
                raise self._unknown(episode.id)
            await self._discard(episode)

    async def expire(self) -> None:
        """Close the sessions that nobody has used for the idle limit."""
        stale = self._clock() - self._idle_timeout
        for episode in [each for each in self._idle() if each.touched <= stale]:
            await self._discard(episode)

    async def make_room(self) -> bool:
        """Close the one session that is missed least: none has named it, and its last use is longest ago."""
        unnamed = [episode for episode in self._idle() if not episode.named]
        if not unnamed:
            return False
        await self._discard(min(unnamed, key=lambda episode: episode.touched))
        return True

    async def close(self) -> None:
        """Close all sessions, without waiting for one that still steps."""
        if self._reaper is not None:
            self._reaper.cancel()
        await asyncio.gather(*map(self._close_soon, list(self._open.values())))

    async def _close_soon(self, episode: Episode) -> None:
        if episode.lock.locked():
            self._remove(episode)
            self._house.forsake(episode.attachment)
            return
        with suppress(TimeoutError):  # its lanes are free; its thread ends when its environment does
            await asyncio.wait_for(self._discard(episode), _CLOSE_SECONDS)

    def _idle(self) -> list[Episode]:
        return [episode for episode in self._open.values() if not (episode.over or episode.in_use)]

    async def _discard(self, episode: Episode) -> None:
        if not episode.over:
            self._remove(episode)
            await self._house.detach(episode.attachment)

    def _remove(self, episode: Episode) -> None:
        episode.over = True
        self._open.pop(episode.id, None)
        if self._default is episode:
            self._default = None
            self._house.whole.drop_default()
        if episode.tell is not None:
            episode.tell(
                UnknownSession(
                    f"session {episode.id!r} has ended under this WebSocket: it was closed, or a request "
                    "took longer than its timeout_s; begin a new one",
                    session_id=episode.id,
                )
            )

    async def _reap(self) -> None:
        while self._open:
            await asyncio.sleep(min(self._idle_timeout, _REAP_SECONDS))
            await self.expire()

    def _unknown(self, session_id: str) -> UnknownSession:
        return UnknownSession(
            f"there is no session {session_id!r:.80}; it was closed, or idle for "
            f"idle_timeout={self._idle_timeout:g} s, which the operator can raise: --idle-timeout; "
            "POST /reset without a session_id for a new one",
            session_id=session_id[:80],
        )


def check_same(named: str | None, header: str | None) -> str | None:
    """The session that a request names in its body or query, in its header, or in both alike.

    Raises:
        InvalidArgument: if it names two.
    """
    if named is not None and header is not None and named != header:
        raise InvalidArgument("session_id and the header X-Session-Id name two sessions; send one of them")
    return header if named is None else named
