"""The same messages to a stock server and to ours, of the same classes: the same answers, key by key.

What is compared is the JSON, strictly: ``1``, ``1.0`` and ``true`` are three. Random ids become
``<id>``, the wording of a failure ``...`` where its code is the same. All that differs besides stands in
``WEBSOCKET_DEVIATIONS`` and ``HTTP_DEVIATIONS``, with the reason and the numbers of the answers that
differ: those and no others.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from openenv_gym import create_app, serve_gym
from tests import web
from tests.peers.conftest import SESSIONS, Twins

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first test starts all servers

Frame: TypeAlias = str | bytes | dict[str, Any]

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
SILENCE = 10.0


# what is compared ------------------------------------------------------------------------------


def canonical(value: Any) -> str:
    """JSON with sorted keys, in which random ids are gone."""
    return _ID.sub("<id>", json.dumps(_without_links(value), sort_keys=True, indent=1))


def _without_links(value: Any) -> Any:
    """Without the links into pydantic's manual, which name the version of pydantic."""
    if isinstance(value, dict):
        return {name: _without_links(each) for name, each in value.items() if not _is_link(each)}
    return [_without_links(each) for each in value] if isinstance(value, list) else value


def _is_link(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("https://errors.pydantic.dev/")


def alike(stock: Any, ours: Any) -> tuple[Any, Any]:
    """Both answers without what is ours by intent: more facts about an error, and other words for it."""
    match stock, ours:
        case {"type": "error", "data": {"code": code}}, {"type": "error", "data": {"code": same}}:
            if code == same:
                facts = {name: ours["data"][name] for name in stock["data"] if name in ours["data"]}
                ours = {**ours, "data": {**facts, "message": "..."}}
                stock = {**stock, "data": {**stock["data"], "message": "..."}}
        case {"type": "mcp", "data": theirs}, {"type": "mcp", "data": mine}:
            left, right = alike(theirs, mine)
            stock, ours = {**stock, "data": left}, {**ours, "data": right}
        case {"error": {"code": code}}, {"error": {"code": same}}:
            if code == same:
                ours = {**ours, "error": {**ours["error"], "message": "..."}}
                stock = {**stock, "error": {**stock["error"], "message": "..."}}
        case {"status": 500}, {"status": 500, "body": {"error": {"error_code": str()}}}:
            ours = stock  # stock's is not JSON
        case {"status": _, "body": theirs}, {"status": _, "body": dict(mine)}:
            if "session_id" not in theirs:
                mine = {name: value for name, value in mine.items() if name != "session_id"}
            if "error_code" in mine.get("error", {}):
                mine = {name: value for name, value in mine.items() if name != "error"}
            left, right = alike(theirs, mine)
            stock, ours = {**stock, "body": left}, {**ours, "body": right}
    return stock, ours


class Deviation(NamedTuple):
    """Why some answers differ, and which."""

    why: str
    answers: tuple[int, ...] = (0,)


def compare(stock: list[Any], ours: list[Any], deviation: Deviation | None) -> None:
    """Both lists of answers are the same, but for those that are known to differ."""
    pairs = [alike(*pair) for pair in zip_longest(stock, ours, fillvalue="no answer")]
    known = () if deviation is None else deviation.answers
    assert all(index < len(pairs) for index in known)
    for index, (left, right) in enumerate(pairs):
        if index in known:
            assert canonical(left) != canonical(right), f"answer {index} is the same by now: {deviation}"
        else:
            assert canonical(right) == canonical(left), f"answer {index}"


# over a WebSocket ------------------------------------------------------------------------------


def converse(url: str, frames: list[Frame], path: str) -> list[Any]:
    """Each frame's answer; at last how the connection was closed, if the server did."""
    heard: list[Any] = []
    with connect(url.replace("http", "ws") + path, max_size=None) as socket:
        try:
            for frame in [*frames, {"type": "close"}] if path.startswith("/ws") else frames:
                with suppress(ConnectionClosed):  # what it said before is yet to be read
                    socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)
                heard.append(json.loads(socket.recv(timeout=SILENCE)))
        except ConnectionClosed as closed:
            heard.append(["closed", None if closed.rcvd is None else closed.rcvd.code])
        except TimeoutError:
            heard.append("silence")
    return heard


