"""What a face holds of its lanes: sessions on a server or several, in use by this process.

A session of a server of ours, and stock sessions made to look like one, answer the same few questions with
rows (:class:`~openenv_gym.envs.lanes.Lanes`), so that :class:`OpenEnvGym` and :class:`OpenEnvVectorEnv`
translate and never decide.
"""

from __future__ import annotations

import copy
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import structs

from openenv_gym.client.blocking import Client
from openenv_gym.envs.connecting import lanes_at
from openenv_gym.envs.known import Spaces, tell_assumptions
from openenv_gym.envs.lanes import Lanes
from openenv_gym.envs.options import Options, hello_for
from openenv_gym.envs.place import place_of
from openenv_gym.envs.restarting import Restarting
from openenv_gym.envs.spread import Spread, blocks
from openenv_gym.envs.stats import Stats
from openenv_gym.errors import Closed, ResetNeeded
from openenv_gym.types import Rows, Signature

__all__ = ["Remote"]


class Remote:
    """Sessions on one server or several, as a face holds them: connected, and of this process.

    Args:
        url: of the server; or those of several, over which the lanes are spread in blocks.
        lanes: how many.
        autoreset: Gymnasium's mode.
        exact: whether every observation must come to the bit, even one that its space casts.
        spaces: what the caller knows of the servers.
        options: what the caller asks of them.
        clock: seconds, growing.
        name_episode: makes a name for an episode.

    Attributes:
        inference: what was concluded of servers that do not say their spaces; ``None`` if they do.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        lanes: int,
        autoreset: str,
        exact: bool,
        spaces: Spaces,
        options: Options,
        clock: Callable[[], float] = time.perf_counter,
        name_episode: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        hello = hello_for(lanes, autoreset, exact=exact, options=options)
        self._pid = os.getpid()
        self._closed = False
        self._clock, self._name_episode = clock, name_episode
        self._resets = self._steps = 0
        self._seconds = self._started = 0.0
        self._episode_id: str | None = None
        urls = [url] if isinstance(url, str) else list(url)
        self._urls = urls
        options = replace(options, beside=len(urls) - 1)
        parts: list[Lanes] = []
        try:
            for each, block in zip(urls, blocks(lanes, len(urls)), strict=True):
                connect = partial(lanes_at, each, structs.replace(hello, lanes=len(block)), spaces, options)
                restarts = options.on_failure == "restart"
                parts.append(Restarting(each, connect, block.start) if restarts else connect())
            self._lanes: Lanes = parts[0] if len(parts) == 1 else Spread(urls, parts)
            tell_assumptions(spaces, urls)  # raises where warnings are errors
        except BaseException:  # Ctrl-C, too: nobody else could close them
            for part in parts:
                part.close()
            raise
        self.inference = spaces.inference
        # Only a server of ours is sure to call an episode as it is told.
        self._naming = parts[0] if lanes == 1 and isinstance(parts[0], Client) else None

    @property
    def signature(self) -> Signature:
        """What is known of the environment."""
        return self._lanes.signature

    @property
    def place(self) -> str:
        """What is played and where, for whoever prints a face: ``CartPole-v1 at http://127.0.0.1:8000``."""
        return place_of(self.signature, self._urls)

    @property
    def lanes(self) -> Lanes:
        """The lanes, if they may be used: not closed, and not those of a parent process.

        Raises:
            Closed: after :meth:`close`.
            ResetNeeded: in a forked child, whose parent owns the session.
        """
        if self._closed:
            raise Closed("this environment was closed; make a new one")
        if os.getpid() != self._pid:
            raise ResetNeeded(
                "this environment belongs to the process that made it; a forked child makes its own"
            )
        return self._lanes

    def reset(
        self,
        lanes: list[int] | None,
        seeds: int | list[int | None] | None,
        options: dict[str, Any] | None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all; the one of an only lane is named here, if it can be."""
        there, clock = self.lanes, self._clock
        self._episode_id = None
        started = clock()
        if self._naming is None:
            rows = there.reset(lanes, seeds, options)
        else:
            name = self._name_episode()
            rows = self._naming.reset(lanes, seeds, options, [name])
            self._episode_id = name
        self._seconds += clock() - started
        self._resets += 1
        return rows

    def send_step(self, actions: Any) -> None:
        """Send a batch of actions for all lanes, and wait for nothing."""
        lanes = self.lanes
        self._started = self._clock()
        lanes.send_step(None, actions)

    def receive_rows(self) -> Rows:
        """The rows of the step that was sent."""
        rows = self.lanes.receive_rows()
        self._seconds += self._clock() - self._started
        self._steps += 1
        return rows

    def step_one(self, action: Any) -> Rows:
        """The action of the only lane."""
        lanes, clock = self.lanes, self._clock
        started = clock()
        rows = lanes.step_one(action)
        self._seconds += clock() - started
        self._steps += 1
        return rows

    def call(self, name: str, args: tuple[Any, ...], lane: int | None) -> Any:
        """What a method or attribute says; without a round trip where it never says anything else."""
        lanes = self.lanes
        constants = lanes.signature.constants
        if args or name not in constants:
            return lanes.call(name, *args, lane=lane)
        count = 1 if lane is not None else lanes.signature.lanes
        answers = [copy.deepcopy(constants[name]) for _ in range(count)]
        return answers if lane is None else answers[0]

    @property
    def stats(self) -> Stats:
        """What resets and steps have taken so far, also after the end of the session."""
        lanes = self._lanes
        microseconds = lanes.microseconds
        return Stats(
            resets=self._resets,
            steps=self._steps,
            seconds=self._seconds,
            environment_seconds=None if microseconds is None else microseconds / 1e6,
            bytes_sent=lanes.sent,
            bytes_received=lanes.received,
        )

    @property
    def episode_id(self) -> str | None:
        """What the only lane's episode is called: ``None`` before the first reset; may ask the server."""
        if self._episode_id is None and self._resets:
            said = self.lanes.state(0).get("episode_id")
            self._episode_id = None if said is None else str(said)
        return self._episode_id

    def close(self) -> None:
        """End the session, or, in a forked child, let go of the parent's."""
        if self._closed:
            return
        self._closed = True
        if os.getpid() == self._pid:
            self._lanes.close()
        else:
            self._lanes.abandon()
