"""The head of a connection's first request, as far as it tells which worker should have it; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MAX_BYTES", "Head", "prefix_of", "read_head", "worker_of"]

MAX_BYTES = 1 << 14
_ID = re.compile(r"w(\d{1,4})(?:-|$)")
# In a query, a header, or a body that came with the head. A wrong guess costs one hop, and nothing else.
_NAMED = re.compile(rb"""(?:session[_-]id["']?\s*[:=]\s*["']?|[?&]worker=)w(\d{1,4})\b""", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*websocket", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Head:
    """What a head tells.

    Attributes:
        websocket: whether a WebSocket is asked for.
        worker: which worker's session is named, if one seems to be.
    """

    websocket: bool
    worker: int | None


def prefix_of(worker: int) -> str:
    """What the ids of a worker's sessions begin with."""
    return f"w{worker}-"


def worker_of(session_id: str) -> int | None:
    """The worker that an id names, or its own name; ``None`` if it is not of this form."""
    found = _ID.match(session_id)
    return None if found is None else int(found[1])


def read_head(data: bytes) -> Head | None:
    """What the first bytes of a connection tell, or ``None`` while their head has not come to its end."""
    end = data.find(b"\r\n\r\n")
    if end < 0 and len(data) < MAX_BYTES and (not data or data[:1].isalpha()):
        return None  # what begins otherwise, as TLS does, is no request, and a worker says so
    upgrade = _UPGRADE.search(data, 0, end if end >= 0 else len(data))
    named = _NAMED.search(data)
    return Head(upgrade is not None, None if named is None else int(named[1]))
