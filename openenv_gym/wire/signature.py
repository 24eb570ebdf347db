"""A signature as plain data for the welcome and for ``/schema``, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gymnasium import Space

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces import ELEMENT_LIMIT, Layout, from_schemas, layout_of, to_schema
from openenv_gym.spaces import Kind as LeafKind
from openenv_gym.types import AUTORESET_MODES, Plain, Signature

__all__ = ["from_plain", "layouts_of", "spaces_of", "to_plain"]

_BATCH_LIMIT = 2**28
"""The most numbers in the rows of all lanes: a few hundred bytes could otherwise ask for all memory."""

_FACTS = ("env_id", "lanes", "autoreset", "on_failure", "vector", "render_mode")


def to_plain(signature: Signature) -> dict[str, Any]:
    """All of a signature; spaces in their exact schema form."""
    return {
        **{name: getattr(signature, name) for name in _FACTS},
        "agents": list(signature.agents),
        "observation_spaces": [to_schema(space) for space in signature.observation_spaces],
        "action_spaces": [to_schema(space) for space in signature.action_spaces],
        "autoreset_modes": list(signature.autoreset_modes),
        "metadata": dict(signature.metadata),
        "calls": list(signature.calls),
        "constants": dict(signature.constants),
        "kinds": list(signature.kinds),
        "spec": dict(signature.spec),
        "masks": signature.masks,
    }


def from_plain(data: Mapping[str, Any]) -> Signature:
    """A signature that came over the wire.

    Raises:
        ProtocolViolation: if it is not one.
    """
    try:
        lanes = int(data["lanes"])
        signature = Signature(
            env_id=str(data["env_id"]),
            agents=tuple(str(name) for name in data["agents"]),
            observation_spaces=spaces_of(data["observation_spaces"], lanes),
            action_spaces=spaces_of(data["action_spaces"], lanes),
            lanes=lanes,
            autoreset=data["autoreset"],
            autoreset_modes=tuple(mode for mode in data["autoreset_modes"] if mode in AUTORESET_MODES),
            on_failure="restart" if data.get("on_failure") == "restart" else "raise",
            vector=bool(data["vector"]),
            metadata=dict(data["metadata"]),
            render_mode=data["render_mode"],
            calls=tuple(str(name) for name in data["calls"]),
            constants=dict(data["constants"]),
            kinds=tuple(LeafKind(kind) for kind in data["kinds"]),
            spec=dict(data["spec"]),
            masks=bool(data.get("masks", False)),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolViolation(f"the server's signature cannot be read: {error!r}") from error
    sound = type(signature.autoreset) is str and signature.autoreset in AUTORESET_MODES
    spaces = {len(signature.observation_spaces), len(signature.action_spaces)}
    if not sound or signature.lanes < 1 or not signature.agents or spaces != {len(signature.agents)}:
        raise ProtocolViolation(
            "the server's signature names no autoreset mode, lane, agent or spaces that can be"
        )
    return signature


def spaces_of(schemas: Iterable[Plain], lanes: int) -> tuple[Space[Any], ...]:
    """The spaces of all agents, if batches of so many lanes can be had of them.

    Raises:
        ProtocolViolation: if they are malformed, or too large.
    """
    return from_schemas(schemas, max_elements=min(ELEMENT_LIMIT, _BATCH_LIMIT // max(lanes, 1)))


def layouts_of(signature: Signature) -> tuple[Layout | None, Layout | None]:
    """The layouts of observations and actions: fixed only if all agents share one space."""
    return _shared(signature.observation_spaces), _shared(signature.action_spaces)


def _shared(spaces: tuple[Any, ...]) -> Layout | None:
    first = spaces[0]
    if any(to_schema(space) != to_schema(first) for space in spaces[1:]):
        return None
    return layout_of(first)
