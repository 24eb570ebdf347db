"""Both views from one server: ``openenv-gym serve openenv_gym.servers.chess.app:app``."""

from __future__ import annotations

from openenv_gym import create_app
from openenv_gym.servers.chess.array import ChessEnv
from openenv_gym.servers.chess.environment import (
    ChessAction,
    ChessEnvironment,
    ChessObservation,
    ChessState,
)

app = create_app(
    ChessEnvironment,
    ChessAction,
    ChessObservation,
    env_name="chess",
    state_cls=ChessState,
    max_concurrent_envs=256,
    gym_env=ChessEnv,
    calls=["action_masks", "legal_moves"],
    client_kwargs=["opponent", "color", "fen", "max_plies"],
)
