"""Typed environments: those written against OpenEnv's ``Environment``, ours or upstream's, by duck typing.

One instance is one lane. Its actions come as the fields of its pydantic model and are validated
here, where the environment is; its observation, a model that carries reward and done, leaves as
plain data. Nothing of Gymnasium is known of it, so it has the typed view only. What its methods take
is read when it is built: names in a client's reset that they do not take are dropped, as OpenEnv does.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import pydantic_core
from pydantic import BaseModel, ValidationError

from openenv_gym.errors import (
    InvalidAction,
    InvalidArgument,
    LayoutMismatch,
    OpenEnvGymError,
    ResetNeeded,
)
from openenv_gym.hosting.contract import NamedStep, Out, attributed, raised
from openenv_gym.hosting.models import Models
from openenv_gym.hosting.source import Source
from openenv_gym.models import State
from openenv_gym.types import Phase, Signature, Slots

__all__ = [
    "TypedLane",
    "is_model",
    "models_of",
    "state_of",
    "typed_source",
]


def models_of(cls: Any) -> Models:
    """The models that a class names in the annotations of ``step`` and ``state``.

    Raises:
        InvalidArgument: if it names none.
    """
    step = _hints(cls.step)
    observation = step.pop("return", None)
    action = next(iter(step.values()), None)
    if not (is_model(action) and is_model(observation)):
        raise InvalidArgument(
            f"{cls.__name__}.step does not name its models, as in "
            "def step(self, action: MyAction) -> MyObservation; annotate it, or use "
            "create_app(MyEnvironment, MyAction, MyObservation)"
        )
    return Models(action, observation, state_of(cls) or State)


def state_of(cls: Any) -> type[BaseModel] | None:
    """The model that a class names in the annotation of its ``state``, if it does."""
    written = getattr(cls, "state", None)
    state = _hints(written.fget).get("return") if isinstance(written, property) else None
    return state if is_model(state) else None


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # names that only a type checker knows
        return {}


def is_model(hint: Any) -> TypeGuard[type[BaseModel]]:
    """Whether something is a pydantic model."""
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _summary(error: ValidationError) -> str:
    complaints = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{'.'.join(map(str, each['loc'])) or 'action'}: {each['msg']}" for each in complaints[:3]]
    return "; ".join(said) + ("; ..." if len(complaints) > 3 else "")


def _complaints(error: ValidationError) -> list[Any]:
    try:
        complaints: list[Any] = json.loads(error.json())
    except (ValueError, RecursionError):  # the input holds what JSON cannot say
        complaints = json.loads(error.json(include_input=False, include_context=False))
    return complaints


class TypedLane:
    """One typed environment as the one lane of a session.

    Args:
        factory: builds it; called once, on the calling thread.
        signature: of the session.
        action: the model of its actions.
    """

    def __init__(self, factory: Callable[[], Any], signature: Signature, action: type[BaseModel]) -> None:
        self.signature = signature
        self._validate = action.model_validate
        self._env = factory()
        self._reset = _method(self._env, "reset")
        self._step = _method(self._env, "step")
        self._reset_takes = _accepted(self._reset)
        self._step_takes = _accepted(self._step)
        self._strict = bool(getattr(self._env, "STEP_NEEDS_RESET", False))
        self._running = False
        self._runner: asyncio.Runner | None = None

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Begin an episode; what the environment's ``reset`` takes of ``options`` are its arguments."""
        seed = seeds if isinstance(seeds, int) or seeds is None else seeds[0]
        given = dict(options or {})
        if seed is not None:
            given["seed"] = seed
        self._running = False
        self._put("reset", Phase.RESET, out, lambda: self._reset(**self._reset_takes(given)))

    def step(self, slots: Slots | None, actions: Sequence[Any], out: Out) -> None:
        """Take the action in some fields; a :class:`NamedStep` brings further arguments for the step.

        Raises:
            InvalidAction: if their model refuses the fields; ``fields["errors"]`` are pydantic's complaints.
        """
        fields, names = actions[0], {}
        if isinstance(fields, NamedStep):
            fields, names = fields.action, self._step_takes(fields.names)
        action = self._action_in(fields)
        if self._strict and not self._running:
            out.fail(
                0,
                ResetNeeded(
                    "the environment was not reset yet, or its episode has ended; call reset() first"
                ),
            )
            return
        self._put("step", Phase.STEP, out, lambda: self._step(action, **names))

    def _action_in(self, fields: Any) -> BaseModel:
        try:
            return self._validate(fields)
        except ValidationError as error:
            raise InvalidAction(
                f"Invalid message: {_summary(error)}; see /schema", errors=_complaints(error)
            ) from error

    def _put(self, during: str, phase: Phase, out: Out, ask: Callable[[], Any]) -> None:
        try:
            observation = self._settled(ask())
            fields, reward, done = _outcome(observation, during)
            out.put(0, phase, fields, reward, done, False, None)
        except OpenEnvGymError as error:
            out.fail(0, error)
        except Exception as error:  # the boundary to foreign code: it fails, the session goes on
            out.fail(0, raised(error, during))
        else:
            self._running = not done

    def _settled(self, answer: Any) -> Any:
        """The answer, or what its coroutine comes to on the event loop of this thread."""
        if not inspect.iscoroutine(answer):
            return answer
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(answer)

    def observe(self, lane: int, agent: int) -> Any:
        """OpenEnv has no question for the current observation."""
        raise InvalidArgument("a typed environment shows its observation only in answers to reset and step")

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """The environment's own state."""
        with attributed("state"):
            state = self._env.state
            if callable(state):  # some write a method where a property is meant
                state = state()
            fields = state.model_dump() if hasattr(state, "model_dump") else dict(state or {})
            plain: dict[str, Any] = pydantic_core.to_jsonable_python(fields, inf_nan_mode="null")
            return plain

    def render(self, lane: int | None) -> Any:
        """OpenEnv has no frames."""
        raise InvalidArgument("a typed environment does not render")

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """No calls are offered."""
        raise InvalidArgument("a typed environment offers no calls")

    def close(self) -> None:
        """Close the environment, and the event loop that its coroutines ran on."""
        try:
            with attributed("close"):
                close = getattr(self._env, "close", None)
                if close is not None:
                    self._settled(close())
        finally:
            if self._runner is not None:
                self._runner.close()


