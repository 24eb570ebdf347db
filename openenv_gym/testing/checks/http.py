"""Routes over HTTP: what ``openenv validate`` asks, MCP's codes, and whether an episode can be played."""

from __future__ import annotations

from typing import Any

from openenv_gym.testing.findings import Failed, Lacking, Skipped, shown
from openenv_gym.testing.registry import check
from openenv_gym.testing.target import Target, object_of

EPISODE_ROUTES = frozenset({"/reset", "/step", "/state"})


@check
def health(target: Target) -> str:
    """``/health`` says that the server is healthy."""
    said = target.page("/health").get("status")
    if said != "healthy":
        raise Failed(f"/health says the status {shown(said)}; 'healthy' was expected")
    return "healthy"


@check
def metadata(target: Target) -> str:
    """``/metadata`` says a name and a description."""
    said = target.page("/metadata")
    for name in ("name", "description"):
        if not isinstance(said.get(name), str):
            raise Failed(f"/metadata says no {name}", said)
    return str(said["name"])


@check
def schema(target: Target) -> str:
    """``/schema`` publishes objects for action, observation and state."""
    for name in ("action", "observation", "state"):
        if type(target.schema.get(name)) is not dict:
            raise Failed(f"/schema publishes no object {name!r}", shown(target.schema))
    return "action, observation, state"


@check
def openapi(target: Target) -> str:
    """``/openapi.json`` says a version."""
    info = target.page("/openapi.json").get("info")
    if type(info) is not dict or not isinstance(info.get("version"), str):
        raise Failed("/openapi.json says no info.version", shown(info))
    return str(info["version"])


@check
def episode_routes(target: Target) -> str:
    """``/reset``, ``/step`` and ``/state`` are there, all or none (production mode)."""
    found = EPISODE_ROUTES & target.paths
    if found and found != EPISODE_ROUTES:
        missing = ", ".join(sorted(EPISODE_ROUTES - found))
        raise Failed(f"/openapi.json names {', '.join(sorted(found))}, but not {missing}")
    return "all three" if found else "none of them: production mode"


@check
def mcp_codes(target: Target) -> str:
    """``/mcp`` answers in JSON-RPC 2.0, with its codes and HTTP's status 200."""
    asked: list[tuple[str, int]] = [
        ("{}", -32600),
        ("{not json", -32700),
        ('{"jsonrpc":"2.0","id":1,"method":"no/such/method"}', -32601),
    ]
    for body, code in asked:
        said = _rpc(target, body)
        error = said.get("error")
        if type(error) is not dict or error.get("code") != code:
            raise Failed(f"/mcp answers {body} with {shown(error)}; the code {code} was expected", said)
    return ", ".join(str(code) for _, code in asked)


@check
def mcp_session(target: Target) -> str:
    """``/mcp`` creates and closes a session, which clients of tools need."""
    created = _rpc(target, _call("openenv/session/create")).get("result")
    if type(created) is not dict or not isinstance(created.get("session_id"), str):
        raise Lacking("/mcp creates no session, so that stock clients of tools cannot connect", created)
    closed = _rpc(target, _call("openenv/session/close", session_id=created["session_id"]))
    if "error" in closed and closed["error"] is not None:
        raise Failed("/mcp does not close the session that it has created", closed)
    return "created and closed"


@check
def reset_and_refusal(target: Target) -> str:
    """``/reset`` answers an observation; a bad ``/step`` gets 422 and a detail."""
    session = _begin(target)
    answer = target.request("POST", "/step", json={"action": "no object", **session})
    _end(target, session)
    if answer.status_code != 422 or "detail" not in object_of(answer, "POST /step"):
        raise Failed(
            f"an action that is no object is answered with {answer.status_code}; "
            "422 and a detail were expected",
            answer.text[:500],
        )
    return "200, 422"


@check
def episodes(target: Target) -> str:
    """An episode can be played over HTTP: ``/step`` goes on where ``/reset`` began."""
    actor = target.actor()
    session = _begin(target)
    try:
        for count in range(1, 3):
            answer = target.request("POST", "/step", json={"action": actor.act({}), **session})
            if answer.status_code != 200:
                raise Lacking(
                    "HTTP is stateless: a step after a reset fails; play over the WebSocket",
                    answer.text[:500],
                )
            said = target.page("/state", params=session).get("step_count")
            if said != count:
                raise Lacking(
                    f"HTTP is stateless: after step {count} the step_count is {said}; play over the WebSocket"
                )
            if object_of(answer, "POST /step").get("done"):
                break
    finally:
        _end(target, session)
    return "/state counts the steps"


def _begin(target: Target) -> dict[str, str]:
    """Reset over HTTP; what later requests name the session with, nothing on a stock server."""
    target.must_be_playable()
    if not target.paths >= EPISODE_ROUTES:
        raise Skipped("the server does not play episodes over HTTP (production mode)")
    answer = target.request("POST", "/reset", json={"seed": 1})
    if answer.status_code == 503:
        raise Skipped("the server has no room for a session over HTTP")
    said = object_of(answer, "POST /reset")
    if answer.status_code != 200 or not {"observation", "reward", "done"} <= said.keys():
        raise Failed("POST /reset does not answer 200 with observation, reward and done", answer.text[:500])
    return {"session_id": said["session_id"]} if isinstance(said.get("session_id"), str) else {}


def _end(target: Target, session: dict[str, str]) -> None:
    if session:
        target.request("POST", "/close", json=session)


def _call(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _rpc(target: Target, body: Any) -> dict[str, Any]:
    if isinstance(body, str):
        said = target.page("/mcp", "POST", content=body, headers={"Content-Type": "application/json"})
    else:
        said = target.page("/mcp", "POST", json=body)
    if said.get("jsonrpc") != "2.0":
        raise Failed("/mcp does not answer in JSON-RPC 2.0", said)
    return said
