"""What a field is for, by its name, its type and what stood there: the words that servers use.

A role decides where a field goes; the space of what goes into an observation or action is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from openenv_gym.spaces.inference.nodes import MISSING, Node

__all__ = ["SPOKEN", "UNSEEN", "Role", "is_growing", "is_picture", "role_of_action", "role_of_observation"]


class Role(StrEnum):
    """What a field is for."""

    DECISION = "decision"
    """The agent's choice."""
    SETTING = "setting"
    """In the action, but no choice of the agent: left at its default."""
    LEGAL = "legal moves"
    """Says which actions are legal."""
    SCREEN = "screen"
    """A picture."""
    BOARD = "board"
    """A board, grid or map."""
    NUMBERS = "numbers"
    """Numbers, flags and named values."""
    TEXT = "text"
    """Text."""
    STRUCTURE = "structure"
    """Free-form data, as JSON text."""
    OUTCOME = "reward/done"
    """The reward or the end of the episode, which Gymnasium has a place for."""
    BOOKKEEPING = "bookkeeping"
    """Identifiers, counters, shapes: nothing to learn from."""


UNSEEN = frozenset({Role.LEGAL, Role.OUTCOME, Role.BOOKKEEPING, Role.SETTING, Role.DECISION})
"""Roles of fields that are no part of an observation."""

SPOKEN = {
    "legal": Role.LEGAL,
    "mask": Role.LEGAL,
    "indices": Role.LEGAL,
    "json": Role.STRUCTURE,
    "sequence": Role.NUMBERS,
    "pixels": Role.SCREEN,
    **{str(role): role for role in Role},
}
"""The words that a hint may say a role by."""

_OUTCOME = frozenset({"reward", "done", "terminated", "truncated"})
_LEGAL = re.compile(
    r"^(?:.*_)?(?:legal|valid|available|allowed|admissible|possible)_?(?:actions?|moves?|commands?)(?:_mask)?$"
    r"|^(?:.*_)?(?:action|move|legal)s?_?masks?$"
)
_PICTURE = re.compile(
    r"(?:^|_)(?:screen|screenshot|pixels?|image|frame|rgb|rgba|visual)(?:s|_observations?)?$"
)
_BOARD = re.compile(r"(?:^|_)(?:board|grid|maze|map|field|cells|tiles|lattice)$")
_GROWING = re.compile(
    r"(?:^|_)(?:history|histories|messages|logs?|trajectory|moves|tokens|events|transcript|visited|trail)$"
)
_COUNTER = frozenset(
    {
        "step", "steps", "step_count", "step_number", "steps_taken", "episode_step", "episode_steps",
        "frame_number", "episode_frame_number", "timestamp", "created_at", "updated_at", "elapsed_time",
        "execution_time", "info", "debug", "extra", "extras",
    }
)  # fmt: skip
_IDENTIFIER = re.compile(
    r"(?:^|_)(?:episode|session|request|run|trace|task|problem|scenario|env)_(?:id|path|name)$|^uuid$"
)
_DESCRIPTION = re.compile(r"_(?:shape|spec|specs|spec_info|metadata)$|^metadata$")
_SETTING = re.compile(
    r"(?:^|_)(?:game|env|environment|dataset|model)_(?:name|id)$|_params$|_parameters$|_config$|^(?:config|metadata|seed)$"
    r"|(?:api_key|token|secret|password)$|^timeout|^(?:session|episode|request|env)_id$|_timeout(?:_s)?$"
)


def is_picture(name: str) -> bool:
    """Say whether a field of this name holds a picture.

    >>> is_picture("screen"), is_picture("visual_observations"), is_picture("screening")
    (True, True, False)
    """
    return bool(_PICTURE.search(name.lower()))


def is_growing(name: str) -> bool:
    """Say whether a list of this name is longer at each step.

    >>> is_growing("move_history"), is_growing("board")
    (True, False)
    """
    return bool(_GROWING.search(name.lower()))


def role_of_observation(name: str, node: Node, samples: Sequence[Any]) -> Role:
    """The role of a field of the observation.

    >>> role_of_observation("legal_players", Node("array", items=Node("integer")), [[0, 1]])
    <Role.NUMBERS: 'numbers'>
    """
    lowered = name.lower()
    if lowered in _OUTCOME:
        return Role.OUTCOME
    kind = node.kind if node.kind != "anything" else _kind_of(samples)
    if _LEGAL.match(lowered) and kind == "array":
        return Role.LEGAL
    if lowered in _COUNTER or _DESCRIPTION.search(lowered) or node.constant:
        return Role.BOOKKEEPING
    if _IDENTIFIER.search(lowered) and kind in ("string", "integer"):
        return Role.BOOKKEEPING
    if is_picture(lowered):
        return Role.SCREEN
    if kind == "string":
        return Role.TEXT
    if kind in ("object", "union", "anything"):
        return Role.STRUCTURE
    if kind == "array":
        return _role_of_array(lowered, node, samples)
    return Role.NUMBERS


def role_of_action(name: str, node: Node, required: bool, alone: bool) -> Role:
    """The role of a field of the action; ``alone`` says that no field must be sent.

    What must be sent is the agent's to choose. What has a default is a setting beside it, unless the
    default is ``null``: then it is a choice that may be left out. Where nothing must be sent, all of it is
    the agent's, but for what its name gives away.
    """
    if node.constant:
        return Role.SETTING
    if required:
        return Role.DECISION
    if _SETTING.search(name.lower()):
        return Role.SETTING
    if alone or (node.nullable and node.default is None):
        return Role.DECISION
    return (
        Role.SETTING if node.default is not MISSING or node.kind in ("object", "anything") else Role.DECISION
    )


def _role_of_array(name: str, node: Node, samples: Sequence[Any]) -> Role:
    if _BOARD.search(name):
        return Role.BOARD
    items = node.items
    while items is not None and items.kind == "array":
        items = items.items
    if items is not None and items.kind == "string":
        return Role.TEXT
    if items is not None and items.kind in ("object", "union"):
        return Role.STRUCTURE
    return Role.NUMBERS


def _kind_of(samples: Sequence[Any]) -> str:
    for sample in samples:
        for kind, types in _TYPES:
            if isinstance(sample, types):
                return kind
    return "anything"


_TYPES: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("boolean", bool),
    ("number", (int, float)),
    ("string", str),
    ("array", list),
    ("object", dict),
)
