"""What a face says of itself when it is printed."""

from __future__ import annotations

from collections.abc import Sequence

from openenv_gym.client.addresses import without_user
from openenv_gym.types import Signature

__all__ = ["place_of"]

_NAME = 80
_URLS = 3


def place_of(signature: Signature, urls: Sequence[str]) -> str:
    """What is played and where: ``CartPole-v1 at http://127.0.0.1:8000``; no password is part of it."""
    there = list(dict.fromkeys(map(without_user, urls)))
    more = f" and {len(there) - _URLS} more" if len(there) > _URLS else ""
    where = f"{', '.join(there[:_URLS])}{more}"
    # What does not say what it serves is called by its address.
    return where if signature.env_id in urls else f"{signature.env_id:.{_NAME}} at {where}"
