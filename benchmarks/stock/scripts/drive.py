"""Play a server with the stock client, on command.

Run by the stock interpreter: ``python drive.py URL --sessions 64``, or with no ``--sessions``
for one lane through the blocking ``.sync()`` client. Standard input brings one JSON message a
line, standard output answers with one:

    {"type": "actions", "table": [[...], ...]} -> {"ready": true}      once, first
    {"type": "run", "calls": n}                -> {"seconds": s}
    {"type": "round_trips", "calls": n}        -> {"nanoseconds": [...]}   one lane only

A call moves every lane once: with its action, or by a reset where its episode has ended. That
is Gymnasium's next-step autoreset, so that rates compare. With one lane a reset is not a call,
as in anybody's loop over ``env.step``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from typing import Any, TextIO

from openenv.core import GenericEnvClient


class Pipe:
    """The two ends of the line protocol; whatever the client prints goes elsewhere."""

    def __init__(self) -> None:
        self._answers: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next message; nothing when the other side is gone."""
        line = sys.stdin.readline()
        return json.loads(line) if line else None

    def answer(self, **fields: Any) -> None:
        """Answer the message that was received last."""
        self._answers.write(json.dumps(fields) + "\n")


def drive_one(pipe: Pipe, url: str, table: list[list[int]]) -> None:
    """Play one lane through the blocking client."""
    payloads = itertools.cycle([{"action": row[0]} for row in table])
    with GenericEnvClient(base_url=url).sync() as client:
        client.reset(seed=0)
        pipe.answer(ready=True)
        while message := pipe.receive():
            calls = message["calls"]
            if message["type"] == "run":
                start = time.perf_counter()
                for payload in itertools.islice(payloads, calls):
                    if client.step(payload).done:
                        client.reset()
                pipe.answer(seconds=time.perf_counter() - start)
            else:
                taken = []
                for payload in itertools.islice(payloads, calls):
                    start_ns = time.perf_counter_ns()
                    result = client.step(payload)
                    taken.append(time.perf_counter_ns() - start_ns)
                    if result.done:
                        client.reset()
                pipe.answer(nanoseconds=taken)


async def drive_many(pipe: Pipe, url: str, table: list[list[int]], sessions: int) -> None:
    """Play many lanes, a session each, all of them awaited together at every call."""
    clients = [GenericEnvClient(base_url=url) for _ in range(sessions)]
    rows = itertools.cycle([[{"action": action} for action in row] for row in table])
    try:
        await asyncio.gather(*[client.connect() for client in clients])
        await asyncio.gather(*[client.reset(seed=lane) for lane, client in enumerate(clients)])
        done = [False] * sessions
        pipe.answer(ready=True)
        # In a thread: the loop must answer pings while it waits for its next command.
        while message := await asyncio.to_thread(pipe.receive):
            start = time.perf_counter()
            for row in itertools.islice(rows, message["calls"]):
                results = await asyncio.gather(
                    *[
                        client.reset() if over else client.step(payload)
                        for client, payload, over in zip(clients, row, done, strict=True)
                    ]
                )
                done = [result.done for result in results]
            pipe.answer(seconds=time.perf_counter() - start)
    finally:
        await asyncio.gather(*[client.close() for client in clients], return_exceptions=True)


def main() -> None:
    """Connect, say that the lanes are ready, then do as told until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, help="lanes, a session each; without it one blocking lane")
    arguments = parser.parse_args()
    pipe = Pipe()
    message = pipe.receive()
    if message is None:
        return
    if arguments.sessions is None:
        drive_one(pipe, arguments.url, message["table"])
    else:
        asyncio.run(drive_many(pipe, arguments.url, message["table"], arguments.sessions))


if __name__ == "__main__":
    main()
