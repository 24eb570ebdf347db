"""An attachment whose answers come in parts: each lane of a crowd answers as it finishes.

Requests about different lanes run at the same time, and nothing waits in the server: a request that
names a lane that is busy is refused, for its client cannot have seen what that lane's last answer
was. So a request begins all of its lanes at once, which is when its deadline begins too.

Connections come and go (see :mod:`openenv_gym.server.attachments`), and lanes go on meanwhile. Who comes
back repeats what has no whole answer, and only then is sent any of it: all parts, from the first.

A lane's thread leaves what came of its work in a queue and rings; the event loop, once it comes to
it, makes one message for each request of all that has been left until then. The event loop alone
touches requests, buffers and the window. What is kept of a request for exactly-once is the list of its
parts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from openenv_gym.errors import (
    DeadlineExceeded,
    EnvironmentDied,
    InvalidArgument,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
)
from openenv_gym.hosting.contract import FAILURES, raised
from openenv_gym.server.crowds import (
    DEAL_SECONDS,
    Crowd,
    Done,
    Work,
    call_work,
    observe_work,
    render_work,
    reset_work,
    seeds_of,
    state_work,
    step_work,
)
from openenv_gym.server.sessions import Attachment, Session, options_of
from openenv_gym.wire.answers import AnswerBuffer, Encoded
from openenv_gym.wire.messages import (
    Ack,
    Call,
    Close,
    Hello,
    Mcp,
    Observe,
    Render,
    Request,
    Reset,
    State,
    Step,
)
from openenv_gym.wire.server import Incoming, Refused, ServerProtocol
from openenv_gym.wire.window import Verdict, Window

__all__ = ["EarlyAttachment", "Open"]


class Open:
    """A request that is being answered.

    Attributes:
        seq: its number.
        kind: of request, for people.
        lanes: that are not done yet.
        parts: of the answer, so far.
        stop: called at its end.
        silent: whether whoever asked is gone, and has not asked again.
    """

    def __init__(self, seq: int, kind: str, lanes: Sequence[int], *, dense: bool) -> None:
        self.seq, self.kind = seq, kind
        self.lanes = set(lanes)
        self.dense = dense
        self.parts: list[Encoded] = []
        self.error: OpenEnvGymError | None = None
        self.started = time.perf_counter_ns()
        self.stop: Callable[[], object] = lambda: None
        self.silent = False

    def microseconds(self) -> int:
        """How long it has taken."""
        return (time.perf_counter_ns() - self.started) // 1000


class _Question(Open):
    """A request for a value of one lane, or of all."""

    def __init__(
        self, seq: int, kind: str, lanes: Sequence[int], answer: Callable[[list[Any]], Encoded]
    ) -> None:
        super().__init__(seq, kind, lanes, dense=False)
        self.values: dict[int, Any] = {}
        self._answer = answer

    def encoded(self) -> Encoded:
        """The answer, once every lane has said what it knows."""
        return self._answer([self.values[lane] for lane in sorted(self.values)])


class Watch(Protocol):
    """Told of a request whose lanes run."""

    def __call__(self, attachment: EarlyAttachment, request: Open, /) -> Callable[[], object]:
        """What to call at its end."""


class EarlyAttachment(Attachment):
    """Who speaks to a crowd and takes what it says as it comes; all of it on the event loop.

    Args:
        session: of a crowd.
        hello: that began it.
        protocol: of its connections.
        watch: told of each request whose lanes run; gives what is called at its end.

    Attributes:
        open: requests that are being answered, by number.
    """

    def __init__(self, session: Session, hello: Hello, protocol: ServerProtocol, watch: Watch) -> None:
        super().__init__(session, hello, protocol)
        assert isinstance(session.hosted, Crowd)
        assert isinstance(self.out, AnswerBuffer)
        self._crowd, self._buffer = session.hosted, self.out
        self._answers: Window[list[Encoded]] = Window(1024 + self._lanes, self._release)
        self._busy: dict[int, Open] = {}
        self._finished: deque[tuple[Open, Done]] = deque()
        self._loop = asyncio.get_running_loop()
        self._watch = watch
        self._ring: Callable[[], object] = self._harvest_for_nobody
        self._rung = False
        self._expired: DeadlineExceeded | None = None
        self.open: dict[int, Open] = {}

    @property
    def received(self) -> int:
        """The highest number of a request that has come."""
        return self._answers.newest

    def forget(self, seq: int) -> None:
        """Keep the answer to a request no longer, whatever the client has acknowledged."""
        self._answers.drop(seq)

    def attend(self, ring: Callable[[], object]) -> None:
        """Be told, on the event loop, when :meth:`harvest` has something to give."""
        self._hush()
        self._ring = ring
        ring()  # what was rung for before may have been heard by nobody

    def leave(self, ring: Callable[[], object]) -> None:
        """Be told no more, unless somebody else is by now."""
        if self._ring is ring:
            self._ring = self._harvest_for_nobody
            self._hush()
            self._harvest_for_nobody()

    def _hush(self) -> None:
        for request in self.open.values():
            request.silent = True

    def _harvest_for_nobody(self) -> None:
        if self._expired is None:
            self.harvest()

    def expire(self, error: DeadlineExceeded) -> None:
        """A request took too long: the session is over, and whoever attends is told."""
        if self._expired is None:
            self._expired = error
            for request in self.open.values():
                request.stop()
            self._ring()

    def take(self, message: Incoming, ack: int) -> list[Any]:
        """Begin what a message asks for, once; what is to be sent now.

        Raises:
            ProtocolViolation: if the message is out of order; the connection cannot go on.
        """
        try:
            if isinstance(message, (Hello, Close, Ack, Mcp)):
                if not isinstance(message, Ack):
                    raise ProtocolViolation(f"a {type(message).__name__} is not a request")
                self._answers.acknowledge(message.seq, message.also)
                return []
            verdict = self._answers.admit(message.seq, ack)
        except InvalidMessage as error:
            raise ProtocolViolation(error.message, **error.fields) from error
        if verdict is not Verdict.NEW:
            request = self.open.get(message.seq)
            if request is None:
                return [part.payload for part in self._answers.kept(message.seq)]
            request.silent = False
            return [part.payload for part in request.parts]
        try:
            self._begin(message)
        except OpenEnvGymError as error:
            return [self._keep_error(message.seq, [], error)]
        except FAILURES as error:  # of what reads the actions
            kind = type(message).__name__.lower()
            return [self._keep_error(message.seq, [], raised(error, kind))]
        return []

    def harvest(self) -> list[Any]:
        """What is to be sent of all that has been done: one message for each request.

        Raises:
            DeadlineExceeded: if a request took too long; the session is over.
        """
        self._rung = False
        if self._expired is not None:
            raise self._expired
        done_of: dict[Open, list[Done]] = {}
        while self._finished:
            request, done = self._finished.popleft()
            self._busy.pop(done.lane, None)
            request.lanes.discard(done.lane)
            if request.seq in self.open:  # else it has ended with the environment's process
                done_of.setdefault(request, []).append(done)
        payloads: list[Any] = []
        for request, done_now in done_of.items():
            said = self._advance(request, done_now)
            payloads += [] if request.silent else said
        return payloads

    def _begin(self, message: Request | Refused) -> None:
        match message:
            case Refused():
                raise message.error
            case Step(seq=seq, slots=slots):
                if slots is not None:
                    self._check_slots(slots)
                lanes = range(self._lanes) if slots is None else slots.lane.tolist()
                self._check_idle(lanes)
                self.session.steps += len(lanes)
                works = [step_work(action) for action in self._actions(slots, message.actions)]
                self._start(Open(seq, "step", lanes, dense=slots is None), lanes, works)
            case Reset(seq=seq):
                named = self._check_reset(message)
                lanes = range(self._lanes) if named is None else named
                self._check_idle(lanes)
                options = options_of(message)
                self._name_episodes(named, message.episode_ids)
                works = [reset_work(seed, options) for seed in seeds_of(lanes, message.seeds)]
                self._start(Open(seq, "reset", lanes, dense=named is None), lanes, works)
            case _:
                self._ask(message)

    def _ask(self, message: Observe | State | Render | Call) -> None:
        lane = message.lane
        if lane is not None:
            self._check_lane(lane)
        lanes = range(self._lanes) if lane is None else [lane]
        self._check_idle(lanes)
        work = self._question(message)

        def answer(values: list[Any]) -> Encoded:
            return self._encoded(message, values if lane is None else values[0])

        kind = type(message).__name__.lower()
        self._start(_Question(message.seq, kind, lanes, answer), lanes, [work] * len(lanes))

    def _question(self, message: Observe | State | Render | Call) -> Work:
        match message:
            case Render():
                self._render_mode()
                return render_work()
            case State(agent=agent):
                return state_work(self._check_agent(agent))
            case Observe(agent=agent):
                return observe_work(self._check_agent(agent))
            case Call(name=name, args=args):
                return call_work(name, args)

    def _encoded(self, message: Observe | State | Render | Call, said: Any) -> Encoded:
        match message:
            case Render(seq=seq):
                return Encoded(self.protocol.encode_frame(seq, said, self._render_mode()))
            case State(seq=seq, lane=lane):
                return Encoded(self.protocol.encode_value(seq, self._named(lane, said)))
        return Encoded(self.protocol.encode_value(message.seq, said))

    def _start(self, request: Open, lanes: Sequence[int], works: Sequence[Work]) -> None:
        self.open[request.seq] = request
        self._busy.update(dict.fromkeys(lanes, request))
        request.stop = self._watch(self, request)
        self._deal(request, deque(zip(lanes, works, strict=True)))

    def _deal(self, request: Open, works: deque[tuple[int, Work]]) -> None:
        """Give some lanes their work, and the others later: see :attr:`Crowd.at_once`."""
        if request.seq not in self.open:
            return  # the process of one of them has died, and the session with it
        for _ in range(min(self._crowd.at_once, len(works))):
            lane, work = works.popleft()
            self._crowd.do(lane, work, lambda done: self._leave(request, done))
        if works:
            self._loop.call_later(DEAL_SECONDS, self._deal, request, works)

    def _leave(self, request: Open, done: Done) -> None:
        """Leave what a lane has done, on that lane's thread."""
        self._finished.append((request, done))
        if not self._rung:
            self._rung = True
            with suppress(RuntimeError):  # the loop is closed: the server is gone, and nobody waits
                self._loop.call_soon_threadsafe(self._ring)

    def _advance(self, request: Open, done: list[Done]) -> list[Any]:
        """The next part of an answer, and its end once the last lane is done."""
        for each in done:
            if each.error is not None:
                self._fail(request, each.error)
        ended = not request.lanes or isinstance(request.error, EnvironmentDied)
        payloads = []
        if isinstance(request, _Question):
            request.values.update({each.lane: each.value for each in done})
            if not ended:
                return []
            if request.error is None:
                payloads += self._add(request, request.encoded)
        else:
            sound = [each for each in done if each.error is None]
            if sound:
                payloads += self._add(request, lambda: self._part(request, sound, more=not ended))
        if ended:
            self._end(request)
            if request.error is not None:
                payloads.append(self._keep_error(request.seq, request.parts, request.error))
            else:
                self._answers.keep(request.seq, request.parts)
        return payloads

    def _part(self, request: Open, done: list[Done], *, more: bool) -> Encoded:
        whole = request.dense and not request.parts and not more and request.error is None
        if whole:
            done.sort(key=lambda each: each.lane)
        self._buffer.begin(dense=whole)
        for each in done:
            self._buffer.add(each.lane, each.rows)
        more = more or request.error is not None
        return self._buffer.finish(request.seq, request.microseconds(), more=more)

    def _fail(self, request: Open, error: BaseException) -> None:
        if not isinstance(error, OpenEnvGymError):
            error = raised(error, request.kind)
        request.error = request.error or error
        self.over = self.over or isinstance(error, EnvironmentDied)

    def _add(self, request: Open, encode: Callable[[], Encoded]) -> list[Any]:
        """One part more of an answer; none if it cannot be said, which its end tells."""
        try:
            part = encode()
        except FAILURES as error:  # of what the environment gave
            self._fail(request, error)
            return []
        request.parts.append(part)
        return [part.payload]

    def _end(self, request: Open) -> None:
        request.stop()
        del self.open[request.seq]

    def _keep_error(self, seq: int, parts: list[Encoded], error: OpenEnvGymError) -> Any:
        payload = self.protocol.encode_error(seq, error)
        self._answers.keep(seq, [*parts, Encoded(payload)])
        return payload

    def _release(self, parts: list[Encoded]) -> None:
        for part in parts:
            self._buffer.release(part)

    def _check_idle(self, lanes: Sequence[int]) -> None:
        for lane in lanes:
            if (request := self._busy.get(lane)) is not None:
                raise InvalidArgument(
                    f"lane {lane} is busy with request {request.seq}; wait for its row", lane=lane
                )
