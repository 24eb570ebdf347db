"""Slow lanes side by side: each lives on a thread of its own, or in a child process of its own.

A step that takes 100 ms is mostly waiting: for a simulator, a browser, a remote service. Lanes one after
the other would add those waits up. So where the probe says that one lane's step is slow, a session of
several lanes is a :class:`Crowd`: each lane is a hosted environment of one lane, on one thread for
life, and gathers its rows into a buffer of its own, which the session adds to its answer under the
lane's number. To a client that waits for whole batches a crowd is a hosted environment like any
other: its methods block until the last lane is done. Who wants each lane as it finishes (see
:mod:`openenv_gym.server.early`) gives the lanes their work one by one.

What is decided per lane (autoreset, failures) is decided by the hosted environment, as everywhere; a
crowd only deals out and collects.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from openenv_gym.errors import EnvironmentDied, FactoryFailed, HostedError
from openenv_gym.hosting.contract import HostedEnv, Out
from openenv_gym.server.threads import OwnThread
from openenv_gym.spaces import Kind, layout_of
from openenv_gym.types import Signature, Slots
from openenv_gym.wire.answers import AnswerBuffer, Gathered

__all__ = [
    "DEAL_SECONDS",
    "Crowd",
    "CrowdThread",
    "Done",
    "LaneHost",
    "Work",
    "call_work",
    "observe_work",
    "render_work",
    "reset_work",
    "seeds_of",
    "state_work",
    "step_work",
]

DEAL_SECONDS = 1e-3
_AT_ONCE = 16
_DEALT_PART = 0.15

Work: TypeAlias = Callable[[HostedEnv, Out], Any]
"""What one lane shall do: with its environment, and where its rows go."""


class LaneHost(NamedTuple):
    """How one lane begins, and what ends it at once if anything can."""

    start: Callable[[], HostedEnv]
    kill: Callable[[], object] | None = None


class Done(NamedTuple):
    """What came of a lane's work."""

    lane: int
    rows: Gathered
    value: Any
    error: BaseException | None


def step_work(action: Any) -> Work:
    """A step of the only lane of an environment."""
    return lambda hosted, out: hosted.step(None, [action], out)


def reset_work(seed: int | None, options: dict[str, Any] | None) -> Work:
    """A reset of it."""
    return lambda hosted, out: hosted.reset(None, [seed], options, out)


def observe_work(agent: int) -> Work:
    """A question for what it shows."""
    return lambda hosted, out: hosted.observe(0, agent)


def state_work(agent: int) -> Work:
    """A question for its state."""
    return lambda hosted, out: hosted.state(0, agent)


def render_work() -> Work:
    """A question for a frame."""
    return lambda hosted, out: hosted.render(0)


def call_work(name: str, args: Sequence[Any]) -> Work:
    """A call of its method or attribute."""
    return lambda hosted, out: hosted.call(0, name, args)


def seeds_of(lanes: Sequence[int], seeds: int | Sequence[int | None] | None) -> Sequence[int | None]:
    """The seed of each of some lanes; of one number lane ``i`` takes ``seeds + i``."""
    if isinstance(seeds, int):
        return [seeds + lane for lane in lanes]
    return [None] * len(lanes) if seeds is None else seeds


