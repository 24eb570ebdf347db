"""A lane in a process of its own that is started again when it ends; see ``on_failure="restart"``.

Where a process holds all lanes of a session, its end is the session's, and the client begins another. Of
lanes side by side only one has ended: here it fails as a lane does that raises, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from openenv_gym.errors import (
    EnvironmentDied,
    EnvironmentRaised,
    FactoryFailed,
    OpenEnvGymError,
    ResetNeeded,
)
from openenv_gym.hosting.contract import HostedEnv, Out
from openenv_gym.hosting.gymnasium import RESETS
from openenv_gym.server.isolation import InChild
from openenv_gym.types import Phase, Signature, Slots

__all__ = ["Reborn"]


class Reborn:
    """A hosted environment of one lane, in one child process after the other.

    Everything but :meth:`kill` belongs to one thread.

    Args:
        bear: makes a child, which is not started yet.
    """

    def __init__(self, bear: Callable[[], InChild]) -> None:
        self._bear = bear
        self._child = bear()
        self.signature: Signature = self._child.signature
        self._dead = self._killed = False
        self._untold: OpenEnvGymError | None = None
        self._autoresets = 0

    def start(self) -> HostedEnv:
        """Start the first child."""
        self._child.start()
        return self

    def kill(self) -> None:
        """End the child at once, for good; from any thread."""
        self._killed = True
        self._child.kill()

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Begin an episode, in a new child if there is none."""
        self._autoresets = 0
        self._reset(seeds, options, out)

    def _reset(
        self, seeds: int | Sequence[int | None] | None, options: dict[str, Any] | None, out: Out
    ) -> None:
        self._untold = None
        failure: OpenEnvGymError | None = None
        for _ in range(RESETS):
            try:
                if self._dead:
                    self._revive()
                self._child.reset(None, seeds, options, out)
            except (EnvironmentDied, FactoryFailed) as error:
                self._dead, failure = True, error
            else:
                return
        assert failure is not None
        out.fail(0, failure)

    def _revive(self) -> None:
        self._child = self._bear()
        if self._killed:  # there is one to kill again
            self._child.kill()
        self._child.start()
        self._dead = False

    def step(self, slots: Slots | None, actions: Any, out: Out) -> None:
        """Take an action."""
        if self._untold is not None:
            self._end(self._untold, out)
        elif not self._dead:
            try:
                self._child.step(slots, actions, _Watched(out, self._begun))
            except EnvironmentDied as error:
                self._end(error, out)
        elif self.signature.autoreset == "NextStep":
            self._begun()
            self._reset(None, None, out)
        else:
            why = "lane 0 cannot step: its episode has ended; call reset() first"
            out.fail(0, ResetNeeded(why, lane=0))

    def _begun(self) -> None:
        self._autoresets += 1

    def _end(self, error: OpenEnvGymError, out: Out) -> None:
        """The end of an episode whose process has ended."""
        self._dead, self._untold = True, None
        again = self.signature.autoreset == "SameStep"
        out.fail(0, error, final=again)
        if again:
            self._begun()
            self._reset(None, None, out)

    def observe(self, lane: int, agent: int) -> Any:
        """What a slot sees now."""
        return self._ask("observe", lambda: self._child.observe(lane, agent))

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """What OpenEnv calls state; a child knows of its own autoresets only."""
        state: dict[str, Any] = self._ask("state", lambda: self._child.state(lane, agent))
        return {**state, "autoresets": self._autoresets}

    def render(self, lane: int | None) -> Any:
        """A frame."""
        return self._ask("render", lambda: self._child.render(lane))

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """A method or attribute that the signature allows."""
        return self._ask("call", lambda: self._child.call(lane, name, args))

    def _ask(self, during: str, ask: Callable[[], Any]) -> Any:
        """An answer; who asks in vain does not lose the session, and the next step tells."""
        if self._dead:
            raise ResetNeeded(f"there is nothing to {during}: the environment's process has ended; reset it")
        try:
            return ask()
        except EnvironmentDied as error:
            self._dead, self._untold = True, error
            raise EnvironmentRaised(
                f"{error.message}; the next step ends its episode",
                exception=type(error).__name__,
                during=during,
            ) from error

    def close(self) -> None:
        """Close the environment and end its child."""
        self._child.close()


class _Watched:
    """An ``Out`` that tells of episodes that begin in a step."""

    def __init__(self, out: Out, begun: Callable[[], None]) -> None:
        self._out, self._begun = out, begun
        self.put_batch, self.fail, self.flush = out.put_batch, out.fail, out.flush

    def put(self, lane: int, phase: int, *row: Any) -> None:
        """One row."""
        if phase == Phase.RESET:
            self._begun()
        self._out.put(lane, phase, *row)
