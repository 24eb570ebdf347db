"""Who may come in: tokens, and the names and origins that a request may carry."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Doors"]


@dataclass(frozen=True, slots=True)
class Doors:
    """What a server demands before it answers."""

    token: str | None = None
    """What a request must show as ``Authorization: Bearer ...``; ``None``: nothing."""
    allow_anonymous: bool = False
    """Whether an address that is not loopback may be served without a token."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside its own address and loopback, that the ``Host`` header may carry."""
    allowed_origins: tuple[str, ...] = ()
    """Origins, beside its own, whose pages may open a connection."""
