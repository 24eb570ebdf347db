"""The ASGI application: WebSockets raw, for they are hot, and FastAPI for everything over HTTP."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse

from openenv_gym.errors import InvalidMessage, UnknownSession
from openenv_gym.server.attached import serve_attached
from openenv_gym.server.attachments import Attachments
from openenv_gym.server.bodies import documented
from openenv_gym.server.connection import Connection, Receive, Send
from openenv_gym.server.doors import Doorkeeper, Doors
from openenv_gym.server.episodes import Episodes
from openenv_gym.server.house import House
from openenv_gym.server.http import answer_errors, describe, episode_routes, refusal, task_routes
from openenv_gym.server.intake import read_body
from openenv_gym.server.mcp import mcp_routes
from openenv_gym.server.mcp_websocket import serve_mcp
from openenv_gym.server.openapi import describe_bodies
from openenv_gym.server.threads import Aside
from openenv_gym.server.websocket import serve_websocket
from openenv_gym.server.whole import metrics
from openenv_gym.server.workers.links import RELAYED
from openenv_gym.server.workers.siblings import Siblings
from openenv_gym.spaces import to_schema
from openenv_gym.version import __version__
from openenv_gym.wire.server import ServerProtocol

__all__ = ["Application", "Mode"]

Mode = Literal["simulation", "production"]


_DESCRIPTION = """An environment as an OpenEnv server.

