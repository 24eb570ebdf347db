"""The examples for Stable-Baselines3, its masked PPO and a single file do what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import web
from tests.peers.conftest import SCRIPTS
from tests.peers.scaffold import served
from tests.trainers.examples import run_example, run_examples

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PPO = "single_file_ppo.py"


def test_sb3_learns_cartpole_through_the_bridge() -> None:
    result = run_example("sb3_cartpole.py", "--episodes", "10")
    assert result["mean_return"] > 400
    assert result["stderr"] == ""


def test_masked_ppo_plays_chess_without_an_illegal_move_and_without_the_masks_it_does_not() -> None:
    masked, unmasked = run_examples(
        "maskable_chess.py", ["--steps", "2048"], ["--steps", "512", "--unmasked"]
    )
    assert masked["steps"] >= 2048
    assert sum(masked["endings"].values()) > 0
    assert "illegal_move" not in masked["endings"]
    assert unmasked["endings"]["illegal_move"] > 100


@pytest.fixture(scope="module")
def ppo() -> list[dict[str, Any]]:
    """Two long runs, and four short ones."""
    long, short = ["--lanes", "--total-steps", "16000"], ["--total-steps", "2000"]
    kinds = [long, [*short, "--lanes"], short]
    return run_examples(
        PPO, *([*kind, "--autoreset", mode] for kind in kinds for mode in ("NextStep", "SameStep"))
    )


def test_a_single_file_ppo_learns_in_both_autoreset_modes(ppo: list[dict[str, Any]]) -> None:
    assert [result["mean_return"] > 150 for result in ppo[:2]] == [True, True], ppo[:2]


def test_the_same_seed_gives_the_same_curve_with_lanes_and_with_sync_vector_env(
    ppo: list[dict[str, Any]],
) -> None:
    lanes, sync = ([result["curve"] for result in some] for some in (ppo[2:4], ppo[4:]))
    assert min(map(len, lanes)) > 50
    assert lanes == sync


def test_masked_ppo_learns_connect_four_on_a_stock_server(awake_stock: Path) -> None:
    with served(awake_stock, SCRIPTS, "connect_four:app") as url:
        result = run_example("maskable_connect_four.py", url, "--steps", "7168", "--games", "120")
        counts = web.get(f"{url}/counts").json()
    assert result["wins"] > 0.8 > result["untrained"]
    # Of each of its steps the server knows two moves, unless the game was over after the first.
    assert counts["games"] > 500 and counts["moves"] > 1.5 * result["steps"]
    assert counts["illegal"] == 0
    assert result["stderr"] == ""
