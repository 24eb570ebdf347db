"""Twenty ids of Gymnasium by ``gym.make("openenv/gym", env_id=...)``: each is as good as the local one.

Each has an embedded server of its own, as a user's script would have.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo
from imageio_ffmpeg import get_ffmpeg_exe

from openenv_gym.envs.embedded import close_servers
from tests.envs.catalogue import World
from tests.fidelity import assert_same_episodes, assert_same_faces

FRAMES = 5


@dataclass(frozen=True)
class Case:
    """An id with arguments, and how much of it is played.

    Attributes:
        world: the id, served and local.
        episodes: how many.
        steps: the most that an episode has.
    """

    world: World
    episodes: int
    steps: int

    def __str__(self) -> str:
        return str(self.world)

    def remote(self, **arguments: Any) -> gymnasium.Env[Any, Any]:
        """By an embedded server."""
        return gymnasium.make("openenv/gym", env_id=str(self.world), **self.world.kwargs, **arguments)


def case(env_id: str, needs: str | None = None, *, play: tuple[int, int] = (3, 100), **kwargs: Any) -> Case:
    return Case(World(env_id, kwargs, needs), *play)


SOON_OVER = (60, 100)
SLOW_STEPS = (3, 40)
QUICK = [
    case("CartPole-v1", play=(12, 100)),
    case("FrozenLake-v1", play=SOON_OVER, map_name="4x4", is_slippery=True),
    case("Taxi-v4"),
    case("LunarLander-v3", "Box2D", continuous=True),
    case("ALE/Breakout-v5", "ale_py", play=SLOW_STEPS, frameskip=2, repeat_action_probability=0.25),
]
OTHERS = [
    case("MountainCar-v0"),
    case("MountainCarContinuous-v0", goal_velocity=0.1),
    case("Acrobot-v1"),
    case("Pendulum-v1", g=9.81),
    case("FrozenLake8x8-v1", play=(12, 100)),
    case("Blackjack-v1", play=SOON_OVER, sab=True),
    case("CliffWalking-v1"),
    case("CliffWalkingSlippery-v1"),
    case("LunarLanderContinuous-v3", "Box2D", enable_wind=True),
    case("BipedalWalker-v3", "Box2D"),
    case("BipedalWalkerHardcore-v3", "Box2D"),
    case("CarRacing-v3", "Box2D", play=SLOW_STEPS, continuous=False),
    case("ALE/Pong-v5", "ale_py", play=SLOW_STEPS, obs_type="ram"),
    case("ALE/SpaceInvaders-v5", "ale_py", play=SLOW_STEPS, obs_type="grayscale"),
    case("ALE/MsPacman-v5", "ale_py", play=SLOW_STEPS, full_action_space=True),
]


@pytest.fixture(
    scope="module",
    params=[*QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in OTHERS)],
    ids=str,
)
def served(request: pytest.FixtureRequest) -> Iterator[Case]:
    """A case whose server is kept for all tests here."""
    chosen: Case = request.param
    if chosen.world.needs is not None:
        pytest.importorskip(chosen.world.needs)
    with closing(chosen.remote()):
        yield chosen
    close_servers()


def test_there_are_twenty() -> None:
    assert len({str(one) for one in (*QUICK, *OTHERS)}) == 20


def test_it_equals_the_local_one(served: Case) -> None:
    with closing(served.remote()) as remote, closing(served.world.local()) as local:
        assert_same_faces(remote, local)
        seeds = (42, *[None] * (served.episodes - 2), 7)
        assert_same_episodes(remote, local, seeds=seeds, steps=served.steps)


def test_check_env_says_no_more_than_of_the_local_one(served: Case) -> None:
    with closing(served.remote(render_mode="rgb_array")) as remote, closing(served.world.local()) as local:
        assert remote.spec is not None  # or the render modes would not be checked
        said = complaints(remote)
        assert not said or said <= complaints(local, skip_render_check=True)


def complaints(env: gymnasium.Env[Any, Any], **options: bool) -> set[str]:
    """What ``check_env`` warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped, **options)
    return {str(warning.message) for warning in caught}


def test_its_video_is_recorded(served: Case, tmp_path: Path) -> None:
    env = RecordVideo(served.remote(render_mode="rgb_array"), str(tmp_path / "videos"), video_length=FRAMES)
    with closing(env):
        env.action_space.seed(1)
        env.reset(seed=0)
        for _ in range(FRAMES):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
        frame: Any = env.unwrapped.render()
    assert frame.dtype == np.uint8
    assert frame.any()
    # The encoder wants even sizes.
    height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
    shown = decoded(tmp_path / "videos" / "rl-video-episode-0.mp4", height, width)
    assert len(shown) > 1
    for picture in shown:
        assert picture.any()


def decoded(video: Path, height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Its frames, ``[n, height, width, 3]``, by ffmpeg itself.

    moviepy's reader leaves its pipes open when ffmpeg has ended before it.
    """
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(video), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
    return np.frombuffer(pixels, np.uint8).reshape(-1, height, width, 3)
