"""The game behind both views: position, opponent, and reward from the learner's side.

A game ends as in a tournament where each player claims every draw that can be claimed: by mate,
stalemate, insufficient material, or as soon as the player to move may claim fifty moves or a threefold
repetition. PettingZoo's ``chess_v6`` ends it so, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import chess
import numpy as np

from openenv_gym.errors import InvalidArgument, ResetNeeded

__all__ = ["Color", "Ending", "Game", "Opponent", "name_of"]

Opponent: TypeAlias = Literal["random", "greedy", "none"]
Color: TypeAlias = Literal["white", "black", "random"]

_VALUES = {chess.PAWN: 1, chess.KNIGHT: 3, chess.BISHOP: 3, chess.ROOK: 5, chess.QUEEN: 9}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a game ended."""

    result: str
    """``1-0``, ``0-1``, ``1/2-1/2``, or ``*`` for a game that was cut short."""
    termination: str
    """``checkmate``, ``stalemate``, ``fifty_moves``, ...; ``illegal_move`` or ``max_plies``."""

    @property
    def truncated(self) -> bool:
        """Whether the game was cut short."""
        return self.result == "*"


class Game:
    """A game of chess between a learner and an opponent, or of a learner who plays both seats.

    Nothing can be played before :meth:`start`.

    Args:
        opponent: ``random``: any legal move; ``greedy``: mate if there is one, else the move that wins
            most material at once, ties broken by chance; ``none``: the learner plays both seats, and
            each reward is that of the player who has just moved.
        color: the learner's; ``random`` draws it anew for each game. With ``opponent="none"`` it
            only says from which side pictures are drawn.
        fen: the position that games start from; by default the usual one.
        max_plies: the moves, of both players together, after which a game that is not over is cut
            short, once it is the learner's turn.
        watch: called with the board after each move of either player.

    Attributes:
        board: the position, with its history.
        ending: how the game ended; ``None`` while it goes on.
        answer: the opponent's move since the learner's last one, if there was one.
        side: the learner's, and the one below in pictures.

    Raises:
        InvalidArgument: if one of them cannot be used.
    """

    def __init__(
        self,
        *,
        opponent: Opponent = "random",
        color: Color = "white",
        fen: str | None = None,
        max_plies: int | None = None,
        watch: Callable[[chess.Board], None] | None = None,
    ) -> None:
        _check_choice("opponent", opponent, get_args(Opponent))
        _check_choice("color", color, get_args(Color))
        if max_plies is not None and (type(max_plies) is not int or max_plies < 1):
            raise InvalidArgument(f"max_plies is a number of moves from 1, or None, not {max_plies!r:.40}")
        self._reply = _OPPONENTS[opponent]
        self._color: Color = color
        self._first = _position(fen)
        self._max_plies = max_plies
        self._watch = watch
        self._rng: np.random.Generator | None = None
        self.board = self._first.copy()
        self.ending: Ending | None = None
        self.answer: chess.Move | None = None
        self.side: chess.Color = color != "black"

    @property
    def viewer(self) -> chess.Color:
        """The player who looks at the board: the learner, or whoever is to move if he plays both."""
        return self.side if self._reply else self.board.turn

    @property
    def plies(self) -> int:
        """Moves played, by both players together."""
        return len(self.board.move_stack)

    def start(self, rng: np.random.Generator, fen: str | None = None) -> None:
        """Begin a game; an opponent who is to move does so.

        Args:
            rng: makes the choices of this game, the learner's color among them.
            fen: the position to start from, instead of the one that was given at construction.

        Raises:
            InvalidArgument: if the position cannot be played, or the opponent ends the game at once.
        """
        self._rng = None
        board = self._first.copy() if fen is None else _position(fen)
        self._rng = rng
        self.board, self.ending = board, None
        self.side = bool(rng.integers(2)) if self._color == "random" else self._color == "white"
        self._let_opponent_move()
        if self.ending is not None:
            self._rng = None
            raise InvalidArgument(
                f"the opponent's first move, {board.peek()}, ends the game from this position; start from "
                "another one, or play the other color"
            )

    def play(self, move: chess.Move) -> float:
        """Play one of the legal moves, and have the opponent answer it.

        Returns:
            The reward: 1 for a win, -1 for a loss, 0 for a draw and for a game that goes on.

        Raises:
            ResetNeeded: if no game is on.
        """
        self.check_running()
        mover = self.board.turn
        self._push(move)
        self._let_opponent_move()
        if self.ending is None and self._max_plies is not None and self.plies >= self._max_plies:
            self.ending = Ending("*", "max_plies")
        return self._reward(mover)

    def forfeit(self) -> float:
        """Lose by an illegal move; the position stays as it is.

        Raises:
            ResetNeeded: if no game is on.
        """
        self.check_running()
        mover = self.board.turn
        self.ending = Ending("0-1" if mover else "1-0", "illegal_move")
        return self._reward(mover)

    def check_running(self) -> None:
        """Refuse a move where there is no game.

        Raises:
            ResetNeeded: before :meth:`start`, or after the end.
        """
        if self._rng is None or self.ending is not None:
            raise ResetNeeded("there is no game, or it is over; call reset() to begin one")

    def _let_opponent_move(self) -> None:
        self.answer = None
        if self._reply and self.ending is None and self.board.turn != self.side:
            assert self._rng is not None
            self.answer = self._reply(self.board, self._rng)
            self._push(self.answer)

    def _push(self, move: chess.Move) -> None:
        self.board.push(move)
        if self._watch is not None:
            self._watch(self.board)
        self.ending = _ending_of(self.board)

    def _reward(self, mover: chess.Color) -> float:
        whites = 0.0 if self.ending is None else _WHITES_REWARD[self.ending.result]
        return whites if mover else 0.0 - whites  # a plain minus would make -0.0 of a draw


