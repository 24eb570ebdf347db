"""The typed view: OpenEnv's fields, refusals that help, and the same games as in the array view."""

from __future__ import annotations

from typing import Any

import chess
import numpy as np
import pytest
from pydantic import ValidationError

from openenv_gym.errors import InvalidAction, ResetNeeded
from openenv_gym.servers.chess.array import ChessEnv
from openenv_gym.servers.chess.environment import ChessAction, ChessEnvironment
from tests.servers.chess.games import chosen

PROMOTION = "8/P6k/8/8/8/8/8/K7 w - - 0 1"


def test_an_observation_has_openenvs_fields() -> None:
    seen = ChessEnvironment(opponent="none").reset(seed=0)
    assert set(seen.model_dump()) == {
        "fen",
        "legal_moves",
        "is_check",
        "result",
        "done",
        "reward",
        "metadata",
    }
    assert (seen.fen, len(seen.legal_moves)) == (chess.STARTING_FEN, 20)
    assert (seen.is_check, seen.result, seen.done, seen.reward) == (False, None, False, 0.0)


def test_a_game_to_its_end() -> None:
    env = ChessEnvironment(opponent="none")
    env.reset(episode_id="fool")
    for move in ("f2f3", "e7e5", "g2g4"):
        assert not env.step(ChessAction(move=move)).done
    seen = env.step(ChessAction(move="d8h4"))
    assert (seen.done, seen.result, seen.reward, seen.is_check) == (True, "0-1", 1.0, True)
    assert seen.metadata["termination"] == "checkmate"
    assert seen.legal_moves == []
    assert env.state.model_dump() == {
        "episode_id": "fool",
        "step_count": 4,
        "fen": seen.fen,
        "current_player": "white",
        "move_history": ["f2f3", "e7e5", "g2g4", "d8h4"],
    }
    with pytest.raises(ResetNeeded):
        env.step(ChessAction(move="a2a3"))


@pytest.mark.parametrize(
    ("move", "message"),
    [
        ("a7a8", "wants a piece to promote to, as in a7a8q; white may play a1b2"),
        ("a7a6", "is not legal here; white may play"),
        ("0000", "is not legal here"),
        ("Qa8", "is not in UCI, such as e2e4"),
        ("", "is not in UCI"),
    ],
)
def test_an_illegal_move_is_refused_with_some_that_are_legal(move: str, message: str) -> None:
    env = ChessEnvironment(opponent="none", fen=PROMOTION)
    before = env.reset()
    with pytest.raises(InvalidAction, match=f"'{move}' {message}.*see legal_moves"):
        env.step(ChessAction(move=move))
    assert env.state.fen == before.fen
    assert env.step(ChessAction(move="a7a8q")).reward == 0.0


def test_an_action_has_a_move_and_nothing_else() -> None:
    for fields in ({}, {"move": 5}, {"move": "e2e4", "promotion": "q"}):
        with pytest.raises(ValidationError):
            ChessAction.model_validate(fields)


def test_a_reset_takes_a_position_and_drops_what_it_does_not_know() -> None:
    assert ChessEnvironment(opponent="none").reset(fen=PROMOTION, difficulty=3).fen == PROMOTION


def test_metadata_brings_the_readme() -> None:
    said = ChessEnvironment().get_metadata()
    assert said.name == "chess"
    assert said.readme_content is not None and "GPL" in said.readme_content


def test_a_game_that_is_cut_short_says_so() -> None:
    env = ChessEnvironment(max_plies=2)
    seen = env.reset(seed=0)
    seen = env.step(ChessAction(move=seen.legal_moves[0]))
    assert (seen.done, seen.result) == (True, "*")
    assert (seen.metadata["termination"], seen.metadata["truncated"]) == ("max_plies", True)


@pytest.mark.parametrize("opponent", ["random", "greedy", "none"])
@pytest.mark.parametrize("color", ["white", "black", "random"])
def test_both_views_show_the_same_game(opponent: str, color: str) -> None:
    arguments: dict[str, Any] = {"opponent": opponent, "color": color, "max_plies": 120}
    typed, array, rng = ChessEnvironment(**arguments), ChessEnv(**arguments), np.random.default_rng(1)
    for seed in (11, None):
        seen, (_, info) = typed.reset(seed=seed), array.reset(seed=seed)
        while True:
            legal = array._legal
            assert seen.fen == array.game.board.fen()
            assert sorted(seen.legal_moves) == sorted(move.uci() for move in legal.values())
            assert sorted(legal) == np.flatnonzero(info["action_mask"]).tolist()
            if seen.done:
                break
            action = chosen(info["action_mask"], rng)
            seen = typed.step(ChessAction(move=legal[action].uci()))
            _, reward, terminated, truncated, info = array.step(np.int64(action))
            assert (seen.reward, seen.done) == (reward, terminated or truncated)
            assert seen.metadata["truncated"] == truncated
        assert (seen.result, seen.metadata["termination"]) == (info["result"], info["termination"])
