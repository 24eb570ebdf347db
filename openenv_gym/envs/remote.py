"""The lanes behind a face: a session of a server of ours, or stock sessions made to look like one.

Both answer the same few questions with rows (:class:`~openenv_gym.envs.lanes.Lanes`), so that
:class:`OpenEnvGym` and :class:`OpenEnvVectorEnv` translate and never decide.
"""

from __future__ import annotations

import copy
import os
import ssl
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs

from openenv_gym.client.blocking import Client
from openenv_gym.client.early import EarlyClient
from openenv_gym.client.pages import fetch_json
from openenv_gym.client.proxies import ProxyChoice
from openenv_gym.client.resuming import RESUME_SECONDS
from openenv_gym.envs.fields import FieldsLanes
from openenv_gym.envs.known import Spaces, tell_assumptions
from openenv_gym.envs.lanes import Lanes
from openenv_gym.envs.promises import Promises
from openenv_gym.envs.restarting import Restarting
from openenv_gym.envs.spread import Spread, blocks
from openenv_gym.envs.stats import Stats
from openenv_gym.envs.translation import Inferred, Translation, Translator
from openenv_gym.errors import (
    Closed,
    InvalidArgument,
    OpenEnvGymError,
    ProtocolViolation,
    ResetNeeded,
)
from openenv_gym.spaces import Kind, kinds_of, layout_of
from openenv_gym.types import AUTORESET_MODES, ON_FAILURE, Autoreset, Rows, Signature
from openenv_gym.version import __version__
from openenv_gym.wire import signature as signatures
from openenv_gym.wire.messages import Hello

if TYPE_CHECKING:
    from openenv_gym.spaces.inference import Inference

