"""The rules, the opponents and the rewards, without any view."""

from __future__ import annotations

from typing import Any

import chess
import numpy as np
import pytest

from openenv_gym.errors import InvalidArgument, ResetNeeded
from openenv_gym.servers.chess.game import Color, Ending, Game
from tests.servers.chess.games import played, started

FOOLS_MATE = "f2f3 e7e5 g2g4 d8h4"
BACK_AND_FORTH = "g1f3 g8f6 f3g1 f6g8 "


@pytest.mark.parametrize(
    ("moves", "fen", "result", "termination", "reward"),
    [
        (FOOLS_MATE, None, "0-1", "checkmate", 1.0),
        ("e2e4 e7e5 d1h5 b8c6 f1c4 g8f6 h5f7", None, "1-0", "checkmate", 1.0),
        ("g1g6", "7k/8/5K2/8/8/8/8/6Q1 w - - 0 1", "1/2-1/2", "stalemate", 0.0),
        ("e1e2", "8/8/8/8/8/8/4p2k/4K3 w - - 0 1", "1/2-1/2", "insufficient_material", 0.0),
        ("a1a2", "7k/8/8/8/8/8/8/R6K w - - 98 80", "1/2-1/2", "fifty_moves", 0.0),
        # White may claim before his move, for it would repeat the position for the third time.
        (BACK_AND_FORTH + "g1f3 g8f6 f3g1", None, "1/2-1/2", "threefold_repetition", 0.0),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_game_ends(moves: str, fen: str | None, result: str, termination: str, reward: float) -> None:
    game, last = played(moves, fen)
    assert game.ending == Ending(result, termination)
    assert (last, str(last)) == (reward, str(reward))  # and a draw is no -0.0
    assert not game.ending.truncated
    with pytest.raises(ResetNeeded, match="reset"):
        game.play(chess.Move.from_uci("a2a3"))


def test_two_repetitions_do_not_end_a_game() -> None:
    game, _ = played(BACK_AND_FORTH + "g1f3 g8f6")
    assert game.ending is None


@pytest.mark.parametrize("piece", "qrbn")
def test_a_pawn_promotes(piece: str) -> None:
    game, _ = played(f"a7a8{piece}", "8/P6k/8/8/8/8/8/K7 w - - 0 1")
    assert game.board.piece_at(chess.A8) == chess.Piece.from_symbol(piece.upper())


def test_en_passant_takes_the_pawn_beside() -> None:
    game, _ = played("e2e4 a7a6 e4e5 d7d5 e5d6")
    assert game.board.piece_at(chess.D5) is None
    assert game.board.piece_at(chess.D6) == chess.Piece.from_symbol("P")


@pytest.mark.parametrize(("move", "rook"), [("e1g1", chess.F1), ("e1c1", chess.D1)])
def test_castling_moves_the_rook(move: str, rook: chess.Square) -> None:
    game, _ = played(move, "r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1")
    assert game.board.piece_at(rook) == chess.Piece.from_symbol("R")
    assert game.board.castling_rights == chess.BB_A8 | chess.BB_H8


@pytest.mark.parametrize("seed", range(8))
def test_a_random_game_ends_when_python_chess_says_so_with_every_draw_claimed(seed: int) -> None:
    game, rng = started(), np.random.default_rng(seed)
    while game.ending is None:
        assert game.board.outcome(claim_draw=True) is None
        moves = list(game.board.legal_moves)
        game.play(moves[int(rng.integers(len(moves)))])
    outcome = game.board.outcome(claim_draw=True)
    assert outcome is not None
    assert game.ending == Ending(outcome.result(), outcome.termination.name.lower())


@pytest.mark.parametrize(
    ("color", "to_move", "move", "reward"),
    [("white", "w", "a2a3", -1.0), ("black", "b", "d8h4", 1.0)],
)
def test_rewards_are_the_learners(color: Color, to_move: str, move: str, reward: float) -> None:
    fen = f"rnbqkbnr/pppp1ppp/8/4p3/6P1/5P2/PPPPP2P/RNBQKBNR {to_move} KQkq - 0 3"
    game, last = played(move, fen, opponent="greedy", color=color)
    assert (game.ending, last) == (Ending("0-1", "checkmate"), reward)


def test_the_opponent_moves_first_when_the_learner_is_black() -> None:
    game = started(opponent="random", color="black")
    assert game.board.turn == chess.BLACK == game.viewer
    assert (game.plies, game.answer) == (1, game.board.peek())


def test_without_an_opponent_the_viewer_is_who_is_to_move() -> None:
    game = started()
    assert (game.viewer, game.answer) == (chess.WHITE, None)
    game.play(chess.Move.from_uci("e2e4"))
    assert (game.viewer, game.answer) == (chess.BLACK, None)


@pytest.mark.parametrize(
    ("fen", "answers"),
    [
        ("7k/8/8/3p1q2/4P3/8/8/K7 w - - 0 1", {"e4f5"}),
        ("7k/P7/8/8/8/8/8/K7 w - - 0 1", {"a7a8q"}),
        ("8/8/8/1k1pP3/8/8/8/K7 w - d6 0 1", {"e5d6"}),  # en passant is a capture
        ("7k/8/8/2n1n3/3P4/8/8/K7 w - - 0 1", {"d4c5", "d4e5"}),
    ],
)
def test_the_greedy_opponent_takes_what_is_worth_most(fen: str, answers: set[str]) -> None:
    games = [started(fen, seed=seed, opponent="greedy", color="black") for seed in range(12)]
    assert {str(game.answer) for game in games} == answers


def test_the_greedy_opponent_mates_rather_than_take_a_queen() -> None:
    game, reward = played(
        "b7b6", "6k1/1p3ppp/7q/8/8/8/6PP/R1B3K1 b - - 0 1", opponent="greedy", color="black"
    )
    assert (str(game.answer), game.ending, reward) == ("a1a8", Ending("1-0", "checkmate"), -1.0)


def test_the_same_seed_gives_the_same_game() -> None:
    def moves(seed: int) -> list[str]:
        game = started(seed=seed, opponent="random", color="random")
        while game.ending is None and game.plies < 40:
            game.play(min(game.board.legal_moves, key=str))
        return [str(move) for move in game.board.move_stack]

    assert moves(5) == moves(5)
    assert moves(5) != moves(6)


def test_a_random_color_is_both_in_turn() -> None:
    assert {started(seed=seed, opponent="random", color="random").side for seed in range(9)} == {True, False}


def test_a_game_is_cut_short_when_it_is_the_learners_turn() -> None:
    game, reward = played("e2e4", opponent="random", max_plies=1)
    assert game.ending == Ending("*", "max_plies")
    assert game.ending.truncated
    assert (game.plies, game.viewer, reward) == (2, game.board.turn, 0.0)


def test_mate_with_the_last_move_is_mate() -> None:
    game, _ = played(FOOLS_MATE, max_plies=4)
    assert game.ending == Ending("0-1", "checkmate")


@pytest.mark.parametrize(("moves", "result"), [("", "0-1"), ("e2e4", "1-0")])
def test_a_forfeited_game_is_lost(moves: str, result: str) -> None:
    game, _ = played(moves)
    before = game.board.fen()
    assert game.forfeit() == -1.0
    assert game.ending == Ending(result, "illegal_move")
    assert game.board.fen() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"opponent": "stockfish"}, "random, greedy, none"),
        ({"opponent": ["random"]}, "random, greedy, none"),
        ({"color": "red"}, "white, black, random"),
        ({"max_plies": 0}, "from 1"),
        ({"max_plies": True}, "from 1"),
        ({"fen": "nonsense"}, "is no FEN"),
        ({"fen": 5}, "a FEN is a text"),
        ({"fen": "8/8/8/8/8/8/8/K7 w - - 0 1"}, "no legal position"),
        ({"fen": "7k/5Q2/6K1/8/8/8/8/8 b - - 0 1"}, "stalemate"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Game(**arguments)


def test_a_reset_that_fails_leaves_no_game() -> None:
    game = started()
    with pytest.raises(InvalidArgument):
        game.start(np.random.default_rng(0), "nonsense")
    with pytest.raises(ResetNeeded):
        game.play(chess.Move.from_uci("e2e4"))


def test_a_position_in_which_the_opponent_mates_at_once_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"d1d8, ends the game"):
        started("6k1/5ppp/8/8/8/8/8/K2R4 w - - 0 1", opponent="greedy", color="black")
