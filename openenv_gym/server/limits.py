"""What a server gives at most; each limit has an error that names it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from openenv_gym.errors import InvalidArgument

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server gives at most."""

    max_lanes: int = 1024
    """Lanes of all sessions together."""
    max_sessions: int | None = None
    """Sessions at the same time; ``None``: as many as there are lanes."""
    max_message_bytes: int = 16 * 2**20
    """The largest message, or HTTP body, that a client may send."""
    max_json_depth: int = 64
    """How deep the lists and objects of a JSON message may be nested."""
    idle_timeout: float = 900.0
    """Seconds after which a session that is played over HTTP, and that nobody uses, ends."""
    resume_grace: float = 60.0
    """Seconds for which a native session whose connection broke waits for its client; 0: it ends at once."""
    step_timeout: float | None = None
    """Seconds that a reset, a step or any other request may take; past it the session is over."""
    isolation: str = "thread"
    """``process``: each session's environment lives in a child process, which can be killed."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, by name."""
        for name in ("max_lanes", "max_sessions", "max_message_bytes", "max_json_depth"):
            count = getattr(self, name)
            if count is not None and (type(count) is not int or count < 1):
                raise InvalidArgument(f"{name} is {count!r:.40}; a whole number of at least 1 was expected")
        for name in ("idle_timeout", "step_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
                raise InvalidArgument(f"{name} is {seconds!r:.40}; more than 0 seconds were expected")
        grace = self.resume_grace
        if not (type(grace) in (int, float) and 0 <= grace < math.inf):
            raise InvalidArgument(f"resume_grace is {grace!r:.40}; a number of seconds was expected, or 0")
        if self.isolation not in ("thread", "process"):
            raise InvalidArgument(f"isolation is 'thread' or 'process', not {self.isolation!r:.40}")

    @property
    def sessions(self) -> int:
        """How many sessions there can be."""
        return self.max_lanes if self.max_sessions is None else self.max_sessions

    def facts(self) -> dict[str, Any]:
        """All of them by name, plain."""
        return {**asdict(self), "max_sessions": self.sessions}
