"""How long a dispatcher waits for what."""

from __future__ import annotations

from dataclasses import dataclass

from openenv_gym.errors import InvalidArgument

__all__ = ["Patience"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a dispatcher waits for what; seconds."""

    hung: float = 10.0
    """Without a sign of life of a worker before it is killed."""
    head: float = 10.0
    """For the head of a connection's first request."""
    placed: float = 60.0
    """For a worker that a connection can be passed to."""
    drain: float = 15.0
    """For the workers to end."""
    again: float = 0.5
    """Before a worker is started again that has died young twice; doubled each further time, up to 30."""
    starts: int = 5
    """How often in a row one may fail to start before the server ends."""

    def __post_init__(self) -> None:
        if not (type(self.hung) in (int, float) and self.hung > 0):
            raise InvalidArgument(f"worker_timeout is {self.hung!r:.40}; more than 0 seconds were expected")

    @property
    def beat(self) -> float:
        """Between two signs of life."""
        return min(1.0, self.hung / 5)
