"""Environments in child processes, forked and spawned: the same trajectories, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from openenv_gym.envs import embedded
from tests.fidelity import assert_identical, assert_same_vector_play
from tests.served import eventually, is_running

LANES = 2


def make(notes: str) -> gymnasium.Env[Any, Any]:
    """An environment, and a note of which process serves it."""
    env = gymnasium.make("openenv_gym:openenv/gym", env_id="CartPole-v1")
    for server in embedded._SERVERS._servers.values():
        Path(notes, str(server.process.pid)).touch()
    return env


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where it is noted who serves; afterwards none of them is left, nor a temporary file."""
    notes, scratch = tmp_path / "notes", tmp_path / "scratch"
    notes.mkdir()
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    embedded.close_servers()
    yield notes
    embedded.close_servers()
    assert eventually(lambda: not any(is_running(int(note.name)) for note in notes.iterdir()))
    assert eventually(lambda: not any(scratch.iterdir()))


def makers(notes: Path) -> list[Callable[[], Any]]:
    """What makes the environment of each lane."""
    return [partial(make, str(notes))] * LANES


def local(mode: AutoresetMode = AutoresetMode.NEXT_STEP) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * LANES, autoreset_mode=mode)


@pytest.mark.parametrize(
    ("context", "servers"),
    # This process makes an environment as well, to see its spaces; a forked child uses that one's server.
    [("fork", 1), pytest.param("spawn", 1 + LANES, marks=pytest.mark.slow)],
)
def test_the_children_of_gymnasium_play_the_same(notes: Path, context: str, servers: int) -> None:
    with closing(AsyncVectorEnv(makers(notes), context=context)) as envs, closing(local()) as lanes:
        assert assert_same_vector_play(envs, lanes, steps=40)
    assert len(list(notes.iterdir())) == servers


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_children_of_sb3_play_the_same(notes: Path, method: str) -> None:
    from stable_baselines3.common.vec_env import SubprocVecEnv

    with closing(SubprocVecEnv(makers(notes), start_method=method)) as envs:
        with closing(local(AutoresetMode.SAME_STEP)) as lanes:
            assert assert_same_as_sb3(envs, lanes, steps=40)
    assert len(list(notes.iterdir())) == LANES


def assert_same_as_sb3(envs: Any, lanes: SyncVectorEnv, *, steps: int) -> int:
    """Play both, of which SB3's say ``done``; gives how many episodes came to their end."""
    envs.seed(42)
    assert_identical(envs.reset(), lanes.reset(seed=42)[0], "reset")
    lanes.action_space.seed(1)
    ended = 0
    for step in range(steps):
        actions = lanes.action_space.sample()
        observations, rewards, terminated, truncated, _ = lanes.step(actions)
        theirs = (observations, rewards, terminated | truncated)
        ours = envs.step(actions)
        assert_identical(
            (ours[0], np.asarray(ours[1], np.float64), ours[2]), theirs, f"step {step}", ordered=False
        )
        ended += int(theirs[2].sum())
    return ended
