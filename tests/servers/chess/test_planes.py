"""The numbers of moves and the planes of boards are PettingZoo's."""

from __future__ import annotations

from typing import Any, Self

import chess
import numpy as np
import pytest
from pettingzoo import AECEnv
from pettingzoo.classic import chess_v6
from pettingzoo.classic.chess import chess_utils

from openenv_gym.servers.chess.array import ChessEnv
from openenv_gym.servers.chess.planes import ACTIONS, legal_actions
from tests.fidelity import assert_identical
from tests.servers.chess.games import chosen

KIWIPETE = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1"
PROMOTIONS = "r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1"
ENDGAME = "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1"


class Board(chess.Board):
    """python-chess's own, without the detours that take half of a game's time.

    It copies all moves into a mirrored board and drops them there; and where no position has come back
    yet, it tries every move for one that comes for the third time.
    """

    def mirror(self) -> Self:
        board = self.copy(stack=False)
        board.apply_mirror()
        return board

    def can_claim_threefold_repetition(self) -> bool:
        past = self.copy(stack=self.halfmove_clock)
        positions = [past._transposition_key()]
        while past.move_stack:
            past.pop()
            positions.append(past._transposition_key())
        return len(set(positions)) < len(positions) and super().can_claim_threefold_repetition()


def theirs() -> AECEnv[Any, Any, Any]:
    env: AECEnv[Any, Any, Any] = chess_v6.raw_env()
    env.reset()
    env.unwrapped.board = Board()
    return env


def test_a_mirrored_board_is_python_chesss_own() -> None:
    board = Board(KIWIPETE)
    board.push(min(board.legal_moves, key=str))
    ours, own = board.mirror(), chess.Board.mirror(board)
    assert vars(ours) == vars(own)


def test_draws_by_repetition_are_python_chesss_own() -> None:
    board, claims = Board(), []
    for move in ["e2e4", *["b8c6", "b1c3", "c6b8", "c3b1"] * 2, "e7e5", "g1f3", "b8c6", "f3g1", "c6b8"]:
        board.push_uci(move)
        claims.append(board.can_claim_threefold_repetition())
        assert claims[-1] == chess.Board.can_claim_threefold_repetition(board)
    assert set(claims) == {True, False}


FEW = range(4)
MANY = [range(first, first + 28) for first in range(4, 200, 28)]


@pytest.mark.parametrize(
    "seeds", [FEW, *(pytest.param(each, marks=pytest.mark.slow) for each in MANY)], ids=str
)
def test_random_games_are_those_of_pettingzoo(seeds: range) -> None:
    for seed in seeds:
        _play_on_both(seed)


def _play_on_both(seed: int) -> None:
    """Play a random game to its end on both, and compare all that both say."""
    ours, twin, rng = ChessEnv(opponent="none"), theirs(), np.random.default_rng(seed)
    observation, info = ours.reset()
    reward, over, mover = 0.0, False, "player_0"
    while True:
        assert [over] * 2 == list(twin.terminations.values())
        assert reward == (twin.rewards[mover] if over else 0.0)
        _assert_same_view(observation, info["action_mask"], twin)
        if over:
            return
        mover, action = twin.agent_selection, chosen(info["action_mask"], rng)
        observation, reward, over, _, info = ours.step(np.int64(action))
        twin.step(action)


def _assert_same_view(observation: Any, mask: Any, twin: AECEnv[Any, Any, Any]) -> None:
    seen = twin.observe(twin.agent_selection)
    assert_identical(observation, np.ascontiguousarray(seen["observation"]), "planes")
    assert_identical(mask, seen["action_mask"], "mask")


@pytest.mark.parametrize("color", ["white", "black"])
def test_a_learner_sees_what_his_seat_sees_in_pettingzoo(color: Any) -> None:
    ours, twin, rng = ChessEnv(color=color, opponent="greedy"), theirs(), np.random.default_rng(3)
    seat = "player_0" if color == "white" else "player_1"
    observation, info = ours.reset(seed=3)
    terminated = False
    while not terminated:
        for move in ours.game.board.move_stack[twin.unwrapped.board.ply() :]:
            twin.step(_number(twin.unwrapped.board, move))
        assert twin.agent_selection == seat
        _assert_same_view(observation, info["action_mask"], twin)
        observation, reward, terminated, _, info = ours.step(np.int64(chosen(info["action_mask"], rng)))
    for move in ours.game.board.move_stack[twin.unwrapped.board.ply() :]:
        twin.step(_number(twin.unwrapped.board, move))
    assert reward == twin.rewards[seat]
    seen = twin.observe(seat)
    assert_identical(observation, np.ascontiguousarray(seen["observation"]), "last planes")
    assert_identical(info["action_mask"], seen["action_mask"], "last mask")


def _number(board: chess.Board, move: chess.Move) -> int:
    return {each: action for action, each in legal_actions(board).items()}[move]


@pytest.mark.parametrize("fen", [chess.STARTING_FEN, KIWIPETE, PROMOTIONS, ENDGAME])
def test_numbers_and_moves_are_one_to_one_and_pettingzoos(fen: str) -> None:
    for board in (chess.Board(fen), chess.Board(fen).mirror()):
        legal = legal_actions(board)
        assert len(legal) == board.legal_moves.count()
        assert set(legal) == set(chess_utils.legal_moves(board)) <= set(range(ACTIONS))
        player = int(not board.turn)
        for action, move in legal.items():
            assert chess_utils.action_to_move(board, action, player) == move


@pytest.mark.parametrize("fen", [chess.STARTING_FEN, KIWIPETE, PROMOTIONS, ENDGAME])
def test_both_colors_number_mirrored_moves_alike(fen: str) -> None:
    board = chess.Board(fen)
    mirrored = {action: chess_utils.mirror_move(move) for action, move in legal_actions(board).items()}
    assert legal_actions(board.mirror()) == mirrored


@pytest.mark.parametrize(
    ("fen", "counts"),
    [  # https://www.chessprogramming.org/Perft_Results
        (chess.STARTING_FEN, [20, 400, 8902]),
        (KIWIPETE, [48, 2039]),
        (PROMOTIONS, [6, 264, 9467]),
        (ENDGAME, [14, 191, 2812]),
    ],
)
def test_numbers_count_as_many_positions_as_there_are(fen: str, counts: list[int]) -> None:
    board = chess.Board(fen)
    assert [_perft(board, depth) for depth in range(1, len(counts) + 1)] == counts


def _perft(board: chess.Board, depth: int) -> int:
    legal = legal_actions(board)
    if depth == 1:
        return len(legal)
    found = 0
    for move in legal.values():
        board.push(move)
        found += _perft(board, depth - 1)
        board.pop()
    return found
