"""A WebSocket on ``/mcp``: JSON-RPC 2.0, with a session that lasts as long as the connection.

The session's id is what ``openenv/session/create`` answers; ``/ws?session_id=...`` joins it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from openenv_gym.errors import UnknownSession
from openenv_gym.server.connection import Connection, Gone, Inbox
from openenv_gym.server.episodes import Episode, Episodes
from openenv_gym.server.mcp import SERVER_ERROR, Refusal, answer_call, begin_session, parse

__all__ = ["serve_mcp"]


async def serve_mcp(episodes: Episodes, connection: Connection, max_depth: int) -> None:
    """Serve one connection until either side ends it."""
    await connection.accept()
    try:
        episode = await begin_session(episodes)
    except Refusal as refusal:
        await _send(connection, refusal.answer())
        await connection.close()
        return
    inbox = Inbox(connection)
    try:
        episode.kept = True
        await _pump(episodes, episode, connection, inbox, max_depth)
    except Gone:
        pass
    except Refusal as refusal:
        await _send(connection, refusal.answer())
        await connection.close()
    finally:
        inbox.close()
        with suppress(UnknownSession):
            await episodes.end(episode)


async def _pump(
    episodes: Episodes, episode: Episode, connection: Connection, inbox: Inbox, max_depth: int
) -> None:
    while True:
        data = await inbox.take()
        if episode.over:
            raise Refusal(SERVER_ERROR, f"the session {episode.id} of this connection was closed")
        try:
            message = parse(data, max_depth)
        except Refusal as refusal:
            await _send(connection, refusal.answer())
            continue
        if type(message) is not dict:  # upstream ends the connection here, too
            raise Refusal(SERVER_ERROR, f"a request is a JSON object, not {type(message).__name__}")
        await _send(connection, await answer_call(episodes, message, own=episode.id))


async def _send(connection: Connection, answer: dict[str, Any]) -> None:
    await connection.send(json.dumps(answer))
