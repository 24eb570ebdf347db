"""The typed base classes that an author of an environment subclasses, in OpenEnv's shape.

An environment written against ``openenv.core.env_server`` ports by changing its imports: the names,
the signatures and the validation are the same. One thing is stricter here, and an environment can
say otherwise: a step before the first reset, or after an observation with ``done``, is refused
(:attr:`Environment.STEP_NEEDS_RESET`).

>>> class Guess(Action):
...     number: int
>>> class Hint(Observation):
...     hint: str
>>> class Guessing(Environment[Guess, Hint, State]):
...     def __init__(self) -> None:
...         super().__init__()
...         self._state = State()
...     def reset(self, seed=None, episode_id=None, **kwargs):
...         self._secret = (seed or 0) % 10
...         self._state = State(episode_id=episode_id, step_count=0)
...         return Hint(hint="guess a number below 10")
...     def step(self, action, timeout_s=None, **kwargs):
...         self._state.step_count += 1
...         found = action.number == self._secret
...         return Hint(hint="yes" if found else "no", reward=float(found), done=found)
...     @property
...     def state(self):
...         return self._state
>>> env = Guessing()
>>> env.reset(seed=7).hint
'guess a number below 10'
>>> env.step(Guess(number=7)).reward
1.0
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Action", "Environment", "EnvironmentMetadata", "Observation", "State", "Transform"]


class Action(BaseModel):
    """What an agent does; subclass it with the fields of your environment's actions."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    metadata: dict[str, Any] = Field(default_factory=dict, description="Whatever goes with the action.")


class Observation(BaseModel):
    """What an agent sees, with the reward for its last action, and whether the episode is over."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    done: bool = Field(default=False, description="Whether the episode is over.")
    reward: bool | int | float | None = Field(default=None, description="For the last action.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Whatever goes with the observation.")


class State(BaseModel):
    """Where an environment is in its episode, and what else it tells of itself; any field may be added."""

    model_config = ConfigDict(extra="allow", validate_assignment=True, arbitrary_types_allowed=True)

    episode_id: str | None = Field(default=None, description="Which episode it is.")
    step_count: int = Field(default=0, ge=0, description="Steps taken in this episode.")


class EnvironmentMetadata(BaseModel):
    """What ``/metadata`` says of an environment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    name: str
    description: str
    readme_content: str | None = None
    version: str | None = None
    author: str | None = None
    documentation_url: str | None = None


ActT = TypeVar("ActT", bound=Action)
ObsT = TypeVar("ObsT", bound=Observation)
StateT = TypeVar("StateT", bound=State)


class Transform(ABC, Generic[ObsT]):
    """Changes an observation before it is sent: adds a reward, say, or a measurement."""

    @abstractmethod
    def __call__(self, observation: ObsT) -> ObsT:
        """The changed observation."""


class Environment(ABC, Generic[ActT, ObsT, StateT]):
    """An environment with typed actions and observations; one instance serves one session.

    It lives on one thread from construction to close. ``reset`` and ``step`` may be written as the
    coroutines ``reset_async`` and ``step_async`` instead, which then run on an event loop of that thread.

    Args:
        transform: applied to observations where the environment calls :meth:`_apply_transform`.
        rubric: computes rewards where the environment calls :meth:`_apply_rubric`.
    """

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = False
    """Whether several instances may live in one process; else a server takes one session at a time."""
    REQUIRES_SINGLE_THREAD_EXECUTOR: ClassVar[bool] = False
    """Whether all instances must live on one and the same thread."""
    STEP_NEEDS_RESET: ClassVar[bool] = True
    """Whether a step before the first reset, or after the end of an episode, is refused."""

    def __init__(self, transform: Transform[ObsT] | None = None, rubric: Any | None = None) -> None:
        self.transform = transform
        self.rubric = rubric

    @abstractmethod
    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> ObsT:
        """Begin an episode; ``kwargs`` are what else the client's reset holds."""

    @abstractmethod
    def step(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
        """Take an action."""

    @property
    @abstractmethod
    def state(self) -> StateT:
        """Where the environment is."""

    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any
    ) -> ObsT:
        """:meth:`reset` as a coroutine; override it where resetting waits."""
        return self.reset(seed=seed, episode_id=episode_id, **kwargs)

    async def step_async(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
        """:meth:`step` as a coroutine; override it where stepping waits."""
        return self.step(action, timeout_s=timeout_s, **kwargs)

    def get_metadata(self) -> EnvironmentMetadata:
        """What ``/metadata`` says; by default the name of the class."""
        name = type(self).__name__
        return EnvironmentMetadata(name=name, description=f"{name} environment", version="1.0.0")

    def close(self) -> None:
        """Let go of everything; called once, when the session ends."""

    def _apply_transform(self, observation: ObsT) -> ObsT:
        """The observation as :attr:`transform` gives it."""
        return observation if self.transform is None else self.transform(observation)

    def _apply_rubric(self, action: ActT, observation: ObsT) -> float:
        """The reward that :attr:`rubric` gives; 0 without one."""
        return 0.0 if self.rubric is None else self.rubric(action, observation)

    async def _apply_rubric_async(self, action: ActT, observation: ObsT) -> float:
        """:meth:`_apply_rubric` with a rubric that may be a coroutine function."""
        reward: Any = self._apply_rubric(action, observation)
        settled: float = await reward if inspect.isawaitable(reward) else reward
        return settled

    def _reset_rubric(self) -> None:
        """Have :attr:`rubric` forget the last episode."""
        if self.rubric is not None:
            self.rubric.reset()

    async def _reset_rubric_async(self) -> None:
        """:meth:`_reset_rubric` with a rubric that may reset as a coroutine."""
        reset: Callable[[], Any] | None = getattr(self.rubric, "reset_async", None)
        if reset is None:
            self._reset_rubric()
        elif inspect.isawaitable(pending := reset()):
            await pending
