"""``POST /mcp``: JSON-RPC 2.0 about tools, of which a lifted environment has none, and about sessions.

Every answer has HTTP's status 200; the codes, and what is said with them, are upstream's.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from openenv_gym.errors import CapacityReached, OpenEnvGymError, UnknownSession
from openenv_gym.server.bodies import JsonRpcRequest
from openenv_gym.server.episodes import Episodes

__all__ = ["mcp_routes"]

_PARSE_ERROR, _INVALID_REQUEST, _METHOD_NOT_FOUND, _INVALID_PARAMS = -32700, -32600, -32601, -32602
_SERVER_ERROR = -32000


class _Refusal(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "data": data}


def mcp_routes(episodes: Episodes) -> APIRouter:
    """The one route; its body is read raw, so that text that is not JSON is answered in JSON-RPC."""
    router = APIRouter(tags=["MCP"])
    content = {"application/json": {"schema": JsonRpcRequest.model_json_schema()}}

    @router.post("/mcp", summary="JSON-RPC 2.0", openapi_extra={"requestBody": {"content": content}})
    async def mcp(request: Request) -> Response:
        identity: str | int | None = None
        try:
            call = _read(await request.body())
            identity = call.id
            result = await _perform(episodes, call)
        except _Refusal as refusal:
            return _json({"jsonrpc": "2.0", "id": identity, "error": refusal.error})
        return _json({"jsonrpc": "2.0", "id": identity, "result": result})

    return router


def _json(answer: dict[str, Any]) -> Response:
    # json escapes the halves of surrogate pairs that a peer's names may hold; JSONResponse would fail.
    return Response(json.dumps(answer), media_type="application/json")


def _read(body: bytes) -> JsonRpcRequest:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Refusal(_PARSE_ERROR, "Parse error") from error
    if type(message) is not dict:  # upstream's word for it, too
        raise _Refusal(_PARSE_ERROR, "Parse error")
    try:
        return JsonRpcRequest.model_validate(message)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise _Refusal(_INVALID_REQUEST, f"Invalid request: {wrong}") from error


async def _perform(episodes: Episodes, call: JsonRpcRequest) -> dict[str, Any]:
    if call.method == "openenv/session/create":
        return await _create(episodes)
    session_id = call.params.get("session_id")
    if call.method == "openenv/session/close":
        if not session_id:
            raise _Refusal(_INVALID_PARAMS, "Invalid params - 'session_id' is required")
        return await _close(episodes, str(session_id))
    if session_id:
        await _find(episodes, str(session_id))
    if call.method == "tools/list":
        return {"tools": []}
    if call.method == "tools/call":
        name = call.params.get("name")
        if not name:
            raise _Refusal(_INVALID_PARAMS, "Missing 'name' in params")
        raise _Refusal(_INVALID_PARAMS, f"Tool not found: {name!s:.80}; this environment has none")
    raise _Refusal(_METHOD_NOT_FOUND, f"Method not found: {call.method:.80}")


async def _create(episodes: Episodes) -> dict[str, Any]:
    try:
        episode = await episodes.create()
    except CapacityReached as error:
        lanes = error.fields
        data = {"active_sessions": lanes["active_lanes"], "max_sessions": lanes["max_lanes"]}
        raise _Refusal(_SERVER_ERROR, error.message, data) from error
    except OpenEnvGymError as error:
        raise _Refusal(_SERVER_ERROR, error.message, error.fields) from error
    episode.named = True  # it is its client's alone, and nobody's default
    return {"session_id": episode.id}


async def _find(episodes: Episodes, session_id: str) -> Any:
    try:
        episode = await episodes.find(session_id)
    except UnknownSession as error:
        raise _Refusal(_INVALID_PARAMS, f"Unknown session_id: {session_id:.80}") from error
    episodes.touch(episode)
    return episode


async def _close(episodes: Episodes, session_id: str) -> dict[str, Any]:
    episode = await _find(episodes, session_id)
    try:
        await episodes.end(episode)
    except UnknownSession as error:
        raise _Refusal(_INVALID_PARAMS, f"Unknown session_id: {session_id:.80}") from error
    return {"session_id": session_id, "closed": True}
