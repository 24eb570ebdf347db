"""JSON-RPC 2.0 about tools, of which a lifted environment has none, and about sessions.

It comes over ``POST /mcp``, the WebSocket ``/mcp`` and in ``mcp`` messages on ``/ws``. The codes, and
what is said with them, are upstream's; over HTTP every answer has the status 200.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from openenv_gym.errors import CapacityReached, InvalidMessage, OpenEnvGymError, UnknownSession
from openenv_gym.server.bodies import JsonRpcAnswer, JsonRpcRequest, documented
from openenv_gym.server.episodes import Episode, Episodes
from openenv_gym.wire.depth import check_depth

__all__ = ["SERVER_ERROR", "Refusal", "answer_call", "begin_session", "mcp_routes", "parse"]

_PARSE_ERROR, _INVALID_REQUEST, _METHOD_NOT_FOUND, _INVALID_PARAMS = -32700, -32600, -32601, -32602
SERVER_ERROR = -32000
_CLOSE = "openenv/session/close"


class Refusal(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self._error = {"code": code, "message": message, "data": data}

    def answer(self, identity: str | int | None = None) -> dict[str, Any]:
        """The answer that says so to the request of that id."""
        return {"jsonrpc": "2.0", "id": identity, "error": self._error}


def mcp_routes(episodes: Episodes, max_depth: int) -> APIRouter:
    """The one route; its body is read raw, so that text that is not JSON is answered in JSON-RPC."""
    router = APIRouter(tags=["MCP"])
    content = {"application/json": {"schema": JsonRpcRequest.model_json_schema()}}

    @router.post(
        "/mcp",
        response_model=JsonRpcAnswer,
        responses=documented(401, 403, 413, 415),
        summary="JSON-RPC 2.0",
        openapi_extra={"requestBody": {"content": content, "required": True}},
    )
    async def mcp(request: Request) -> Response:
        try:
            message = parse(await request.body(), max_depth)
            if type(message) is not dict:  # upstream's word for it, too
                raise Refusal(_PARSE_ERROR, "Parse error")
        except Refusal as refusal:
            return _json(refusal.answer())
        return _json(await answer_call(episodes, message))

    return router


def _json(answer: dict[str, Any]) -> Response:
    # json escapes the halves of surrogate pairs that a peer's names may hold; JSONResponse would fail.
    return Response(json.dumps(answer), media_type="application/json")


def parse(data: str | bytes, max_depth: int) -> Any:
    """What a JSON text holds, if it is nested no deeper than that.

    Raises:
        Refusal: if it is none.
    """
    try:
        check_depth(data, max_depth)
        return json.loads(data)
    except InvalidMessage as error:
        raise Refusal(_PARSE_ERROR, f"Parse error: {error.message}", error.fields) from error
    except (ValueError, RecursionError) as error:
        raise Refusal(_PARSE_ERROR, "Parse error") from error


async def answer_call(episodes: Episodes, message: dict[str, Any], own: str | None = None) -> dict[str, Any]:
    """The answer to a request.

    Args:
        episodes: the sessions that it may name.
        message: the request.
        own: the session of the WebSocket on which it came; it is the one that is meant.
    """
    identity: str | int | None = None
    try:
        call = _read(message)
        identity = call.id
        if own is not None and call.method == _CLOSE and (other := call.params.get("session_id")) != own:
            elsewhere = await episodes.call(str(other), message)
            if elsewhere is not None:
                return elsewhere
        result = await _perform(episodes, call, own)
    except Refusal as refusal:
        return refusal.answer(identity)
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def _read(message: dict[str, Any]) -> JsonRpcRequest:
    try:
        return JsonRpcRequest.model_validate(message)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Refusal(_INVALID_REQUEST, f"Invalid request: {wrong}") from error


async def _perform(episodes: Episodes, call: JsonRpcRequest, own: str | None) -> dict[str, Any]:
    if call.method == "openenv/session/create":
        return {"session_id": (await begin_session(episodes)).id if own is None else own}
    session_id = call.params.get("session_id")
    if call.method == _CLOSE:
        if not session_id:
            raise Refusal(_INVALID_PARAMS, "Invalid params - 'session_id' is required")
        if session_id == own:
            raise Refusal(
                _INVALID_REQUEST,
                "Cannot close active WebSocket-managed session via MCP method; close the WebSocket",
            )
        return await _close(episodes, str(session_id))
    if session_id and own is None:
        await _find(episodes, str(session_id))
    if call.method == "tools/list":
        return {"tools": []}
    if call.method == "tools/call":
        name = call.params.get("name")
        if not name:
            raise Refusal(_INVALID_PARAMS, "Missing 'name' in params")
        raise Refusal(_INVALID_PARAMS, f"Tool not found: {name!s:.80}; this environment has none")
    raise Refusal(_METHOD_NOT_FOUND, f"Method not found: {call.method:.80}")


async def begin_session(episodes: Episodes) -> Episode:
    """A new session that only calls with its id will mean.

    Raises:
        Refusal: if there can be none.
    """
    try:
        episode = await episodes.create()
    except CapacityReached as error:
        said = error.fields
        data = {
            "active_sessions": said.get("active_sessions", said.get("active_lanes")),
            "max_sessions": said.get("max_sessions", said.get("max_lanes")),
        }
        raise Refusal(SERVER_ERROR, error.message, data) from error
    except OpenEnvGymError as error:
        raise Refusal(SERVER_ERROR, error.message, error.fields) from error
    episode.named = True  # it is its client's alone, and nobody's default
    return episode


async def _find(episodes: Episodes, session_id: str) -> Episode:
    try:
        episode = await episodes.find(session_id)
    except UnknownSession as error:
        raise Refusal(_INVALID_PARAMS, f"Unknown session_id: {session_id:.80}") from error
    episodes.touch(episode)
    return episode


async def _close(episodes: Episodes, session_id: str) -> dict[str, Any]:
    episode = await _find(episodes, session_id)
    try:
        await episodes.end(episode)
    except UnknownSession as error:
        raise Refusal(_INVALID_PARAMS, f"Unknown session_id: {session_id:.80}") from error
    return {"session_id": session_id, "closed": True}
