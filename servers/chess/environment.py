"""Chess for language models: moves in UCI, positions in FEN, with the fields of OpenEnv's own chess."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import chess
import numpy as np
from gymnasium.utils import seeding
from pydantic import Field

from openenv_gym.errors import InvalidAction
from openenv_gym.models import Action, Environment, EnvironmentMetadata, Observation, State
from openenv_gym.servers.chess.game import Color, Game, Opponent, name_of
from openenv_gym.version import __version__

__all__ = ["ChessAction", "ChessEnvironment", "ChessObservation", "ChessState"]


class ChessAction(Action):
    """A move."""

    move: str = Field(description="In UCI: e2e4; e7e8q promotes; castling is the king's move, e1g1.")


class ChessObservation(Observation):
    """A position.

    Its ``metadata`` has ``color`` (who looks at it), ``opponent_move`` (the answer to the last move),
    ``halfmove_clock``, ``fullmove_number``, and how the game ended: ``termination``, ``truncated``.
    """

    fen: str = Field(default=chess.STARTING_FEN, description="The position.")
    legal_moves: list[str] = Field(default_factory=list, description="In UCI; none if you are not to move.")
    is_check: bool = Field(default=False, description="Whether the player who is to move is in check.")
    result: str | None = Field(
        default=None, description="Of a game that is over: 1-0, 0-1, 1/2-1/2, or * if it was cut short."
    )


class ChessState(State):
    """Where a game is; ``step_count`` counts the moves of both players."""

    fen: str = Field(default=chess.STARTING_FEN, description="The position.")
    current_player: str = Field(default="white", description="Who is to move: white or black.")
    move_history: list[str] = Field(default_factory=list, description="All moves so far, in UCI.")


class ChessEnvironment(Environment[ChessAction, ChessObservation, ChessState]):
    """Chess for one learner, in OpenEnv's shape.

    Args:
        opponent: ``random``, ``greedy``, or ``none``: you play both seats.
        color: ``white``, ``black``, or ``random``: drawn anew for each game.
        fen: the position that games start from; by default the usual one.
        max_plies: the moves, of both players together, after which a game is cut short.

    Raises:
        InvalidArgument: if one of them cannot be used.

    >>> env = ChessEnvironment()
    >>> env.reset(seed=1).legal_moves[:3]
    ['g1h3', 'g1f3', 'b1c3']
    >>> env.step(ChessAction(move="e2e4")).metadata["opponent_move"]
    'c7c6'
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(
        self,
        opponent: Opponent = "random",
        color: Color = "white",
        fen: str | None = None,
        max_plies: int | None = None,
    ) -> None:
        super().__init__()
        self._game = Game(opponent=opponent, color=color, fen=fen, max_plies=max_plies)
        self._rng: np.random.Generator | None = None
        self._episode_id: str | None = None

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, fen: str | None = None, **kwargs: Any
    ) -> ChessObservation:
        """Begin a game, from the position ``fen`` if it is given.

        Raises:
            InvalidArgument: if that position cannot be played.
        """
        if self._rng is None or seed is not None:
            self._rng, _ = seeding.np_random(seed)
        self._game.start(self._rng, fen)
        self._episode_id = episode_id or str(uuid.uuid4())
        return self._seen(0.0)

    def step(self, action: ChessAction, timeout_s: float | None = None, **kwargs: Any) -> ChessObservation:
        """Play a move, and have the opponent answer it.

        Raises:
            InvalidAction: if it is no legal move; the position stays as it is.
            ResetNeeded: if the game is over, or none has begun.
        """
        self._game.check_running()
        return self._seen(self._game.play(self._legal(action.move)))

    def _legal(self, text: str) -> chess.Move:
        board = self._game.board
        try:
            move = chess.Move.from_uci(text)
        except ValueError:
            why = "is not in UCI, such as e2e4, or e7e8q to promote"
        else:
            if move in board.legal_moves:
                return move
            queened = chess.Move(move.from_square, move.to_square, chess.QUEEN)
            promotes = queened in board.legal_moves
            why = f"wants a piece to promote to, as in {queened}" if promotes else "is not legal here"
        raise InvalidAction(
            f"{text!r:.40} {why}; {name_of(board.turn)} may play {_few_of(board)}; see legal_moves"
        )

    def _seen(self, reward: float) -> ChessObservation:
        game, board = self._game, self._game.board
        viewer, ending = game.viewer, game.ending
        return ChessObservation(
            fen=board.fen(),
            legal_moves=[move.uci() for move in board.legal_moves] if board.turn == viewer else [],
            is_check=board.is_check(),
            result=None if ending is None else ending.result,
            reward=reward,
            done=ending is not None,
            metadata={
                "color": name_of(viewer),
                "opponent_move": None if game.answer is None else game.answer.uci(),
                "halfmove_clock": board.halfmove_clock,
                "fullmove_number": board.fullmove_number,
                "termination": None if ending is None else ending.termination,
                "truncated": ending is not None and ending.truncated,
            },
        )

    @property
    def state(self) -> ChessState:
        """Where the game is."""
        board = self._game.board
        return ChessState(
            episode_id=self._episode_id,
            step_count=self._game.plies,
            fen=board.fen(),
            current_player=name_of(board.turn),
            move_history=[move.uci() for move in board.move_stack],
        )

    def get_metadata(self) -> EnvironmentMetadata:
        """What ``/metadata`` says."""
        return EnvironmentMetadata(
            name="chess",
            description="Chess against a random or a greedy opponent, or both seats.",
            version=__version__,
            readme_content=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
        )


def _few_of(board: chess.Board) -> str:
    """Some of the legal moves, for the message of a refusal."""
    moves = [move.uci() for move in board.legal_moves]
    return f"{', '.join(moves[:5])}{', ...' if len(moves) > 5 else ''} ({len(moves)} legal moves)"
