"""Chess for learners that want arrays: PettingZoo's planes, numbers of moves, and masks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import chess
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction, InvalidArgument
from openenv_gym.servers.chess.drawing import draw, write
from openenv_gym.servers.chess.game import Color, Game, Opponent
from openenv_gym.servers.chess.planes import ACTIONS, Planes, legal_actions

__all__ = ["ChessEnv"]

_BOOL: Any = np.bool_  # Gymnasium takes it, but its type hints do not say so


class ChessEnv(gymnasium.Env[NDArray[np.bool_], np.int64]):
    """Chess with the spaces of PettingZoo's ``chess_v6``, for one learner.

    An observation is bool, (8, 8, 111), seen from the learner's side; an action the number of a move, of
    4672. ``info["action_mask"]`` (int8, (4672,)) and :meth:`action_masks` (bool) say which are
    legal. When a game ends, its info has ``result`` (``1-0``) and ``termination`` (``checkmate``), too. A
    reset takes ``options={"fen": ...}``, the position to start from.

    Args:
        render_mode: ``ansi`` or ``rgb_array``.
        opponent: ``random``, ``greedy``, or ``none``: you play both seats.
        color: ``white``, ``black``, or ``random``: drawn anew for each game.
        fen: the position that games start from; by default the usual one.
        max_plies: the moves, of both players together, after which a game is truncated.
        illegal: ``terminate``: an illegal move loses the game, as in PettingZoo; ``error``: it is
            refused, and the position stays as it is.

    Raises:
        InvalidArgument: if one of them cannot be used.

    >>> env = ChessEnv(opponent="greedy")
    >>> observation, info = env.reset(seed=1)
    >>> observation.shape, int(info["action_mask"].sum())
    ((8, 8, 111), 20)
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 2,
    }

    def __init__(
        self,
        render_mode: str | None = None,
        *,
        opponent: Opponent = "random",
        color: Color = "white",
        fen: str | None = None,
        max_plies: int | None = None,
        illegal: Literal["terminate", "error"] = "terminate",
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InvalidArgument(f"there is no render mode {render_mode!r:.40}; take ansi or rgb_array")
        if illegal not in ("terminate", "error"):
            raise InvalidArgument(f"illegal is terminate or error, not {illegal!r:.40}")
        self.render_mode = render_mode
        self.observation_space = Box(0, 1, (8, 8, 111), _BOOL)
        self.action_space = Discrete(ACTIONS)
        self.game = Game(opponent=opponent, color=color, fen=fen, max_plies=max_plies, watch=self._watch)
        self._refuses = illegal == "error"
        self._planes = Planes()
        self._legal: dict[int, chess.Move] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.bool_], dict[str, Any]]:
        """Begin a game.

        Raises:
            InvalidArgument: if the position in ``options`` cannot be played.
        """
        super().reset(seed=seed)
        self._planes = Planes()
        self.game.start(self.np_random, (options or {}).get("fen"))
        return self._seen()

    def step(self, action: np.int64) -> tuple[NDArray[np.bool_], float, bool, bool, dict[str, Any]]:
        """Play a move, and have the opponent answer it.

        Raises:
            InvalidAction: if the action is none of the space; with ``illegal="error"`` also if the
                move is not legal.
            ResetNeeded: if the game is over, or none has begun.
        """
        self.game.check_running()
        if not self.action_space.contains(action):
            raise InvalidAction(f"action {action!r:.40} is none of {self.action_space}")
        move = self._legal.get(int(action))
        if move is None and self._refuses:
            some = ", ".join(f"{number} ({move})" for number, move in list(self._legal.items())[:3])
            raise InvalidAction(
                f"action {action} is no legal move here; {some} are some of {len(self._legal)} legal moves; "
                "see info['action_mask']"
            )
        reward = self.game.forfeit() if move is None else self.game.play(move)
        observation, info = self._seen()
        ending = self.game.ending
        if ending is None:
            return observation, reward, False, False, info
        info |= {"result": ending.result, "termination": ending.termination}
        return observation, reward, not ending.truncated, ending.truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal: bool, (4672,); the name is what sb3-contrib's MaskablePPO asks for."""
        mask = np.zeros(ACTIONS, np.bool_)
        mask[list(self._legal)] = True
        return mask

    def legal_moves(self) -> dict[str, int]:
        """The legal actions by their moves in UCI: ``{"e2e4": 2364}``."""
        return {move.uci(): action for action, move in self._legal.items()}

    def render(self) -> Any:
        """The board as text or as an image, uint8, (480, 480, 3), the learner's side below."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() of an environment that was made without a render_mode")
            return None
        picture = write if self.render_mode == "ansi" else draw
        return picture(self.game.board, self.game.side)

    def _watch(self, board: chess.Board) -> None:
        self._planes.push(board)

    def _seen(self) -> tuple[NDArray[np.bool_], dict[str, Any]]:
        board, viewer = self.game.board, self.game.viewer
        self._legal = legal_actions(board) if board.turn == viewer else {}
        return self._planes.seen_by(viewer, board), {"action_mask": self.action_masks().view(np.int8)}
