"""Gymnasium environments as lanes: one ``gym.Env`` a lane, stepped one after the other.

The three autoreset modes are Gymnasium's (https://farama.org/Vector-Autoreset-Mode):

* ``NextStep``: the step after the end of an episode ignores its action and answers with the reset.
* ``SameStep``: the step that ends an episode answers with a ``FINAL`` row and a ``RESET`` row.
* ``Disabled``: an ended lane wants a reset; a step is refused.

A step that raises leaves a lane that wants a reset. With ``on_failure="restart"`` it ends the episode
instead, and the mode says what follows; and an environment whose reset raises is closed, built anew and
reset again, two times before the reset has failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any

import gymnasium

from openenv_gym.errors import InvalidAction, InvalidArgument, OpenEnvGymError, ResetNeeded, Side
from openenv_gym.hosting.contract import FAILURES, Out, attributed, look_up, raised
from openenv_gym.types import Phase, Signature, Slots

__all__ = ["RESETS", "GymnasiumLanes", "spec_facts"]

_STEP = int(Phase.STEP)  # an enum's members take longer to find
RESETS = 3
"""How often a lane that restarts is reset, in a new environment each time, until its reset has failed."""

_log = logging.getLogger("openenv_gym.server")


class _Life(IntEnum):
    """Where a lane is between its resets."""

    RUNNING = 0
    ENDED = 1
    FRESH = 2


class GymnasiumLanes:
    """``signature.lanes`` environments of one factory.

    Args:
        factory: builds one environment; called once a lane, on the calling thread.
        signature: with the lanes and the autoreset mode of this session.
        bare: calls that take no arguments from a client.
        built: what the factory has built already, for the first lanes.

    Raises:
        FactoryFailed: is raised by the caller's boundary, not here; lanes that were already built
            are closed before the factory's exception passes on.
    """

    def __init__(
        self,
        factory: Callable[[], gymnasium.Env[Any, Any]],
        signature: Signature,
        bare: Collection[str] = (),
        built: Iterable[gymnasium.Env[Any, Any]] = (),
    ) -> None:
        self.signature = signature
        self._factory = factory
        self._bare = bare
        self._envs: list[gymnasium.Env[Any, Any]] = list(built)
        try:
            while len(self._envs) < signature.lanes:
                self._envs.append(factory())
        except BaseException:
            self.close()
            raise
        self._steps = [env.step for env in self._envs]
        self._life = [_Life.FRESH] * signature.lanes
        self._step_count = [0] * signature.lanes
        self._autoresets = [0] * signature.lanes
        self._same_step = signature.autoreset == "SameStep"
        self._next_step = signature.autoreset == "NextStep"
        self._restarts = signature.on_failure == "restart"

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Reset the lanes in order; lane ``i`` takes ``seeds + i``, or its own entry."""
        named: Sequence[int] = range(len(self._envs)) if lanes is None else lanes
        if isinstance(seeds, int):
            each: Sequence[int | None] = [seeds + lane for lane in named]
        else:
            each = seeds if seeds is not None else [None] * len(named)
        if len(each) != len(named):
            raise InvalidArgument(
                f"{len(each)} seeds for {len(named)} lanes; give one for each, or one number"
            )
        for lane, seed in zip(named, each, strict=True):
            self._autoresets[lane] = 0
            self._reset_lane(lane, seed, options, out)

    def _reset_lane(self, lane: int, seed: int | None, options: dict[str, Any] | None, out: Out) -> None:
        self._life[lane] = _Life.FRESH
        error = self._try_reset(lane, seed, options, out)
        if error is not None and self._restarts and error.side is not Side.YOU:
            error = self._reset_anew(lane, seed, options, out, error)
        if error is not None:
            out.fail(lane, error)
            return
        self._life[lane] = _Life.RUNNING
        self._step_count[lane] = 0

    def _try_reset(
        self, lane: int, seed: int | None, options: dict[str, Any] | None, out: Out
    ) -> OpenEnvGymError | None:
        """Put the first row of an episode; or what the environment raises."""
        try:
            if seed is None and options is None:
                observation, info = self._envs[lane].reset()
            else:
                observation, info = self._envs[lane].reset(seed=seed, options=options)
            out.put(lane, Phase.RESET, observation, 0.0, False, False, info)
        except OpenEnvGymError as error:
            return error
        except FAILURES as error:  # the boundary to foreign code: one lane fails, the others go on
            return raised(error, "reset")
        return None

    def _reset_anew(
        self,
        lane: int,
        seed: int | None,
        options: dict[str, Any] | None,
        out: Out,
        error: OpenEnvGymError | None,
    ) -> OpenEnvGymError | None:
        """Reset a lane whose environment has failed to, in new ones."""
        for _ in range(RESETS - 1):
            _log.warning("lane %d of %s is built anew: %s", lane, self.signature.env_id, error)
            with suppress(*FAILURES):  # it is broken, and has told what it had to tell
                self._envs[lane].close()
            try:
                self._envs[lane] = self._factory()
            except FAILURES as failure:  # the boundary to foreign code
                error = raised(failure, "construction")
                continue
            self._steps[lane] = self._envs[lane].step
            error = self._try_reset(lane, seed, options, out)
            if error is None:
                break
        return error

    def step(self, slots: Slots | None, actions: Iterable[Any], out: Out) -> None:
        """Step the lanes in order, each with its action."""
        lanes: Iterable[int] = range(len(self._envs)) if slots is None else slots.lane.tolist()
        steps, life, counts, put = self._steps, self._life, self._step_count, out.put
        for lane, action in zip(lanes, actions, strict=True):
            if life[lane]:
                self._step_idle(lane, out)
                continue
            try:
                observation, reward, terminated, truncated, info = steps[lane](action)
                counts[lane] += 1
                if terminated or truncated:
                    self._end(lane, (observation, reward, terminated, truncated, info), out)
                else:
                    put(lane, _STEP, observation, reward, terminated, truncated, info)
            except InvalidAction as error:  # nothing was stepped: the episode goes on
                out.fail(lane, error)
            except OpenEnvGymError as error:
                self._fail(lane, error, out)
            except FAILURES as error:  # the boundary to foreign code: one lane fails, the others go on
                self._fail(lane, raised(error, "step", advise=not self._restarts), out)

    def _step_idle(self, lane: int, out: Out) -> None:
        """A step of a lane that is not in an episode."""
        if self._life[lane] == _Life.ENDED and self._next_step:
            self._autoresets[lane] += 1
            self._reset_lane(lane, None, None, out)
            if self._restarts and self._life[lane] == _Life.FRESH:
                self._life[lane] = _Life.ENDED  # the next step tries again
        else:
            why = "its episode has ended" if self._life[lane] == _Life.ENDED else "it was not reset yet"
            out.fail(lane, ResetNeeded(f"lane {lane} cannot step: {why}; call reset() first", lane=lane))

    def _end(self, lane: int, row: tuple[Any, ...], out: Out) -> None:
        """The last row of an episode."""
        if self._same_step:
            out.put(lane, Phase.FINAL, *row)
            self._autoresets[lane] += 1
            self._reset_lane(lane, None, None, out)
        else:
            out.put(lane, Phase.STEP, *row)
            self._life[lane] = _Life.ENDED

    def _fail(self, lane: int, error: OpenEnvGymError, out: Out) -> None:
        if not self._restarts:
            self._life[lane] = _Life.FRESH
            out.fail(lane, error)
            return
        self._life[lane] = _Life.ENDED
        out.fail(lane, error, final=self._same_step)
        if self._same_step:
            self._autoresets[lane] += 1
            self._reset_lane(lane, None, None, out)

    def observe(self, lane: int, agent: int) -> Any:
        """Gymnasium has no question for the current observation."""
        raise InvalidArgument(
            "a Gymnasium environment shows its observation only in answers to reset and step"
        )

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """The step count of the lane's episode, and how many autoresets came before it."""
        return {"step_count": self._step_count[lane], "autoresets": self._autoresets[lane]}

    def render(self, lane: int | None) -> Any:
        """What the lane's ``render`` returns; a list for all lanes."""
        with attributed("render"):
            if lane is None:
                return [env.render() for env in self._envs]
            return self._envs[lane].render()

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """What the lane's method or attribute says; a list for all lanes."""
        if args and name in self._bare:
            raise InvalidArgument(f"the call {name} takes no arguments")
        named = self._envs if lane is None else [self._envs[lane]]
        with attributed(name):
            answers = [self._look_up(env, name, args) for env in named]
        return answers if lane is None else answers[0]

    def _look_up(self, env: Any, name: str, args: Sequence[Any]) -> Any:
        if not args and name in self.signature.constants:
            return self.signature.constants[name]
        return look_up(env, name, self.signature.calls, args)

    def close(self) -> None:
        """Close every lane, also after one of them raises."""
        envs, self._envs = self._envs, []
        failures = []
        for env in envs:
            try:
                env.close()
            except FAILURES as error:  # the boundary to foreign code: the other lanes close too
                failures.append(raised(error, "close"))
        if failures:
            raise failures[0]


def spec_facts(spec: gymnasium.envs.registration.EnvSpec | None) -> dict[str, Any]:
    """The facts of an ``EnvSpec`` that a face shows."""
    if spec is None:
        return {}
    return {
        "id": spec.id,
        "max_episode_steps": spec.max_episode_steps,
        "reward_threshold": spec.reward_threshold,
        "nondeterministic": spec.nondeterministic,
    }
