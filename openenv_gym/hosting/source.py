"""What is served: an id, a spec, a class or a factory, and how it is hosted, once for each session.

The server probes one instance before it opens its door; see :mod:`openenv_gym.hosting.probe`. From what
a step and a build cost it decides for each session whether its environment is stepped on the event loop
or on a thread of its own.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from openenv_gym.errors import (
    FactoryFailed,
    InvalidArgument,
    MissingExtra,
    OpenEnvGymError,
    UnsupportedAutoreset,
)
from openenv_gym.hosting import atari
from openenv_gym.hosting.contract import FAILURES, HostedEnv, checked_calls
from openenv_gym.hosting.families import close_ids, family_of, load_plugin
from openenv_gym.hosting.gymnasium import GymnasiumLanes
from openenv_gym.hosting.probe import Builder, build_to_probe, probe_game, probe_lane, probe_vector
from openenv_gym.hosting.vector import NativeVector
from openenv_gym.types import ON_FAILURE, OnFailure, Signature

if TYPE_CHECKING:
    from openenv_gym.hosting.models import Models

__all__ = ["Source", "open_source", "spec_of"]

_VECTOR_GAIN = 8
_INLINE_STEP_SECONDS = 0.002
_INLINE_BUILD_SECONDS = 0.2
"""Of one lane: other sessions have their turns between two."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be hosted, once for each session.

    Attributes:
        signature: of one lane; a session's own differs in lanes, autoreset and render mode.
        host: makes a hosted environment from a session's signature and its constructor arguments.
        step_seconds: what one step of one lane took in the probe, at the median.
        build_seconds: what construction of one lane took.
        render_modes: the modes that a session may ask for.
        typed: what hosts the typed view, where that is an environment of its own beside this one.
        own_models: a typed environment's; see :meth:`models`.
        consult: asks a typed environment, newly built and closed again, about itself; ``None``: there
            is nothing to ask but the signature.
        bears_several: whether several sessions may live at once; may build one to ask.
        one_thread: whether all sessions must live on one and the same thread.
        lane: builds what one lane lives in, where the lanes of a session need not live together; ``host``
            takes those that are built already.
        factory_name: what is said to have failed when it cannot be built; by default the env_id.
    """

    signature: Signature
    host: Callable[..., HostedEnv]
    step_seconds: float
    build_seconds: float
    render_modes: tuple[str, ...] = ()
    typed: Source | None = None
    own_models: Models | None = None
    consult: Callable[[Callable[[Any], Any]], Any] | None = None
    bears_several: Callable[[], bool] = lambda: True
    one_thread: bool = False
    lane: Callable[[dict[str, Any]], Any] | None = None
    factory_name: str | None = None

    def seen_as(self, view: str) -> Source:
        """What hosts a view."""
        return self.typed if view == "typed" and self.typed is not None else self

    def models(self) -> Models:
        """The pydantic models of the typed view."""
        if self.own_models is not None:
            return self.own_models
        # pydantic takes long to import, and only a server needs it.
        models = importlib.import_module("openenv_gym.hosting.models")
        lifted: Models = models.lifted_models(
            self.signature.action_spaces[0], self.signature.observation_spaces[0]
        )
        return lifted

    def session_signature(
        self, lanes: int, autoreset: str, render_mode: str | None, on_failure: str = "raise"
    ) -> Signature:
        """The signature of a session that asks for this.

        Raises:
            UnsupportedAutoreset: if the environment does not have the mode.
            InvalidArgument: if it does not have the render mode, or so many lanes, or lanes that restart.
        """
        modes = self.signature.autoreset_modes
        mode = next((mode for mode in modes if mode == autoreset), None)
        if mode is None:
            raise UnsupportedAutoreset(
                f"{self.signature.env_id} has the autoreset modes {', '.join(modes)}, not {autoreset!r:.40}; "
                f"ask for autoreset_mode={modes[0]!r}",
                supported=list(modes),
            )
        if render_mode is not None and render_mode not in self.render_modes:
            raise InvalidArgument(
                f"{self.signature.env_id} renders as {', '.join(self.render_modes) or 'nothing'}, "
                f"not as {render_mode!r:.40}; leave out the render mode, or take one of those",
                supported=list(self.render_modes),
            )
        if lanes != 1 and len(self.signature.agents) > 1:
            raise InvalidArgument("a game of several agents is served one lane a session")
        shown = render_mode or self.signature.render_mode
        signature = replace(self.signature, lanes=lanes, autoreset=mode, render_mode=shown)
        return replace(signature, on_failure=self._checked_on_failure(on_failure))

    def _checked_on_failure(self, asked: str) -> OnFailure:
        found = next((known for known in ON_FAILURE if known == asked), None)
        if found is None:
            raise InvalidArgument(f"on_failure is one of {', '.join(ON_FAILURE)}, not {asked!r:.40}")
        if found == "restart" and not self.separable:
            raise InvalidArgument(
                f"{self.signature.env_id} is a native vector environment, or a game of several agents, and "
                "has no lanes that could restart one by one; leave out on_failure='restart', or serve "
                "Gymnasium environments with vectorization='lanes'"
            )
        return found

    def check_view(self, view: str) -> None:
        """Refuse a view that is not offered.

        Raises:
            InvalidArgument: if it is not.
        """
        env_id, views = self.signature.env_id, self.signature.views
        if view in views:
            return
        if view == "typed":
            raise InvalidArgument(
                f"{env_id} has no typed view, which OpenEnv's JSON and HTTP speak: it is a game of several "
                "agents, or a native vector environment; play it in the native dialect, with Client, "
                "AsyncClient or OpenEnvVectorEnv of openenv-gym",
                supported=list(views),
            )
        raise InvalidArgument(
            f"{env_id} has the views {', '.join(views)}, not {view!r:.40}", supported=list(views)
        )

    def hosted(self, signature: Signature, render_mode: str | None) -> HostedEnv:
        """Build a session's environment, on the thread on which it shall live.

        Raises:
            FactoryFailed: if its constructor raises.
        """
        extra = {} if render_mode is None else {"render_mode": render_mode}
        with self._attributed():
            return self.host(signature, extra)

    def building(self, signature: Signature, render_mode: str | None) -> Generator[None, None, HostedEnv]:
        """The same, with a pause after each lane; closed in a pause, it closes what it has built.

        Raises:
            FactoryFailed: if a constructor raises.
        """
        if self.lane is None:
            return self.hosted(signature, render_mode)
        extra = {} if render_mode is None else {"render_mode": render_mode}
        with ExitStack() as built:
            lanes = []
            for _ in range(signature.lanes):
                with self._attributed():
                    lanes.append(self.lane(extra))
                built.callback(_close_failed, lanes[-1])
                yield
            with self._attributed():
                hosted = self.host(signature, extra, lanes)
            built.pop_all()
        return hosted

    @contextmanager
    def _attributed(self) -> Iterator[None]:
        """Whatever the constructor raises is the factory's failure."""
        try:
            yield
        except FAILURES as error:
            raise _factory_failed(self.signature.env_id, error, self.factory_name) from error

    @property
    def separable(self) -> bool:
        """Whether the lanes of a session need not live together."""
        return self.lane is not None

    @property
    def is_slow(self) -> bool:
        """Whether a step of one lane takes so long that another lane should not wait for it."""
        return self.separable and self.step_seconds > _INLINE_STEP_SECONDS

    def is_cheap(self, lanes: int) -> bool:
        """Whether so many lanes may run on the event loop without others noticing."""
        build = self.build_seconds * (1 if self.separable else lanes)
        return self.step_seconds * lanes <= _INLINE_STEP_SECONDS and build <= _INLINE_BUILD_SECONDS