def reset(**data: Any) -> Frame:
    return {"type": "reset", "data": data}


def step(**data: Any) -> Frame:
    return {"type": "step", "data": data}


def mcp(**data: Any) -> Frame:
    return {"type": "mcp", "data": {"jsonrpc": "2.0", "id": 1, **data}}


STATE: Frame = {"type": "state"}
AGAIN = reset()

ECHO: dict[str, list[Frame]] = {
    "an episode": [
        reset(seed=3, episode_id="mine"),
        STATE,
        step(message="hello"),
        step(message=""),
        step(message="é\u2028\U0001f600\x00"),
        STATE,
        reset(),
        STATE,
    ],
    "reset without data": [{"type": "reset"}, step(message="x")],
    "reset with custom names": [reset(seed=1, episode_id="x", level="hard", more={"a": [1]}), STATE],
    "reset with nulls": [reset(seed=None, episode_id=None), AGAIN],
    "reset with null data": [{"type": "reset", "data": None}, AGAIN],
    "reset with a list": [{"type": "reset", "data": [1]}, AGAIN],
    "step before reset": [step(message="early"), STATE],
    "state before reset": [STATE],
    "step with metadata": [reset(), step(message="x", metadata={"why": 1})],
    "step with a field too many": [reset(), step(message="x", other=1, another=[2]), STATE],
    "step with a field missing": [reset(), step(), STATE],
    "step with a wrong type": [reset(), step(message=3), step(message=None), step(message=["x"]), STATE],
    "step without data": [reset(), {"type": "step"}],
    "step with null data": [reset(), {"type": "step", "data": None}],
    "step with a text": [reset(), {"type": "step", "data": "x"}],
    "step with a list": [reset(), {"type": "step", "data": []}],
    "half a character": [reset(), '{"type":"step","data":{"message":"\\ud800"}}', AGAIN],
    "unknown type": [{"type": "dance"}, {"type": "observation", "data": {}}, AGAIN],
    "type of another case": [{"type": "Reset"}],
    "no type": [{}, {"data": {}}, AGAIN],
    "a type that is no text": [
        {"type": None},
        {"type": 3},
        {"type": []},
        {"type": {}},
        {"type": True},
        AGAIN,
    ],
    "not JSON": ["hello", "", "{", '{"type":"reset"', "{'type': 'reset'}", AGAIN],
    "JSON with words of JavaScript": ['{"type":"step","data":{"message":NaN}}', AGAIN],
    "a key twice": ['{"type":"state","type":"reset"}'],
    "a list": ["[]", STATE],
    "a text": ['"reset"', STATE],
    "null": ["null", STATE],
    "a number": ["3", STATE],
    "bytes": [b'{"type":"reset"}', STATE],
    "keys too many": [
        {"type": "reset", "data": {}, "request_id": 1},
        {"type": "step", "data": {"message": "x"}, "zeta": 1, "alpha": 2},
        {"type": "step", "zeta": 1, "alpha": 2},
        {"type": "reset", "data": 3, "zeta": 1},
        {"type": "state", "data": {}},
        {"type": "close", "data": {}},
        STATE,
    ],
    "close": [reset(), {"type": "close"}, STATE],
}

