"""Open many sessions at once with the stock client, let each play a few steps, and count the lost.

Run by the stock interpreter: ``python crowd.py URL --sessions 1000``. Standard input brings one
JSON message a line, standard output answers with one:

    {"type": "open"}             -> {"lost": n, "seconds": s}    connect, and reset with an episode id
    {"type": "run", "calls": n}  -> {"lost": n, "seconds": s}    n steps of each, then its state
    {"type": "close"}            -> {"lost": 0, "seconds": s}

The seconds of a run are those of the steps alone. A session is lost when any of its calls fails,
or when its state does not name its own episode and all of its steps: the stock client opens a
fresh session, and says nothing, when its connection breaks. A lost session takes no more steps.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from openenv.core import GenericEnvClient

CONNECTING = 50
"""Connections that are opened at the same time: the crowd plays at once, it need not arrive at once."""


class Session:
    """One stock client, and the moves that it makes."""

    def __init__(self, url: str, number: int) -> None:
        self.lost = False
        self._client = GenericEnvClient(base_url=url)
        self._number = number
        self._episode = f"crowd-{number}"
        self._moves = random.Random(number)
        self._steps = 0

    async def open(self) -> None:
        """Connect, and begin an episode."""
        await self._client.connect()
        await self._client.reset(seed=self._number, episode_id=self._episode)

    async def play(self, calls: int) -> None:
        """Take steps, one after the other."""
        for _ in range(calls):
            await self._client.step({"action": self._moves.randrange(2)})
        self._steps += calls

    async def check(self) -> None:
        """Ask the server whether this is still the episode that was begun."""
        state = await self._client.state()
        if (state["episode_id"], state["step_count"]) != (self._episode, self._steps):
            raise ConnectionError(f"session {self._number} is at {state}, not at step {self._steps}")

    async def close(self) -> None:
        """End the session."""
        await self._client.close()


async def each(
    sessions: list[Session], do: Callable[[Session], Awaitable[None]], at_once: int | None = None
) -> dict[str, Any]:
    """Let all sessions that are not lost do something; say how long it took and how many are lost now."""
    turn = asyncio.Semaphore(at_once or len(sessions))
    said: list[str] = []

    async def attempt(session: Session) -> None:
        if session.lost:
            return
        async with turn:
            try:
                await do(session)
            except Exception as error:  # however a session fails, it is lost, and the others go on
                session.lost = True
                said.append(f"{type(error).__name__}: {error}")

    start = time.perf_counter()
    await asyncio.gather(*[attempt(session) for session in sessions])
    seconds = time.perf_counter() - start
    if said:
        print(f"{len(said)} sessions were lost, the first by {said[0]}", file=sys.stderr)
    return {"lost": sum(session.lost for session in sessions), "seconds": seconds}


async def serve(url: str, count: int) -> None:
    """Do what standard input says until it ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Whatever the client prints goes elsewhere.
    sessions: list[Session] = []
    # In a thread: the loop must answer pings while it waits for its next command.
    while line := await asyncio.to_thread(sys.stdin.readline):
        message = json.loads(line)
        match message["type"]:
            case "open":
                sessions = [Session(url, number) for number in range(count)]
                answer = await each(sessions, Session.open, CONNECTING)
                # The collector would walk a thousand clients in the middle of their few steps.
                gc.collect()
                gc.freeze()
            case "run":
                answer = await each(sessions, partial(Session.play, calls=message["calls"]))
                answer["lost"] = (await each(sessions, Session.check))["lost"]
            case _:
                answer = await each(sessions, Session.close, CONNECTING)
                gc.unfreeze()
        answers.write(json.dumps(answer) + "\n")


def main() -> None:
    """Connect to the URL as often as told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.url, arguments.sessions))


if __name__ == "__main__":
    main()
