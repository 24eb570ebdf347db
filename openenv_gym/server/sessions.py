"""Sessions and attachments, and the house that counts their lanes.

A **session** is one hosted environment with its lanes, its thread and its cost. An **attachment**
is who speaks to it: a token, a view of the environment, and the exactly-once window. A connection
is neither: it only carries an attachment's bytes.
"""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

from openenv_gym.errors import (
    CapacityReached,
    DeadlineExceeded,
    EnvironmentDied,
    HostedError,
    InvalidAction,
    InvalidArgument,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
    UnknownSession,
)
from openenv_gym.hosting.contract import FAILURES, HostedEnv, NamedStep, raised
from openenv_gym.hosting.shelf import Choice, Shelf
from openenv_gym.hosting.source import Source
from openenv_gym.hosting.views import fields_view
from openenv_gym.server.fields import FieldsAnswer, ModelAnswer
from openenv_gym.server.isolation import InChild, sealed
from openenv_gym.server.threads import CommonThread, Inline, Overdue, OwnThread, Runner
from openenv_gym.spaces import Kind as LeafKind
from openenv_gym.spaces import (
    Layout,
    compile_iterator,
    compile_range_check,
    compile_restorer,
    concatenated,
)
from openenv_gym.types import Signature, Slots
from openenv_gym.wire import signature as signatures
from openenv_gym.wire.answers import AnswerBuffer, Encoded
from openenv_gym.wire.codecs.native import NativeCodec
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
    Welcome,
)
from openenv_gym.wire.server import Incoming, Refused, ServerProtocol
from openenv_gym.wire.window import Verdict, Window

__all__ = ["Attachment", "House", "Limits", "Session"]

T = TypeVar("T")

BUILD_SECONDS = 60.0
"""What a constructor may take at least, where steps have a deadline."""
CLOSE_SECONDS = 10.0
"""What a close may take before its thread is abandoned or its child killed."""

