"""Some fields of an observation."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from openenv_gym.errors import InvalidArgument
from openenv_gym.wrappers import SelectFields
from tests.wrappers.showing import Showing, first

SPACE = Dict(a=Discrete(3), player=Dict(at=Box(-1, 1, (2,)), key=Discrete(2)))
SHOWN = {"a": np.int64(2), "player": {"at": np.zeros(2, np.float32), "key": np.int64(1)}}


def test_one_field_is_observed_alone() -> None:
    env = SelectFields(Showing(SPACE, SHOWN), "a")
    assert env.observation_space == Discrete(3) and first(env) == 2


def test_several_are_a_dict_in_the_order_that_was_asked_for() -> None:
    env = SelectFields(Showing(SPACE, SHOWN), ["player.key", "a"])
    assert list(env.observation_space) == ["player.key", "a"]  # type: ignore[call-overload]
    assert first(env) == {"player.key": 1, "a": 2}
    *_, info = env.step(0)
    assert info == {}


def test_a_name_with_dots_goes_before_a_path() -> None:
    space = Dict({"x.y": Discrete(9), "x": Dict(y=Discrete(2))})
    env = SelectFields(Showing(space, {"x.y": np.int64(7), "x": {"y": np.int64(1)}}), "x.y")
    assert first(env) == 7


def test_what_is_not_there_is_said_with_what_is() -> None:
    with pytest.raises(InvalidArgument, match="no field 'b'; it has only 'a', 'player'"):
        SelectFields(Showing(SPACE, SHOWN), ["a", "b"])
    with pytest.raises(InvalidArgument, match=r"it has none, being Discrete\(2\)"):
        SelectFields(Showing(Discrete(2), 0), "a")
    with pytest.raises(InvalidArgument, match="nothing to observe"):
        SelectFields(Showing(SPACE, SHOWN), [])