class _Lane:
    """One environment on one thread for life."""

    def __init__(self, number: int, host: LaneHost, buffer: AnswerBuffer, name: str) -> None:
        self._number, self._host, self._buffer = number, host, buffer
        self._hosted: HostedEnv | None = None
        self._work: queue.SimpleQueue[tuple[Work | None, Callable[[Done], object]] | None] = (
            queue.SimpleQueue()
        )
        self.thread = threading.Thread(target=self._serve, name=f"{name}-lane-{number}", daemon=True)

    def start(self) -> None:
        """Start the thread; the environment is not built yet."""
        try:
            self.thread.start()
        except RuntimeError as error:
            raise FactoryFailed(
                f"no thread for lane {self._number} could be started: {error}; ask for fewer lanes"
            ) from error

    def do(self, work: Work | None, done: Callable[[Done], object]) -> None:
        """Do some work, after what was given before; without work the environment is built."""
        self._work.put((work, done))

    def close(self, done: Callable[[Done], object]) -> None:
        """Close the environment, if there is one, and let the thread end."""
        self._work.put((_close, done))
        self._work.put(None)

    def kill(self) -> None:
        """Have the work that runs now end where something can make it."""
        if self._host.kill is not None:
            self._host.kill()

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, done = item
            value: Any = None
            failure: BaseException | None = None
            self._buffer.begin(dense=False)
            try:
                value = self._perform(work)
            except BaseException as error:  # carried to whoever waits; nothing is lost here
                failure = error
            done(Done(self._number, self._buffer.gathered(), value, failure))

    def _perform(self, work: Work | None) -> Any:
        if work is None:
            self._hosted = self._host.start()
            return None
        return None if self._hosted is None else work(self._hosted, self._buffer)


def _close(hosted: HostedEnv, out: Out) -> None:
    hosted.close()


class _Forsaken(Exception):
    """Nobody waits any more for what the lanes do."""


