"""A space for all of an action or observation, spread over the fields that it is for.

A Dict names them. Any other space is for the one field that there is, or that fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Dict

from openenv_gym.errors import InvalidArgument, LayoutMismatch
from openenv_gym.spaces.casting import shortened
from openenv_gym.spaces.inference.hints import Hint
from openenv_gym.spaces.inference.nodes import MISSING, Node
from openenv_gym.spaces.inference.readers import reader_for
from openenv_gym.spaces.inference.roles import UNSEEN, Role, role_of_observation

__all__ = ["spread_action", "spread_observation"]


def spread_action(
    node: Node, whole: Hint, roles: Mapping[str, Role], hints: Mapping[str, Hint]
) -> dict[str, Hint]:
    """What a space for all of the action says of each field.

    Raises:
        InvalidArgument: it does not say which field it is for.
    """
    space: Space[Any] = whole.space  # type: ignore[assignment]  # the caller has looked
    source, confidence = whole.source, whole.confidence
    if isinstance(space, Dict) and (not node.fields or space.spaces.keys() <= node.fields.keys()):
        said = {name: Hint(source, confidence, space=child) for name, child in space.spaces.items()}
    else:
        said = {_decided(node, roles): Hint(source, confidence, space=space)}
    rest = {name: Hint(source, confidence, Role.SETTING) for name in node.fields if name not in said}
    kept = {path: hint for path, hint in hints.items() if hint.value is not MISSING}
    return {**{f"action.{name}": hint for name, hint in {**rest, **said}.items()}, **kept}


def spread_observation(
    children: Mapping[str, Node], samples: list[dict[str, Any]], whole: Hint
) -> dict[str, Hint]:
    """What a space for all of the observation says of each field.

    Raises:
        InvalidArgument: it does not say which field it is of.
    """
    space: Space[Any] = whole.space  # type: ignore[assignment]  # the caller has looked
    source, confidence = whole.source, whole.confidence
    if isinstance(space, Dict) and (not children or space.spaces.keys() <= children.keys()):
        said = {name: Hint(source, confidence, space=child) for name, child in space.spaces.items()}
    else:
        said = {_fitting(children, samples, space): Hint(source, confidence, space=space)}
    rest = {
        name: Hint(source, confidence, Role.BOOKKEEPING)
        for name, child in children.items()
        if name not in said and role_of_observation(name, child, []) not in UNSEEN
    }
    return {f"observation.{name}": hint for name, hint in {**rest, **said}.items()}


def _decided(node: Node, roles: Mapping[str, Role]) -> str:
    """The one field that a space without fields is for."""
    decided = [name for name, role in roles.items() if role is Role.DECISION]
    required = [name for name in decided if name in node.required]
    for names in (required, decided):
        if len(names) == 1:
            return names[0]
    if "action" in node.fields or not node.fields:
        return "action"
    raise InvalidArgument(
        f"action_space does not say which field of the action it is for; they are {shortened(decided)}: pass "
        "a Dict of them, or encode_action=..."
    )


def _fitting(children: Mapping[str, Node], samples: list[dict[str, Any]], space: Space[Any]) -> str:
    """The one field whose values a space holds."""
    if "observation" in children or not children:
        return "observation"
    read = reader_for(space)
    candidates = []
    for name, child in children.items():
        column = [fields.get(name) for fields in samples]
        if role_of_observation(name, child, column) in UNSEEN or None in column:
            continue
        try:
            if all(space.contains(read(value)) for value in column):
                candidates.append(name)
        except (LayoutMismatch, TypeError, ValueError):
            continue
    if len(candidates) == 1:
        return candidates[0]
    raise InvalidArgument(
        f"observation_space does not say which field it is of; they are {shortened(children)}: "
        "pass a Dict of them, hints, or decode_observation=..."
    )
