"""Little environments that do what a test needs: sleep, fail, or note which thread they see."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

Observation = NDArray[np.float32]


class Counter(gymnasium.Env[Observation, Any]):
    """Observes how many steps the episode has; ends never."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"]}  # type: ignore[misc]

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = Box(0, np.inf, (1,), np.float32)
        self.action_space = Discrete(2)
        self.steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self._observation(), float(action), False, False, {}

    def render(self) -> str:
        return f"{self.steps} steps"

    def _observation(self) -> Observation:
        return np.array([self.steps], np.float32)


class Painter(Counter):
    """Shows its steps as an image, or as text."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "ansi"]}  # type: ignore[misc]

    def render(self) -> Any:
        if self.render_mode == "ansi":
            return super().render()
        return np.arange(18, dtype=np.uint8).reshape(2, 3, 3) + np.uint8(self.steps)


class Sleeper(Counter):
    """Takes its time over each step: 5 ms, or what ``options["seconds"]`` says; lives on its own thread."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.005

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.seconds = (options or {}).get("seconds", self.seconds)
        return super().reset(seed=seed)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        time.sleep(self.seconds)
        return super().step(action)


class Fragile(Counter):
    """Raises where ``options["fail"]`` says: in ``reset``, in ``step`` or in ``close``."""

    def __init__(self) -> None:
        super().__init__()
        self.fail = ""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.fail = (options or {}).get("fail", "")
        self._break_if("reset")
        return super().reset(seed=seed)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self._break_if("step")
        return super().step(action)

    def close(self) -> None:
        self._break_if("close")

    def _break_if(self, during: str) -> None:
        if self.fail == during:
            raise ZeroDivisionError(f"broken in {during}")


class Brittle(gymnasium.Env[Any, Any]):
    """Draws what it shows; an episode has four to nine steps, or fails if its seed says so.

    Args:
        slow: whether each lane is given a thread, or a process, of its own.
        how: it fails: ``raise``, or ``kill``, which ends the process; ``none`` if it does not.
    """

    FAULTS: ClassVar[range] = range(1000, 2000)
    """Seeds of episodes that fail; at which step, their last digit says."""
    CURSED: ClassVar[int] = 2000
    """The seed behind which every first step fails."""
    unsound: ClassVar[list[str]] = []
    """What befalls the next resets, in this order: ``raise`` or nothing."""
    built: ClassVar[int] = 0

    def __init__(self, slow: bool = False, how: str = "raise") -> None:
        type(self).built += 1
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Discrete(2)
        self.slow, self.how, self.fault, self.cursed = slow, how, 0, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if (self.unsound and self.unsound.pop(0) == "raise") or (options or {}).get("reset") == "raise":
            raise ZeroDivisionError("broken in reset")
        self.cursed = self.cursed or seed == self.CURSED
        self.fault = 1 if self.cursed else seed % 10 if seed in self.FAULTS else 0  # type: ignore[operator]
        self.steps, self.length = 0, int(self.np_random.integers(4, 10))
        return self.np_random.random(2), {"pid": os.getpid()}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.slow:
            time.sleep(0.003)
        if self.steps == self.fault and self.how != "none":
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError("broken in step")
        over = self.steps == self.length
        return self.np_random.random(2), self.np_random.random() + action, over, False, {"steps": self.steps}


class Panic(BaseException):
    """As an extension that is written in Rust raises it."""


class Trouble(Counter):
    """Does what ends a process, or a server's patience, where it is told to.

    Args:
        note: a file that says what happens in the constructor, if it is there.
        slow: whether a step is long enough for a thread of its own.

    ``options`` maps ``reset``, ``step``, ``render`` or ``close`` to what happens there: ``hang``,
    ``exit``, ``interrupt``, ``panic``, ``die``, ``crash``, ``lambda`` or ``knot``.
    """

    release: ClassVar[threading.Event] = threading.Event()
    """Lets what hangs in this process go on."""

    def __init__(self, render_mode: str | None = None, note: str = "", slow: bool = False) -> None:
        super().__init__(render_mode)
        self.slow = slow
        self.plan: dict[str, str] = {}
        if note and Path(note).exists():
            self._happen(Path(note).read_text())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.plan = options or {}
        self._happen(self.plan.get("reset"))
        return super().reset(seed=seed)[0], {"pid": os.getpid()}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self.slow:
            time.sleep(0.005)
        what = self.plan.get("step")
        self._happen(what)
        observation, reward, *_ = super().step(action)
        info: dict[str, Any] = {"odd": lambda: None} if what == "lambda" else {}
        if what == "knot":
            info["info"] = info
        return observation, reward, False, False, info

    def render(self) -> str:
        self._happen(self.plan.get("render"))
        return super().render()

    def close(self) -> None:
        self._happen(self.plan.get("close"))

    def _happen(self, what: str | None) -> None:
        match what:
            case "hang":
                if not self.release.wait(30):
                    raise RuntimeError("nobody came")
            case "exit":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "panic":
                raise Panic("out of bounds")
            case "die":
                os._exit(7)
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)


class Diary(Counter):
    """Notes the thread of every call, from construction to close; slow enough for its own if told so."""

    seconds: ClassVar[float] = 0.0
    visits: ClassVar[list[list[tuple[str, int]]]] = []
    """For each instance in the order of construction: what was called, and on which thread."""

    def __init__(self, render_mode: str | None = None) -> None:
        self._mine: list[tuple[str, int]] = []
        self.visits.append(self._mine)
        self._note("construct")
        super().__init__(render_mode)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self._note("reset")
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self._note("step")
        time.sleep(self.seconds)
        return super().step(action)

    def render(self) -> str:
        self._note("render")
        return super().render()

    def close(self) -> None:
        self._note("close")

    def _note(self, what: str) -> None:
        self._mine.append((what, threading.get_ident()))


class SlowDiary(Diary):
    """A diary whose steps are long enough for a thread of its own."""

    seconds = 0.005


class Turnstile(Counter):
    """Observes its number, which is its last seed, and its steps, each of which waits to be let through.

    Number 0, which is the probe's, never waits, and is slow enough for a thread a lane.
    """

    let: ClassVar[dict[int, threading.Semaphore]] = {}
    """By number, for those that are stopped; see :meth:`stop`."""
    broken: ClassVar[set[int]] = set()
    """The numbers whose next step raises."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = Box(0, np.inf, (2,), np.float32)
        self.number = 0

    @classmethod
    def stop(cls, *numbers: int) -> None:
        """Have the steps of these wait."""
        cls.let.update({number: threading.Semaphore(0) for number in numbers})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.number = self.number if seed is None else seed
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self.number == 0:
            time.sleep(0.005)
        elif self.number in self.let and not self.let[self.number].acquire(timeout=30):
            raise RuntimeError("nobody came")
        if self.number in self.broken:
            self.broken.discard(self.number)
            raise ZeroDivisionError("broken")
        return super().step(action)

    def _observation(self) -> Observation:
        return np.array([self.number, self.steps], np.float32)


class Meeting(Counter):
    """Steps only when as many as its room is for do so at once; alone it is slow."""

    room: ClassVar[threading.Barrier] = threading.Barrier(1)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self.room.parties == 1:
            time.sleep(0.005)
        self.room.wait(30)
        return super().step(action)