ODD: dict[str, list[Frame]] = {
    "an episode": [reset(seed=3, episode_id="mine"), step(by=2), step(by=-3), STATE],
    "seeds": [reset(), reset(seed=0), reset(seed=7), reset(seed=None), reset(seed=2**70)],
    "odd seeds": [reset(seed=-1), reset(seed="7"), reset(seed=7.0), reset(seed=True), AGAIN],
    "odd episode ids": [reset(episode_id=7), STATE, reset(episode_id=""), STATE],
    "options": [reset(options={"level": 2}), reset(options=None), step()],
    "options that are no object": [reset(options=[1, 2]), reset(options="hard"), reset(options=3)],
    "unknown names": [reset(level=3, seed=1, _x=2)],
    "lax types": [
        reset(),
        step(by="2", share="1.5", sure="yes"),
        step(by=1.0, share=1, sure=1),
        step(by=True, share=True, sure=0.0),
        step(share="nan"),
    ],
    "wrong types": [
        reset(),
        step(by=1.5),
        step(by="x", share=[], sure=2),
        step(by=None),
        step(by=101),
        step(by=-101, extra=1),
        step(by=2**80),
        step(what=3),
        STATE,
    ],
    "a validator of its own": [reset(), step(what="refused"), STATE],
    "raises": [reset(), step(what="raise"), STATE, reset(show="raise"), STATE, step(), reset()],
    "state raises": [reset(), step(what="break state"), STATE, step(), reset(), STATE],
    "odd state": [reset(), step(what="odd state"), STATE],
    "answers nothing": [reset(), step(what="nothing"), STATE, reset(show="nothing"), step()],
    "answers a dict": [reset(), step(what="dict"), STATE],
    **{
        f"answers {name}": [reset(), step(what=name), reset(show=name), step()]
        for name in (
            "nan reward",
            "infinite reward",
            "bool reward",
            "whole reward",
            "no reward",
            "metadata",
            "done",
            "not finite",
            "object",
            "bytes",
            "no utf-8",
            "half a character",
            "set",
            "tuple",
            "date",
            "numbered keys",
            "huge",
            "model",
        )
    },
}

ASYNC = {name: ODD[name] for name in ("an episode", "unknown names", "raises", "answers object", "seeds")}

MCP: dict[str, list[Frame]] = {
    "a list of tools": [mcp(method="tools/list"), mcp(method="tools/list", params={}, id="a")],
    "a call": [mcp(method="tools/call", params={"name": "x"}), mcp(method="tools/call")],
    "an unknown method": [mcp(method="dance"), mcp(method="initialize", id=None)],
    "no request": [
        {"type": "mcp", "data": {}},
        mcp(),
        mcp(method="tools/list", jsonrpc="1.0"),
        mcp(method="tools/list", params=[]),
        mcp(method="tools/list", id=1.5),
        mcp(method="tools/list", more=1),
    ],
    "no data": [{"type": "mcp"}, {"type": "mcp", "data": None}, {"type": "mcp", "data": [], "more": 1}],
    "its own session": [mcp(method="openenv/session/create"), mcp(method="openenv/session/close")],
    "between steps": [reset(), step(message="x"), mcp(method="tools/list"), step(message="y"), STATE],
}


def _rpc(**data: Any) -> Frame:
    return {"jsonrpc": "2.0", "id": 1, **data}


MCP_SOCKET: dict[str, list[Frame]] = {
    "a list of tools": [_rpc(method="tools/list")],
    "a call": [_rpc(method="tools/call", params={"name": "x"}), _rpc(method="tools/call")],
    "an unknown method": [_rpc(method="dance")],
    "not JSON": ["{", _rpc(method="dance")],
    "no request": [{}, _rpc(), _rpc(method="x", more=1), _rpc(method="dance")],
    "a list": ["[]", _rpc(method="dance")],
    "its own session": [_rpc(method="openenv/session/create"), _rpc(method="openenv/session/close")],
    "another session": [_rpc(method="openenv/session/close", params={"session_id": "nobody"})],
}

Case: TypeAlias = tuple[str, str, list[Frame]]  # environment, path, frames

WEBSOCKET: dict[str, Case] = {
    **{f"echo: {name}": ("echo", "/ws", frames) for name, frames in ECHO.items()},
    **{f"odd: {name}": ("odd", "/ws", frames) for name, frames in ODD.items()},
    **{f"async: {name}": ("async", "/ws", frames) for name, frames in ASYNC.items()},
    **{f"half async: {name}": ("half async", "/ws", frames) for name, frames in ASYNC.items()},
    "narrow: an episode": ("narrow", "/ws", [STATE, reset(seed=3, episode_id="x"), step(), STATE]),
    "production: an episode": ("echo, production", "/ws", ECHO["an episode"]),
    "unbuildable": ("unbuildable", "/ws", [reset()]),
    "alone: an episode": ("alone", "/ws", [reset(), step(), STATE]),
    "unknown session": ("echo", "/ws?session_id=nobody", [reset()]),
    **{f"mcp: {name}": ("echo", "/ws", frames) for name, frames in MCP.items()},
    **{f"/mcp: {name}": ("echo", "/mcp", frames) for name, frames in MCP_SOCKET.items()},
    "/mcp: unbuildable": ("unbuildable", "/mcp", [_rpc(method="tools/list")]),
}

