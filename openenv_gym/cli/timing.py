"""How long random steps take, and who takes that long: the environment, the way to it, or this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium.vector.utils import concatenate, create_empty_array

from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.envs.stats import Stats
from openenv_gym.envs.vector import OpenEnvVectorEnv
from openenv_gym.spaces import sample_legal

__all__ = ["ManyLanes", "OneLane", "Player", "Timed", "time_steps"]


@dataclass(frozen=True, slots=True)
class Timed:
    """What the steps of some lanes took, all together; one step moves all lanes."""

    lanes: int
    steps: int
    seconds: float
    """Of steps, and of the resets between them, as their caller waits for them."""
    median: float
    """Seconds of a step, resets left out."""
    ninety_ninth: float
    server_seconds: float
    """Of ``seconds``, from each request until its answer was taken."""
    environment_seconds: float | None
    """Of these, what the environment took; ``None`` if the server does not say it."""
    cpu_seconds: float
    """What this process spent meanwhile, waiting actively for an answer included."""
    bytes: int
    """Of messages, both ways."""

    @property
    def rate(self) -> float:
        """Steps of a lane, in a second."""
        return self.lanes * self.steps / self.seconds

    @property
    def environment_share(self) -> float | None:
        """Of the time, what the environment took."""
        return None if self.environment_seconds is None else self.environment_seconds / self.seconds

    @property
    def client_share(self) -> float:
        """Of the time, what the faces here took: actions to messages, answers to observations."""
        return max(0.0, 1 - self.server_seconds / self.seconds)

    @property
    def bridge_share(self) -> float | None:
        """Of the time, what is left: encoding, the way there and back, waiting for a thread."""
        return None if self.environment_share is None else 1 - self.environment_share - self.client_share

    @property
    def cpu_share(self) -> float:
        """How busy this process was; 1 is one core all the time."""
        return self.cpu_seconds / self.seconds

    @property
    def bytes_per_step(self) -> float:
        """Of a lane."""
        return self.bytes / (self.lanes * self.steps)


class Player(Protocol):
    """Plays lanes at random, step by step."""

    lanes: int

    @property
    def stats(self) -> Stats:
        """What the session has taken so far."""

    def begin(self) -> None:
        """Begin an episode in every lane, always the same."""

    def draw(self) -> Any:
        """Actions for the next step, legal ones where masks say which are."""

    def step(self, action: Any) -> bool:
        """Move every lane; whether :meth:`go_on` comes next."""

    def go_on(self) -> None:
        """Begin the next episode."""


class OneLane:
    """One lane, which its caller resets.

    Args:
        env: to play.
    """

    lanes = 1

    def __init__(self, env: OpenEnvGym) -> None:
        self._env = env
        self._info: dict[str, Any] = {}

    @property
    def stats(self) -> Stats:
        """What the session has taken so far."""
        return self._env.stats

    def begin(self) -> None:
        """Begin the first episode."""
        self._env.action_space.seed(0)
        _, self._info = self._env.reset(seed=0)

    def draw(self) -> Any:
        """An action."""
        return sample_legal(self._env.action_space, self._info)

    def step(self, action: Any) -> bool:
        """Move; whether the episode is over."""
        _, _, terminated, truncated, self._info = self._env.step(action)
        return terminated or truncated

    def go_on(self) -> None:
        """Begin the next episode."""
        _, self._info = self._env.reset()


class ManyLanes:
    """Lanes that reset themselves.

    Args:
        envs: to play.
    """

    def __init__(self, envs: OpenEnvVectorEnv) -> None:
        self.lanes = envs.num_envs
        self._envs = envs
        self._infos: dict[str, Any] = {}

    @property
    def stats(self) -> Stats:
        """What the session has taken so far."""
        return self._envs.stats

    def begin(self) -> None:
        """Begin the first episodes."""
        self._envs.action_space.seed(0)
        self._envs.single_action_space.seed(0)
        _, self._infos = self._envs.reset(seed=0)

    def draw(self) -> Any:
        """An action for each lane."""
        masks = self._infos.get("action_mask")
        if masks is None:
            return self._envs.action_space.sample()
        space = self._envs.single_action_space
        drawn = [sample_legal(space, {"action_mask": mask}) for mask in np.asarray(masks)]
        out: Any = create_empty_array(space, len(drawn))
        return concatenate(space, drawn, out)

    def step(self, actions: Any) -> bool:
        """Move all lanes; nothing is left to reset."""
        *_, self._infos = self._envs.step(actions)
        return False

    def go_on(self) -> None:
        """Nothing: the lanes have gone on."""


def time_steps(
    player: Player,
    seconds: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
) -> Timed:
    """Step until so much time has passed, and at least once.

    Drawing the actions does not count. The first step, which finds caches cold, does not either.

    Args:
        player: of the lanes.
        seconds: for which to step.
        clock: seconds, from any beginning.
        cpu_clock: seconds that this process has spent.
    """
    player.begin()
    if player.step(player.draw()):
        player.go_on()
    before, played, spent = player.stats, 0.0, 0.0
    taken: list[float] = []
    until = clock() + seconds
    while not taken or clock() < until:
        action = player.draw()
        busy, started = cpu_clock(), clock()
        over = player.step(action)
        stepped = ended = clock()
        if over:
            player.go_on()
            ended = clock()
        spent += cpu_clock() - busy
        taken.append(stepped - started)
        played += ended - started
    after = player.stats
    own = (before.environment_seconds, after.environment_seconds)
    median, ninety_ninth = np.percentile(taken, [50, 99]).tolist()
    return Timed(
        lanes=player.lanes,
        steps=len(taken),
        seconds=played,
        median=median,
        ninety_ninth=ninety_ninth,
        server_seconds=after.seconds - before.seconds,
        environment_seconds=None if own[0] is None or own[1] is None else own[1] - own[0],
        cpu_seconds=spent,
        bytes=(after.bytes_sent + after.bytes_received) - (before.bytes_sent + before.bytes_received),
    )
