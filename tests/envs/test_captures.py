"""Recorded stock servers, played back behind a port: reviewed spaces, and the requests that were recorded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.utils.env_checker import data_equivalence

from openenv_gym import OpenEnvGym
from openenv_gym.catalogue import shipped_hints
from openenv_gym.errors import EnvironmentRaised, SpaceUnknown
from openenv_gym.spaces import identical
from openenv_gym.spaces.inference import Inference, infer
from tests.recorded import CAPTURES, action_for, capture_of, recorded
from tests.replay_server import Replay, replaying
from tests.spaces.inference.reviewed import HINTS, NEED_HINTS, OPEN, SPACES

CERTAIN = {"connect4"}
"""Where the hints leave nothing to assume."""


@contextmanager
def played(name: str, *, flatten: bool = False) -> Iterator[tuple[OpenEnvGym, Replay]]:
    """The environment of a recorded server, with the hints that it needs; a warning says what is assumed."""
    hints = HINTS[name] if name in NEED_HINTS else None
    with replaying(capture_of(name)) as replay:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            env = OpenEnvGym(replay.url, hints=hints, flatten=flatten)
        with env:
            said = [str(each.message) for each in caught]
            assert len(said) == (name not in CERTAIN), said
            assert all(f"{replay.url} does not tell its spaces; inferred:" in each for each in said)
            yield env, replay


def inferred(env: OpenEnvGym) -> Inference:
    assert env.inference is not None
    return env.inference


@pytest.mark.parametrize("name", CAPTURES)
def test_the_spaces_are_those_of_the_reviewed_table(name: str) -> None:
    action_space, observation_space = SPACES[name]
    with played(name) as (env, _):
        assert identical(env.action_space, action_space)
        assert identical(env.observation_space, observation_space)
        hints = HINTS[name] if name in NEED_HINTS else None
        assert str(env.inference) == str(infer(recorded(name).evidence, hints, shipped=shipped_hints()))


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("name", CAPTURES)
def test_what_was_recorded_is_played_again(name: str, flatten: bool) -> None:
    exchanges = [capture_of(name)["reset"], *capture_of(name)["steps"]]
    answers = [exchange["response"]["data"] for exchange in exchanges]
    with played(name, flatten=flatten) as (env, replay):
        labels = next(row.labels for row in inferred(env).fields if row.role == "decision")
        check(env, answers[0], *env.reset())
        for fields, answer in zip(recorded(name).actions, answers[1:], strict=True):
            action = action_for(env.action_space, fields, labels)
            assert env.action_space.contains(action)
            observation, reward, terminated, truncated, info = env.step(action)
            check(env, answer, observation, info)
            assert (reward, terminated, truncated) == (answer["reward"], answer["done"], False)
        assert isinstance(env.observation_space, Box) or not flatten
    steps = [exchange["request"] for exchange in exchanges[1:]]
    assert replay.heard == [{"type": "reset", "data": {}}, {"type": "state"}, *steps, {"type": "close"}]


def check(env: OpenEnvGym, answer: dict[str, Any], observation: Any, info: dict[str, Any]) -> None:
    """Whether what is observed is what was recorded, and inside of the space; so for the legal moves."""
    fields = answer["observation"]
    assert env.observation_space.contains(observation)
    assert data_equivalence(observation, inferred(env).decode_observation(fields), exact=True)
    if "legal_actions" in fields:
        assert isinstance(env.action_space, Discrete)
        assert np.flatnonzero(info["action_mask"]).tolist() == sorted(fields["legal_actions"])
        assert np.array_equal(env.action_masks(), info["action_mask"])
    else:
        assert "action_mask" not in info


@pytest.mark.parametrize("name", NEED_HINTS)
def test_what_cannot_be_known_is_not_guessed(name: str) -> None:
    with replaying(capture_of(name)) as replay:
        with pytest.raises(SpaceUnknown, match="pass hints=") as caught:
            OpenEnvGym(replay.url)
        assert caught.value.fields == {"open": OPEN[name]}
        assert f"from the server at {replay.url}" in caught.value.__notes__


def test_a_request_that_is_not_recorded_is_refused() -> None:
    """Or else the tests above would test nothing."""
    with pytest.raises(AssertionError, match="recorded"), played("connect4") as (env, replay):
        env.reset()
        env.step(0)
        with pytest.raises(EnvironmentRaised, match=r'"column": 1.* is recorded'):
            env.step(6)
        assert len(replay.refused) == 1
