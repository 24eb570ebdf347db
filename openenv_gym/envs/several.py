"""Lanes that are several sessions, as one: what is the same for connections and for servers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from openenv_gym.types import Rows

__all__ = ["Several"]


class _Part(Protocol):
    """What a session, or the lanes at a server, can be asked whatever they are."""

    @property
    def sent(self) -> int: ...

    @property
    def received(self) -> int: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


PartT = TypeVar("PartT", bound=_Part)


class Several(ABC, Generic[PartT]):
    """Parts with sessions of their own; all of them are closed with this.

    A subclass says how a request is divided among them, and how their rows become those of one.

    Args:
        parts: in the order of their lanes.
    """

    def __init__(self, parts: Sequence[PartT]) -> None:
        self._parts = parts

    @property
    def sent(self) -> int:
        """Bytes of all messages that were sent; characters in JSON."""
        return sum(part.sent for part in self._parts)

    @property
    def received(self) -> int:
        """Bytes of all messages that came; characters in JSON."""
        return sum(part.received for part in self._parts)

    def reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all; lane ``i`` takes ``seeds + i``."""
        self.send_reset(lanes, seeds, options)
        return self.receive_rows()

    @abstractmethod
    def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Ask for it, and wait for nothing."""

    @abstractmethod
    def receive_rows(self) -> Rows:
        """The rows of the request that was sent, in the order of lanes."""

    def close(self) -> None:
        """End every session."""
        for part in self._parts:
            part.close()

    def abandon(self) -> None:
        """Let go of every session."""
        for part in self._parts:
            part.abandon()