class Crowd:
    """A hosted environment whose lanes live side by side.

    Its own methods are those of any hosted environment, and block; :meth:`do` and :meth:`interrupt`
    may be called from any thread.

    Args:
        hosts: of each lane, as environments of one lane.
        signature: of the session.
        name: of the session, for its threads.
        step_seconds: what a step of one lane takes, about.

    Attributes:
        at_once: how many lanes to give their work at once, and as many each :data:`DEAL_SECONDS`, to take
            each as it finishes. Lanes that all wake at once wait in line for the interpreter's lock, and
            whoever tells of the first waits with them: 256 lanes of 100 ms made the first 64 wait for
            the last. What they begin later is a small part of a step.
    """

    def __init__(
        self, hosts: Sequence[LaneHost], signature: Signature, name: str, step_seconds: float
    ) -> None:
        self.signature = signature
        deals = max(1.0, _DEALT_PART * step_seconds / DEAL_SECONDS)
        self.at_once = max(_AT_ONCE, math.ceil(len(hosts) / deals))
        layout = layout_of(signature.observation_spaces[0])
        kinds = tuple(map(Kind, signature.kinds))
        self._lanes = [
            # The session's own buffer leaves out what its client does not want to the bit.
            _Lane(lane, host, AnswerBuffer(layout, kinds, 1, exact=True), name)
            for lane, host in enumerate(hosts)
        ]
        self._waiting: _Awaited | None = None
        self._forsaken = False

    def start(self) -> HostedEnv:
        """Build every lane's environment, all at once.

        Raises:
            FactoryFailed: if a constructor raises, or there can be no further thread; the lanes that were
                built are closed.
        """
        lanes, self._lanes = self._lanes, []
        try:
            for lane in lanes:
                lane.start()
                self._lanes.append(lane)
            self._all((lane, None) for lane in range(len(self._lanes)))
        except BaseException:  # whatever it is: lanes that have started end
            with suppress(HostedError):  # what failed first is what is told
                self.close()
            raise
        return self

    def do(self, lane: int, work: Work, done: Callable[[Done], object]) -> None:
        """Have one lane do some work, and ``done`` told, on that lane's thread, what came of it."""
        self._lanes[lane].do(work, done)

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Reset the lanes at once; lane ``i`` takes ``seeds + i``, or its own entry."""
        named = range(len(self._lanes)) if lanes is None else lanes
        each = zip(named, seeds_of(named, seeds), strict=True)
        self._put(((lane, reset_work(seed, options)) for lane, seed in each), out)

    def step(self, slots: Slots | None, actions: Iterable[Any], out: Out) -> None:
        """Step the lanes at once, each with its action."""
        named = range(len(self._lanes)) if slots is None else slots.lane.tolist()
        each = zip(named, actions, strict=True)
        self._put(((lane, step_work(action)) for lane, action in each), out)

    def observe(self, lane: int, agent: int) -> Any:
        """What a slot sees now."""
        return self._ask(lane, observe_work(agent))

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """What OpenEnv calls state."""
        state: dict[str, Any] = self._ask(lane, state_work(agent))
        return state

    def render(self, lane: int | None) -> Any:
        """A frame of one lane; a list for all lanes."""
        return self._ask(lane, render_work())

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """What a lane's method or attribute says; a list for all lanes."""
        return self._ask(lane, call_work(name, args))

    def close(self) -> None:
        """Close every lane, and wait for it unless the crowd is forsaken.

        Raises:
            HostedError: if an environment raises; the other lanes close too.
        """
        awaited = self._awaited(len(self._lanes))
        for lane in self._lanes:
            lane.close(awaited.put)
        if not self._lanes:
            return
        with suppress(_Forsaken):
            closed = awaited.get()
            for lane in self._lanes:
                lane.thread.join()
            for number in sorted(closed):
                if (error := closed[number].error) is not None:
                    raise error

    def interrupt(self) -> None:
        """Wait for no lane any longer, and have what runs now end where something can make it."""
        self._forsaken = True
        waiting = self._waiting
        if waiting is not None:
            waiting.forsake()
        for lane in self._lanes:
            lane.kill()

    def is_running(self) -> bool:
        """Whether the thread of a lane is still there."""
        return any(lane.thread.is_alive() for lane in self._lanes)

    def _put(self, works: Iterable[tuple[int, Work]], out: Out) -> None:
        assert isinstance(out, AnswerBuffer), "a session of several lanes answers in the native dialect"
        for done in self._all(works):
            out.add(done.lane, done.rows)

    def _ask(self, lane: int | None, work: Work) -> Any:
        if lane is not None:
            return self._all([(lane, work)])[0].value
        return [done.value for done in self._all((each, work) for each in range(len(self._lanes)))]

    def _all(self, works: Iterable[tuple[int, Work | None]]) -> list[Done]:
        """What comes of some work, once all of it is done; in the order in which it was given."""
        given = list(works)  # all of the actions are read before the first is taken
        awaited = self._awaited(len(given))
        for lane, work in given:
            self._lanes[lane].do(work, awaited.put)
        found = awaited.get()
        ordered = [found[lane] for lane, _ in given]
        failures = [done.error for done in ordered if done.error is not None]
        if failures:
            # The session is over if a lane's process has died, whatever befell other lanes.
            raise next((error for error in failures if isinstance(error, EnvironmentDied)), failures[0])
        return ordered

    def _awaited(self, count: int) -> _Awaited:
        self._waiting = awaited = _Awaited(count)
        if self._forsaken:
            awaited.forsake()
        return awaited


class _Awaited:
    """What some lanes are to bring; whoever waits for it is woken once, by the last of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._found: dict[int, Done] = {}
        self._complete = threading.Event()
        self._forsaken = False

    def put(self, done: Done) -> None:
        """One of them, on its lane's thread."""
        self._found[done.lane] = done
        if len(self._found) == self._count:
            self._complete.set()

    def forsake(self) -> None:
        """Let whoever waits go without."""
        self._forsaken = True
        self._complete.set()

    def get(self) -> dict[int, Done]:
        """All of them, by lane."""
        self._complete.wait()
        if self._forsaken:
            raise _Forsaken
        return self._found


class CrowdThread(OwnThread):
    """The thread on which a crowd is waited for; it counts as running while any of the lanes is."""

    def __init__(self, name: str, crowd: Crowd) -> None:
        super().__init__(name, crowd.interrupt)
        self._lanes_run = crowd.is_running

    def is_running(self) -> bool:
        """Whether this thread, or that of a lane, is still there."""
        return super().is_running() or self._lanes_run()
