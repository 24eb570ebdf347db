"""The ids that ``import openenv_gym`` registers with Gymnasium, and the servers behind them.

The entry points are named, not imported, until ``gymnasium.make`` or ``make_vec`` wants one. No id has
a ``max_episode_steps`` or a wrapper: those are the served environment's, on its own side.
"""

from __future__ import annotations

import gymnasium

__all__ = ["SERVERS", "register_ids"]

SERVERS: dict[str, str | None] = {
    "gym": None,
    "remote": None,
    "chess": "openenv_gym.servers.chess.app:app",
}
"""What is behind ``openenv/<name>``: an application, which an embedded server serves, or, for ``gym``,
whatever ``env_id`` says. ``remote`` is always served somewhere else."""


def register_ids() -> None:
    """Register ``openenv/<name>`` for ``make`` and ``make_vec``; what is registered stays."""
    for name in SERVERS:
        env_id = f"openenv/{name}"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point="openenv_gym.envs.registered:RegisteredGym",
                vector_entry_point="openenv_gym.envs.registered:RegisteredVectorEnv",
                kwargs={"server": name},
            )
