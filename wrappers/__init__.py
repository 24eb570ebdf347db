"""Gymnasium wrappers that make any environment handier; import them as ``openenv_gym.wrappers``.

They import gymnasium, numpy, ``openenv_gym.types``, ``openenv_gym.errors`` and nothing else. Like Gymnasium's
own they record their arguments, so that ``env.spec`` names them and :func:`gymnasium.make` makes them anew.
"""

from __future__ import annotations

from openenv_gym.wrappers.episodes import EpisodeLog
from openenv_gym.wrappers.legal import LegalActions
from openenv_gym.wrappers.parsing import ParseTextAction
from openenv_gym.wrappers.replaying import Difference, Replay, replay
from openenv_gym.wrappers.screens import DecodeScreen
from openenv_gym.wrappers.seats import SeatOpponent
from openenv_gym.wrappers.selection import SelectFields
from openenv_gym.wrappers.texts import TextObservation

__all__ = [
    "DecodeScreen",
    "Difference",
    "EpisodeLog",
    "LegalActions",
    "ParseTextAction",
    "Replay",
    "SeatOpponent",
    "SelectFields",
    "TextObservation",
    "replay",
]