_log = logging.getLogger("openenv_gym.server")
_PROBES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server gives at most."""

    max_lanes: int = 1024
    """Lanes of all sessions together."""
    max_sessions: int | None = None
    """Sessions at the same time; ``None``: as many as there are lanes."""
    max_message_bytes: int = 16 * 2**20
    """The largest message, or HTTP body, that a client may send."""
    max_json_depth: int = 64
    """How deep the lists and objects of a JSON message may be nested."""
    idle_timeout: float = 900.0
    """Seconds after which a session that is played over HTTP, and that nobody uses, ends."""
    step_timeout: float | None = None
    """Seconds that a reset, a step or any other request may take; past it the session is over."""
    isolation: str = "thread"
    """``process``: each session's environment lives in a child process, which can be killed."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, by name."""
        for name in ("max_lanes", "max_sessions", "max_message_bytes", "max_json_depth"):
            count = getattr(self, name)
            if count is not None and (type(count) is not int or count < 1):
                raise InvalidArgument(f"{name} is {count!r:.40}; a whole number of at least 1 was expected")
        for name in ("idle_timeout", "step_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
                raise InvalidArgument(f"{name} is {seconds!r:.40}; more than 0 seconds were expected")
        if self.isolation not in ("thread", "process"):
            raise InvalidArgument(f"isolation is 'thread' or 'process', not {self.isolation!r:.40}")

    @property
    def sessions(self) -> int:
        """How many sessions there can be."""
        return self.max_lanes if self.max_sessions is None else self.max_sessions

    def facts(self) -> dict[str, Any]:
        """All of them by name, plain."""
        return {**asdict(self), "max_sessions": self.sessions}


@dataclass(eq=False, slots=True)
class Session:
    """One hosted environment."""

    id: str
    source: Source
    signature: Signature
    hosted: HostedEnv
    runner: Runner
    episode_ids: list[str]


class Attachment:
    """Who speaks to a session, and in which view.

    Everything but :meth:`receive` may be called from the event loop; :meth:`receive` runs on the
    session's thread.

    Attributes:
        over: whether the environment's process has died; the answer that says so is the last.
    """

    def __init__(self, session: Session, hello: Hello, protocol: ServerProtocol) -> None:
        self.session = session
        self.over = False
        self.token = secrets.token_urlsafe(16)
        self._protocol = protocol
        self._hosted = session.hosted
        self._lanes = session.signature.lanes
        signature = session.signature
        self._typed = signature.views == ("typed",)
        self._observation, self._action = (
            signatures.layouts_of(signature) if protocol.native else (None, None)
        )
        self.out: AnswerBuffer | FieldsAnswer
        self._actions: Callable[[Slots | None, Any], Any]
        if not protocol.native:
            self._begin_fields(signature)
        else:
            kinds = tuple(map(LeafKind, signature.kinds))
            self.out = AnswerBuffer(self._observation, kinds, self._lanes, exact=hello.exact)
            self._actions = _action_reader(self._action, signature)
        if isinstance(protocol.codec, NativeCodec):
            protocol.codec.agree(self._lanes, self._observation, self._action, agents=len(signature.agents))
        self._window: Window[Encoded] = Window(forget=self.out.release)

    def _begin_fields(self, signature: Signature) -> None:
        if self._typed:  # the environment's own model reads the fields, where the environment is
            self.out, self._actions = ModelAnswer(), lambda slots, requests: requests
            return
        view = fields_view(signature)
        self.out = FieldsAnswer(view)
        self._actions = lambda slots, requests: [view.action_in(fields) for fields in requests]

    def welcome(self, limits: Limits, server: str) -> Welcome:
        """The answer to the hello."""
        return Welcome(
            signature=signatures.to_plain(self.session.signature),
            observation=None if self._observation is None else self._observation.describe(),
            action=None if self._action is None else self._action.describe(),
            limits=limits.facts(),
            token=self.token,
            server=server,
        )

    def receive(self, message: Incoming, ack: int) -> Encoded | None:
        """Do what a message asks, once; a repeated request gets the kept answer.

        Raises:
            ProtocolViolation: if the message is out of order; the connection cannot go on.
        """
        if isinstance(message, (Hello, Close, Ack, Mcp)):
            self._acknowledge(message)
            return None
        try:
            verdict = self._window.admit(message.seq, ack)
        except InvalidMessage as error:
            raise ProtocolViolation(error.message, **error.fields) from error
        if verdict is not Verdict.NEW:  # done already: the same answer again; or it is on its way
            return self._window.kept(message.seq) if verdict is Verdict.KEPT else None
        try:
            answer = self._perform(message)
        except OpenEnvGymError as error:
            self.over = isinstance(error, EnvironmentDied)
            answer = Encoded(self._protocol.encode_error(message.seq, error))
        except FAILURES as error:  # a hosted environment outside of its own boundary
            answer = Encoded(
                self._protocol.encode_error(message.seq, raised(error, type(message).__name__.lower()))
            )
        self._window.keep(message.seq, answer)
        return answer

    def _acknowledge(self, message: Hello | Close | Ack | Mcp) -> None:
        if not isinstance(message, Ack):
            raise ProtocolViolation(f"a {type(message).__name__} is not a request")
        try:
            self._window.acknowledge(message.seq)
        except InvalidMessage as error:
            raise ProtocolViolation(error.message, **error.fields) from error

    def _perform(self, message: Request | Refused) -> Encoded:
        if isinstance(message, Step):
            return self._step(message)
        if isinstance(message, Reset):
            return self._reset(message)
        if isinstance(message, Refused):
            raise message.error
        return self._answer(message)

    def _step(self, message: Step) -> Encoded:
        slots, out = message.slots, self.out
        if slots is not None:
            self._check_slots(slots)
        actions = self._actions(slots, message.actions)
        if message.data and self._typed:
            actions = [NamedStep(action, message.data) for action in actions]
        out.begin(dense=slots is None)
        started = time.perf_counter_ns()
        self._hosted.step(slots, actions, out)
        return out.finish(message.seq, (time.perf_counter_ns() - started) // 1000)

    def _reset(self, message: Reset) -> Encoded:
        lanes = self._check_reset(message)
        self.out.begin(dense=lanes is None and len(self.session.signature.agents) == 1)
        self._name_episodes(lanes, message.episode_ids)
        started = time.perf_counter_ns()
        options = _arguments(message) if self._typed else _options(message)
        self._hosted.reset(lanes, message.seeds, options, self.out)
        return self.out.finish(message.seq, (time.perf_counter_ns() - started) // 1000)

    def _answer(self, message: Observe | State | Render | Call) -> Encoded:
        lane = message.lane
        if lane is not None:
            self._check_lane(lane)
        match message:
            case Render():
                frame, mode = self._render(lane)
                return Encoded(self._protocol.encode_frame(message.seq, frame, mode))
            case State(agent=agent):
                assert lane is not None
                value = self._state(lane, self._check_agent(agent))
            case Observe(agent=agent):
                assert lane is not None
                value = self._hosted.observe(lane, self._check_agent(agent))
            case Call(name=name, args=args):
                value = self._hosted.call(lane, name, args)
        return Encoded(self._protocol.encode_value(message.seq, value))

    def _state(self, lane: int, agent: int) -> dict[str, Any]:
        """What OpenEnv calls state; the episodes of autoresets are the named one's ``.1``, ``.2``, ..."""
        state = self._hosted.state(lane, agent)
        if self._typed:  # it names its episodes itself
            return state
        autoresets = state.pop("autoresets", 0)
        named = self.session.episode_ids[lane]
        return {"episode_id": f"{named}.{autoresets}" if autoresets else named, **state}

    def _render(self, lane: int | None) -> tuple[Any, str]:
        mode = self.session.signature.render_mode
        if mode is None:
            raise InvalidArgument(
                "this session does not render; ask for it when it begins, as in "
                "OpenEnvGym(url, render_mode='rgb_array'), or /ws?render_mode=rgb_array"
            )
        return self._hosted.render(lane), mode

    def _name_episodes(self, lanes: list[int] | None, named: list[str] | None) -> None:
        which = range(self._lanes) if lanes is None else lanes
        for index, lane in enumerate(which):
            self.session.episode_ids[lane] = named[index] if named else str(uuid.uuid4())

    def _check_slots(self, slots: Any) -> None:
        agents = len(self.session.signature.agents)
        sound = (
            (slots.lane >= 0) & (slots.lane < self._lanes) & (slots.agent >= 0) & (slots.agent < agents)
        ).all()
        pairs = slots.lane.astype("i8") * agents + slots.agent
        if not sound or len(set(pairs.tolist())) != len(pairs):
            raise InvalidArgument(
                "a step names a slot twice, or one that is not there; "
                f"there are {self._lanes} lanes of {agents} agents"
            )

    def _check_reset(self, message: Reset) -> list[int] | None:
        lanes, seeds, names = message.lanes, message.seeds, message.episode_ids
        if lanes is not None:
            if not lanes or len(set(map(str, lanes))) != len(lanes):
                raise InvalidArgument("a reset names no lane, or one twice")
            for lane in lanes:
                self._check_lane(lane)
        count = self._lanes if lanes is None else len(lanes)
        given = [] if seeds is None else [seeds] if isinstance(seeds, int) else seeds
        if not all(seed is None or (type(seed) is int and seed >= 0) for seed in given):
            raise InvalidArgument("a seed is a whole number of at least 0, or None")
        if (isinstance(seeds, list) and len(seeds) != count) and not self.session.signature.vector:
            raise InvalidArgument(f"{len(seeds)} seeds for {count} lanes; give one for each, or one number")
        if names is not None and (len(names) != count or not all(type(name) is str for name in names)):
            raise InvalidArgument(f"episode_ids takes {count} texts, one for each lane")
        return lanes

    def _check_lane(self, lane: Any) -> None:
        if type(lane) is not int or not 0 <= lane < self._lanes:
            raise InvalidArgument(f"there is no lane {lane!r:.40}; the session has {self._lanes}")

    def _check_agent(self, agent: int) -> int:
        if not 0 <= agent < len(self.session.signature.agents):
            raise InvalidArgument(
                f"there is no agent {agent}; the game has {len(self.session.signature.agents)}"
            )
        return agent


def _options(message: Reset) -> dict[str, Any] | None:
    """What another environment's reset is given."""
    odd = (message.data or {}).get("options")
    if odd is not None:
        raise InvalidArgument(f"options is {odd!r:.80}; an object, or null, was expected")
    return message.options


def _arguments(message: Reset) -> dict[str, Any]:
    """What a typed environment's reset is given, beside the seed; its options are one of its arguments."""
    arguments = dict(message.data or {})
    if message.options is not None:
        arguments["options"] = message.options
    if message.episode_ids is not None:
        arguments["episode_id"] = message.episode_ids[0]
    return arguments


def _action_reader(layout: Layout | None, signature: Signature) -> Callable[[Slots | None, Any], Any]:
    """How the actions of a step become those that the hosted environment takes."""
    if layout is None:
        return _whole_action_reader(signature)
    check = compile_range_check(signature.action_spaces[0])
    iterate = None if signature.vector else compile_iterator(layout)

    def read(slots: Slots | None, actions: Any) -> Any:
        if check is not None:
            check(actions)
        return actions if iterate is None else iterate(actions)

    return read


def _whole_action_reader(signature: Signature) -> Callable[[Slots | None, Any], Any]:
    """The same of actions that travel as values, one for each slot; each agent has its own space."""
    spaces = signature.action_spaces
    restorers = [compile_restorer(space) for space in spaces]
    checks = [compile_range_check(space) for space in spaces]

    def restored(agent: int, action: Any) -> Any:
        restored, check = restorers[agent](action), checks[agent]
        if check is not None and restored is not None:
            check(restored)
        return restored

    def read(slots: Slots | None, actions: list[Any]) -> list[Any]:
        agents = [0] * len(actions) if slots is None else slots.agent.tolist()
        return [restored(agent, action) for agent, action in zip(agents, actions, strict=True)]

    if not signature.vector:
        return read
    return lambda slots, actions: concatenated(spaces[0], read(slots, actions), InvalidAction)


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
        self.sessions: dict[str, Session] = {}
        self.active_lanes = 0
        self.active_sessions = 0
        self.busy = 0
        self._probes = 0
        self.closing = False
        self.make_room: Callable[[], Awaitable[bool]] | None = None
        """Ends a session that may be evicted, if there is one; asked when the lanes are taken."""
        self._common: CommonThread | None = None
        self._own_sealed = sealed(source.hosted) if limits.isolation == "process" else b""
        self._abandoned: list[Runner] = []

    @property
    def abandoned_threads(self) -> int:
        """How many threads still run that did not end in time; no session waits for them."""
        self._abandoned = [runner for runner in self._abandoned if runner.is_running()]
        return len(self._abandoned)

    async def attach(self, hello: Hello, protocol: ServerProtocol, *, inline: bool = True) -> Attachment:
        """Begin the session that a hello asks for.

        Args:
            hello: what is asked for.
            protocol: of the connection.
            inline: whether the environment may run on the event loop, where no deadline holds.

        Raises:
            CapacityReached: if there are not so many lanes, or no session, left.
            FactoryFailed: if the environment cannot be built.
            DeadlineExceeded: if it is not built in time.
            EnvironmentDied: if its process ends while it is built.
            InvalidArgument: if the hello asks for what cannot be.
        """
        self._check_hello(hello, native=protocol.native)
        choice = self.shelf.choose(hello.config)
        source = (self.shelf.have(choice) or await self._probed(choice)).seen_as(hello.view)
        signature = source.session_signature(hello.lanes, hello.autoreset, choice.render_mode)
        await self._await_room(hello.lanes)
        self.active_lanes += hello.lanes
        self.active_sessions += 1
        identity = uuid.uuid4().hex
        name = f"session-{identity[:8]}"
        try:
            hosted, runner = await self._build(source, signature, choice.render_mode, name, inline)
        except BaseException:
            self._free(hello.lanes)
            raise
        session = Session(identity, source, signature, hosted, runner, [""] * hello.lanes)
        self.sessions[identity] = session
        return Attachment(session, hello, protocol)

    async def _await_room(self, lanes: int) -> None:
        limits = self.limits
        while (
            full := self.active_sessions >= limits.sessions
        ) or self.active_lanes + lanes > limits.max_lanes:
            if lanes <= limits.max_lanes and self.make_room is not None and await self.make_room():
                continue
            if full and limits.max_sessions is not None:
                raise CapacityReached(
                    f"{self.active_sessions} of {limits.sessions} sessions are open; wait for others to "
                    "close, or have the operator raise max_sessions (--max-sessions)",
                    active_sessions=self.active_sessions,
                    max_sessions=limits.sessions,
                )
            raise CapacityReached(
                f"{self.active_lanes} of {limits.max_lanes} lanes are taken and {lanes} were asked for; wait "
                "for others to close, ask for fewer, or have the operator raise max_lanes (--max-lanes)",
                active_lanes=self.active_lanes,
                max_lanes=limits.max_lanes,
            )

    async def _build(
        self, source: Source, signature: Signature, render_mode: str | None, name: str, inline: bool
    ) -> tuple[HostedEnv, Runner]:
        runner: Runner
        work: Callable[[], HostedEnv]
        if self.limits.isolation == "process":
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
            await runner.run(lambda: built.append(work()), timeout)
        except OpenEnvGymError:
            runner.stop()
            raise
        except BaseException as error:
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
            self.forsake(attachment)
            raiser = "; the operator can raise it: --step-timeout" if name == "step_timeout" else ""
            raise DeadlineExceeded(
                f"the {during} took longer than {name}={timeout:g}; its session is over, begin a new one"
                f"{raiser}",
                session_id=attachment.session.id,
                **{name: timeout},
            ) from error

    async def _probed(self, choice: Choice) -> Source:
        """The source of a choice that somebody makes for the first time."""
        if self._probes >= _PROBES:
            raise CapacityReached(
                f"{_PROBES} environments are being tried out for others; ask again later",
                active_lanes=self.active_lanes,
                max_lanes=self.limits.max_lanes,
            )
        self._probes += 1
        # A daemon: an environment that hangs in its constructor must not hold up the server's end.
        runner = OwnThread("probe")
        try:
            return await runner.run(partial(self.shelf.fetch, choice))
        finally:
            self._probes -= 1
            runner.stop()

    def _check_hello(self, hello: Hello, *, native: bool) -> None:
        if hello.attach is not None:
            raise UnknownSession("there is no session of that token; begin a new one")
        if type(hello.lanes) is not int or hello.lanes < 1:
            raise InvalidArgument(f"a session has at least one lane, not {hello.lanes!r:.40}")
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
        session = attachment.session
        if self.sessions.pop(session.id, None) is None:
            return
        try:
            await session.runner.run(session.hosted.close, CLOSE_SECONDS)
        except HostedError as error:
            _log.warning("session %s: %s", session.id, error)  # its client is gone; nobody else to tell
            session.runner.stop()
        except Overdue:
            _log.warning("session %s: its close took longer than %g s", session.id, CLOSE_SECONDS)
            self._abandon(session.runner)
        except BaseException:
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
        self._abandon(session.runner, session.hosted.close)
        self._free(session.signature.lanes)

    def _abandon(self, runner: Runner, last: Callable[[], object] | None = None) -> None:
        runner.abandon(last)
        if not runner.inline:
            self._abandoned.append(runner)

    def _free(self, lanes: int) -> None:
        self.active_lanes -= lanes
        self.active_sessions -= 1

    def close(self) -> None:
        """Let the thread end that sessions share, if there is one."""
        if self._common is not None:
            self._common.end()
