"""What a client sends while its session is busy waits in the network, and not in the server."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from openenv_gym.errors import MessageTooLarge
from openenv_gym.server.connection import Connection, Event, Inbox
from openenv_gym.server.intake import read_body
from openenv_gym.server.workers.links import Link

MEGABYTE = bytes(1 << 20)
TURNS = 4000
"""Of the event loop; what is unbounded takes in hundreds of messages meanwhile."""


class Talker:
    """A client that sends messages of a megabyte, one after the other."""

    def __init__(self, most: int = 512) -> None:
        self.sent = 0
        self._most = most

    async def receive(self) -> Event:
        await asyncio.sleep(0)
        if self.sent == self._most:
            return {"type": "websocket.disconnect", "code": 1000}
        self.sent += 1
        return {"type": "websocket.receive", "bytes": MEGABYTE}


async def ignore(event: Event) -> None:
    """Send nothing."""


async def turn(turns: int = TURNS) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def test_an_inbox_takes_no_more_than_it_has_room_for() -> None:
    async def talk() -> None:
        talker = Talker()
        inbox = Inbox(Connection({"subprotocols": []}, talker.receive, ignore))
        await turn()
        first = talker.sent
        assert first < 80
        for _ in range(40):
            assert await inbox.take() == MEGABYTE
        await turn()
        assert talker.sent == first + 40
        inbox.close()

    asyncio.run(talk())


def test_a_message_larger_than_the_room_is_taken_alone() -> None:
    async def talk() -> None:
        left = [b"small", bytes(100 << 20), b"small"]

        async def receive() -> Event:
            if not left:
                return {"type": "websocket.disconnect", "code": 1000}
            return {"type": "websocket.receive", "bytes": left.pop(0)}

        inbox = Inbox(Connection({"subprotocols": []}, receive, ignore))
        assert [len(await inbox.take()) for _ in range(3)] == [5, 100 << 20, 5]
        inbox.close()

    asyncio.run(talk())


def test_a_link_takes_no_more_than_is_heard() -> None:
    async def talk() -> None:
        talker, waiting, heard = Talker(128), asyncio.Event(), []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await waiting.wait()
            heard.append(await receive())
            await send({"type": "websocket.close", "code": 1000})

        ours, theirs = socket.socketpair()
        near, far = await Link.over(ours), await Link.over(theirs)
        serving = asyncio.create_task(far.serve(application))
        carrying = asyncio.create_task(
            near.carry({"type": "websocket", "headers": []}, talker.receive, ignore)
        )
        await turn()
        assert talker.sent < 80
        waiting.set()
        await carrying
        assert len(heard) == 1 and near.usable
        near.close()
        await serving

    asyncio.run(talk())


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_body_of_no_said_length_is_bounded_where_there_can_be_one(version: str) -> None:
    async def read() -> int:
        chunks = 0

        async def receive() -> Event:
            nonlocal chunks
            chunks += 1
            return {"type": "http.request", "body": b" " * 100, "more_body": chunks < 50}

        scope: Event = {"type": "http", "http_version": version, "headers": []}
        if version == "1.1":  # where there is none, whatever the web server says
            assert (await read_body(scope, receive, max_bytes=1000, max_depth=None))[0] == b""
        else:
            with pytest.raises(MessageTooLarge):
                await read_body(scope, receive, max_bytes=1000, max_depth=None)
        return chunks

    assert asyncio.run(read()) == (0 if version == "1.1" else 11)
