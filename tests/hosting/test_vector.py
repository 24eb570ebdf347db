"""Native vector environments pass as they are: one batch a request, their own dtypes and infos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from openenv_gym.errors import EnvironmentRaised, InvalidArgument, LayoutMismatch, ResetNeeded
from openenv_gym.hosting.vector import NativeVector
from openenv_gym.types import Phase, Slots
from tests.fidelity import assert_identical
from tests.hosting.collecting import Collected, signature_of


@pytest.fixture
def env() -> Iterator[NativeVector]:
    signature = signature_of(CartPoleVectorEnv(1), 3, "NextStep")
    hosted = NativeVector(lambda lanes: CartPoleVectorEnv(lanes, max_episode_steps=3), signature)
    yield hosted
    hosted.close()


def test_a_batch_is_what_the_environment_gives(env: NativeVector) -> None:
    local = CartPoleVectorEnv(3, max_episode_steps=3)
    out = Collected()
    env.reset(None, 4, None, out)
    expected, _ = local.reset(seed=4)
    assert_identical(out.batches[0]["observation"], expected, "reset")
    assert out.batches[0]["phase"] == Phase.RESET and not out.rows
    actions = np.array([0, 1, 1])
    for _ in range(5):
        out = Collected()
        env.step(None, actions, out)
        batch = out.batches[0]
        names = ["observation", "reward", "terminated", "truncated", "info"]
        assert_identical([batch[name] for name in names], list(local.step(actions)), "step")
        assert batch["reward"].dtype == np.float32
    local.close()


def test_the_step_after_an_end_is_a_reset(env: NativeVector) -> None:
    env.reset(None, 4, None, Collected())
    phases = []
    for _ in range(5):
        out = Collected()
        env.step(None, np.zeros(3, np.int64), out)
        phases.append(np.broadcast_to(out.batches[0]["phase"], 3).tolist())
    assert phases == [[Phase.STEP] * 3] * 3 + [[Phase.RESET] * 3, [Phase.STEP] * 3]
    assert env.state(0, 0)["step_count"] == 1


def test_a_step_before_the_first_reset_is_refused(env: NativeVector) -> None:
    with pytest.raises(ResetNeeded, match="not reset yet"):
        env.step(None, np.zeros(3, np.int64), Collected())


def test_lanes_cannot_be_asked_one_by_one(env: NativeVector) -> None:
    with pytest.raises(InvalidArgument, match="reset_mask"):
        env.reset([1], None, None, Collected())
    env.reset(None, 1, None, Collected())
    with pytest.raises(InvalidArgument, match="all its lanes"):
        env.step(Slots(np.array([1], np.int32), np.zeros(1, np.int16)), np.zeros(1, np.int64), Collected())


def test_what_it_raises_is_the_environments_failure(env: NativeVector) -> None:
    env.reset(None, 1, None, Collected())
    with pytest.raises(EnvironmentRaised) as raised:
        env.step(None, np.full(3, 7), Collected())
    assert raised.value.fields["during"] == "step"


def test_flags_that_are_not_one_for_each_lane_are_refused() -> None:
    class Crooked(CartPoleVectorEnv):
        def step(self, action: Any) -> Any:
            observation, reward, terminated, truncated, info = super().step(action)
            return observation, reward, terminated[:1], truncated, info

    hosted = NativeVector(lambda lanes: Crooked(lanes), signature_of(CartPoleVectorEnv(1), 2, "NextStep"))
    hosted.reset(None, 1, None, Collected())
    with pytest.raises(LayoutMismatch, match="terminated and truncated"):
        hosted.step(None, np.zeros(2, np.int64), Collected())
    hosted.close()


def test_seeds_and_masks_go_to_the_environment_as_they_are() -> None:
    seen: list[dict[str, Any]] = []

    class Noting(CartPoleVectorEnv):
        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            seen.append({"seed": seed, "options": options})
            return super().reset()

    hosted = NativeVector(lambda lanes: Noting(lanes), signature_of(CartPoleVectorEnv(1), 2, "NextStep"))
    mask = {"reset_mask": np.array([True, False])}
    for seeds, options in ((None, None), (3, None), ([3, 4], mask), ([3, None], None)):
        hosted.reset(None, seeds, options, Collected())
    hosted.close()
    assert_identical(
        seen,
        [
            {"seed": None, "options": None},
            {"seed": 3, "options": None},
            {"seed": np.array([3, 4]), "options": mask},
            {"seed": [3, None], "options": None},
        ],
        "resets",
    )


def test_lanes_that_a_mask_leaves_out_go_on_counting() -> None:
    class Masking(CartPoleVectorEnv):
        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            if options is not None:
                options.pop("reset_mask")  # as Gymnasium's own do
            return super().reset(seed=seed)

    hosted = NativeVector(lambda lanes: Masking(lanes), signature_of(CartPoleVectorEnv(1), 2, "NextStep"))
    hosted.reset(None, 1, None, Collected())
    for _ in range(2):
        hosted.step(None, np.zeros(2, np.int64), Collected())
    hosted.reset(None, None, {"reset_mask": np.array([True, False])}, Collected())
    assert [hosted.state(lane, 0)["step_count"] for lane in range(2)] == [0, 2]
    hosted.reset(None, None, {"reset_mask": "all"}, Collected())
    assert [hosted.state(lane, 0)["step_count"] for lane in range(2)] == [0, 0]
    hosted.close()


def test_gymnasium_knows_cartpoles_own() -> None:
    """What these tests host is what ``vectorization="native"`` finds."""
    assert gymnasium.spec("CartPole-v1").vector_entry_point == (
        "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv"
    )
