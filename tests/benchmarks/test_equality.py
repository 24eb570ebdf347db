"""The demo's idea of equality is the tests' own, and it sees every kind of difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.equality import first_difference, step_difference
from tests.fidelity import differences

NAN = float("nan")

EQUAL: list[tuple[Any, Any]] = [
    ({"a": (1, [2.0, None])}, {"a": (1, [2.0, None])}),
    (np.array([1.0, NAN]), np.array([1.0, -NAN])),
    (NAN, NAN),
    (np.array([{"k": 1}, None], object), np.array([{"k": 1}, None], object)),
    (np.zeros((0, 3)), np.zeros((0, 3))),
]

UNEQUAL: list[tuple[Any, Any]] = [
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    (0.5, np.float64(0.5)),
    (np.float32(1), np.float64(1)),
    (np.zeros(2), np.zeros((2, 1))),
    (np.zeros(2), np.zeros(2, np.float32)),
    (np.array([1.0, 0.0]), np.array([1.0, -0.0])),
    (np.array([1.0]), np.array([np.nextafter(1.0, 2.0)])),
    (np.zeros(2, "<i4"), np.zeros(2, ">i4")),
    (np.array([1, None], object), np.array([1.0, None], object)),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {}),
    ((1,), [1]),
    ((1,), (1, 1)),
    ("text", "other"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_what_is_equal_is_found_equal(one: Any, other: Any) -> None:
    assert first_difference(one, other, "value") is None
    assert not list(differences(one, other))


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_what_differs_is_found_to_differ(one: Any, other: Any) -> None:
    for local, remote in ((one, other), (other, one), ({"in": [one]}, {"in": [other]})):
        assert first_difference(local, remote, "value")
        assert list(differences(local, remote))


def test_the_first_difference_names_its_place_and_both_values() -> None:
    local, remote = (
        {"info": {"frames": np.array([[1, 2], [3, 4]])}},
        {"info": {"frames": np.array([[1, 2], [3, 5]])}},
    )
    assert first_difference(local, remote) == "info.frames[1, 1]: local is int64 4, remote is int64 5"


@pytest.mark.parametrize("reward", [1, 1.0, np.float64(1), np.int64(1)])
def test_a_lanes_reward_is_a_float64_whatever_the_environment_returns(reward: Any) -> None:
    assert step_difference((0, reward, np.True_, False, {}), (0, 1.0, True, False, {})) is None
    assert step_difference((0, reward, True, False, {}), (0, 1, True, False, {}))
    assert step_difference((0, reward, True, False, {}), (0, 1.0, np.True_, False, {}))
