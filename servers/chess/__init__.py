"""Chess against a random or a greedy opponent, or both seats: for LLMs in UCI, for arrays as in PettingZoo.

:mod:`~openenv_gym.servers.chess.game` is the game itself; ``environment`` and ``array`` are its two
views, neither of them derived from the other. ``app`` serves both.
"""

from __future__ import annotations

from openenv_gym.errors import MissingExtra

try:
    import chess as _rules  # noqa: F401
except ImportError as error:
    raise MissingExtra(
        "openenv_gym.servers.chess needs chess: pip install 'openenv-gym[chess]'", extra="chess"
    ) from error
