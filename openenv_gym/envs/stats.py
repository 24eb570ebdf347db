"""What a session has cost so far: round trips against the environment's own time."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Stats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What the resets and steps of a session have taken, all together; two of these make a difference.

    Attributes:
        resets: how many were answered.
        steps: how many were answered; a step of a batch of lanes counts once.
        seconds: from each request until its answer was taken, on this side's clock.
        environment_seconds: of these, what the served environment took, as the server says in whole
            microseconds a request; ``None`` in the JSON dialect, which does not say it. The rest is
            the bridge: encoding, the way there and back, and waiting for a thread.
        bytes_sent: in messages of any kind, without their frames.
        bytes_received: likewise; of JSON, characters.
    """

    resets: int
    steps: int
    seconds: float
    environment_seconds: float | None
    bytes_sent: int
    bytes_received: int
