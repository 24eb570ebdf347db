"""Pydantic models that are made from spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from pydantic import ValidationError

from openenv_gym.hosting.models import lifted_models
from openenv_gym.spaces import same_value

SPACES: list[Space[Any]] = [
    Discrete(3),
    Box(-1, 1, (2, 2)),
    Dict(reward=Discrete(2), done=Tuple([Box(0, 255, (2,), np.uint8), Discrete(4)])),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_sample_goes_out_plain_and_comes_back_itself(space: Space[Any]) -> None:
    space.seed(1)
    sample = space.sample()
    models = lifted_models(space, space)
    text = models.observation.model_construct(observation=sample, reward=1.0).model_dump_json()
    back: Any = models.observation.model_validate_json(text)
    assert same_value(back.observation, sample)
    assert back.reward == 1.0


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_is_one_field_whatever_its_keys(space: Space[Any]) -> None:
    schemas = lifted_models(space, space).schemas()
    assert set(schemas["action"]["properties"]) == {"action", "metadata"}
    assert set(schemas["observation"]["properties"]) == {"observation", "reward", "done", "metadata"}
    assert schemas["reset_observation"] == schemas["observation"]


def test_a_value_that_does_not_fit_is_pydantics_complaint() -> None:
    models = lifted_models(Discrete(2), Discrete(2))
    with pytest.raises(ValidationError, match="one"):
        models.action(action="one")
    with pytest.raises(ValidationError, match="Extra inputs"):
        models.action(action=1, other=1)
