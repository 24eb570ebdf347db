"""Games for the tests of chess."""

from __future__ import annotations

from typing import Any

import chess
import numpy as np

from openenv_gym.servers.chess.game import Game

__all__ = ["chosen", "played", "started"]


def started(fen: str | None = None, *, seed: int = 0, **arguments: Any) -> Game:
    """A game that has begun; of both seats, unless the arguments say otherwise."""
    game = Game(**{"opponent": "none", **arguments})
    game.start(np.random.default_rng(seed), fen)
    return game


def played(moves: str, fen: str | None = None, **arguments: Any) -> tuple[Game, float]:
    """A game after some moves in UCI, and the reward of the last one."""
    game, reward = started(fen, **arguments), 0.0
    for move in moves.split():
        reward = game.play(chess.Move.from_uci(move))
    return game, reward


def chosen(mask: Any, rng: np.random.Generator) -> int:
    """One of the actions that a mask allows."""
    return int(rng.choice(np.flatnonzero(mask)))
