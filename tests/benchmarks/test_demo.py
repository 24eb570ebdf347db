"""The demo shows what it claims, fails when the claim does not hold, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from rich.console import Console

from benchmarks import demo
from tests import leaks

QUICK = demo.Effort(turns=1, seconds=0.01, lane_steps=60)
CARTPOLE = demo.Subject("CartPole-v1", steps=60, batch=2)


def run(*subjects: demo.Subject) -> tuple[int, str]:
    terminal = io.StringIO()
    code = demo.main(subjects, QUICK, Console(file=terminal, width=80, highlight=False))
    return code, terminal.getvalue()


@pytest.mark.slow
def test_equal_environments_pass_and_fit_eighty_columns() -> None:
    code, printed = run(CARTPOLE)
    assert code == 0, printed
    assert printed.count(" equal") == 1 + len(demo.MODE_SUBJECTS) * len(demo.MODES) + 1
    assert "* 2 lanes" in printed
    assert max(map(len, printed.splitlines())) <= 80


class _LastBit(gymnasium.RewardWrapper[Any, Any]):
    """One bit off, in the last place."""

    def reward(self, reward: Any) -> float:
        return float(reward) * (1 + sys.float_info.epsilon)


@pytest.mark.slow
def test_one_bit_of_one_reward_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    make: Callable[..., gymnasium.Env[Any, Any]] = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", lambda env_id: _LastBit(make(env_id)))
    code, printed = run(CARTPOLE)
    words = " ".join(printed.split())
    assert code == 1
    assert "NOT EQUAL" in printed
    assert "CartPole-v1: step 1: reward: local is float 1.0000000000000002, remote is float 1.0" in words
    assert "CartPole-v1, 7 lanes, SameStep: step 1: reward[0]" in words
    assert "All equal" not in words


@pytest.mark.slow
def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MODE_SUBJECTS", ())
    code, printed = run(demo.Subject("Nothing-v0", module="no_such_module", extra="box2d"))
    words = " ".join(printed.split())
    assert code == 0
    assert "Nothing-v0 was left out: no_such_module is not installed; pip install -e '.[box2d]'" in words


@pytest.mark.slow
def test_what_cannot_be_served_fails_the_demo() -> None:
    code, printed = run(demo.Subject("NoSuchEnvironment-v0"))
    assert code == 1
    assert "failed: " in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "seconds"),
    [(signal.SIGINT, 0.1), (signal.SIGTERM, 0.1), (signal.SIGINT, 3.5), (signal.SIGTERM, 1.5)],
)
def test_a_signal_leaves_no_process_behind(number: signal.Signals, seconds: float) -> None:
    variable, mark = "OPENENV_GYM_DEMO_TEST", f"{number}-{seconds}-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, variable: mark, "PYTHONUNBUFFERED": "1"},
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()  # from here on it holds the signals
        time.sleep(seconds)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert errors == b""
    assert leaks.bearers(variable, mark) == []
