"""What a probe tells of an environment whose observations stray from their space."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict

from openenv_gym.hosting.source import open_source
from tests.environments import Counter


class Straying(Counter):
    """Its position leaves its bounds at once, its mood later."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = Dict(position=Box(0, 1, (2,)), mood=Box(0, 3, (1,)), size=Box(0, 1))  # type: ignore[assignment]

    def _observation(self) -> Any:
        mood = np.array([self.steps], np.float32)
        return {"position": np.full(2, 1.5, np.float32), "mood": mood, "size": np.ones(1, np.float32)}


def test_each_field_that_leaves_its_bounds_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "openenv_gym.server"):
        open_source(Straying)
    position, mood = (record.getMessage() for record in caplog.records)
    assert position.startswith("Straying: observation.position is 1.5 at [0], not within 0.0 and 1.0;")
    assert mood.startswith("Straying: observation.mood is 4.0 at [0], not within 0.0 and 3.0;")
    assert all("passed on as it is" in record.getMessage() for record in caplog.records)


def test_nothing_is_said_of_what_keeps_to_its_space(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "openenv_gym.server"):
        open_source(Counter)
    assert not caplog.records