An episode over HTTP: `POST /reset` begins a session and says its `session_id`; `POST /step` takes an
action, until `done`. Send the id with each request, or leave it out and play the session of the last
reset. `POST /close` ends it; an idle session ends by itself. Over a WebSocket, on `/ws`, each
connection is a session of its own; `/ws?session_id=...` joins one that is there.
"""


class Application(FastAPI):
    """What a web server runs.

    Args:
        house: the sessions behind it.
        episodes: those of them that are played over HTTP.
        attachments: those of them that a client can come back to.
        mode: ``production`` leaves out the routes that play an episode over HTTP.
    """

    def __init__(
        self,
        house: House,
        episodes: Episodes | None = None,
        attachments: Attachments | None = None,
        *,
        mode: Mode = "simulation",
    ) -> None:
        self.house = house
        self._episodes = Episodes(house) if episodes is None else episodes
        self._attachments = Attachments(house) if attachments is None else attachments
        self._enter: Any = self._serve
        self._siblings: Siblings | None = None
        super().__init__(
            title=f"{house.source.signature.env_id} (openenv-gym)",
            version=__version__,
            description=_DESCRIPTION,
            lifespan=_lifespan,
        )
        answer_errors(self)
        if mode == "simulation":
            self.include_router(episode_routes(self._episodes, house.source))
        self.include_router(mcp_routes(self._episodes, house.limits.max_json_depth))
        self.include_router(task_routes(house.source))
        self.include_router(_facts(house))

    def guard(self, doors: Doors) -> None:
        """Let in only what the doors let through; without, in process, everything comes in."""
        self._enter = Doorkeeper(self._serve, doors)

    def join(self, siblings: Siblings) -> None:
        """Be one of several workers."""
        self._siblings = self.house.whole = siblings

    async def serve_relayed(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve what another worker carries here, at whose doors it has been looked at."""
        await self._serve(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, which knows the environment's own actions and observations."""
        if self.openapi_schema is None:
            describe_bodies(super().openapi(), self.house.source)
        assert self.openapi_schema is not None
        return self.openapi_schema

    async def close(self) -> None:
        """End the sessions that outlive a connection; the others end with theirs."""
        await self._attachments.close()
        await self._episodes.close()
        self.house.close()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection, by ASGI's rules."""
        await self._enter(scope, receive, send)

    async def _serve(self, scope: Any, receive: Receive, send: Send) -> None:
        path = _route(scope)
        if scope["type"] == "websocket" and path in ("/ws", "/mcp"):
            # Nobody is left to tell: the client vanished while something was sent to it, or the
            # server shuts down and would log this as a failure.
            with suppress(OSError, asyncio.CancelledError):
                await self._serve_websocket(path, scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(path, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _answer(self, path: str, scope: Any, receive: Receive, send: Send) -> None:
        limits = self.house.limits
        depth = None if path == "/mcp" else limits.max_json_depth  # which says it in JSON-RPC
        try:
            body, receive = await read_body(
                scope, receive, max_bytes=limits.max_message_bytes, max_depth=depth
            )
            if await self._handed_on(path, scope, body, receive, send):
                return
        except UnknownSession as error:
            await refusal(error)(scope, receive, send)
        except InvalidMessage as error:
            response = refusal(error)
            # What was not read of the body is not waited for.
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _handed_on(self, path: str, scope: Any, body: bytes, receive: Receive, send: Send) -> bool:
        """Whether another worker has answered in the place of this one."""
        if self._siblings is None or RELAYED in scope:
            return False
        return await self._siblings.hand_on(path, scope, body, receive, send)

    async def _serve_websocket(self, path: str, scope: Any, receive: Receive, send: Send) -> None:
        try:
            if await self._handed_on(path, scope, b"", receive, send):
                return
        except UnknownSession as error:
            cut = Connection(scope, receive, send)
            with suppress(RuntimeError):  # it was not accepted yet, and the web server refuses it
                await cut.send(ServerProtocol(native=False).encode_error(0, error))
                await cut.close()
            return
        if self._siblings is not None:
            send = self._siblings.announced(send)
        connection = Connection(scope, receive, send)
        if path == "/mcp":
            await serve_mcp(self._episodes, connection, self.house.limits.max_json_depth)
        elif connection.query.get("session_id"):
            await serve_attached(self.house, self._episodes, connection)
        else:
            await serve_websocket(self.house, self._attachments, self._episodes, connection)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Under a web server that is not ours, the sessions end with it."""
    yield
    assert isinstance(app, Application)
    await app.close()


def _route(scope: Any) -> str:
    """The path below the one that the application is mounted at."""
    path: str = scope.get("path", "")  # there is none in lifespan
    root: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _facts(house: House) -> APIRouter:
    """What a server says of itself and of what it serves."""
    schemas = functools.cache(lambda: schemas_of(house))
    described: dict[str, Any] = {}
    aside = Aside("metadata")
    router = APIRouter(tags=["Facts"], responses=documented(401, 403))

    @router.get("/health", summary="Whether the server is up, and how full it is")
    async def health() -> dict[str, Any]:
        tallies, _ = await house.whole.tallies(house.tally())
        return {
            "status": "healthy",
            "active_lanes": sum(tally.lanes for tally in tallies),
            "max_lanes": house.limits.max_lanes,
            "sessions": sum(tally.sessions for tally in tallies),
            "max_sessions": house.limits.sessions,
            "parked_sessions": sum(tally.parked_sessions for tally in tallies),
            "abandoned_threads": sum(tally.abandoned_threads for tally in tallies),
            "workers": len(tallies),
            "limits": house.limits.facts(),
        }

    @router.get("/metrics", response_class=PlainTextResponse, summary="What it counts, for Prometheus")
    async def count() -> str:
        return metrics(*await house.whole.tallies(house.tally()), house.limits)

    @router.get("/metadata", responses=documented(500), summary="What is served here")
    async def metadata() -> dict[str, Any]:
        if not described:
            described.update(await describe(house.source, aside))
        return described

    @router.get("/schema", summary="What actions and observations look like")
    async def schema() -> dict[str, Any]:
        return schemas()

    return router


def schemas_of(house: House) -> dict[str, Any]:
    """The typed view's JSON Schemas, and under ``gymnasium`` the exact spaces."""
    signature = house.source.signature
    if "array" not in signature.views:
        return house.source.models().schemas()
    exact = {
        "version": 1,
        "env_id": signature.env_id,
        "agents": list(signature.agents),
        "action_spaces": [to_schema(space) for space in signature.action_spaces],
        "observation_spaces": [to_schema(space) for space in signature.observation_spaces],
        "kinds": list(signature.kinds),
        "metadata": dict(signature.metadata),
        "render_modes": list(house.source.render_modes),
        "autoreset_modes": list(signature.autoreset_modes),
        "vector": signature.vector,
        "spec": dict(signature.spec),
        "masks": signature.masks,
    }
    nothing: dict[str, Any] = {"action": {}, "observation": {}, "reset_observation": {}, "state": {}}
    if house.source.typed is not None:
        exact["json_view"] = "array"  # what to ask for, where JSON should carry these
    typed = house.source.seen_as("typed").models().schemas() if "typed" in signature.views else nothing
    return {**typed, "gymnasium": exact}
