"""Little typed environments: of our base class, and of none, as upstream's look to us."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pydantic import BaseModel, Field

from openenv_gym.models import Action, Environment, Observation, State

__all__ = ["Count", "Counted", "Counting", "CountingAsync", "Foreign", "ForeignAsync"]

TARGET = 10


class Count(Action):
    by: int = Field(ge=-2, le=9)


class Counted(Observation):
    total: int = 0


class Counting(Environment[Count, Counted, State]):
    """Count to ten from the seed; by -1 raises, by -2 returns nothing."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._state = State()
        self._total = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Counted:
        self._state = State(episode_id=episode_id, step_count=0)
        self._total = seed or 0
        return Counted(total=self._total, metadata=kwargs)

    def step(self, action: Count, timeout_s: float | None = None, **kwargs: Any) -> Counted:
        if action.by == -1:
            raise ValueError("counting backwards")
        if action.by == -2:
            return None  # type: ignore[return-value]
        self._state.step_count += 1
        self._total += action.by
        done = self._total >= TARGET
        return Counted(total=self._total, reward=float(done), done=done)

    @property
    def state(self) -> State:
        return self._state

    def list_splits(self) -> list[Any]:
        return ["train", {"name": "hard", "type": "test"}, "odd"]

    def num_tasks(self, split: str) -> int:
        return len(split)

    async def get_task(self, split: str, index: int) -> Any:
        return [{"id": f"{split}-0"}][index]


class CountingAsync(Counting):
    """The same, written as coroutines."""

    def __init__(self) -> None:
        super().__init__()
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.threads: set[int] = set()

    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any
    ) -> Counted:
        self._note()
        return self.reset(seed, episode_id, **kwargs)

    async def step_async(self, action: Count, timeout_s: float | None = None, **kwargs: Any) -> Counted:
        self._note()
        await asyncio.sleep(0)
        return self.step(action)

    def _note(self) -> None:
        self.loops.append(asyncio.get_running_loop())
        self.threads.add(threading.get_ident())


class ForeignState(BaseModel):
    step_count: int = 0


class Foreign:
    """No base class of ours; what OpenEnv's has, and no more."""

    SUPPORTS_CONCURRENT_SESSIONS = False

    def __init__(self) -> None:
        self.state = ForeignState()
        self._total = 0

    def reset(self, seed: int | None = None, start: int = 0) -> Counted:
        self.state = ForeignState()
        self._total = start + (seed or 0)
        return Counted(total=self._total)

    def step(self, action: Count) -> Counted:
        self.state.step_count += 1
        self._total += action.by
        return Counted(total=self._total, done=self._total >= TARGET)

    def close(self) -> None:
        pass


class ForeignAsync(Foreign):
    """The same, with a coroutine of its own for the step."""

    async def step_async(self, action: Count) -> Counted:
        await asyncio.sleep(0)
        return self.step(action)
