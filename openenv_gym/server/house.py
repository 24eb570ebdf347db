"""The house: all sessions of a server, the lanes that they take, and the deadlines that they keep."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from openenv_gym.errors import (
    CapacityReached,
    DeadlineExceeded,
    HostedError,
    InvalidArgument,
    OpenEnvGymError,
)
from openenv_gym.hosting.contract import HostedEnv
from openenv_gym.hosting.shelf import Choice, Shelf
from openenv_gym.hosting.source import Source
from openenv_gym.server.crowds import Crowd, CrowdThread, LaneHost
from openenv_gym.server.early import EarlyAttachment, Open
from openenv_gym.server.isolation import InChild, sealed
from openenv_gym.server.limits import Limits
from openenv_gym.server.rebirth import Reborn
from openenv_gym.server.sessions import Attachment, Session
from openenv_gym.server.threads import CommonThread, Inline, Overdue, OwnThread, Runner
from openenv_gym.server.whole import Alone, Tally, Whole
from openenv_gym.types import Signature
from openenv_gym.wire.messages import (
    Hello,
)
from openenv_gym.wire.server import ServerProtocol

__all__ = ["House"]

T = TypeVar("T")

BUILD_SECONDS = 60.0
"""What a constructor may take at least, where steps have a deadline."""
CLOSE_SECONDS = 10.0
"""What a close may take before its thread is abandoned or its child killed."""
ROOM_SECONDS = 2.0
"""For how long who finds no room waits for a session that is ending."""

_log = logging.getLogger("openenv_gym.server")
_PROBES = 16


class House:
    """All sessions of a server, and the lanes that they take.

    Args:
        source: what each session hosts.
        limits: what there is to give.
        shelf: what a client may choose in the place of ``source``; if not given, nothing.
    """

    def __init__(self, source: Source, limits: Limits, shelf: Shelf | None = None) -> None:
        self.source = source
        self.shelf = Shelf(source) if shelf is None else shelf
        self.limits = limits
        self.whole: Whole = Alone(limits)
        self.sessions: dict[str, Session] = {}
        self.active_lanes = 0
        self.active_sessions = 0
        self._steps = 0
        self.busy = 0
        self.parked = 0
        """Sessions whose client has vanished, and may come back."""
        self._probes = 0
        self.closing = False
        self.make_room: Callable[[], Awaitable[bool]] | None = None
        """Ends a session that may be evicted, if one is here; asked when the lanes are taken."""
        self._common: CommonThread | None = None
        self._own_sealed = sealed(source.hosted) if limits.isolation == "process" else b""
        self._abandoned: list[Runner] = []
        self._endings: set[asyncio.Future[None]] = set()

    @property
    def abandoned_threads(self) -> int:
        """How many threads still run that did not end in time; no session waits for them."""
        self._abandoned = [runner for runner in self._abandoned if runner.is_running()]
        return len(self._abandoned)

    def tally(self, worker: int = 0) -> Tally:
        """What is counted here, by the worker of that number."""
        steps = self._steps + sum(session.steps for session in self.sessions.values())
        return Tally(
            worker, self.active_lanes, len(self.sessions), self.parked, self.abandoned_threads, steps
        )

    async def attach(self, hello: Hello, protocol: ServerProtocol, *, inline: bool = True) -> Attachment:
        """Begin the session that a hello asks for.

        Args:
            hello: what is asked for.
            protocol: of the connection.
            inline: whether the environment may run on the event loop, where no deadline holds.

        Raises:
            CapacityReached: if there are not so many lanes, or no session, left.
            FactoryFailed: if the environment cannot be built, or there can be no further thread.
            DeadlineExceeded: if it is not built in time.
            EnvironmentDied: if its process ends while it is built.
            InvalidArgument: if the hello asks for what cannot be.
            ProtocolViolation: if a step of so many lanes would be too large.
        """
        self._check_hello(hello, native=protocol.native)
        choice = self.shelf.choose(hello.config)
        source = (self.shelf.have(choice) or await self._probed(choice)).seen_as(hello.view)
        signature = source.session_signature(
            hello.lanes, hello.autoreset, choice.render_mode, hello.on_failure
        )
        await self._await_room(hello.lanes)
        self.active_lanes += hello.lanes
        self.active_sessions += 1
        identity = f"{self.whole.prefix}{uuid.uuid4().hex}"
        name = f"session-{identity[:8]}"
        try:
            hosted, runner = await self._build(source, signature, choice.render_mode, name, inline)
        except BaseException:  # cancelled, too: its lanes go to others
            self._free(hello.lanes)
            raise
        session = Session(identity, source, signature, hosted, runner, [""] * hello.lanes)
        self.sessions[identity] = session
        try:
            if hello.early and isinstance(hosted, Crowd):
                return EarlyAttachment(session, hello, protocol, self._watch)
            return Attachment(session, hello, protocol)
        except BaseException:  # a step of so many lanes is too large, say; nobody has it who could end it
            await self._end(session)
            raise

    async def _await_room(self, lanes: int) -> None:
        while True:
            try:
                return await self.whole.take(lanes)
            except CapacityReached:
                if not await self._make_room():
                    raise

    async def _make_room(self) -> bool:
        return await self.make_room_here() or await self.whole.make_room()

    async def make_room_here(self) -> bool:
        """Whether there is more room here now: a session was evicted, or one that was ending has ended."""
        if self.make_room is not None and await self.make_room():
            return True
        if not self._endings:
            return False
        ended, _ = await asyncio.wait(
            self._endings, timeout=ROOM_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(ended)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """While a session ends whose client has said goodbye: who finds no room waits a while for it."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._endings.add(ended)
        try:
            yield
        finally:
            self._endings.discard(ended)
            ended.set_result(None)

    async def _build(
        self, source: Source, signature: Signature, render_mode: str | None, name: str, inline: bool
    ) -> tuple[HostedEnv, Runner]:
        runner: Runner
        work: Callable[[], HostedEnv]
        if signature.lanes > 1 and source.is_slow and self._parts(signature):
            crowd = self._crowd(source, signature, render_mode, name)
            work, runner = crowd.start, CrowdThread(name, crowd)
        elif self.limits.isolation == "process":
            child = InChild(self._sealed(source), signature, render_mode)
            work, runner = child.start, OwnThread(name, child.kill)
        elif source.one_thread:
            self._common = self._common or CommonThread("sessions")
            work, runner = partial(source.hosted, signature, render_mode), self._common
        else:
            work = partial(source.hosted, signature, render_mode)
            cheap = signature.render_mode is None and source.is_cheap(signature.lanes)
            untimed = inline and self.limits.step_timeout is None
            runner = Inline() if cheap and untimed else OwnThread(name)
        built: list[HostedEnv] = []

        def close() -> None:
            for hosted in built:
                hosted.close()

        step_timeout = self.limits.step_timeout
        timeout = None if step_timeout is None else max(step_timeout, BUILD_SECONDS)
        try:
            if runner.inline:
                built.append(await _build_in_turns(source.building(signature, render_mode)))
            else:
                await runner.run(lambda: built.append(work()), timeout)
        except OpenEnvGymError:
            runner.stop()
            raise
        except BaseException as error:  # cancelled, too
            # What is built too late, or for nobody, is closed where it was built.
            self._abandon(runner, close)
            if not isinstance(error, Overdue):
                raise
            raise DeadlineExceeded(
                f"the environment was not built in {timeout:g} s; the operator can give it longer by a "
                "longer step_timeout (--step-timeout)",
                step_timeout=step_timeout,
            ) from error
        return built[0], runner

    def _parts(self, signature: Signature) -> bool:
        """Whether lanes may be parted: GL draws black frames, and says nothing, from a second live thread."""
        return self.limits.isolation == "process" or signature.render_mode is None

    def _crowd(self, source: Source, signature: Signature, render_mode: str | None, name: str) -> Crowd:
        alone = replace(signature, lanes=1)
        if self.limits.isolation == "process":
            host = self._sealed(source)
            child = partial(InChild, host, alone, render_mode)
            restarts = signature.on_failure == "restart"
            lives = [Reborn(child) if restarts else child() for _ in range(signature.lanes)]
            hosts = [LaneHost(life.start, life.kill) for life in lives]
            return Crowd(hosts, signature, name, source.step_seconds)
        start = partial(source.hosted, alone, render_mode)
        return Crowd([LaneHost(start)] * signature.lanes, signature, name, source.step_seconds)

    def _sealed(self, source: Source) -> bytes:
        """What a child is given to build; what clients choose is sealed anew for each session."""
        return self._own_sealed if source is self.source else sealed(source.hosted)

    async def perform(
        self, attachment: Attachment, work: Callable[[], T], during: str, timeout_s: float | None = None
    ) -> T:
        """The result of work on the thread of a session, if there is one in time; else the session is over.

        Args:
            attachment: whose session it is.
            work: to do.
            during: what it is, for the error.
            timeout_s: seconds that the client gives it; the smaller of these and ``step_timeout`` count.

        Raises:
            DeadlineExceeded: if it took longer.
        """
        limit, name, timeout = self.limits.step_timeout, "step_timeout", timeout_s
        if limit is not None and (timeout_s is None or limit <= timeout_s):
            timeout = limit
        else:
            name = "timeout_s"
        try:
            return await attachment.session.runner.run(work, timeout)
        except Overdue as error:
            assert timeout is not None
            raise self._overdue(attachment, during, name, timeout) from error

    def _watch(self, attachment: EarlyAttachment, request: Open) -> Callable[[], object]:
        """Count a request whose lanes run, and end its session when it takes too long; what ends that."""
        timeout = self.limits.step_timeout
        expiry: asyncio.TimerHandle | None = None

        def expire() -> None:
            assert timeout is not None
            attachment.expire(self._overdue(attachment, request.kind, "step_timeout", timeout))

        def stop() -> None:
            self.busy -= 1
            if expiry is not None:
                expiry.cancel()

        self.busy += 1
        if timeout is not None:
            expiry = asyncio.get_running_loop().call_later(timeout, expire)
        return stop

    def _overdue(self, attachment: Attachment, during: str, name: str, timeout: float) -> DeadlineExceeded:
        """End a session that has passed its deadline; the error that says so."""
        self.forsake(attachment)
        raiser = "; the operator can raise it: --step-timeout" if name == "step_timeout" else ""
        return DeadlineExceeded(
            f"the {during} took longer than {name}={timeout:g}; its session is over, begin a new one{raiser}",
            session_id=attachment.session.id,
            **{name: timeout},
        )

    async def _probed(self, choice: Choice) -> Source:
        """The source of a choice that somebody makes for the first time."""
        if self._probes >= _PROBES:
            raise CapacityReached(
                f"{_PROBES} environments are being tried out for others; ask again later",
                active_lanes=self.active_lanes,
                max_lanes=self.limits.max_lanes,
            )
        # A daemon: an environment that hangs in its constructor must not hold up the server's end.
        runner = OwnThread("probe")
        self._probes += 1
        try:
            return await runner.run(partial(self.shelf.fetch, choice))
        finally:
            self._probes -= 1
            runner.stop()

    def _check_hello(self, hello: Hello, *, native: bool) -> None:
        if type(hello.lanes) is not int or hello.lanes < 1:
            raise InvalidArgument(f"a session has at least one lane, not {hello.lanes!r:.40}")
        if hello.lanes > self.limits.max_lanes:  # before anything is tried out, or counted, for its sake
            raise CapacityReached(
                f"{hello.lanes!r:.20} lanes were asked for, of {self.limits.max_lanes} that there are; "
                "ask for fewer, or have the operator raise max_lanes (--max-lanes)",
                active_lanes=self.active_lanes,
                max_lanes=self.limits.max_lanes,
            )
        if native and hello.view == "typed":
            raise InvalidArgument("the typed view is spoken in JSON; leave out the subprotocol, or the view")
        self.source.check_view(hello.view)
        if native:
            return
        self.source.check_view("typed")  # what has none cannot be said in fields, as arrays neither
        if hello.lanes != 1:
            raise InvalidArgument(f"JSON carries one lane, not {hello.lanes}")

    async def detach(self, attachment: Attachment) -> None:
        """End an attachment, and its session with it; lanes are free again once it is closed."""
        await self._end(attachment.session)

    async def _end(self, session: Session) -> None:
        if self.sessions.pop(session.id, None) is None:
            return
        self._steps += session.steps
        with self.ending():
            try:
                await session.runner.run(session.hosted.close, CLOSE_SECONDS)
            except HostedError as error:
                _log.warning("session %s: %s", session.id, error)  # its client is gone; nobody else to tell
                session.runner.stop()
            except Overdue:
                _log.warning("session %s: its close took longer than %g s", session.id, CLOSE_SECONDS)
                self._abandon(session.runner)
            except BaseException:  # cancelled: the close may still run
                self._abandon(session.runner)
                raise
            else:
                session.runner.stop()
            finally:
                self._free(session.signature.lanes)

    def forsake(self, attachment: Attachment) -> None:
        """End an attachment without waiting for its environment, which may never come to its close."""
        session = attachment.session
        if self.sessions.pop(session.id, None) is None:
            return
        self._steps += session.steps
        self._abandon(session.runner, session.hosted.close)
        self._free(session.signature.lanes)

    def _abandon(self, runner: Runner, last: Callable[[], object] | None = None) -> None:
        runner.abandon(last)
        if not runner.inline:
            self._abandoned.append(runner)

    def _free(self, lanes: int) -> None:
        self.active_lanes -= lanes
        self.active_sessions -= 1
        self.whole.free(lanes)

    def close(self) -> None:
        """Let the thread end that sessions share, if there is one."""
        if self._common is not None:
            self._common.end()
            self._common = None


async def _build_in_turns(building: Generator[None, None, HostedEnv]) -> HostedEnv:
    """What is built at last; other sessions have their turns at each pause."""
    with closing(building):
        while True:
            try:
                next(building)
            except StopIteration as end:
                hosted: HostedEnv = end.value
                return hosted
            await asyncio.sleep(0)
