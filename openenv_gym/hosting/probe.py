"""What one instance of an environment tells before the server opens its door.

Its spaces are read, and some twenty steps are played to learn what a step costs; what it observes on the
way is held up against its spaces.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium

from openenv_gym.errors import InvalidArgument
from openenv_gym.hosting import atari
from openenv_gym.hosting.gymnasium import spec_facts
from openenv_gym.spaces import deviations, kinds_of, layout_of, sample_legal
from openenv_gym.types import AUTORESET_MODES, Autoreset, Signature

__all__ = ["Builder", "Probed", "build_to_probe", "probe_game", "probe_lane", "probe_vector"]

_log = logging.getLogger("openenv_gym.server")
_PROBE_STEPS = 20
_PROBE_SECONDS = 0.5
_PROBE_VECTOR_LANES = 2
_QUICK_BUILD_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Builder:
    """How an environment is built, and which of the bridge's arguments its constructor takes.

    Attributes:
        name: of what is built.
        make: the constructor, with the operator's own arguments bound to it.
        takes: whether it takes ``num_envs``, ``autoreset_mode`` or ``render_mode``.
    """

    name: str
    make: Callable[..., Any]
    takes: Callable[[str], bool]

    def probe(self) -> Any:
        """An instance to learn from."""
        return self.make(num_envs=_PROBE_VECTOR_LANES) if self.takes("num_envs") else self.make()


@dataclass(frozen=True, slots=True)
class Probed:
    """What an instance told.

    Attributes:
        signature: of one lane.
        step_seconds: what one step of one lane took, at the median.
        render_modes: the modes that a session may ask for.
    """

    signature: Signature
    step_seconds: float
    render_modes: tuple[str, ...]


def build_to_probe(builder: Builder) -> tuple[Any, float]:
    """An instance, and what a build takes: of a second one, for the first pays for imports."""
    started = time.perf_counter()
    instance = builder.probe()
    taken = time.perf_counter() - started
    if taken < _QUICK_BUILD_SECONDS:
        instance.close()
        started = time.perf_counter()
        instance = builder.probe()
        taken = time.perf_counter() - started
    return instance, taken


def probe_lane(builder: Builder, env: Any, calls: Sequence[str]) -> Probed:
    """What a Gymnasium environment tells; one is a lane."""
    observation, info = env.reset(seed=0)
    masks = "action_mask" in info
    layout = layout_of(env.observation_space)
    constants = atari.constants_of(env) if atari.is_atari(env) else {}
    env.action_space.seed(0)
    look = _Look(builder.name)
    look(env.observation_space, observation)

    def step() -> Any:
        nonlocal info
        # What an illegal move of a board game costs is not what a step costs.
        observation, _, terminated, truncated, info = env.step(sample_legal(env.action_space, info))
        if terminated or truncated:
            _, info = env.reset()
        return env.observation_space, observation

    signature = Signature(
        env_id=builder.name,
        agents=("agent",),
        observation_spaces=(env.observation_space,),
        action_spaces=(env.action_space,),
        lanes=1,
        autoreset="Disabled",
        metadata=_plain_metadata(env.metadata),
        render_mode=env.render_mode,
        calls=tuple(calls),
        constants=constants,
        kinds=() if layout is None else tuple(kinds_of(layout, observation)),
        spec=spec_facts(env.spec),
        masks=masks,
    )
    return Probed(signature, _median_seconds(step, look), _render_modes(builder, env))


def probe_vector(builder: Builder, env: Any, calls: Sequence[str]) -> Probed:
    """What a native vector environment tells.

    Raises:
        InvalidArgument: if it does not say its autoreset mode.
    """
    look = _Look(builder.name)
    observation, info = env.reset(seed=0)
    look(env.observation_space, observation)
    env.action_space.seed(0)
    default = env.metadata.get("autoreset_mode")
    default = getattr(default, "value", default)
    if default not in AUTORESET_MODES:
        raise InvalidArgument(f"{builder.name} does not say its autoreset mode in metadata['autoreset_mode']")
    layout = layout_of(env.single_observation_space)
    signature = Signature(
        env_id=builder.name,
        agents=("agent",),
        observation_spaces=(env.single_observation_space,),
        action_spaces=(env.single_action_space,),
        lanes=1,
        autoreset=default,
        autoreset_modes=_modes_of(builder) if builder.takes("autoreset_mode") else (default,),
        vector=True,
        metadata=_plain_metadata(env.metadata),
        render_mode=env.render_mode,
        calls=tuple(calls),
        kinds=() if layout is None else tuple(kinds_of(layout, None)),
        spec=spec_facts(env.spec),
        masks="action_mask" in info,
        views=("array",),
    )

    def step() -> Any:
        return env.observation_space, env.step(env.action_space.sample())[0]

    seconds = _median_seconds(step, look) / _PROBE_VECTOR_LANES
    return Probed(signature, seconds, _render_modes(builder, env))


def _modes_of(builder: Builder) -> tuple[Autoreset, ...]:
    """The modes that a vector environment really takes; its constructor refuses the others."""
    taken: list[Autoreset] = []
    for mode in AUTORESET_MODES:
        try:
            builder.make(num_envs=1, autoreset_mode=mode).close()
        except Exception:  # the boundary to foreign code: however it refuses, it refuses
            continue
        taken.append(mode)
    return tuple(taken)


def probe_game(builder: Builder, env: Any, calls: Sequence[str]) -> Probed:
    """What a PettingZoo game tells, whose agents take turns."""
    # PettingZoo takes long to import, and only games need it.
    games = importlib.import_module("openenv_gym.hosting.pettingzoo")
    signature: Signature = games.signature_of(env, builder.name, calls)
    env.reset(seed=0)

    def step() -> Any:
        if not env.agents:
            env.reset()
        agent = env.agent_selection
        observation, _, terminated, truncated, info = env.last()
        mask = info.get("action_mask")
        if mask is None and isinstance(observation, dict):
            mask = observation.get("action_mask")
        over = terminated or truncated
        env.step(None if over else env.action_space(agent).sample(mask))
        return env.observation_space(agent), observation

    return Probed(signature, _median_seconds(step, _Look(builder.name)), _render_modes(builder, env))


class _Look:
    """Says once of each field that what is observed in a probe lies outside its space.

    Sessions do not look: it costs time at each step, and what is observed passes untouched.
    """

    def __init__(self, env_id: str) -> None:
        self._env_id = env_id
        self._said: set[str] = set()

    def __call__(self, space: gymnasium.Space[Any], observation: Any) -> None:
        for path, why in deviations(space, observation):
            if path not in self._said:
                self._said.add(path)
                _log.warning(
                    "%s: %s %s; it is passed on as it is, and openenv-gym check reports it too",
                    self._env_id,
                    path,
                    why,
                )


def _median_seconds(step: Callable[[], tuple[gymnasium.Space[Any], Any]], look: _Look) -> float:
    """What a step takes; what it observed is looked at while no clock runs."""
    taken: list[float] = []
    while len(taken) < _PROBE_STEPS and sum(taken) < _PROBE_SECONDS:
        started = time.perf_counter()
        observed = step()
        taken.append(time.perf_counter() - started)
        look(*observed)
    return sorted(taken)[len(taken) // 2]


def _render_modes(builder: Builder, env: Any) -> tuple[str, ...]:
    """Modes that a session may ask for; ``human`` opens a window where nobody looks."""
    if not builder.takes("render_mode"):
        return ()
    return tuple(mode for mode in env.metadata.get("render_modes", ()) if mode not in (None, "human"))


def _plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: getattr(value, "value", value) for key, value in metadata.items()}
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in plain.items()
        if value is None or isinstance(value, (str, int, float, bool, list, tuple, dict))
    }
