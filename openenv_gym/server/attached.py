"""A WebSocket on ``/ws?session_id=...``: joins a session that was begun over HTTP or MCP.

Its messages and the HTTP requests that name the session are done one at a time, in the order in
which they come. The session outlives the socket, but not its own end: whoever closes it over HTTP
closes it at once, and the socket is told.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from openenv_gym.errors import InvalidArgument, OpenEnvGymError
from openenv_gym.server.connection import RESTARTING, Connection, Gone, Inbox
from openenv_gym.server.episodes import Episode, Episodes
from openenv_gym.server.house import House
from openenv_gym.server.mcp import answer_call
from openenv_gym.wire.codecs.json import encode_frame
from openenv_gym.wire.messages import Close, Mcp, Render, Reset, State, Step
from openenv_gym.wire.server import Refused, ServerProtocol

__all__ = ["serve_attached"]


async def serve_attached(house: House, episodes: Episodes, connection: Connection) -> None:
    """Serve one connection until either side ends it, or the session ends; in JSON, whatever is offered."""
    await connection.accept()
    protocol = ServerProtocol(native=False, max_json_depth=house.limits.max_json_depth)
    inbox = Inbox(connection)
    try:
        episode = await _attach(house, episodes, connection, inbox)
        try:
            reason = await _pump(house, episodes, episode, protocol, connection, inbox)
        finally:
            episodes.release(episode)
        await connection.close(*reason)
    except Gone:
        pass
    except OpenEnvGymError as error:
        await connection.send(protocol.encode_error(0, error))
        await connection.close()
    finally:
        inbox.close()


async def _attach(house: House, episodes: Episodes, connection: Connection, inbox: Inbox) -> Episode:
    query = connection.query
    if "view" in query:
        house.source.check_view(query["view"])
    if "render_mode" in query:
        raise InvalidArgument("render_mode is for a new session; leave it out, or session_id")
    return await episodes.attach(query["session_id"], inbox.end)


async def _pump(
    house: House,
    episodes: Episodes,
    episode: Episode,
    protocol: ServerProtocol,
    connection: Connection,
    inbox: Inbox,
) -> tuple[Any, ...]:
    """Answer messages until there is a reason to close; with what to close."""
    while True:
        message, _ = protocol.receive(await inbox.take())
        if isinstance(message, Close):
            return ()
        house.busy += 1
        try:
            await connection.send(await _answer(episodes, episode, protocol, message))
        finally:
            house.busy -= 1
        if house.closing:
            return RESTARTING, "the server is shutting down"


async def _answer(episodes: Episodes, episode: Episode, protocol: ServerProtocol, message: Any) -> Any:
    if isinstance(message, Mcp):
        return protocol.codec.encode(Mcp(await answer_call(episodes, message.data, own=episode.id)))
    if isinstance(message, Refused):
        return protocol.encode_error(message.seq, message.error)
    assert isinstance(message, Reset | Step | State | Render), "the JSON dialect has no other request"
    kind = type(message).__name__.lower()
    try:
        answer = await episodes.ask(episode, kind, lambda seq: replace(message, seq=seq))
    except OpenEnvGymError as error:
        if episode.over:
            raise
        return protocol.encode_error(message.seq, error)
    match message:
        case State():
            return protocol.encode_value(message.seq, answer)
        case Render():
            return encode_frame(answer)
    return answer
