"""A little OpenEnv server of its own, and servers like it that each break one rule.

It shares no code with the package's server, so that the kit is not judged by what it judges. The
honest one walks along a line: ``left`` and ``right`` move, the start is drawn by the seed, and three steps
away from it the episode is over.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

__all__ = ["BROKEN", "Little", "running"]

LIMIT = 3
PLACE = {"type": "integer", "minimum": -100, "maximum": 100}


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: str, message: str = "refused", **fields: Any) -> None:
        super().__init__(code)
        self.data = {"message": message, "code": code, **fields}


class Walk:
    """One session's environment."""

    def __init__(self) -> None:
        self.begun, self.done = False, False
        self.place = self.start = self.steps = 0
        self.episode_id: str | None = None

    def reset(self, data: dict[str, Any]) -> dict[str, Any]:
        self.begun, self.done, self.steps = True, False, 0
        self.place = self.start = self.begin_at(data.get("seed"))
        self.episode_id = data.get("episode_id")
        return self.observed(0.0)

    def begin_at(self, seed: int | None) -> int:
        return random.Random(seed).randrange(-50, 50)

    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        if not self.begun or self.done:
            raise Refused("EXECUTION_ERROR", "reset first")
        self.steps += 1
        self.place += 1 if action["move"] == "right" else -1
        self.done = abs(self.place - self.start) >= LIMIT
        return self.observed(1.0)

    def observed(self, reward: Any) -> dict[str, Any]:
        metadata = {"terminated": self.done, "truncated": False}
        observation = {"place": self.place, "metadata": metadata}
        return {"observation": observation, "reward": reward, "done": self.done, "metadata": metadata}

    def state(self) -> dict[str, Any]:
        return {"episode_id": self.episode_id, "step_count": self.steps}