def _outcome(observation: Any, during: str) -> tuple[dict[str, Any], Any, bool]:
    """The fields of an observation as plain data, its reward, and whether the episode is over."""
    try:
        reward, done = observation.reward, bool(observation.done)
        fields = observation.model_dump(exclude={"reward", "done"})
    except AttributeError as error:
        raise LayoutMismatch(
            f"{during} returned a {type(observation).__name__}; an Observation, which has reward and done, "
            "was expected"
        ) from error
    try:
        return pydantic_core.to_jsonable_python(fields, inf_nan_mode="null"), reward, done
    except (TypeError, ValueError, RecursionError) as error:
        raise LayoutMismatch(
            f"the observation, a {type(observation).__name__}, cannot be written as JSON: {error}"
        ) from error


def _method(env: Any, name: str) -> Callable[..., Any]:
    """``reset`` or ``step``, or its coroutine where the environment overrides that one."""
    written = f"{name}_async"
    for cls in type(env).__mro__:
        if written in vars(cls):
            # The base class has a coroutine that calls the plain method, which is abstract there.
            inherited = getattr(vars(cls).get(name), "__isabstractmethod__", False)
            method: Callable[..., Any] = getattr(env, name if inherited else written)
            return method
    plain: Callable[..., Any] = getattr(env, name)
    return plain


def _accepted(method: Callable[..., Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Which of some named arguments a method takes."""
    parameters = inspect.signature(method).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = frozenset(parameter.name for parameter in parameters if parameter.kind in by_name)
    return lambda given: {name: value for name, value in given.items() if name in names}


def typed_source(env: Callable[[], Any], models: Models, name: str | None = None) -> Source:
    """What hosts a typed environment; nothing is built before the first session asks for it.

    Args:
        env: its class, or a function that builds one.
        models: of its actions, observations and states.
        name: under which it is served; by default that of ``env``.
    """
    signature = Signature(
        env_id=name or str(getattr(env, "__name__", "environment")),
        agents=("agent",),
        observation_spaces=(),
        action_spaces=(),
        lanes=1,
        autoreset="Disabled",
        autoreset_modes=("Disabled",),
        views=("typed",),
    )

    def consult(question: Callable[[Any], Any]) -> Any:
        instance = env()
        try:
            answer = question(instance)
            return asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        finally:
            instance.close()

    return Source(
        signature,
        host=lambda signature, extra: TypedLane(env, signature, models.action),
        step_seconds=math.inf,
        build_seconds=math.inf,
        own_models=models,
        consult=consult,
        bears_several=functools.partial(_bears_several, env),
        one_thread=bool(getattr(_written(env), "REQUIRES_SINGLE_THREAD_EXECUTOR", False)),
        factory_name=str(getattr(_written(env), "__name__", env)),
    )


def _bears_several(env: Callable[[], Any]) -> bool:
    """Whether several instances may live at once; of a function's, one is built to ask."""
    cls = _written(env)
    if not inspect.isclass(cls):
        instance = env()
        instance.close()
        cls = type(instance)
    return bool(getattr(cls, "SUPPORTS_CONCURRENT_SESSIONS", False))


def _written(env: Any) -> Any:
    """The class or function behind bound arguments."""
    return env.func if isinstance(env, functools.partial) else env