def open_source(
    env: Any,
    *,
    kwargs: Mapping[str, Any] | None = None,
    vectorization: str = "lanes",
    calls: Sequence[str] = (),
) -> Source:
    """Find out what an environment is, and probe it.

    Args:
        env: a Gymnasium id, an ``EnvSpec``, an environment class, or a function that builds one:
            a ``gym.Env``, a ``VectorEnv`` (given ``num_envs``) or a PettingZoo ``AECEnv``; or the
            class of a typed environment, OpenEnv's or of :mod:`openenv_gym.models`.
        kwargs: constructor arguments.
        vectorization: ``lanes``, one environment a lane, or ``native``, the id's own vector
            environment.
        calls: methods and attributes that clients may ask for.

    Raises:
        FactoryFailed: if the environment cannot be built, or fails its first steps.
        InvalidArgument: if ``env`` is none of those, or a call cannot be offered.
    """
    calls = checked_calls(calls)
    if vectorization not in ("lanes", "native"):
        raise InvalidArgument(f"vectorization is 'lanes' or 'native', not {vectorization!r:.40}")
    if hasattr(env, "SUPPORTS_CONCURRENT_SESSIONS"):
        return _typed_source(env, dict(kwargs or {}))
    builder = _builder(env, dict(kwargs or {}), native=vectorization == "native")
    try:
        instance, build_seconds = build_to_probe(builder)
    except (Exception, SystemExit) as error:  # but Ctrl-C, which is the operator's
        raise _factory_failed(builder.name, error) from error
    try:
        if isinstance(instance, VectorEnv):
            return _vector_source(builder, instance, calls, build_seconds)
        if isinstance(instance, gymnasium.Env):
            return _lanes_source(builder, instance, calls, build_seconds)
        if hasattr(instance, "agent_iter"):
            return _game_source(builder, instance, calls, build_seconds)
    except OpenEnvGymError:
        raise
    except (Exception, SystemExit) as error:  # but Ctrl-C, which is the operator's
        raise _factory_failed(builder.name, error) from error
    finally:
        instance.close()
    raise InvalidArgument(
        f"{builder.name} builds a {type(instance).__name__}; a gymnasium.Env, a gymnasium.vector.VectorEnv "
        "or a pettingzoo.AECEnv was expected"
    )


