"""The ASGI application: ``/ws`` raw, for it is hot, and FastAPI for everything over HTTP."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI

from openenv_gym.hosting.views import FieldsView
from openenv_gym.server.episodes import Episodes
from openenv_gym.server.http import answer_errors, episode_routes, task_routes
from openenv_gym.server.mcp import mcp_routes
from openenv_gym.server.sessions import House
from openenv_gym.server.websocket import Receive, Send, serve_websocket
from openenv_gym.spaces import to_schema
from openenv_gym.version import __version__

__all__ = ["Application", "Mode"]

Mode = Literal["simulation", "production"]


class Application:
    """What a web server runs.

    Args:
        house: the sessions behind it.
        episodes: those of them that are played over HTTP.
        mode: ``production`` leaves out the routes that play an episode over HTTP.
    """

    def __init__(self, house: House, episodes: Episodes | None = None, *, mode: Mode = "simulation") -> None:
        self.house = house
        self._episodes = Episodes(house) if episodes is None else episodes
        self._pages = _pages(house, self._episodes, mode)

    async def close(self) -> None:
        """End the HTTP sessions; the others end with their connections."""
        await self._episodes.close()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection, by ASGI's rules."""
        if scope["type"] == "websocket" and scope["path"] == "/ws":
            await serve_websocket(self.house, scope, receive, send)
        else:
            await self._pages(scope, receive, send)


_DESCRIPTION = """A Gymnasium environment as an OpenEnv server.

An episode over HTTP: `POST /reset` begins a session and says its `session_id`; `POST /step` takes an
action, until `done`. Send the id with each request, or leave it out and play the session of the last
reset. `POST /close` ends it; an idle session ends by itself. Over a WebSocket, on `/ws`, each
connection is a session of its own.
"""


def _pages(house: House, episodes: Episodes, mode: Mode) -> FastAPI:
    signature = house.source.signature
    app = FastAPI(
        title=f"{signature.env_id} (openenv-gym)",
        version=__version__,
        description=_DESCRIPTION,
    )
    answer_errors(app)
    if mode == "simulation":
        app.include_router(episode_routes(episodes))
    app.include_router(mcp_routes(episodes))
    app.include_router(task_routes(signature.env_id))

    @app.get("/health", summary="Whether the server is up, and how full it is")
    async def health() -> dict[str, Any]:
        return {
            "status": "healthy",
            "active_lanes": house.active_lanes,
            "max_lanes": house.limits.max_lanes,
            "sessions": len(house.sessions),
        }

    @app.get("/metadata", summary="What is served here")
    async def metadata() -> dict[str, Any]:
        return {
            "name": signature.env_id,
            "description": f"{signature.env_id}, served by openenv-gym",
            "readme_content": None,
            "version": __version__,
            "author": None,
            "documentation_url": None,
        }

    @app.get("/schema", summary="What actions and observations look like")
    async def schema() -> dict[str, Any]:
        return schemas_of(house)

    return app


def schemas_of(house: House) -> dict[str, Any]:
    """The typed view's JSON Schemas, and under ``gymnasium`` the exact spaces."""
    signature = house.source.signature
    alone = len(signature.agents) == 1
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
    }
    typed = FieldsView(signature).schemas() if alone else {"action": {}, "observation": {}, "state": {}}
    return {**typed, "gymnasium": exact}
