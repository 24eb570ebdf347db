"""Environments of upstream's base class that do what an author's may: answer oddly, fail, await.

Imported by ``host.py`` alone, in the stock interpreter.
"""

from __future__ import annotations

import asyncio
import datetime
import math
from typing import Any

from openenv.core.env_server import Action, Environment, Observation, State
from pydantic import Field, field_validator


class Do(Action):
    """What the environment is to do; ``by`` is there to be got wrong."""

    what: str = "go"
    by: int = Field(default=1, ge=-100, le=100)
    share: float = 0.0
    sure: bool = False

    @field_validator("what")
    @classmethod
    def known(cls, what: str) -> str:
        """Complain as an author's own validator does: with an exception in pydantic's ``ctx``."""
        if what == "refused":
            raise ValueError("the validator refuses")
        return what


class Seen(Observation):
    """What came of it."""

    total: int = 0
    extra: Any = None


class Noted(State):
    """A state with fields of its own."""

    total: int = 0
    extra: Any = None


ANSWERS: dict[str, dict[str, Any]] = {
    "nan reward": {"reward": math.nan},
    "infinite reward": {"reward": -math.inf},
    "bool reward": {"reward": True},
    "whole reward": {"reward": 3},
    "no reward": {"reward": None},
    "metadata": {"metadata": {"step": 1, "note": "x", "nested": {"list": [1, None, math.nan]}}},
    "done": {"done": True, "reward": 1.5},
    "not finite": {"extra": [math.nan, {"deep": math.inf}]},
    "object": {"extra": object()},
    "bytes": {"extra": b"abc"},
    "no utf-8": {"extra": b"\xff"},
    "half a character": {"extra": "\ud800"},
    "set": {"extra": {7}},
    "tuple": {"extra": (1, (2, 3))},
    "date": {"extra": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)},
    "numbered keys": {"extra": {1: "one", None: "none", 2.5: "half"}},
    "huge": {"extra": 2**80},
    "model": {"extra": Do(what="inner")},
}


class Odd(Environment):
    """Does as the action, or the ``show`` of a reset, says."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._state = Noted(episode_id="unnamed", step_count=0)
        self._break_state = False

    def reset(
        self, seed: Any = 42, episode_id: str | None = None, show: str = "go", options: Any = None
    ) -> Observation:
        """Begin at the seed; ``seed=None`` and no seed are two things here."""
        self._break_state = False
        self._state = Noted(episode_id=episode_id or "unnamed", step_count=0)
        return self._answer(show, -1 if seed is None else seed, options)

    def step(self, action: Do, timeout_s: float | None = None, loud: bool = False) -> Observation:
        """Do what the action says."""
        self._state.step_count += 1
        extra = {"timeout_s": timeout_s, "loud": loud, "share": action.share, "sure": action.sure}
        return self._answer(action.what, self._state.total + action.by, extra)

    def _answer(self, what: str, total: int, extra: Any = None) -> Observation:
        if what == "raise":
            raise RuntimeError("told to")
        if what == "nothing":
            return None
        if what == "dict":
            return {"total": total}
        if what == "break state":
            self._break_state = True
        if what == "odd state":
            self._state.extra = [math.nan, (1, 2), b"x"]
        self._state.total = total
        return Seen(**{"total": total, "extra": extra, **ANSWERS.get(what, {})})

    @property
    def state(self) -> Noted:
        """Where it is, unless told to fail."""
        if self._break_state:
            raise RuntimeError("no state")
        return self._state

    def list_splits(self) -> list[Any]:
        """Three ways to name a split."""
        return ["train", {"name": "hard", "type": "test"}, 7]

    def list_tasks(self, split: str) -> list[Any]:
        """Tasks as models and as plain values."""
        return [Do(what=split), {"id": 1, "pair": (1, 2)}, "plain"]

    def num_tasks(self, split: str) -> int:
        """As many as the split's name has letters."""
        return len(split)

    async def get_task(self, split: str, index: int) -> Any:
        """There is one."""
        await asyncio.sleep(0)
        return [{"id": f"{split}-0"}][index]


class OddAsync(Odd):
    """The same as coroutines, which count by a hundred more so that it shows which were called."""

    async def reset_async(
        self, seed: Any = None, episode_id: str | None = None, show: str = "go", **names: Any
    ) -> Observation:
        """Take every name, and a seed a hundredfold."""
        await asyncio.sleep(0)
        return self._answer(show, 100 * (seed or 0), sorted(names))

    async def step_async(self, action: Do, timeout_s: float | None = None, **names: Any) -> Observation:
        """Count by a hundred and one."""
        await asyncio.sleep(0)
        self._state.step_count += 1
        return self._answer(action.what, self._state.total + 100 + action.by, sorted(names))


class HalfAsync(Odd):
    """Only the step is a coroutine."""

    async def step_async(self, action: Do, timeout_s: float | None = None, **names: Any) -> Observation:
        """Count by a hundred and one."""
        await asyncio.sleep(0)
        return self._answer(action.what, self._state.total + 100 + action.by)


class Narrow(Odd):
    """Takes nothing but what it must, and its state is a dict."""

    def reset(self) -> Observation:
        """Begin."""
        return self._answer("go", 5)

    def step(self, action: Do) -> Observation:
        """Add."""
        return self._answer(action.what, self._state.total + action.by)

    @property
    def state(self) -> Any:
        """No model, and no episode."""
        return {"total": self._state.total} if self._state.total else None


class Unbuildable(Odd):
    """Cannot be built."""

    def __init__(self) -> None:
        raise RuntimeError("no such game")


class Alone(Odd):
    """One session at a time."""

    SUPPORTS_CONCURRENT_SESSIONS = False
