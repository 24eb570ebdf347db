"""Moves as numbers and boards as planes, as in PettingZoo's ``chess_v6``, whose own functions do the work.

Each player sees the board from his side: a move of Black has the number that it would have on the
mirrored board for White.
"""

from __future__ import annotations

import functools
from typing import Any

import chess
import numpy as np
from numpy.typing import NDArray
from pettingzoo.classic.chess import chess_utils

__all__ = ["ACTIONS", "Planes", "legal_actions"]

ACTIONS = 8 * 8 * 73
"""From each square: 56 ways of a queen, 8 of a knight, 9 promotions to less than a queen."""

_BOARDS = 8
_PER_BOARD = 13  # six kinds of pieces of White, six of Black, and whether the position came before
_FACTS = 7
_SWAPPED = [*range(6, 12), *range(6), 12]


def legal_actions(board: chess.Board) -> dict[int, chess.Move]:
    """The legal moves by their numbers, seen by the player who is to move."""
    turn = board.turn
    return {_action_of(move, turn): move for move in board.legal_moves}


@functools.cache  # of a few thousand moves
def _action_of(move: chess.Move, turn: chess.Color) -> int:
    seen = move if turn else chess_utils.mirror_move(move)
    column, row = chess_utils.move_to_coord(seen)
    action: int = (column * 8 + row) * 73 + chess_utils.get_move_plane(seen)
    return action


class Planes:
    """The last eight boards of a game, as either player sees them."""

    def __init__(self) -> None:
        # Rows, columns, boards with the latest first, planes; seen by White.
        self._boards = np.zeros((8, 8, _BOARDS, _PER_BOARD), bool)

    def push(self, board: chess.Board) -> None:
        """Take in the position after a move; as in PettingZoo, that before the first is left out."""
        older = self._boards[:, :, :-1]
        latest = _encoded(board, chess.WHITE)[:, :, None, _FACTS:]
        self._boards = np.concatenate([latest, older], axis=2)

    def seen_by(self, player: chess.Color, board: chess.Board) -> NDArray[np.bool_]:
        """The observation of a player: bool, (8, 8, 111)."""
        boards = self._boards
        if player == chess.BLACK:
            # Without the moves before it, which a mirrored board would copy only to forget them.
            board = board.copy(stack=False)
            boards = boards[::-1][..., _SWAPPED]
        facts = _encoded(board, player)[:, :, :_FACTS]
        if player == chess.BLACK:
            facts = facts[::-1]  # once more than it would have to be: PettingZoo does so
        return np.concatenate([facts, boards.reshape(8, 8, _BOARDS * _PER_BOARD)], axis=2)


def _encoded(board: chess.Board, player: chess.Color) -> NDArray[Any]:
    planes: NDArray[Any] = chess_utils.get_observation(board, int(not player))
    return planes
