"""What a person concluded of each recorded server, field by field, before any code was asked.

``role: space``, or the role alone where a field has no part in a space. ``?`` is what cannot be known.
The hints that ship are left out here; see ``tests/catalogue``.
"""

from __future__ import annotations

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
