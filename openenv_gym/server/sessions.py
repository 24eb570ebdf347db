"""Sessions and attachments.

A **session** is one hosted environment with its lanes, its thread and its cost. An **attachment**
is who speaks to it: a view of the environment, and the exactly-once window. A connection is
neither: it only carries an attachment's bytes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openenv_gym.errors import (
    EnvironmentDied,
    InvalidAction,
    InvalidArgument,
    InvalidMessage,
    OpenEnvGymError,
    ProtocolViolation,
)
from openenv_gym.hosting.contract import FAILURES, HostedEnv, NamedStep, raised
from openenv_gym.hosting.source import Source
from openenv_gym.hosting.views import fields_view
from openenv_gym.server.fields import FieldsAnswer, ModelAnswer
from openenv_gym.server.limits import Limits
from openenv_gym.server.threads import Runner
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

__all__ = ["Attachment", "Session", "options_of"]


@dataclass(eq=False, slots=True)
class Session:
    """One hosted environment."""

    id: str
    source: Source
    signature: Signature
    hosted: HostedEnv
    runner: Runner
    episode_ids: list[str]
    steps: int = 0


class Attachment:
    """Who speaks to a session, and in which view.

    Everything but :meth:`receive` may be called from the event loop; :meth:`receive` runs on the
    session's thread.

    Attributes:
        protocol: what its connections speak, one after the other.
        over: whether the environment's process has died; the answer that says so is the last.
    """

    def __init__(self, session: Session, hello: Hello, protocol: ServerProtocol) -> None:
        self.session = session
        self.over = False
        self.protocol = protocol
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

    @property
    def received(self) -> int:
        """The highest number of a request that has come."""
        return self._window.newest

    def forget(self, seq: int) -> None:
        """Keep the answer to a request no longer, whatever the client has acknowledged."""
        self._window.drop(seq)

    def welcome(self, limits: Limits, server: str, *, token: str, resumed: bool) -> Welcome:
        """The answer to a hello."""
        return Welcome(
            signature=signatures.to_plain(self.session.signature),
            observation=None if self._observation is None else self._observation.describe(),
            action=None if self._action is None else self._action.describe(),
            limits=limits.facts(),
            token=token,
            server=server,
            resumed=resumed,
            received=self.received,
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
            answer = Encoded(self.protocol.encode_error(message.seq, error))
        except FAILURES as error:  # a hosted environment outside of its own boundary
            answer = Encoded(
                self.protocol.encode_error(message.seq, raised(error, type(message).__name__.lower()))
            )
        self._window.keep(message.seq, answer)
        return answer

    def _acknowledge(self, message: Hello | Close | Ack | Mcp) -> None:
        if not isinstance(message, Ack):
            raise ProtocolViolation(f"a {type(message).__name__} is not a request")
        try:
            self._window.acknowledge(message.seq, message.also)
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
        self.session.steps += self._lanes if slots is None else len(slots.lane)
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
        options = _arguments(message) if self._typed else options_of(message)
        self._hosted.reset(lanes, message.seeds, options, self.out)
        return self.out.finish(message.seq, (time.perf_counter_ns() - started) // 1000)

    def _answer(self, message: Observe | State | Render | Call) -> Encoded:
        lane = message.lane
        if lane is not None:
            self._check_lane(lane)
        match message:
            case Render():
                frame, mode = self._render(lane)
                return Encoded(self.protocol.encode_frame(message.seq, frame, mode))
            case State(agent=agent):
                assert lane is not None
                value = self._state(lane, self._check_agent(agent))
            case Observe(agent=agent):
                assert lane is not None
                value = self._hosted.observe(lane, self._check_agent(agent))
            case Call(name=name, args=args):
                value = self._hosted.call(lane, name, args)
        return Encoded(self.protocol.encode_value(message.seq, value))

    def _state(self, lane: int, agent: int) -> dict[str, Any]:
        """What OpenEnv calls state; the episodes of autoresets are the named one's ``.1``, ``.2``, ..."""
        state = self._hosted.state(lane, agent)
        return state if self._typed else self._named(lane, state)  # typed ones name their episodes themselves

    def _named(self, lane: int, state: dict[str, Any]) -> dict[str, Any]:
        autoresets = state.pop("autoresets", 0)
        named = self.session.episode_ids[lane]
        return {"episode_id": f"{named}.{autoresets}" if autoresets else named, **state}

    def _render(self, lane: int | None) -> tuple[Any, str]:
        mode = self._render_mode()
        return self._hosted.render(lane), mode

    def _render_mode(self) -> str:
        mode = self.session.signature.render_mode
        if mode is None:
            raise InvalidArgument(
                "this session does not render; ask for it when it begins, as in "
                "OpenEnvGym(url, render_mode='rgb_array'), or /ws?render_mode=rgb_array"
            )
        return mode

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


def options_of(message: Reset) -> dict[str, Any] | None:
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
