"""What all of the wrappers share with Gymnasium's: specs, copies, and company of the others."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Text
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.wrappers import (
    FlattenObservation,
    FrameStackObservation,
    RecordEpisodeStatistics,
    TimeLimit,
    TransformObservation,
)

from openenv_gym import wrappers
from openenv_gym.errors import InvalidArgument, LayoutMismatch
from openenv_gym.wrappers import (
    DecodeScreen,
    EpisodeLog,
    LegalActions,
    ParseTextAction,
    SeatOpponent,
    SelectFields,
    TextObservation,
)
from tests.wrappers.games import ConnectFour

Env = gymnasium.Env[Any, Any]
Wrap = Callable[[Env], Env]
BOARD = Box(-1, 1, (42,), np.int8)

OURS: dict[str, Wrap] = {
    "legal": LegalActions,
    "seats": lambda env: SeatOpponent(env, turn="info.next_player"),
    "screen": lambda env: DecodeScreen(env, BOARD, field="board"),
    "fields": lambda env: SelectFields(env, ["board", "legal_actions"]),
    "text": lambda env: TextObservation(env, symbols={"board": {0: ".", 1: "X", -1: "O"}}),
    "parse": ParseTextAction,
}
THEIRS: dict[str, Wrap] = {
    "limit": lambda env: TimeLimit(env, 4),
    "statistics": RecordEpisodeStatistics,
    "transform": lambda env: TransformObservation(env, copy.copy, env.observation_space),
    "flatten": FlattenObservation,
    "stack": lambda env: FrameStackObservation(env, 2, padding_type="reset"),
}

NEED_FIELDS = {"flatten": ("legal", "seats", "screen", "fields"), "stack": ("legal", "seats", "screen")}
"""Which of ours find no field, or two of each, in what one of theirs makes of an observation."""


@pytest.fixture
def env_id() -> Iterator[str]:
    name = "tests/ConnectFour-v0"
    gymnasium.register(
        name, "tests.wrappers.games:ConnectFour", kwargs={"legal": "mask"}, max_episode_steps=20
    )
    yield name
    gymnasium.registry.pop(name)


def play(env: Env, seed: int) -> list[tuple[Any, float, bool, bool]]:
    """A few steps in columns that stay free; every observation lies in its space."""
    observation, _ = env.reset(seed=seed)
    assert observation in env.observation_space
    seen = []
    for column in (0, 1, 2, 3):
        action = str(column) if isinstance(env.action_space, Text) else np.int64(column)
        observation, reward, terminated, truncated, _ = env.step(action)
        assert observation in env.observation_space
        seen.append((copy.deepcopy(observation), float(reward), terminated, truncated))
        if terminated or truncated:
            break
    return seen


@pytest.mark.parametrize("inner", THEIRS)
@pytest.mark.parametrize("outer", OURS)
def test_they_go_around_gymnasiums(inner: str, outer: str) -> None:
    env = THEIRS[inner](ConnectFour("mask"))
    if outer in NEED_FIELDS.get(inner, ()):
        with pytest.raises((InvalidArgument, LayoutMismatch)):
            play(OURS[outer](env), 1)
    else:
        assert play(OURS[outer](env), 1)


@pytest.mark.parametrize("outer", THEIRS)
@pytest.mark.parametrize("inner", OURS)
def test_they_go_below_gymnasiums(inner: str, outer: str) -> None:
    env = THEIRS[outer](OURS[inner](ConnectFour("mask")))
    assert play(env, 1)
    if inner == "legal":
        assert env.get_wrapper_attr("action_masks")().all()


@pytest.mark.parametrize("name", OURS)
def test_a_spec_makes_it_anew(name: str, env_id: str) -> None:
    env = OURS[name](gymnasium.make(env_id))
    assert env.spec is not None and env.spec.additional_wrappers[-1].name == type(env).__name__
    again = gymnasium.make(env.spec)
    assert type(again) is type(env)
    assert again.observation_space == env.observation_space and again.action_space == env.action_space
    assert data_equivalence(play(again, 3), play(env, 3))


@pytest.mark.parametrize("name", OURS)
def test_copies_go_on_by_themselves(name: str) -> None:
    env = OURS[name](ConnectFour("mask"))
    play(env, 3)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert data_equivalence(play(twin, 4), play(copy.deepcopy(env), 4))


def test_a_log_has_a_spec_too(env_id: str, tmp_path: Path) -> None:
    env = EpisodeLog(gymnasium.make(env_id), tmp_path / "log.jsonl")
    assert env.spec is not None
    again = gymnasium.make(env.spec)
    assert isinstance(again, EpisodeLog) and again.path == env.path


def test_they_go_into_a_vector_environment() -> None:
    def make() -> Env:
        seated = SeatOpponent(ConnectFour("mask"), turn="current_player")
        return SelectFields(LegalActions(seated), "board")

    envs = gymnasium.vector.SyncVectorEnv([make] * 3)
    _, infos = envs.reset(seed=1)
    assert infos["action_mask"].shape == (3, 7)
    observations, *_, infos = envs.step(np.array([1, 2, 3]))
    assert observations.shape == (3, 6, 7) and infos["action_mask"].all()
    masks = envs.call("action_masks")
    assert np.array_equal(np.stack(masks), infos["action_mask"])
    envs.close()


def test_the_menu_is_sorted_and_can_be_had() -> None:
    assert wrappers.__all__ == sorted(wrappers.__all__)
    assert all(hasattr(wrappers, name) for name in wrappers.__all__)