def _typed_source(env: Any, kwargs: dict[str, Any]) -> Source:
    # pydantic takes long to import, and only typed environments need it.
    typed = importlib.import_module("openenv_gym.hosting.typed")
    source: Source = typed.typed_source(partial(env, **kwargs), typed.models_of(env), env.__name__)
    return source


def _builder(env: Any, kwargs: dict[str, Any], *, native: bool) -> Builder:
    if isinstance(env, str) and native:
        return _vector_builder(env, kwargs)
    if isinstance(env, (str, EnvSpec)):
        spec = spec_of(env) if isinstance(env, str) else env
        make = partial(gymnasium.make, spec, disable_env_checker=True, **kwargs)
        return Builder(spec.id, make, {"render_mode"}.__contains__)
    if callable(env):
        name = getattr(env, "__name__", type(env).__name__)
        return Builder(name, partial(env, **kwargs), _parameters(env))
    raise InvalidArgument(
        "serve_gym takes an id, an EnvSpec, an environment class or a function that builds one, not "
        f"{env!r:.80}; an environment that exists already cannot be served, for each session needs its own"
    )


def spec_of(env_id: str) -> EnvSpec:
    """What Gymnasium knows of an id, once the plug-in of its namespace is loaded.

    Raises:
        FactoryFailed: if it knows nothing.
        MissingExtra: if the plug-in is not installed.
    """
    load_plugin(env_id)
    try:
        return gymnasium.spec(env_id)
    except gymnasium.error.Error as error:
        raise _unknown_id(env_id) from error
    except ImportError as error:  # of the module before a ':'
        raise _factory_failed(env_id, error) from error


def _unknown_id(env_id: str) -> FactoryFailed:
    with suppress(MissingExtra):  # Pong-v5 may be meant for ALE/Pong-v5
        load_plugin("ALE/")
    close = " or ".join(close_ids(env_id))
    meant = f"was {close} meant?" if close else "is the package that registers it imported (--import)?"
    return FactoryFailed(
        f"there is no id {env_id!r:.80}; {meant} openenv-gym list shows the ids", factory_name=env_id
    )


