"""Gymnasium lanes: which rows each autoreset mode writes, and that one lane's failure is its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from openenv_gym.errors import (
    CallRefused,
    EnvironmentRaised,
    InvalidAction,
    InvalidArgument,
    LayoutMismatch,
    ResetNeeded,
)
from openenv_gym.hosting.gymnasium import GymnasiumLanes
from openenv_gym.types import AUTORESET_MODES, Autoreset, Phase, Slots
from tests.hosting.collecting import Collected, signature_of

RESET, STEP, FINAL = Phase.RESET, Phase.STEP, Phase.FINAL


class Countdown(gymnasium.Env[np.ndarray[Any, Any], Any]):
    """Ends after two steps; action 9 raises, 8 is refused, and ``options["fail"]`` makes ``reset`` raise."""

    made: list[Countdown]

    def __init__(self) -> None:
        self.observation_space = Box(-10, 10, (1,), np.float32)
        self.action_space = Discrete(10)
        self.seeds: list[Any] = []
        self.actions: list[Any] = []
        self.closed = 0
        self._left = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        self.seeds.append(seed)
        self._left = 2
        if options and options.get("fail"):
            raise KeyError("no such start")
        return np.array([self._left], np.float32), {"options": options}

    def step(self, action: Any) -> tuple[np.ndarray[Any, Any], float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        if action == 9:
            raise ZeroDivisionError("nine")
        if action == 8:
            raise InvalidAction("eight is not legal here")
        self._left -= 1
        observation = np.array([self._left], np.float32)
        return observation, 1.5, self._left == 0, False, {"left": self._left}

    def close(self) -> None:
        self.closed += 1

    def double(self, number: int = 1) -> int:
        return 2 * number


@contextmanager
def hosted(lanes: int, autoreset: Autoreset) -> Iterator[tuple[GymnasiumLanes, list[Countdown]]]:
    made: list[Countdown] = []

    def build() -> Countdown:
        made.append(Countdown())
        return made[-1]

    env = GymnasiumLanes(build, signature_of(Countdown(), lanes, autoreset, ("double", "closed")))
    yield env, made
    env.close()


def reset(
    env: GymnasiumLanes, lanes: list[int] | None = None, seeds: Any = None, options: Any = None
) -> Collected:
    out = Collected()
    env.reset(lanes, seeds, options, out)
    return out


def step(env: GymnasiumLanes, actions: list[int], slots: Slots | None = None) -> Collected:
    out = Collected()
    env.step(slots, actions, out)
    return out


@pytest.mark.parametrize("mode", AUTORESET_MODES)
def test_a_reset_writes_a_first_row_for_each_lane(mode: Autoreset) -> None:
    with hosted(3, mode) as (env, _):
        out = reset(env, options={"a": 1})
        assert out.phases() == [(0, RESET), (1, RESET), (2, RESET)]
        for row in out.rows:
            assert (row.observation, row.reward, row.terminated, row.truncated) == ([2], 0.0, False, False)
            assert row.info == {"options": {"a": 1}}


def test_next_step_writes_the_reset_in_place_of_the_next_step() -> None:
    with hosted(1, "NextStep") as (env, made):
        reset(env)
        phases = [step(env, [1]).phases() for _ in range(6)]
        assert phases == [[(0, STEP)], [(0, STEP)], [(0, RESET)]] * 2
        assert made[0].actions == [1] * 4, "the action of the reset is ignored"


def test_same_step_writes_the_final_row_and_the_reset_together() -> None:
    with hosted(2, "SameStep") as (env, _):
        reset(env)
        assert step(env, [1, 1]).phases() == [(0, STEP), (1, STEP)]
        out = step(env, [1, 1])
        assert out.phases() == [(0, FINAL), (0, RESET), (1, FINAL), (1, RESET)]
        final, begun = out.rows[:2]
        assert (final.observation, final.reward, final.terminated, final.info) == (
            [0],
            1.5,
            True,
            {"left": 0},
        )
        assert (begun.observation, begun.reward, begun.terminated) == ([2], 0.0, False)


def test_without_autoreset_a_lane_that_has_ended_wants_a_reset_and_the_others_go_on() -> None:
    with hosted(2, "Disabled") as (env, made):
        reset(env)
        reset(env, [1])
        step(env, [1, 1])
        reset(env, [1])
        out = step(env, [1, 1])
        assert out.phases() == [(0, STEP), (1, STEP)] and out.rows[0].terminated
        out = step(env, [1, 1])
        assert out.phases() == [(1, STEP)]
        assert isinstance(out.failures[0], ResetNeeded) and "has ended" in str(out.failures[0])
        assert len(made[0].actions) == 2, "the refused step was not taken"
        assert reset(env, [0]).phases() == [(0, RESET)]
        assert step(env, [1], Slots(np.array([0], np.int32), np.array([0], np.int16))).phases() == [(0, STEP)]


@pytest.mark.parametrize("mode", AUTORESET_MODES)
def test_a_step_before_the_first_reset_is_refused(mode: Autoreset) -> None:
    with hosted(2, mode) as (env, made):
        reset(env, [1])
        out = step(env, [1, 1])
        assert out.phases() == [(1, STEP)]
        assert isinstance(out.failures[0], ResetNeeded) and "not reset yet" in str(out.failures[0])
        assert made[0].actions == []


@pytest.mark.parametrize("mode", AUTORESET_MODES)
def test_a_lane_that_raises_fails_alone(mode: Autoreset) -> None:
    with hosted(3, mode) as (env, made):
        reset(env)
        out = step(env, [1, 9, 1])
        assert out.phases() == [(0, STEP), (2, STEP)]
        error = out.failures[1]
        assert isinstance(error, EnvironmentRaised)
        assert error.fields == {"exception": "ZeroDivisionError", "during": "step"}
        assert "nine" in error.message and "in step" not in made[1].actions
        assert any("ZeroDivisionError: nine" in note for note in error.__notes__)


@pytest.mark.parametrize("mode", AUTORESET_MODES)
def test_a_lane_that_raised_wants_a_reset(mode: Autoreset) -> None:
    with hosted(2, mode) as (env, _):
        reset(env)
        step(env, [1, 9])
        assert isinstance(step(env, [1, 1]).failures[1], ResetNeeded)
        assert reset(env, [1]).phases() == [(1, RESET)]
        assert (1, STEP) in step(env, [1, 1]).phases()


@pytest.mark.parametrize("mode", AUTORESET_MODES)
def test_a_lane_that_refused_its_action_goes_on(mode: Autoreset) -> None:
    with hosted(2, mode) as (env, _):
        reset(env)
        assert isinstance(step(env, [1, 8]).failures[1], InvalidAction)
        assert (1, STEP) in step(env, [1, 1]).phases()


def test_a_lane_whose_reset_raises_fails_alone() -> None:
    with hosted(2, "NextStep") as (env, _):
        out = reset(env, [1], options={"fail": True})
        assert isinstance(out.failures[1], EnvironmentRaised) and out.failures[1].fields["during"] == "reset"
        assert reset(env).phases() == [(0, RESET), (1, RESET)]


def test_an_observation_that_has_no_place_fails_its_lane_alone() -> None:
    class Narrow(Collected):
        def put(self, lane: int, phase: int, observation: Any, *rest: Any, **named: Any) -> None:
            if lane == 1:
                raise LayoutMismatch("too wide")
            super().put(lane, phase, observation, *rest, **named)

    with hosted(3, "Disabled") as (env, _):
        reset(env)
        out = Narrow()
        env.step(None, [1, 1, 1], out)
        assert out.phases() == [(0, STEP), (2, STEP)] and isinstance(out.failures[1], LayoutMismatch)


@pytest.mark.parametrize(
    ("lanes", "seeds", "expected"),
    [
        (None, None, [[None], [None], [None]]),
        (None, 5, [[5], [6], [7]]),
        (None, [4, None, 2], [[4], [None], [2]]),
        ([2, 0], 5, [[5], [], [7]]),
        ([2, 0], [8, 9], [[9], [], [8]]),
    ],
)
def test_each_lane_gets_its_own_seed(lanes: list[int] | None, seeds: Any, expected: list[list[Any]]) -> None:
    with hosted(3, "Disabled") as (env, made):
        reset(env, lanes, seeds)
        assert [each.seeds for each in made] == expected


def test_seeds_that_do_not_match_the_lanes_are_refused() -> None:
    with hosted(3, "Disabled") as (env, made), pytest.raises(InvalidArgument, match="2 seeds for 3 lanes"):
        reset(env, seeds=[1, 2])
    assert made[0].seeds == []


def test_only_the_lanes_that_were_named_are_stepped() -> None:
    with hosted(3, "Disabled") as (env, made):
        reset(env)
        out = step(env, [4, 5], Slots(np.array([2, 0], np.int32), np.zeros(2, np.int16)))
        assert out.phases() == [(2, STEP), (0, STEP)]
        assert [each.actions for each in made] == [[5], [], [4]]


def test_state_counts_the_steps_of_the_episode_and_the_autoresets_before_it() -> None:
    with hosted(1, "SameStep") as (env, _):
        reset(env)
        seen = []
        for _ in range(3):
            step(env, [1])
            seen.append(env.state(0, 0))
        assert [state["step_count"] for state in seen] == [1, 0, 1]
        assert [state["autoresets"] for state in seen] == [0, 1, 1]


def test_only_what_is_on_the_list_can_be_called() -> None:
    with hosted(2, "Disabled") as (env, _):
        assert env.call(0, "double", [4]) == 8
        assert env.call(None, "closed", []) == [0, 0]
        for name in ("seeds", "step", "__class__", "double.__func__"):
            with pytest.raises(CallRefused, match="it offers: double, closed"):
                env.call(0, name, [])


def test_every_lane_is_closed_even_after_one_that_raises() -> None:
    class Sticky(Countdown):
        def close(self) -> None:
            super().close()
            raise OSError("sticky")

    made = [Countdown(), Sticky(), Countdown()]
    lanes = iter(made)
    env = GymnasiumLanes(lambda: next(lanes), signature_of(made[0], 3, "Disabled"))
    with pytest.raises(EnvironmentRaised, match="sticky"):
        env.close()
    assert [each.closed for each in made] == [1, 1, 1]


def test_lanes_that_were_built_are_closed_when_the_next_cannot_be_built() -> None:
    made: list[Countdown] = []

    def build() -> Countdown:
        if len(made) == 2:
            raise MemoryError("no room")
        made.append(Countdown())
        return made[-1]

    with pytest.raises(MemoryError, match="no room"):
        GymnasiumLanes(build, signature_of(Countdown(), 3, "Disabled"))
    assert [each.closed for each in made] == [1, 1]
