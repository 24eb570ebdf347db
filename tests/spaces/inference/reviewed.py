"""What a person concluded of each recorded server, field by field, before any code was asked.

``role: space``, or the role alone where a field has no part in a space. ``?`` is what cannot be known.
The hints that ship are left out here; see ``tests/catalogue``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete

from openenv_gym.spaces.open_text import OpenText

_BESIDE = {"done": "reward/done", "reward": "reward/done", "metadata": "bookkeeping"}
_OPENSPIEL = {
    "action.metadata": "setting",
    "action.action_id": "decision: ?",
    "action.game_name": "setting",
    "action.game_params": "setting",
    **_BESIDE,
    "legal_actions": "legal moves",
    "game_phase": "text: OpenText()",
    "current_player_id": "numbers: Box(-inf, inf, (1,), int64)",
    # -1 and beyond are players, too; null, before the opponent has moved, is [0, 0].
    "opponent_last_action": "numbers: Box(..., ..., (2,), int64)",
}

TABLES: dict[str, dict[str, str]] = {
    "atari_ram": {
        "action.metadata": "setting",
        "action.action_id": "decision: Discrete(6)",  # six action_meanings in the metadata
        "action.game_name": "setting",
        "action.obs_type": "setting",
        "action.full_action_space": "setting",
        **_BESIDE,
        "screen": "screen: Box(0, 255, (128,), uint8)",
        "screen_shape": "bookkeeping",
        "legal_actions": "legal moves",
        "lives": "numbers: Box(-inf, inf, (1,), int64)",
        "episode_frame_number": "bookkeeping",
        "frame_number": "bookkeeping",
    },
    "coding": {
        "action.metadata": "setting",
        "action.code": "decision: OpenText()",
        **_BESIDE,
        "stdout": "text: OpenText()",
        "stderr": "text: OpenText()",
        "exit_code": "numbers: Box(-inf, inf, (1,), int64)",
    },
    "connect4": {
        "action.metadata": "setting",
        "action.column": "decision: ?",
        **_BESIDE,
        "board": "board: Box(-inf, inf, (6, 7), int64)",
        "legal_actions": "legal moves",
    },
    "dm_control": {
        "action.metadata": "setting",
        "action.values": "decision: Box(-1, 1, (1,), float64)",  # the state's action_spec
        **_BESIDE,
        "observations": "structure: Dict(position: Box(-inf, inf, (3,), float64), "
        "velocity: Box(-inf, inf, (2,), float64))",
        "pixels": "screen",  # null at reset, so left out
    },
    "finrl": {
        "action.metadata": "setting",
        "action.actions": "decision: ?",
        **_BESIDE,
        "state": "numbers: Box(-inf, inf, (7,), float64)",
        "portfolio_value": "numbers: Box(-inf, inf, (1,), float64)",
        "date": "text: OpenText()",
    },
    "grid_world": {
        "action.metadata": "setting",
        "action.action": "decision: Discrete(4)",
        **_BESIDE,
        "x": "numbers: Box(-inf, inf, (1,), int64)",
        "y": "numbers: Box(-inf, inf, (1,), int64)",
        "message": "text: OpenText()",
    },
    "maze": {
        "action.metadata": "setting",
        "action.action": "decision: ?",
        **_BESIDE,
        "legal_actions": "legal moves",
        "current_position": "numbers: Box(-inf, inf, (2,), int64)",
        "previous_position": "numbers: Box(-inf, inf, (2,), int64)",
    },
    "openspiel_catch": {**_OPENSPIEL, "info_state": "numbers: Box(-inf, inf, (50,), float64)"},
    "openspiel_ttt": {**_OPENSPIEL, "info_state": "numbers: Box(-inf, inf, (27,), float64)"},
    "reasoning_gym": {
        "action.metadata": "setting",
        "action.answer": "decision: OpenText()",
        **_BESIDE,
        "question": "text: OpenText()",
        "score": "numbers: Box(..., ..., (2,), float64)",
        "correct_answer": "text: OpenText()",
        "dataset_metadata": "bookkeeping",
    },
    "scaffold_init": {
        "action.metadata": "setting",
        "action.message": "decision: OpenText()",
        **_BESIDE,
        "echoed_message": "text: OpenText()",
        "message_length": "numbers: Box(-inf, inf, (1,), int64)",
    },
}

OPEN: dict[str, dict[str, str]] = {
    "connect4": {
        "action.column": "number of actions unknown; saw legal actions up to 6; "
        'pass hints={"action.column": Discrete(n)}'
    },
    "finrl": {
        "action.actions": 'length and bounds unknown; pass hints={"action.actions": Box(low, high, (n,))}'
    },
    "maze": {
        "action.action": "number of actions unknown; saw legal actions up to 3; "
        'pass hints={"action.action": Discrete(n)}'
    },
    "openspiel_catch": {
        "action.action_id": "number of actions unknown; saw legal actions up to 2; "
        'pass hints={"action.action_id": Discrete(n)}'
    },
    "openspiel_ttt": {
        "action.action_id": "number of actions unknown; saw legal actions up to 8; "
        'pass hints={"action.action_id": Discrete(n)}'
    },
}

HINTS: dict[str, dict[str, Any]] = {
    "connect4": {
        "action.column": Discrete(7),
        "legal_actions": "legal",
        "board": Box(-1, 1, (6, 7), np.int8),
    },
    "finrl": {"action.actions": Box(-1, 1, (1,), np.float64)},
    "maze": {"action.action": Discrete(4), "metadata.maze": Box(0, 1, (8, 8), np.uint8)},
    "openspiel_catch": {"action.action_id": Discrete(3)},
    "openspiel_ttt": {"action.action_id": Discrete(9)},
}


_WHOLE, _REAL = np.iinfo(np.int64), np.inf


def _integers(count: int) -> Box:
    return Box(_WHOLE.min, _WHOLE.max, (count,), np.int64)


def _numbers(count: int) -> Box:
    return Box(-_REAL, _REAL, (count,), np.float64)


def _in_order(**fields: Space[Any]) -> Dict:
    return Dict(fields, sort_keys=False)


NEED_HINTS = ("connect4", "maze")
"""No hint that ships is about them, and their schemas do not tell."""

SPACES: dict[str, tuple[Space[Any], Space[Any]]] = {
    "atari_ram": (Discrete(6), Box(0, 255, (128,), np.uint8)),
    "coding": (OpenText(), _in_order(stdout=OpenText(), stderr=OpenText(), exit_code=_integers(1))),
    "connect4": (Discrete(7), Box(-1, 1, (6, 7), np.int8)),
    "dm_control": (Box(-1, 1, (1,), np.float64), _in_order(position=_numbers(3), velocity=_numbers(2))),
    "finrl": (Box(-1, 1, (1,), np.float64), _numbers(7)),
    "grid_world": (Discrete(4), _in_order(x=_integers(1), y=_integers(1), message=OpenText())),
    "maze": (
        Discrete(4),
        _in_order(
            current_position=_integers(2),
            previous_position=_integers(2),
            maze=Box(0, 1, (8, 8), np.uint8),
        ),
    ),
    "openspiel_catch": (Discrete(3), _numbers(50)),
    "openspiel_ttt": (Discrete(9), _numbers(27)),
    "reasoning_gym": (
        OpenText(),
        _in_order(
            question=OpenText(),
            # Null before there is an answer, which is [0, 0].
            score=Box(np.array([-_REAL, 0.0]), np.array([_REAL, 1.0]), dtype=np.float64),
            correct_answer=OpenText(),
        ),
    ),
    "scaffold_init": (OpenText(), _in_order(echoed_message=OpenText(), message_length=_integers(1))),
}
"""The action and observation spaces, with the hints that ship and those of ``HINTS`` that are needed."""