_NO_TOOLS = "an environment without tools has an empty list of them, as MCPToolClient.list_tools() wants it"
_NO_TOOL = Deviation(
    "-32602, stock's code for a tool that an environment does not have; of an environment that has none "
    "stock says -32603"
)
WEBSOCKET_DEVIATIONS: dict[str, Deviation] = {
    "echo: bytes": Deviation(
        "stock ends the session over a KeyError of its own; here a binary frame of JSON is read", (0, 1, 2)
    ),
    "odd: odd seeds": Deviation(
        "a seed that is no whole number of at least 0 is the caller's fault and is refused, as stock's own "
        "HTTP route refuses it; stock hands it to the environment, which may raise or play on",
        (0, 1, 2, 3),
    ),
    "odd: odd episode ids": Deviation(
        "an episode_id that is no text is refused before the environment sees it; both say VALIDATION_ERROR"
    ),
    "odd: a validator of its own": Deviation(
        "stock cannot write the ValueError in pydantic's complaint and ends the session; here the complaint "
        "is sent as text, and the session goes on",
        (1, 2, 3),
    ),
    "mcp: a list of tools": Deviation(_NO_TOOLS, (0, 1)),
    "mcp: between steps": Deviation(_NO_TOOLS, (2,)),
    "/mcp: a list of tools": Deviation(_NO_TOOLS),
    "mcp: a call": _NO_TOOL,
    "/mcp: a call": _NO_TOOL,
}


@pytest.mark.parametrize("name", WEBSOCKET)
def test_a_conversation(twins: dict[str, Twins], name: str) -> None:
    environment, path, frames = WEBSOCKET[name]
    urls = twins[environment]
    compare(
        converse(urls.stock, frames, path), converse(urls.ours, frames, path), WEBSOCKET_DEVIATIONS.get(name)
    )


PORTED_DEVIATIONS: dict[str, Deviation] = {
    "step before reset": Deviation(
        "our own base class refuses it, unless it says STEP_NEEDS_RESET = False", (0, 1)
    ),
    "bytes": WEBSOCKET_DEVIATIONS["echo: bytes"],
}


