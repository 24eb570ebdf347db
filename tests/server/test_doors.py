"""Who may come in: tokens, hosts, origins and media types, over HTTP and at the handshake alike."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from openenv_gym import Client, serve_gym
from openenv_gym.envs.serving import GymServer, open_server
from openenv_gym.errors import InvalidArgument
from openenv_gym.server.doors import Doorkeeper, Doors, is_loopback
from tests import web
from tests.environments import Counter

TOKEN = "correct-horse~battery+staple/="
OUTSIDE = ["0.0.0.0", "::", "", "0", "192.168.7.7", "8.8.8.8", "a..b"]
JSON = {"content-type": "application/json"}
STEP = b'{"action": {"action": 1}}'


pytestmark = pytest.mark.leaves("the servers of this module keep the HTTP sessions that a test began")


@pytest.fixture(autouse=True)
def no_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENENV_TOKEN", raising=False)


@contextmanager
def served(**options: Any) -> Iterator[httpx.Client]:
    with serve_gym(Counter, port=0, block=False, **options) as server:
        with web.Client(base_url=server.url, timeout=20) as http:
            yield http


@pytest.fixture(scope="module")
def plain_server() -> Iterator[GymServer]:
    with serve_gym(Counter, port=0, block=False) as server:
        yield server


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[GymServer]:
    pages, hosts = ["https://page.example"], ["env.example"]
    with serve_gym(
        Counter, port=0, block=False, token=TOKEN, allowed_hosts=hosts, allowed_origins=pages
    ) as server:
        yield server


@pytest.fixture
def plain(plain_server: GymServer) -> Iterator[httpx.Client]:
    with web.Client(base_url=plain_server.url, timeout=20) as http:
        yield http


@pytest.fixture
def guarded(guarded_server: GymServer) -> Iterator[httpx.Client]:
    with web.Client(base_url=guarded_server.url, timeout=20) as http:
        yield http


def refused(answer: httpx.Response, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"code", "error_code", "message", "side", "fields"}
    assert (error["error_code"], error["side"]) == (code, "you")
    assert TOKEN not in answer.text
    return error


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def shaken(http: httpx.Client, path: str = "/ws", **headers: str) -> tuple[int, str]:
    """The status of a handshake, and all that came with it; raw, for the Host is to be chosen."""
    url = http.base_url
    lines = {
        "Host": f"{url.host}:{url.port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    head = "\r\n".join([f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())])
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode("latin-1"))
        answer = data = connection.recv(1 << 16)
        while data and not answer.startswith(b"HTTP/1.1 101"):  # after a refusal the server hangs up
            data = connection.recv(1 << 16)
            answer += data
    return int(answer.split()[1]), answer.decode("latin-1")


# what is listened on ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", OUTSIDE)
def test_an_outside_address_wants_a_token_or_a_word(host: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Doors(host=host)
    assert all(way in str(caught.value) for way in ("OPENENV_TOKEN", "--token-file", "--allow-anonymous"))
    assert not Doors(host=host, token=TOKEN).open_to_anyone
    assert Doors(host=host, allow_anonymous=True).open_to_anyone


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "::1", "::ffff:127.0.0.1"])
def test_loopback_wants_nothing(host: str) -> None:
    assert is_loopback(host)
    assert not Doors(host=host).open_to_anyone


def test_the_refusal_comes_before_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(InvalidArgument, match="other machines can reach"):
            open_server(Counter, host="0.0.0.0", port=taken.getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"token": ""}, "visible ASCII"),
        ({"token": "two words"}, "visible ASCII"),
        ({"token": "schlüssel"}, "visible ASCII"),
        ({"token": "line\n"}, "visible ASCII"),
        ({"token": 7}, "visible ASCII"),
        ({"allowed_hosts": ("https://env.example",)}, "an allowed host"),
        ({"allowed_hosts": ("",)}, "an allowed host"),
        ({"allowed_origins": ("page.example",)}, "an origin looks like"),
        ({"allowed_origins": ("https://page.example/path",)}, "an origin looks like"),
    ],
)
def test_a_setting_that_cannot_be_meant_so(host: str, setting: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as caught:
        Doors(**{"host": host, "allow_anonymous": True, **setting})
    if setting.get("token"):
        assert str(setting["token"]).strip() not in str(caught.value)


def test_a_token_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    assert TOKEN not in repr(Doors(token=TOKEN))
    with caplog.at_level(logging.DEBUG):
        with serve_gym(Counter, port=0, block=False, token=TOKEN) as server:
            web.get(f"{server.url}/schema", headers=bearer())
            web.get(f"{server.url}/schema", headers=bearer("wrong"))
            Client.to(server.url, headers=bearer()).close()
            assert TOKEN not in repr(server) + repr(server.house)
    assert TOKEN not in caplog.text


def test_a_server_that_is_open_to_anyone_says_so(caplog: pytest.LogCaptureFixture) -> None:
    for quiet in (Doors(), Doors(host="0.0.0.0", token=TOKEN), Doors(allow_anonymous=True)):
        quiet.announce("http://127.0.0.1:1")
    assert caplog.text == ""
    Doors(host="0.0.0.0", allow_anonymous=True).announce("http://0.0.0.0:1")
    assert "http://0.0.0.0:1 is open to anyone" in caplog.text


# tokens -----------------------------------------------------------------------------------------

WRONG = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": TOKEN},
    bearer(TOKEN[:-1]),
    bearer(TOKEN + "x"),
    bearer(TOKEN.upper()),
    bearer("ü" * 20),
]


@pytest.mark.parametrize("headers", WRONG, ids=range(len(WRONG)))
def test_without_the_token_every_door_is_closed(guarded: httpx.Client, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    for method, path in [
        ("POST", "/reset"),
        ("POST", "/step"),
        ("POST", "/mcp"),
        ("POST", "/health"),
        ("GET", "/state"),
        ("GET", "/schema"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("GET", "/health/"),
        ("OPTIONS", "/reset"),
    ]:
        answer = guarded.request(method, path, headers=raw)
        assert refused(answer, 401, "UNAUTHORIZED")["code"] == "SESSION_ERROR"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/ws", "/mcp", "/nowhere"])
@pytest.mark.parametrize("token", [None, "wrong", TOKEN[:-1]])
def test_without_the_token_no_hands_are_shaken(guarded: httpx.Client, path: str, token: str | None) -> None:
    status, said = shaken(guarded, path, **({} if token is None else bearer(token)))
    assert status == 401 and "UNAUTHORIZED" in said


def test_a_refused_handshake_is_no_error_of_the_server(capfd: pytest.CaptureFixture[str]) -> None:
    with served(token=TOKEN) as http:
        assert shaken(http)[0] == 401
        assert shaken(http, Host="evil.example")[0] == 403
    assert capfd.readouterr().err == ""


def test_two_tokens_are_none(guarded: httpx.Client) -> None:
    twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")]
    refused(guarded.get("/schema", headers=twice), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens_every_door(guarded: httpx.Client, scheme: str) -> None:
    shown = {"Authorization": f"{scheme} {TOKEN}"}
    assert guarded.post("/reset", headers=shown).status_code == 200
    assert guarded.post("/step", content=STEP, headers={**JSON, **shown}).status_code == 200
    assert guarded.post("/mcp", json={}, headers=shown).json()["error"]["code"] == -32600
    assert guarded.get("/schema", headers=shown).status_code == 200
    assert shaken(guarded, **shown)[0] == 101


def test_health_stays_open(guarded: httpx.Client) -> None:
    assert guarded.get("/health").json()["status"] == "healthy"
    assert guarded.head("/health").status_code != 401


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", f" {TOKEN}\n")
    with served() as http:
        refused(http.get("/schema"), 401, "UNAUTHORIZED")
        assert http.get("/schema", headers=bearer()).status_code == 200
    with served(token="another") as http:
        refused(http.get("/schema", headers=bearer()), 401, "UNAUTHORIZED")
    monkeypatch.setenv("OPENENV_TOKEN", "")
    with served() as http:
        assert http.get("/schema").status_code == 200


# hosts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]:9", "localhost."]
)
def test_loopback_answers_to_its_own_names(plain: httpx.Client, host: str) -> None:
    assert plain.get("/schema", headers={"Host": host}).status_code == 200
    assert shaken(plain, Host=host)[0] == 101


FOREIGN_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "evil.example:8000",
    "127.0.0.1.evil.example",
    "192.168.1.1",
    "0.0.0.0",
    "[::2]",
    "localhost:8000@evil.example",
    "[::1]evil.example",
    "",
    "localhöst",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_loopback_does_not_answer_to_other_names(plain: httpx.Client, host: str) -> None:
    for method, path in [("GET", "/schema"), ("POST", "/reset"), ("GET", "/health"), ("POST", "/mcp")]:
        answer = plain.request(method, path, headers=[(b"Host", host.encode("latin-1"))])
        assert refused(answer, 403, "FORBIDDEN")["fields"] == {"setting": "allowed_hosts"}
        assert "--allow-host" in answer.text
    status, said = shaken(plain, Host=host)
    assert status == 403 and "allowed_hosts" in said


def test_an_allowed_host_is_answered(guarded: httpx.Client) -> None:
    for host in ("env.example", "env.example:443", "ENV.example"):
        assert guarded.get("/schema", headers={**bearer(), "Host": host}).status_code == 200
    refused(guarded.get("/schema", headers={**bearer(), "Host": "other.example"}), 403, "FORBIDDEN")


def answers(doors: Doors, host: str, **headers: str) -> bool:
    """Whether a request with a ``Host`` comes through the doors; nothing is listened on."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "through"})

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/schema",
        "headers": [(b"host", host.encode())]
        + [(k.lower().encode(), v.encode()) for k, v in headers.items()],
    }
    asyncio.run(Doorkeeper(application, doors)(scope, receive, send))
    return bool(sent[0]["type"] == "through")


