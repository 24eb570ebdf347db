"""TorchRL, RLlib and Tianshou play served environments; each lives in their virtual environment."""

from __future__ import annotations

import pytest

from tests.trainers.examples import run_example
from tests.trainers.venv import trainers_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_torchrl_accepts_the_specs_and_rolls_out() -> None:
    result = run_example("torchrl_cartpole.py", "--steps", "100", python=trainers_python())
    assert result["shape"] == [4, 100]
    assert result["episodes"] > 4


def test_rllib_trains_for_an_iteration() -> None:
    result = run_example("rllib_cartpole.py", python=trainers_python())
    assert result["steps"] == 512
    assert result["mean_return"] > 5


def test_tianshou_trains_for_an_epoch() -> None:
    # Its compiler would take twenty seconds, for speed that so few steps do not need.
    result = run_example(
        "tianshou_cartpole.py", "--epochs", "1", python=trainers_python(), NUMBA_DISABLE_JIT="1"
    )
    assert result["steps"] == 1024
    assert result["mean_return"] > 5