class Little:
    """An ASGI application that keeps every rule of OpenEnv's."""

    max_sessions = 2

    def __init__(self) -> None:
        self.sessions = 0
        self.shared = Walk()

    def environment(self) -> Walk:
        return Walk()

    # over a WebSocket -----------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self.serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.serve_websocket(receive, send)

    async def serve_websocket(self, receive: Any, send: Any) -> None:
        async def say(kind: str, data: Any) -> None:
            await send({"type": "websocket.send", "text": json.dumps({"type": kind, "data": data})})

        await receive()
        await send({"type": "websocket.accept"})
        if self.sessions >= self.max_sessions:
            await say("error", self.full())
            await send({"type": "websocket.close", "code": 1000})
            return
        self.sessions += 1
        walk = self.environment()
        try:
            while (event := await receive())["type"] == "websocket.receive":
                try:
                    answer = self.answer(walk, event["text"])
                except Refused as refused:
                    await say("error", refused.data)
                    if refused.data["code"] == "SESSION_ERROR":
                        break
                    continue
                if answer is None:
                    break
                await say(*answer)
            await self.part(send, event)
        finally:
            self.leave(event)

    async def part(self, send: Any, event: Any) -> None:
        if event["type"] != "websocket.disconnect":
            await send({"type": "websocket.close", "code": 1000})

    def leave(self, event: Any) -> None:
        self.sessions -= 1

    def full(self) -> dict[str, Any]:
        data: dict[str, Any] = {"message": "full", "code": "CAPACITY_REACHED"}
        return {**data, "active_sessions": self.sessions, "max_sessions": self.max_sessions}

    def answer(self, walk: Walk, text: str) -> tuple[str, Any] | None:
        message = self.parse(text)
        kind = message.get("type")
        if kind not in ("reset", "step", "state", "close"):
            raise Refused("UNKNOWN_TYPE")
        data: Any = message.get("data", {} if kind != "step" else None)
        self.check_message(message, data)
        match kind:
            case "reset":
                return "observation", walk.reset(data)
            case "step":
                self.check_action(data)
                return "observation", walk.step(data)
            case "state":
                return "state", walk.state()
        return None

    def parse(self, text: str) -> dict[str, Any]:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Refused("INVALID_JSON") from error
        if type(message) is not dict:
            raise Refused("SESSION_ERROR")
        return message

    def check_message(self, message: dict[str, Any], data: Any) -> None:
        if message.keys() - {"type", "data"} or type(data) is not dict:
            raise Refused("VALIDATION_ERROR", errors=[])

    def check_action(self, action: dict[str, Any]) -> None:
        if action.keys() != {"move"} or action["move"] not in ("left", "right"):
            raise Refused("VALIDATION_ERROR", errors=[])

    # over HTTP ------------------------------------------------------------------------------

    async def serve_http(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (event := await receive()).get("more_body"):
            body += event["body"]
        status, content = self.route(scope["method"], scope["path"], body + event.get("body", b""))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    def route(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        match path:
            case "/health":
                return 200, {"status": "healthy"}
            case "/metadata":
                return 200, {"name": "walk", "description": "along a line"}
            case "/schema":
                return 200, self.schema()
            case "/openapi.json":
                return 200, {
                    "info": {"version": "1"},
                    "paths": {path: {} for path in ("/reset", "/step", "/state")},
                }
            case "/mcp":
                return 200, {"jsonrpc": "2.0", "id": None, **self.rpc(body)}
            case "/state":
                return 200, self.shared.state()
            case "/reset":
                return 200, self.shared.reset({})
            case "/step":
                action = json.loads(body)["action"]
                return (200, self.shared.step(action)) if type(action) is dict else (422, {"detail": []})
        return 404, {}

    def schema(self) -> dict[str, Any]:
        move = {"enum": ["left", "right"]}
        return {
            "action": {
                "type": "object",
                "properties": {"move": move},
                "required": ["move"],
                "additionalProperties": False,
            },
            "observation": {"type": "object", "properties": {"place": PLACE}, "required": ["place"]},
            "state": {"type": "object"},
        }

    def rpc(self, body: bytes) -> dict[str, Any]:
        try:
            call = json.loads(body)
        except ValueError:
            return {"error": {"code": -32700}}
        match call.get("method"):
            case None:
                return {"error": {"code": -32600}}
            case "openenv/session/create":
                return {"result": {"session_id": "1"}}
            case "openenv/session/close":
                return {"result": {"closed": True}}
        return {"error": {"code": -32601}}


def little(name: str, walk: type[Walk] = Walk, **methods: Any) -> type[Little]:
    """A server that deviates from the honest one in some methods."""
    return type(name, (Little,), {"environment": lambda self: walk(), **methods})


# servers that break one rule --------------------------------------------------------------------


class _Reseeded(Walk):
    """Which begins one place further each time, whatever the seed."""

    begun_before = 0

    def begin_at(self, seed: int | None) -> int:
        _Reseeded.begun_before += 1
        return _Reseeded.begun_before % 50


class _Untied(Walk):
    """Whose seed means something else in each session."""

    born = 0

    def __init__(self) -> None:
        super().__init__()
        _Untied.born += 1
        self.number = _Untied.born

    def begin_at(self, seed: int | None) -> int:
        return ((seed or 0) + self.number) % 50


class _Takeback(Walk):
    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        if self.done:
            self.done, self.start = False, self.place
        return super().step(action)


class _Repeating(Walk):
    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        return self.observed(0.0) if self.done else super().step(action)


class _Eager(Walk):
    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        if not self.begun:
            return self.observed(0.0)
        return super().step(action)


class _Miscounting(Walk):
    def state(self) -> dict[str, Any]:
        return {**super().state(), "step_count": min(self.steps, 1)}


class _Nameless(Walk):
    def state(self) -> dict[str, Any]:
        return {**super().state(), "episode_id": "mine"}


class _Flags(Walk):
    def step(self, action: dict[str, Any]) -> dict[str, Any]:
        return {**super().step(action), "reward": True}


class _Silent(Walk):
    def observed(self, reward: Any) -> dict[str, Any]:
        said = super().observed(reward)
        said["observation"]["metadata"] = said["metadata"] = {}
        return said


class _Contradicting(Walk):
    def observed(self, reward: Any) -> dict[str, Any]:
        said = super().observed(reward)
        said["metadata"]["truncated"] = not self.done
        return said


class _Unbeginning(Walk):
    def reset(self, data: dict[str, Any]) -> dict[str, Any]:
        raise Refused("EXECUTION_ERROR", "cannot begin")


class _Infinite(Walk):
    def observed(self, reward: Any) -> dict[str, Any]:
        said = super().observed(reward)
        said["metadata"]["speed"] = float("nan")
        return said


class _Stretching(Walk):
    def observed(self, reward: Any) -> dict[str, Any]:
        said = super().observed(reward)
        said["observation"]["place"] = 1000 + self.place
        return said


class _Mixed(Walk):
    def observed(self, reward: Any) -> dict[str, Any]:
        said = super().observed(reward)
        said["observation"]["done"] = self.done
        return said


def _raising(code: str) -> Any:
    def refuse(self: Little, message: dict[str, Any], data: Any) -> None:
        if message.keys() - {"type", "data"}:
            raise Refused(code, errors=[])
        Little.check_message(self, message, data)

    return refuse


def _accept_any(self: Little, action: dict[str, Any]) -> None:
    if action.get("move") not in ("left", "right"):
        raise Refused("VALIDATION_ERROR", errors=[])


def _parse_wrong(self: Little, text: str) -> dict[str, Any]:
    try:
        return Little.parse(self, text)
    except Refused as refused:
        if text.startswith("{not"):
            raise Refused("SYNTAX") from refused
        raise


def _die_of_depth(self: Little, text: str) -> dict[str, Any]:
    if "[[[" in text:
        raise Refused("SESSION_ERROR")
    return Little.parse(self, text)


def _wordless(self: Little) -> dict[str, Any]:
    return {"message": "full", "code": "CAPACITY_REACHED"}


def _keep(self: Little, event: Any) -> None:
    """A session whose client vanished stays; one that said goodbye goes."""
    if event["type"] == "websocket.receive" or event["code"] not in (1005, 1006):
        self.sessions -= 1


async def _part_badly(self: Little, send: Any, event: Any) -> None:
    if event["type"] != "websocket.disconnect":
        await send({"type": "websocket.close", "code": 1011})


def _sick(self: Little, method: str, path: str, body: bytes) -> tuple[int, Any]:
    return (200, {"status": "ok"}) if path == "/health" else Little.route(self, method, path, body)


def _stateless(self: Little, method: str, path: str, body: bytes) -> tuple[int, Any]:
    self.shared = Walk()
    self.shared.reset({})
    return Little.route(self, method, path, body)


def _without_tools(self: Little, body: bytes) -> dict[str, Any]:
    said = Little.rpc(self, body)
    return {"error": {"code": -32603}} if "result" in said else said


def _unknowing(self: Little, body: bytes) -> dict[str, Any]:
    return {"error": {"code": -32600}} if b"no/such" in body else Little.rpc(self, body)


def _misspelt_schema(self: Little) -> dict[str, Any]:
    return {**Little.schema(self), "state": {"type": "objekt"}}


def _elsewhere(self: Little) -> dict[str, Any]:
    return {**Little.schema(self), "state": {"$ref": "http://127.0.0.1:9/state.json"}}


BROKEN: dict[str, tuple[type[Little], str, str]] = {
    "begins nothing": (little("Unbeginning", _Unbeginning), "protocol-reset", "failed"),
    "shared state": (
        little("Shared", environment=lambda self: self.shared),
        "isolation-interleaved",
        "failed",
    ),
    "drops the seed": (little("Reseeded", _Reseeded), "episodes-seed-repeats", "lacking"),
    "seed of the session": (little("Untied", _Untied), "episodes-seed-across-sessions", "lacking"),
    "takes done back": (little("Takeback", _Takeback), "episodes-step-after-end", "failed"),
    "repeats the end": (little("Repeating", _Repeating), "episodes-step-after-end", "lacking"),
    "steps unbegun": (little("Eager", _Eager), "episodes-step-before-reset", "lacking"),
    "miscounts": (little("Miscounting", _Miscounting), "episodes-step-count", "failed"),
    "drops the episode's id": (little("Nameless", _Nameless), "episodes-episode-id", "lacking"),
    "reward is a bool": (little("Flags", _Flags), "episodes-rewards", "failed"),
    "says done alone": (little("Silent", _Silent), "episodes-how-it-ended", "lacking"),
    "contradicts done": (little("Contradicting", _Contradicting), "episodes-how-it-ended", "failed"),
    "NaN in JSON": (little("Infinite", _Infinite), "protocol-strict-json", "failed"),
    "outside its schema": (little("Stretching", _Stretching), "spaces-observations-valid", "failed"),
    "done inside": (little("Mixed", _Mixed), "protocol-step-answer", "failed"),
    "another code": (little("Coded", check_message=_raising("EXTRA")), "protocol-extra-key", "failed"),
    "code of bad JSON": (little("Parse", parse=_parse_wrong), "protocol-invalid-json", "failed"),
    "takes any field": (little("Any", check_action=_accept_any), "protocol-unknown-field", "failed"),
    "closes with 1011": (little("Parting", part=_part_badly), "protocol-close", "failed"),
    "dies of depth": (little("Deep", parse=_die_of_depth), "limits-deep-message", "lacking"),
    "full without numbers": (little("Wordless", full=_wordless), "limits-capacity", "failed"),
    "keeps the vanished": (little("Keeping", leave=_keep), "isolation-vanished-client", "failed"),
    "not healthy": (little("Sick", route=_sick), "http-health", "failed"),
    "stateless HTTP": (little("Stateless", route=_stateless), "http-episodes", "lacking"),
    "no sessions of tools": (little("Tools", rpc=_without_tools), "http-mcp-session", "lacking"),
    "MCP's codes": (little("Rpc", rpc=_unknowing), "http-mcp-codes", "failed"),
    "schema misspelt": (little("Misspelt", schema=_misspelt_schema), "spaces-schemas", "failed"),
    "schema elsewhere": (little("Elsewhere", schema=_elsewhere), "spaces-schemas", "failed"),
}
"""What is wrong -> the server, the check that is meant to notice it, and how."""


@contextmanager
def running(application: Any) -> Iterator[str]:
    """Serve an ASGI application on a free port of loopback; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    # Accepted sockets inherit it. asyncio does not see that these are TCP, and a body would wait 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        application,
        log_level="critical",
        lifespan="off",
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