_WHITES_REWARD = {"1-0": 1.0, "0-1": -1.0, "1/2-1/2": 0.0, "*": 0.0}


def name_of(color: chess.Color) -> str:
    """``white`` or ``black``."""
    return chess.COLOR_NAMES[color]


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidArgument(f"there is no {name} {value!r:.40}; take one of {', '.join(choices)}")


def _position(fen: Any) -> chess.Board:
    """The board of a FEN, if a game can be played from there.

    Raises:
        InvalidArgument: if not.
    """
    if fen is None:
        return chess.Board()
    try:
        board = chess.Board(fen) if isinstance(fen, str) else None
    except ValueError as error:
        raise InvalidArgument(f"{fen!r:.100} is no FEN: {error}; one is {chess.STARTING_FEN}") from error
    if board is None:
        raise InvalidArgument(f"a FEN is a text, not {fen!r:.100}; one is {chess.STARTING_FEN}")
    status = board.status()
    if status:
        raise InvalidArgument(f"{fen!r:.100} is no legal position: {status!r}")
    ending = _ending_of(board)
    if ending is not None:
        raise InvalidArgument(f"{fen!r:.100} is over ({ending.termination}); start from a running game")
    return board


def _ending_of(board: chess.Board) -> Ending | None:
    # A position comes back for the third time, or is about to, after seven reversible plies at least,
    # and python-chess looks for such draws far longer than for all else together.
    outcome = board.outcome(claim_draw=board.halfmove_clock >= 7)
    return None if outcome is None else Ending(outcome.result(), outcome.termination.name.lower())


def _random_reply(board: chess.Board, rng: np.random.Generator) -> chess.Move:
    moves = list(board.legal_moves)
    return moves[int(rng.integers(len(moves)))]


def _greedy_reply(board: chess.Board, rng: np.random.Generator) -> chess.Move:
    moves = list(board.legal_moves)
    gains = [_gain(board, move) for move in moves]
    best = max(gains)
    ties = [move for move, gain in zip(moves, gains, strict=True) if gain == best]
    return ties[int(rng.integers(len(ties)))]


def _gain(board: chess.Board, move: chess.Move) -> float:
    """The material that a move wins, or infinity for mate."""
    if _mates(board, move):
        return float("inf")
    # En passant there is nothing on the square.
    taken = (board.piece_type_at(move.to_square) or chess.PAWN) if board.is_capture(move) else None
    gain = _VALUES[taken] if taken else 0
    return gain + (_VALUES[move.promotion] - _VALUES[chess.PAWN] if move.promotion else 0)


def _mates(board: chess.Board, move: chess.Move) -> bool:
    if not board.gives_check(move):
        return False
    board.push(move)
    mate = board.is_checkmate()
    board.pop()
    return mate


_OPPONENTS: dict[Opponent, Callable[[chess.Board, np.random.Generator], chess.Move] | None] = {
    "random": _random_reply,
    "greedy": _greedy_reply,
    "none": None,
}