__all__ = ["Options", "Remote", "hello_for", "lanes_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller asks of a server, whichever face it is for."""

    dialect: str | None = None
    """``native``, ``json`` or ``None`` for the best that the server has."""
    render_mode: str | None = None
    """How the session renders."""
    env_id: str | None = None
    """Which of the server's environments; ``None``: the one that it was started with."""
    env_kwargs: Mapping[str, Any] | None = None
    """Constructor arguments."""
    headers: dict[str, str] | None = field(default=None, repr=False)
    """To send with each request."""
    timeout: float | None = None
    """Seconds to wait for an answer."""
    ssl_context: ssl.SSLContext | None = None
    """How to speak TLS."""
    proxy: ProxyChoice = True
    """What to go through."""
    connect_timeout: float | None = 10.0
    """Seconds to wait for a connection."""
    wait_timeout: float | None = 10.0
    """Seconds to wait for a server that is starting."""
    resume_timeout: float | None = RESUME_SECONDS
    """Seconds to try to go on when the connection breaks."""
    strict: bool = False
    """Whether a server that breaks its promises is an error, and not only warned about."""
    beside: int = 0
    """How many other servers are asked at the same time."""
    on_failure: str = "raise"
    """Whether a lane that fails is the caller's to reset, or restarts."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, by name."""
        if not (self.env_kwargs is None or isinstance(self.env_kwargs, Mapping)):
            raise InvalidArgument(
                f"env_kwargs are names and values, {{'continuous': True}}, not {self.env_kwargs!r:.40}"
            )
        if self.on_failure not in ON_FAILURE:
            raise InvalidArgument(
                f"on_failure is {' or '.join(map(repr, ON_FAILURE))}, not {self.on_failure!r:.40}"
            )

    @property
    def connection(self) -> dict[str, Any]:
        """How a client is to reach the server, as the arguments of its ``to``."""
        return {
            "dialect": self.dialect,
            "headers": self.headers,
            "ssl_context": self.ssl_context,
            "proxy": self.proxy,
            "connect_timeout": self.connect_timeout,
            "wait_timeout": self.wait_timeout,
            "resume_timeout": self.resume_timeout,
            "beside": self.beside,
        }

    def fetcher(self, url: str) -> Callable[[str], dict[str, Any]]:
        """Gets the server's pages, in the way in which a client reaches it."""
        return partial(
            fetch_json,
            url,
            headers=self.headers,
            ssl_context=self.ssl_context,
            proxy=self.proxy,
            timeout=self.connect_timeout,
        )

    @property
    def config(self) -> dict[str, Any]:
        """What a hello says of it."""
        asked = {
            "render_mode": self.render_mode,
            "env_id": self.env_id,
            "env_kwargs": dict(self.env_kwargs) if self.env_kwargs else None,
        }
        return {name: value for name, value in asked.items() if value is not None}


class Remote:
    """Sessions on one server or several, as a face holds them: connected, and of this process.

    Args:
        url: of the server; or those of several, over which the lanes are spread in blocks.
        lanes: how many.
        autoreset: Gymnasium's mode.
        exact: whether every observation must come to the bit, even one that its space casts.
        spaces: what the caller knows of the servers.
        options: what the caller asks of them.
        clock: seconds, growing.
        name_episode: makes a name for an episode.

    Attributes:
        inference: what was concluded of servers that do not say their spaces; ``None`` if they do.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        lanes: int,
        autoreset: str,
        exact: bool,
        spaces: Spaces,
        options: Options,
        clock: Callable[[], float] = time.perf_counter,
        name_episode: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        hello = hello_for(lanes, autoreset, exact=exact, options=options)
        self._pid = os.getpid()
        self._closed = False
        self._clock, self._name_episode = clock, name_episode
        self._resets = self._steps = 0
        self._seconds = self._started = 0.0
        self._episode_id: str | None = None
        urls = [url] if isinstance(url, str) else list(url)
        options = replace(options, beside=len(urls) - 1)
        parts: list[Lanes] = []
        try:
            for each, block in zip(urls, blocks(lanes, len(urls)), strict=True):
                connect = partial(lanes_at, each, structs.replace(hello, lanes=len(block)), spaces, options)
                restarts = options.on_failure == "restart"
                parts.append(Restarting(each, connect, block.start) if restarts else connect())
            self._lanes: Lanes = parts[0] if len(parts) == 1 else Spread(urls, parts)
            tell_assumptions(spaces, urls)  # raises where warnings are errors
        except BaseException:
            for part in parts:
                part.close()
            raise
        self.inference = spaces.inference
        # Only a server of ours is sure to call an episode as it is told.
        self._naming = parts[0] if lanes == 1 and isinstance(parts[0], Client) else None

    @property
    def signature(self) -> Signature:
        """What is known of the environment."""
        return self._lanes.signature

    @property
    def lanes(self) -> Lanes:
        """The lanes, if they may be used: not closed, and not those of a parent process.

        Raises:
            Closed: after :meth:`close`.
            ResetNeeded: in a forked child, whose parent owns the session.
        """
        if self._closed:
            raise Closed("this environment was closed; make a new one")
        if os.getpid() != self._pid:
            raise ResetNeeded(
                "this environment belongs to the process that made it; a forked child makes its own"
            )
        return self._lanes

    def reset(
        self,
        lanes: list[int] | None,
        seeds: int | list[int | None] | None,
        options: dict[str, Any] | None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all; the one of an only lane is named here, if it can be."""
        there, clock = self.lanes, self._clock
        self._episode_id = None
        started = clock()
        if self._naming is None:
            rows = there.reset(lanes, seeds, options)
        else:
            name = self._name_episode()
            rows = self._naming.reset(lanes, seeds, options, [name])
            self._episode_id = name
        self._seconds += clock() - started
        self._resets += 1
        return rows

    def send_step(self, actions: Any) -> None:
        """Send a batch of actions for all lanes, and wait for nothing."""
        lanes = self.lanes
        self._started = self._clock()
        lanes.send_step(None, actions)

    def receive_rows(self) -> Rows:
        """The rows of the step that was sent."""
        rows = self.lanes.receive_rows()
        self._seconds += self._clock() - self._started
        self._steps += 1
        return rows

    def step_one(self, action: Any) -> Rows:
        """The action of the only lane."""
        lanes, clock = self.lanes, self._clock
        started = clock()
        rows = lanes.step_one(action)
        self._seconds += clock() - started
        self._steps += 1
        return rows

    def call(self, name: str, args: tuple[Any, ...], lane: int | None) -> Any:
        """What a method or attribute says; without a round trip where it never says anything else."""
        lanes = self.lanes
        constants = lanes.signature.constants
        if args or name not in constants:
            return lanes.call(name, *args, lane=lane)
        count = 1 if lane is not None else lanes.signature.lanes
        answers = [copy.deepcopy(constants[name]) for _ in range(count)]
        return answers if lane is None else answers[0]

    @property
    def stats(self) -> Stats:
        """What resets and steps have taken so far, also after the end of the session."""
        lanes = self._lanes
        microseconds = lanes.microseconds
        return Stats(
            resets=self._resets,
            steps=self._steps,
            seconds=self._seconds,
            environment_seconds=None if microseconds is None else microseconds / 1e6,
            bytes_sent=lanes.sent,
            bytes_received=lanes.received,
        )

    @property
    def episode_id(self) -> str | None:
        """What the only lane's episode is called: ``None`` before the first reset; may ask the server."""
        if self._episode_id is None and self._resets:
            said = self.lanes.state(0).get("episode_id")
            self._episode_id = None if said is None else str(said)
        return self._episode_id

    def close(self) -> None:
        """End the session, or, in a forked child, let go of the parent's."""
        if self._closed:
            return
        self._closed = True
        if os.getpid() == self._pid:
            self._lanes.close()
        else:
            self._lanes.abandon()


def hello_for(lanes: int, autoreset: str, *, exact: bool, options: Options, early: bool = False) -> Hello:
    """The hello of a session, if its arguments can be.

    Raises:
        InvalidArgument: if they cannot.
    """
    if autoreset not in AUTORESET_MODES:
        raise InvalidArgument(f"autoreset_mode is one of {', '.join(AUTORESET_MODES)}, not {autoreset!r:.40}")
    if type(lanes) is not int or lanes < 1:
        raise InvalidArgument(f"num_envs is a whole number of at least 1, not {lanes!r:.40}")
    if options.dialect not in (None, "native", "json"):
        raise InvalidArgument(f"dialect is 'native', 'json' or None, not {options.dialect!r:.40}")
    return Hello(
        lanes=lanes,
        autoreset=autoreset,
        exact=exact,
        config=options.config,
        client=f"openenv-gym {__version__}",
        early=early,
        on_failure=options.on_failure,
    )


def lanes_at(url: str, hello: Hello, spaces: Spaces, options: Options) -> EarlyClient | FieldsLanes:
    """The lanes that a server gives, in the dialect that it speaks; in JSON where hints are to count."""
    if spaces.hinted:
        if options.dialect == "native":
            raise InvalidArgument(
                "hints and flatten are about the fields of the JSON dialect; leave out dialect='native'"
            )
        options = replace(options, dialect="json")

    def client(view: str | None = None) -> EarlyClient:
        return EarlyClient.to(
            url,
            hello,
            view=view,
            timeout=options.timeout,
            **options.connection,
        )

    first = client()
    if first.native:
        return first
    mode = next(mode for mode in AUTORESET_MODES if mode == hello.autoreset)
    try:
        if options.env_id is not None or options.env_kwargs:
            raise InvalidArgument(
                "the JSON dialect cannot choose what a session hosts; leave out env_id and env_kwargs, "
                "or dialect='json'"
            )
        needed = options.render_mode is not None or not spaces.complete
        schema = _fetch_schema(url, options, needed=needed)
        block = schema.get("gymnasium")
        exact: dict[str, Any] | None = block if type(block) is dict else None
        if options.render_mode is not None:
            _check_renders(url, exact, options.render_mode)
        promises = Promises(url, schema, strict=options.strict)
        view, begun = None, None
        translation: Translator
        if spaces.told or (exact is not None and not spaces.hinted):
            published = None if spaces.complete else exact
            signature, translation = _signature_of(published, url, spaces, hello.lanes, mode)
            view = None if published is None else published.get("json_view")
        else:
            # A sixth of what a client takes to import, and no session in the native dialect infers anything.
            from openenv_gym.envs.inferring import conclude, gathered

            there = conclude(spaces, url, lambda: gathered(first, schema, options.fetcher(url)), schema)
            assert spaces.inference is not None, "conclude has seen to it"
            begun = None if there is None else there.begun
            signature = _signature_inferred(url, spaces.inference, hello.lanes, mode)
            translation = Inferred(spaces.inference, spaces.decode_observation, promises, hello.lanes)
        if view is not None:  # what was begun shows fields; these spaces are of another view
            first.close()
            first = client(str(view))
        signature = replace(
            signature,
            render_mode=options.render_mode,
            on_failure=next(known for known in ON_FAILURE if known == options.on_failure),
        )
    except BaseException:
        first.close()
        raise
    return FieldsLanes(url, first, partial(client, view), signature, translation, promises, begun)


def _check_renders(url: str, exact: dict[str, Any] | None, render_mode: str) -> None:
    """Refuse a render mode of which the server's exact block says nothing: its answer would be silence."""
    modes = None if exact is None else exact.get("render_modes")
    if type(modes) is not list or render_mode not in modes:
        said = ", ".join(map(str, modes)) if type(modes) is list else ""
        raise InvalidArgument(
            f"the server at {url} renders as {said or 'nothing'} in the JSON dialect, not as "
            f"{render_mode!r:.40}; leave out render_mode"
        )


def _signature_inferred(url: str, inference: Inference, lanes: int, autoreset: Autoreset) -> Signature:
    """The signature behind a JSON session whose spaces were inferred."""
    layout = layout_of(inference.observation_space)
    return Signature(
        env_id=url,
        agents=("agent",),
        observation_spaces=(inference.observation_space,),
        action_spaces=(inference.action_space,),
        lanes=lanes,
        autoreset=autoreset,
        metadata={"render_modes": []},
        kinds=() if layout is None else tuple(kinds_of(layout, None)),
        masks=inference.masks,
    )


def _signature_of(
    exact: dict[str, Any] | None, url: str, spaces: Spaces, lanes: int, autoreset: Autoreset
) -> tuple[Signature, Translation]:
    """The signature behind a JSON session: from the server's exact block, or from the caller alone."""
    if exact is None:
        assert spaces.observation_space is not None, "the caller says both"
        assert spaces.action_space is not None
        layout = layout_of(spaces.observation_space)
        signature = Signature(
            env_id=url,
            agents=("agent",),
            observation_spaces=(spaces.observation_space,),
            action_spaces=(spaces.action_space,),
            lanes=lanes,
            autoreset=autoreset,
            kinds=() if layout is None else tuple(kinds_of(layout, None)),
        )
        return signature, Translation(
            signature, spaces.encode_action, spaces.decode_observation, lifted=False
        )
    try:
        signature = Signature(
            env_id=str(exact["env_id"]),
            agents=("agent",),
            observation_spaces=signatures.spaces_of([exact["observation_spaces"][0]], lanes),
            action_spaces=signatures.spaces_of([exact["action_spaces"][0]], lanes),
            lanes=lanes,
            autoreset=autoreset,
            metadata=dict(exact["metadata"]),
            kinds=tuple(Kind(kind) for kind in exact["kinds"]),
            spec=dict(exact["spec"]),
            masks=bool(exact.get("masks", False)),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ProtocolViolation(
            f"the server's /schema has a 'gymnasium' block that cannot be read: {error!r}"
        ) from error
    return signature, Translation(signature, spaces.encode_action, spaces.decode_observation, lifted=True)


def _fetch_schema(url: str, options: Options, *, needed: bool) -> dict[str, Any]:
    """What the server publishes as its ``/schema``; nothing, if it cannot be had and is not needed."""
    try:
        return options.fetcher(url)("/schema")
    except OpenEnvGymError:
        if needed:
            raise
        return {}