@pytest.fixture(scope="module")
def ported(scaffold: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The scaffold's environment with its imports changed, and nothing else, served by this interpreter."""
    home = tmp_path_factory.mktemp("ported")
    package = home / "ported_echo"
    (package / "server").mkdir(parents=True)
    for name in ("models.py", "server/echo_env_environment.py"):
        text = (scaffold / name).read_text()
        text, count = re.subn(
            r"from openenv\.core\.env_server\.\w+ import", "from openenv_gym.models import", text
        )
        assert count
        (package / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(home))
        models = importlib.import_module("ported_echo.models")
        environment = importlib.import_module("ported_echo.server.echo_env_environment")
    app = create_app(
        environment.EchoEnvironment,
        models.EchoAction,
        models.EchoObservation,
        env_name="echo_env",
        max_concurrent_envs=SESSIONS,
    )
    with serve_gym(app, port=0, block=False) as server:
        yield server.url


@pytest.mark.parametrize("name", ECHO)
def test_a_conversation_with_a_ported_environment(twins: dict[str, Twins], ported: str, name: str) -> None:
    stock = converse(twins["echo"].stock, ECHO[name], "/ws")
    compare(stock, converse(ported, ECHO[name], "/ws"), PORTED_DEVIATIONS.get(name))


# over HTTP -------------------------------------------------------------------------------------

Request: TypeAlias = tuple[str, str, Any]  # method, path, body: JSON, raw bytes, or None

POST_RESET: Request = ("POST", "/reset", {"seed": 0})
BAD_BODIES: list[Any] = [b"", b"{", b"[]", b'"x"', b"3", b"null"]


def _post(path: str, *bodies: Any) -> list[Request]:
    return [("POST", path, body) for body in bodies]


def _rpcs(*bodies: dict[str, Any]) -> list[Request]:
    return _post("/mcp", *[{"jsonrpc": "2.0", "id": 1, **body} for body in bodies])


HTTP: dict[str, tuple[str, list[Request]]] = {  # environment, requests
    "health": ("echo", [("GET", "/health", None)]),
    "schema": ("echo", [("GET", "/schema", None)]),
    "schema of odd": ("odd", [("GET", "/schema", None)]),
    "metadata": ("echo", [("GET", "/metadata", None)]),
    "metadata of odd": ("odd", [("GET", "/metadata", None)]),
    "environments": ("echo", [("GET", "/list_environments", None)]),
    "no such route": ("echo", [("GET", "/nothing", None), ("POST", "/health", {}), ("GET", "/reset", None)]),
    "production": (
        "echo, production",
        [POST_RESET, *_post("/step", {"action": {"message": "x"}}), ("GET", "/state", None)],
    ),
    "production, facts": (
        "echo, production",
        [("GET", "/schema", None), ("GET", "/metadata", None), *_rpcs({"method": "dance"})],
    ),
    "no tasks": (
        "echo",
        [
            ("GET", "/echo_env/splits", None),
            ("GET", "/ECHO_ENV/splits", None),
            ("GET", "/other/splits", None),
            *_post("/echo_env/tasks", {"split": "train"}),
            *_post("/echo_env/num_tasks", {"split": "train"}),
            *_post("/echo_env/task", {"split": "train", "index": 0}),
            *_post("/echo_env/task_range", {"split": "train"}),
        ],
    ),
    "tasks": (
        "odd",
        [
            ("GET", "/odd/splits", None),
            *_post("/odd/tasks", {"split": "train"}, {"split": 3}, {}, {"split": "x", "more": 1}),
            *_post("/odd/num_tasks", {"split": "train"}, {"split": None}),
            *_post("/odd/task", {"split": "hard", "index": 0}, {"split": "hard", "index": 1}),
            *_post("/odd/task", {"split": "hard", "index": "0"}, {"split": "hard", "index": "x"}),
            *_post("/odd/task_range", {"split": "x", "start": 0, "stop": 1}, {"split": "x", "start": "x"}),
        ],
    ),
    "reset": (
        "echo",
        _post("/reset", {}, {"seed": 3, "episode_id": "mine"}, {"seed": None}, {"custom": [1]}),
    ),
    "reset, lax": ("odd", _post("/reset", {}, {"seed": "7"}, {"seed": 7.0}, {"seed": None}, {"seed": True})),
    "reset, without a body": ("echo", [("POST", "/reset", None), *_post("/reset", b"null")]),
    "reset, refused": (
        "echo",
        _post(
            "/reset",
            {"seed": -1},
            {"seed": "x"},
            {"seed": 1.5},
            {"episode_id": 3},
            {"episode_id": "x" * 256},
            b"{",
            b"[]",
            b'"x"',
        ),
    ),
    "reset, options": ("odd", _post("/reset", {"options": {"a": 1}})),
    "reset, options that are no object": ("odd", _post("/reset", {"options": [1]})),
    "reset, oddly": (
        "odd",
        _post(
            "/reset", *[{"show": name} for name in ("metadata", "done", "no reward", "tuple", "set", "date")]
        ),
    ),
    "reset, whole and bool rewards": (
        "odd",
        _post("/reset", {"show": "whole reward"}, {"show": "bool reward"}, {"show": "nan reward"}),
    ),
    "reset, failing": ("odd", _post("/reset", {"show": "raise"}, {"show": "nothing"}, {"show": "object"})),
    "reset, async": ("async", _post("/reset", {}, {"seed": 3, "more": 1}, {"show": "metadata"})),
    "step": ("echo", [POST_RESET, *_post("/step", {"action": {"message": "hello"}})]),
    "step twice": ("echo", [POST_RESET, *_post("/step", *[{"action": {"message": "x"}}] * 2)]),
    "step, before reset": ("fresh", _post("/step", {"action": {}})),
    "step, what": ("odd", [POST_RESET, *_post("/step", {"action": {"what": "metadata"}})]),
    **{
        f"step, {kind} reward": ("odd", [POST_RESET, *_post("/step", {"action": {"what": f"{kind} reward"}})])
        for kind in ("bool", "whole", "nan", "no")
    },
    "step, async": ("async", [POST_RESET, *_post("/step", {"action": {"by": 2}})]),
    "step, with names": (
        "odd",
        [
            POST_RESET,
            *_post("/step", {"action": {"by": 2}, "timeout_s": 30, "request_id": "r", "loud": True}),
        ],
    ),
    "step, with names, async": (
        "half async",
        [POST_RESET, *_post("/step", {"action": {"by": 2}, "timeout_s": 30, "loud": True})],
    ),
    "step, failing": ("odd", [POST_RESET, *_post("/step", {"action": {"what": "raise"}})]),
    "step, a bad action": (
        "odd",
        [
            POST_RESET,
            *_post(
                "/step",
                {"action": {"by": "x"}},
                {"action": {"by": 1.5}},
                {"action": {"by": 101, "more": 1}},
                {"action": {"what": 3, "share": []}},
            ),
        ],
    ),
    "step, a bad body": (
        "echo",
        _post("/step", {}, {"action": None}, {"action": []}, {"action": "x"}, *BAD_BODIES),
    ),
    "step, bad settings": (
        "echo",
        _post(
            "/step",
            {"action": {"message": "x"}, "timeout_s": 0},
            {"action": {"message": "x"}, "timeout_s": "x"},
            {"action": {"message": "x"}, "request_id": 3},
            {"action": {"message": "x"}, "request_id": "x" * 256},
        ),
    ),
    "step, a validator of its own": ("odd", [POST_RESET, *_post("/step", {"action": {"what": "refused"}})]),
    "state": ("odd", [POST_RESET, ("GET", "/state", None)]),
    "state, after a step": ("odd", [POST_RESET, *_post("/step", {"action": {}}), ("GET", "/state", None)]),
    "state, before reset": ("fresh", [("GET", "/state", None)]),
    "unbuildable": ("unbuildable", [POST_RESET, ("GET", "/metadata", None)]),
    "mcp": ("echo", _rpcs({"method": "dance"}, {"method": "", "id": "x"}, {"method": "dance", "id": None})),
    "mcp, tools/list": ("echo", _rpcs({"method": "tools/list"})),
    "mcp, tools/call": ("echo", _rpcs({"method": "tools/call", "params": {"name": "x"}})),
    "mcp, tools/call of nothing": ("echo", _rpcs({"method": "tools/call"})),
    "mcp, no request": ("echo", [*_post("/mcp", *BAD_BODIES), *_post("/mcp", {}, {"jsonrpc": "2.0"})]),
    "mcp, a bad request": (
        "echo",
        _rpcs(
            {"method": 3},
            {"method": "x", "params": []},
            {"method": "x", "params": None},
            {"method": "x", "id": []},
            {"method": "x", "id": 1.5},
            {"method": "x", "id": True},
            {"method": "x", "more": 1},
            {"method": "x", "jsonrpc": "1.0"},
        ),
    ),
    "mcp, sessions": (
        "echo",
        _rpcs(
            {"method": "openenv/session/create"},
            {"method": "openenv/session/close"},
            {"method": "openenv/session/close", "params": {"session_id": ""}},
            {"method": "openenv/session/close", "params": {"session_id": "nobody"}},
            {"method": "openenv/session/close", "params": {"session_id": 3}},
            {"method": "dance", "params": {"session_id": "nobody"}},
            {"method": "openenv/session/close", "params": {"session_id": "<session>"}},
            {"method": "openenv/session/close", "params": {"session_id": "<session>"}},
        ),
    ),
    "mcp, unbuildable": ("unbuildable", _rpcs({"method": "openenv/session/create"})),
    "mcp, one session too many": (
        "alone",
        _rpcs(
            {"method": "openenv/session/create"},
            {"method": "openenv/session/create"},
            {"method": "openenv/session/close", "params": {"session_id": "<session>"}},
            {"method": "openenv/session/create"},
            {"method": "openenv/session/close", "params": {"session_id": "<session>"}},
        ),
    ),
}

_STATEFUL = "stock builds a new environment for every request; here an episode goes on between them"
HTTP_DEVIATIONS: dict[str, Deviation] = {
    "health": Deviation("how full the server is stands beside its status"),
    "step twice": Deviation(_STATEFUL, (2,)),
    "step, before reset": Deviation(f"{_STATEFUL}, and there is none yet"),
    "state, after a step": Deviation(_STATEFUL, (2,)),
    "state, before reset": Deviation(f"{_STATEFUL}, and there is none yet"),
    "step, a validator of its own": Deviation(
        "stock cannot write the ValueError in pydantic's complaint and answers 500; here it is a complaint "
        "like others",
        (1,),
    ),
    "mcp, tools/list": Deviation(_NO_TOOLS),
    "mcp, tools/call": _NO_TOOL,
}


def ask(url: str, requests: list[Request]) -> list[Any]:
    """Status and body of each answer; ``<session>`` is the last session that was made."""
    heard: list[Any] = []
    session = "<session>"
    with web.Client(base_url=url, timeout=30) as http:
        for method, path, body in requests:
            raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            if raw is not None:
                raw = raw.replace(b"<session>", session.encode())
            headers = {"Connection": "close"}  # stock resets one on which a request has failed
            if raw is not None:
                headers["Content-Type"] = "application/json"
            answer = http.request(method, path, content=raw, headers=headers)
            said: Any = answer.text
            if answer.headers.get("content-type") == "application/json":
                said = answer.json()
                if isinstance(said, dict) and isinstance(said.get("result"), dict):
                    session = said["result"].get("session_id", session)
            heard.append({"status": answer.status_code, "body": said})
    return heard


@pytest.mark.parametrize("name", HTTP)
def test_requests(twins: dict[str, Twins], name: str) -> None:
    environment, requests = HTTP[name]
    urls = twins[environment]
    compare(ask(urls.stock, requests), ask(urls.ours, requests), HTTP_DEVIATIONS.get(name))


@pytest.mark.parametrize(
    ("environment", "ours_alone"),
    [("echo", {"/metrics", "/render", "/close"}), ("echo, production", {"/metrics"})],
)
def test_the_routes(twins: dict[str, Twins], environment: str, ours_alone: set[str]) -> None:
    routes = []
    for url in twins[environment]:
        document = web.get(f"{url}/openapi.json").json()
        assert isinstance(document["info"]["version"], str)
        routes.append({path: set(methods) for path, methods in document["paths"].items()})
    stock, ours = routes
    assert {path: methods for path, methods in ours.items() if path not in ours_alone} == stock
    assert ours_alone <= ours.keys()
    assert all(web.get(f"{url}/docs").status_code == 200 for url in twins[environment])


def test_a_session_of_mcp_is_played_over_a_websocket(twins: dict[str, Twins]) -> None:
    said = []
    for url in twins["echo"]:
        created = web.post(f"{url}/mcp", json=_rpc(method="openenv/session/create")).json()
        session = created["result"]["session_id"]
        path, close = (
            f"/ws?session_id={session}",
            _rpcs({"method": "openenv/session/close", "params": {"session_id": session}}),
        )
        heard = converse(url, [reset(episode_id="kept"), step(message="x"), STATE], path)
        with connect(url.replace("http", "ws") + path) as attached:
            attached.send(json.dumps(STATE))
            heard.append(json.loads(attached.recv(timeout=SILENCE)))
            heard += converse(url, [STATE], path)  # it is taken
        said.append([*heard, *ask(url, close)])
    compare(said[0], said[1], None)


def test_a_session_too_many(twins: dict[str, Twins]) -> None:
    said = []
    for url in twins["alone"]:
        with connect(url.replace("http", "ws") + "/ws") as first:
            first.send('{"type":"reset"}')
            assert json.loads(first.recv(timeout=SILENCE))["type"] == "observation"
            said.append(converse(url, [reset()], "/ws"))
    compare(said[0], said[1], None)
