"""A native vector environment as lanes: its arrays, dtypes and infos pass as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from openenv_gym.errors import InvalidArgument, LayoutMismatch, ResetNeeded
from openenv_gym.hosting.contract import Out, attributed, look_up
from openenv_gym.types import Phase, Signature, Slots

__all__ = ["NativeVector"]

# NumPy's own numbers: of an IntEnum it would ask for one protocol after another, at each step.
_RESET, _STEP = np.uint8(Phase.RESET), np.uint8(Phase.STEP)


class NativeVector:
    """One ``gymnasium.vector.VectorEnv`` whose sub-environments are the session's lanes.

    Args:
        factory: builds the environment for a number of lanes.
        signature: with the lanes and the autoreset mode of this session.
    """

    def __init__(self, factory: Callable[[int], VectorEnv[Any, Any, Any]], signature: Signature) -> None:
        self.signature = signature
        self._env = factory(signature.lanes)
        self._ended = np.zeros(signature.lanes, np.bool_)
        self._step_count = np.zeros(signature.lanes, np.int64)
        self._fresh = True
        self._lanes = signature.lanes
        self._next_step = signature.autoreset == "NextStep"

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Reset as the environment does it; ``options["reset_mask"]`` is the environment's own."""
        if lanes is not None:
            raise InvalidArgument(
                "a native vector environment resets its lanes by options={'reset_mask': ...}"
            )
        seed: Any = seeds
        if isinstance(seeds, list):
            seed = np.array(seeds) if None not in seeds else seeds
        named = _named(options, self._lanes)  # the environment may take the mask out
        with attributed("reset"):
            observation, info = self._env.reset(seed=seed, options=options)
        out.put_batch(observation, info=info, phase=Phase.RESET)
        self._ended[named] = False
        self._step_count[named] = 0
        self._fresh = False

    def step(self, slots: Slots | None, actions: Any, out: Out) -> None:
        """Step all lanes at once."""
        if slots is not None:
            raise InvalidArgument("a native vector environment steps all its lanes at once")
        if self._fresh:
            raise ResetNeeded("the environment cannot step: it was not reset yet; call reset() first")
        with attributed("step"):
            observation, reward, terminated, truncated, info = self._env.step(actions)
        reward, terminated, truncated = np.asarray(reward), np.asarray(terminated), np.asarray(truncated)
        shape = (self._lanes,)
        if terminated.shape != shape or truncated.shape != shape:
            raise LayoutMismatch(
                f"terminated and truncated have {terminated.shape} and {truncated.shape}, not {shape}"
            )
        phase = np.where(self._ended, _RESET, _STEP) if self._next_step else _STEP
        out.put_batch(observation, reward, terminated, truncated, info, phase)
        self._step_count += 1
        if self._next_step:
            self._step_count[self._ended] = 0
        self._ended = terminated | truncated

    def observe(self, lane: int, agent: int) -> Any:
        """Gymnasium has no question for the current observation."""
        raise InvalidArgument("a vector environment shows its observation only in answers to reset and step")

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """The step count of the lane's episode."""
        return {"step_count": int(self._step_count[lane])}

    def render(self, lane: int | None) -> Any:
        """The frames of all lanes, or the one of ``lane``."""
        with attributed("render"):
            frames = self._env.render()
        if frames is None or lane is None:
            return frames if frames is None else list(frames)
        return frames[lane]

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """What the environment's method or attribute says; it has one for all lanes."""
        with attributed(name):
            return look_up(self._env, name, self.signature.calls, args)

    def close(self) -> None:
        """Close the environment."""
        with attributed("close"):
            self._env.close()


def _named(options: dict[str, Any] | None, lanes: int) -> Any:
    """An index of the lanes that a reset is about."""
    mask = (options or {}).get("reset_mask")
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (lanes,):
        return mask.copy()
    return slice(None)