@pytest.mark.parametrize("listening", ["0.0.0.0", "::", "192.168.7.7"])
def test_a_server_in_a_container_answers_to_addresses_and_localhost(listening: str) -> None:
    doors = Doors(host=listening, allow_anonymous=True, allowed_hosts=("env:8000",))
    for host in ("localhost:8000", "127.0.0.1", "10.0.0.7:80", "[fd00::1]:8000", "env:8000", "8.8.8.8"):
        assert answers(doors, host)
    for host in ("evil.example", "env", "env:80", "10.0.0.7.evil.example"):
        assert not answers(doors, host)


def test_behind_a_token_any_host_will_do_unless_some_are_named() -> None:
    doors = Doors(host="0.0.0.0", token=TOKEN)
    assert answers(doors, "whatever.example", **bearer())
    assert not answers(doors, "whatever.example")
    named = Doors(host="0.0.0.0", token=TOKEN, allowed_hosts=("env.example",))
    assert answers(named, "env.example", **bearer())
    assert not answers(named, "whatever.example", **bearer())


def test_a_star_allows_every_host() -> None:
    assert answers(Doors(allowed_hosts=("*",)), "whatever.example")


# origins ----------------------------------------------------------------------------------------

FOREIGN_ORIGINS = ["https://evil.example", "null", "http://localhost", "http://127.0.0.1:1", "file://", "x"]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_foreign_page_is_refused(plain: httpx.Client, origin: str) -> None:
    for method, path in [("POST", "/reset"), ("POST", "/mcp"), ("OPTIONS", "/reset")]:
        answer = plain.request(method, path, headers={"Origin": origin})
        assert refused(answer, 403, "FORBIDDEN")["fields"] == {"setting": "allowed_origins"}
        assert "--allow-origin" in answer.text
    status, said = shaken(plain, Origin=origin)
    assert status == 403 and "allowed_origins" in said
    assert plain.get("/health").json()["sessions"] == 0


