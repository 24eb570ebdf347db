"""The examples for Stable-Baselines3, its masked PPO and a single file do what they say."""

from __future__ import annotations

import pytest

from tests.trainers.examples import run_example

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PPO = "single_file_ppo.py"


def test_sb3_learns_cartpole_through_the_bridge() -> None:
    result = run_example("sb3_cartpole.py")
    assert result["mean_return"] > 400
    assert result["stderr"] == ""


def test_masked_ppo_plays_chess_without_an_illegal_move() -> None:
    result = run_example("maskable_chess.py", "--steps", "2048")
    assert result["steps"] >= 2048
    assert sum(result["endings"].values()) > 0
    assert "illegal_move" not in result["endings"]
    assert result["stderr"] == ""


def test_without_the_masks_it_does_not() -> None:
    result = run_example("maskable_chess.py", "--steps", "512", "--unmasked")
    assert result["endings"]["illegal_move"] > 100


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_single_file_ppo_learns_in_both_autoreset_modes(mode: str) -> None:
    result = run_example(PPO, "--lanes", "--autoreset", mode, "--total-steps", "16000")
    assert result["mean_return"] > 150
    assert result["stderr"] == ""


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_the_same_seed_gives_the_same_curve_with_lanes_and_with_sync_vector_env(mode: str) -> None:
    short = ("--autoreset", mode, "--total-steps", "2000")
    lanes, sync = run_example(PPO, *short, "--lanes"), run_example(PPO, *short)
    assert len(lanes["curve"]) > 50
    assert lanes["curve"] == sync["curve"]