def _vector_builder(env_id: str, kwargs: dict[str, Any]) -> Builder:
    spec = spec_of(env_id)
    entry_point = spec.vector_entry_point
    if entry_point is None:
        raise InvalidArgument(
            f"{env_id} has no vector environment of its own; serve it with vectorization='lanes'"
        )
    if isinstance(entry_point, str):
        module, _, attribute = entry_point.partition(":")
        entry_point = getattr(importlib.import_module(module), attribute)
    make = partial(gymnasium.make_vec, spec, vectorization_mode="vector_entry_point", **kwargs)
    return Builder(env_id, make, _parameters(entry_point))


def _parameters(target: Callable[..., Any]) -> Callable[[str], bool]:
    """Whether a callable takes an argument of some name."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return lambda name: False
    names = {parameter.name for parameter in parameters}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        # Who takes **kwargs hands them on to gym.make or a base class, which know this one.
        names.add("render_mode")
    return names.__contains__


def _close_failed(env: Any) -> None:
    """Close what a session was built of that will not be; it is past being complained about."""
    with suppress(*FAILURES):
        env.close()


def _lanes_source(builder: Builder, env: Any, calls: Sequence[str], build_seconds: float) -> Source:
    bare = atari.CALLS if atari.is_atari(env) else ()
    probed = probe_lane(builder, env, tuple(dict.fromkeys((*calls, *bare))))

    def host(signature: Signature, extra: dict[str, Any], built: Sequence[Any] = ()) -> HostedEnv:
        return GymnasiumLanes(partial(builder.make, **extra), signature, bare, built)

    def lane(extra: dict[str, Any]) -> Any:
        return builder.make(**extra)

    return Source(probed.signature, host, probed.step_seconds, build_seconds, probed.render_modes, lane=lane)


def _vector_source(builder: Builder, env: Any, calls: Sequence[str], build_seconds: float) -> Source:
    probed = probe_vector(builder, env, calls)
    chooses = builder.takes("autoreset_mode")

    def host(signature: Signature, extra: dict[str, Any]) -> HostedEnv:
        mode = {"autoreset_mode": signature.autoreset} if chooses else {}
        return NativeVector(lambda lanes: builder.make(num_envs=lanes, **mode, **extra), signature)

    step_seconds, build_seconds = probed.step_seconds / _VECTOR_GAIN, build_seconds / _VECTOR_GAIN
    return Source(probed.signature, host, step_seconds, build_seconds, probed.render_modes)


def _game_source(builder: Builder, env: Any, calls: Sequence[str], build_seconds: float) -> Source:
    # PettingZoo takes long to import, and only games need it.
    games = importlib.import_module("openenv_gym.hosting.pettingzoo")
    probed = probe_game(builder, env, calls)

    def host(signature: Signature, extra: dict[str, Any]) -> HostedEnv:
        game: HostedEnv = games.TurnBased(partial(builder.make, **extra), signature)
        return game

    return Source(probed.signature, host, probed.step_seconds, build_seconds, probed.render_modes)


def _factory_failed(env_id: str, error: BaseException, factory_name: str | None = None) -> OpenEnvGymError:
    if isinstance(error, (ImportError, gymnasium.error.DependencyNotInstalled)):
        spec = gymnasium.registry.get(env_id)
        family = None if spec is None else family_of(spec)
        if family is not None and not family.installed:
            return MissingExtra(
                f"{env_id} needs {family.needs}: pip install '{family.package}'", extra=family.package
            )
        advice = "install what is missing where it is served"
    else:
        advice = "correct its constructor or its arguments, or have the server's operator do so"
    return FactoryFailed(
        f"{env_id} could not be built: {type(error).__name__}: {error}; {advice}",
        factory_name=factory_name or env_id,
    )