def test_the_own_page_and_programs_are_not_foreign(plain: httpx.Client) -> None:
    own = str(plain.base_url).rstrip("/")
    assert plain.post("/reset", headers={"Origin": own}).status_code == 200
    assert shaken(plain, Origin=own)[0] == 101
    assert plain.post("/reset").status_code == 200
    plain.post("/close")


def test_a_page_of_an_allowed_origin_may_call_and_read(guarded: httpx.Client) -> None:
    origin = {"Origin": "https://page.example"}
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-session-id",
    }
    preflight = guarded.options("/reset", headers={**origin, **asked})  # browsers send it without the token
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://page.example"
    answer = guarded.post("/reset", headers={**origin, **bearer()})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    refused(guarded.post("/reset", headers=origin), 401, "UNAUTHORIZED")
    assert shaken(guarded, **origin, **bearer())[0] == 101
    refused(guarded.post("/reset", headers={"Origin": "https://other.example", **bearer()}), 403, "FORBIDDEN")


# media types ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/reset", "/step", "/close", "/mcp", "/Counter/tasks"])
@pytest.mark.parametrize(
    "declared",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"],
)
def test_a_body_that_is_not_declared_as_json_is_refused(
    plain: httpx.Client, path: str, declared: str | None
) -> None:
    headers = {} if declared is None else {"content-type": declared}
    error = refused(plain.post(path, content=STEP, headers=headers), 415, "INVALID_MESSAGE")
    assert "application/json" in error["message"]
    chunked = plain.post(path, content=iter([STEP]), headers=headers)
    refused(chunked, 415, "INVALID_MESSAGE")


@pytest.mark.parametrize(
    "declared",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/x+json"],
)
def test_a_body_that_is_declared_as_json_is_read(plain: httpx.Client, declared: str) -> None:
    answer = plain.post("/reset", content=b'{"seed": 1}', headers={"content-type": declared})
    assert answer.status_code == 200, answer.text
    plain.post("/close")


def test_no_body_needs_no_declaration(plain: httpx.Client) -> None:
    assert plain.post("/reset").status_code == 200
    assert plain.post("/close").status_code == 200
