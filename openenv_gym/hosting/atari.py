"""What wrappers ask of an Atari environment beside ``reset`` and ``step``; clients may ask it by default.

Gymnasium's ``AtariPreprocessing`` and SB3's Atari wrappers reach through to the emulator. These calls
are harmless to offer: they read the game that the client plays, change nothing in it, and name no file, key
or setting. They take no arguments here, so nothing of a client's reaches the emulator's C++. What else
an emulator can do (``loadROM``, ``setInt``, ``saveScreenPNG``, ``restoreState``) an operator must list.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["CALLS", "constants_of", "is_atari"]

CALLS = (
    "get_action_meanings",  # ["NOOP", "FIRE", ...]
    "ale.lives",  # int; also in each info
    "ale.getScreenRGB",  # uint8, (height, width, 3)
    "ale.getScreenGrayscale",  # uint8, (height, width)
)


def is_atari(env: Any) -> bool:
    """Whether an environment is ale-py's, under whatever wrappers; imports nothing."""
    module = sys.modules.get("ale_py.env")
    return module is not None and isinstance(env.unwrapped, module.AtariEnv)


def constants_of(env: Any) -> dict[str, Any]:
    """What never changes of an Atari environment: its actions' names, and how many frames a step plays."""
    game = env.unwrapped
    return {"get_action_meanings": game.get_action_meanings(), "frameskip": game._frameskip}
