"""What a face needs of the other end: lanes, wherever and in whichever dialect they are served."""

from __future__ import annotations

from typing import Any, Protocol

from openenv_gym.types import Rows, Signature, Slots

__all__ = ["Lanes"]


class Lanes(Protocol):
    """What a face needs of the other end."""

    @property
    def signature(self) -> Signature:
        """What is known of the environment."""

    @property
    def microseconds(self) -> int | None:
        """What the served environment took so far; ``None`` if the other end does not say it."""

    @property
    def sent(self) -> int:
        """Bytes of all messages that were sent."""

    @property
    def received(self) -> int:
        """Bytes of all messages that came."""

    def reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all."""

    def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Ask for it, and wait for nothing."""

    def send_step(self, slots: Slots | None, actions: Any) -> None:
        """Send a batch of actions for all lanes, and wait for nothing."""

    def receive_rows(self) -> Rows:
        """The rows of the reset or step that was sent."""

    def step_one(self, action: Any) -> Rows:
        """The action of the only lane."""

    def state(self, lane: int = 0, agent: int = 0) -> dict[str, Any]:
        """What OpenEnv calls state."""

    def render(self, lane: int | None = 0) -> Any:
        """A frame of one lane, or of all."""

    def call(self, name: str, *args: Any, lane: int | None = 0) -> Any:
        """A method or attribute that the operator offers."""

    def close(self) -> None:
        """End the session."""

    def abandon(self) -> None:
        """Let go without a word."""
