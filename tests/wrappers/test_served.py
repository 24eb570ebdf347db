"""The wrappers around an environment behind a port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from openenv_gym import OpenEnvGym, serve_gym
from openenv_gym.wrappers import (
    EpisodeLog,
    LegalActions,
    ParseTextAction,
    SeatOpponent,
    TextObservation,
    replay,
)
from tests.wrappers.games import LETTERS, ConnectFour


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym(lambda: ConnectFour("names", rows=3), port=0, block=False) as server:
        yield server.url


def seated(env: gymnasium.Env[Any, Any]) -> LegalActions:
    return LegalActions(SeatOpponent(env, turn="current_player", seat="random"), moves=LETTERS[:7])


def game(env: gymnasium.Env[Any, Any], seed: int) -> list[Any]:
    """Play a game, and have all that was seen of it."""
    observation, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    seen: list[Any] = [(observation, info)]
    over = False
    while not over:
        observation, reward, over, _, info = env.step(env.action_space.sample(info["action_mask"]))
        seen.append((observation, reward, over, info))
    return seen


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_games_over_a_port_are_those_played_here(url: str, dialect: Any) -> None:
    local = seated(ConnectFour("names", rows=3))
    with OpenEnvGym(url, dialect=dialect) as env:
        served = seated(env)
        for seed in (1, 2):
            assert repr(game(served, seed)) == repr(game(local, seed))


def test_a_log_of_a_served_environment_is_played_again_by_a_local_one(url: str, tmp_path: Path) -> None:
    env = seated(EpisodeLog(OpenEnvGym(url), tmp_path / "log.jsonl"))
    game(env, 3)
    env.close()
    again = replay(tmp_path / "log.jsonl", ConnectFour("names", rows=3))
    assert again and again.episodes == 1


def test_a_model_reads_and_writes(url: str) -> None:
    pieces = {0: ".", 1: "X", -1: "O"}
    with OpenEnvGym(url) as remote:
        env = ParseTextAction(
            TextObservation(
                LegalActions(remote, moves=LETTERS[:7]), template="{board}", symbols={"board": pieces}
            )
        )
        said, _ = env.reset()
        assert said == "\n".join([". . . . . . ."] * 3)
        said, *_ = env.step("The middle is best.\n\nAction: d")
        assert said.splitlines()[-1] == ". . . X . . ."
        assert env.ask() == "answer with one of 7: a, b, c, d, e, f, g"
