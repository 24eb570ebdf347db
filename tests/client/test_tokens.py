"""Tokens from the environment: shown to the server that was named, and to nobody else."""

from __future__ import annotations

import http.server
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.client.pages import fetch_json
from openenv_gym.client.tokens import authorized
from openenv_gym.envs.options import Options
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import ConnectFailed, Forbidden, InvalidArgument, OpenEnvGymError, Unauthorized
from tests.client.conftest import OpenClient

TOKEN = "a-token-of-the-operator"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[GymServer]:
    with serve_gym("CartPole-v1", port=0, block=False, token=TOKEN) as server:
        yield server


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENENV_TOKEN", raising=False)


# what is sent -----------------------------------------------------------------------------------


def test_the_variable_gives_what_the_headers_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert authorized("http://host", None) == {}
    monkeypatch.setenv("OPENENV_TOKEN", f"{TOKEN}\n")
    assert authorized("http://host", {"X-Other": "1"}) == {"X-Other": "1", **BEARER}
    assert authorized("http://host", {"authorization": "mine"}) == {"authorization": "mine"}
    assert authorized("http://name:word@host", {}) == {}
    monkeypatch.setenv("OPENENV_TOKEN", "")
    assert authorized("http://host", {}) == {}


@pytest.mark.parametrize("token", ["two words", "line\nother: header", "schlüssel"])
def test_a_variable_that_no_header_can_hold(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", token)
    with pytest.raises(InvalidArgument, match="OPENENV_TOKEN") as caught:
        authorized("http://host", {})
    assert token not in str(caught.value)


@pytest.mark.parametrize("dialect", ["native", "json"])
@pytest.mark.parametrize("how", ["variable", "headers"])
def test_every_client_shows_its_token(
    guarded: GymServer, open_client: OpenClient, monkeypatch: pytest.MonkeyPatch, dialect: str, how: str
) -> None:
    if how == "variable":
        monkeypatch.setenv("OPENENV_TOKEN", TOKEN)
    headers = BEARER if how == "headers" else None
    open_client(guarded.url, dialect=dialect, headers=headers).reset()
    env = OpenEnvGym(guarded.url, dialect=dialect, headers=headers)
    envs = OpenEnvVectorEnv(guarded.url, 2, dialect=dialect, headers=headers)
    assert TOKEN not in repr(env) + repr(envs) + repr(vars(env)) + repr(vars(envs)) + repr(env.spec)
    env.close()
    envs.close()


@pytest.mark.parametrize("dialect", ["native", "json"])
@pytest.mark.parametrize("face", [OpenEnvGym, OpenEnvVectorEnv])
@pytest.mark.parametrize("wrong", [None, "another-token"])
def test_a_server_that_wants_a_token_says_what_to_do(
    guarded: GymServer,
    face: Callable[..., Any],
    dialect: str,
    wrong: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if wrong is not None:
        monkeypatch.setenv("OPENENV_TOKEN", wrong)
    with pytest.raises(Unauthorized) as caught:
        face(guarded.url, dialect=dialect)
    assert all(
        word in str(caught.value) for word in ("401", "its operator has it", "OPENENV_TOKEN", "headers=")
    )
    assert "another-token" not in str(caught.value)


def test_a_twin_that_is_refused_says_so(guarded: GymServer, open_client: OpenClient) -> None:
    with pytest.raises(Unauthorized, match=r"this server wants a token.*OPENENV_TOKEN"):
        open_client(guarded.url)


def test_options_show_no_headers() -> None:
    assert TOKEN not in repr(Options(headers=BEARER))


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_no_token_is_logged(
    guarded: GymServer,
    open_client: OpenClient,
    dialect: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", TOKEN)
    with caplog.at_level(logging.DEBUG):
        open_client(guarded.url, dialect=dialect)
        OpenEnvGym(guarded.url, dialect=dialect).close()
    assert "> GET /ws HTTP/1.1" in caplog.text and "Authorization: (not logged)" in caplog.text
    assert TOKEN not in caplog.text


def test_an_error_holds_no_token(guarded: GymServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", "another-token")
    with pytest.raises(Unauthorized) as caught:
        OpenEnvGym(guarded.url, dialect="json")
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is Unauthorized and "another-token" not in repr(error) + repr(vars(error))


# other servers ----------------------------------------------------------------------------------


class _Stranger(http.server.BaseHTTPRequestHandler):
    """Answers everything in one way, and notes what it was shown."""

    answer: tuple[int, dict[str, str], bytes]
    shown: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.shown.append((self.path, self.headers["Authorization"]))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def stranger(
    status: int, headers: dict[str, str] | None = None, body: bytes = b""
) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Another server: its address, and the paths and tokens that it was shown."""
    shown: list[tuple[str, str | None]] = []
    members = {"answer": (status, headers or {}, body), "shown": shown, "protocol_version": "HTTP/1.1"}
    server = http.server.HTTPServer(("127.0.0.1", 0), type("Handler", (_Stranger,), members))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    open_client: OpenClient, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", TOKEN)
    with stranger(401) as (elsewhere, seen):
        with stranger(status, {"Location": f"{elsewhere}/ws".replace("http", "ws")}) as (url, shown):
            with pytest.raises(ConnectFailed, match=str(status)):
                open_client(url)
        assert shown == [("/ws", f"Bearer {TOKEN}")] and seen == []


def test_the_schema_is_not_fetched_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", TOKEN)
    with stranger(200, body=b"{}") as (elsewhere, seen):
        with stranger(307, {"Location": f"{elsewhere}/schema"}) as (url, shown):
            with pytest.raises(ConnectFailed):
                fetch_json(url, "/schema")
        assert shown == [("/schema", f"Bearer {TOKEN}")] and seen == []


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, b"", Unauthorized, "401 Unauthorized; set"),
        (401, b"who are you?", Unauthorized, "who are you"),
        (401, b'{"error": "Invalid username or password."}', Unauthorized, "Invalid username"),
        (401, b'{"error": {"message": "their words"}}', Unauthorized, "Unauthorized: their words; set"),
        (403, b"not you", Forbidden, "not you.*OPENENV_TOKEN"),
        (403, b"", ConnectFailed, "403"),
        (403, b"[" * 10_000, Forbidden, "403"),
        (404, b"nothing here", ConnectFailed, "nothing here"),
    ],
)
def test_a_refusal_is_said_in_the_servers_own_words(
    open_client: OpenClient, status: int, body: bytes, error: type[OpenEnvGymError], said: str
) -> None:
    with stranger(status, body=body) as (url, _):
        with pytest.raises(error, match=said) as caught:
            open_client(url)
    assert type(caught.value) is error and len(str(caught.value)) < 1000


def test_what_is_not_allowed_is_named(open_client: OpenClient, guarded: GymServer) -> None:
    with pytest.raises(Forbidden, match="allowed_origins"):
        open_client(guarded.url, headers={**BEARER, "Origin": "https://evil.example"})


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {TOKEN}\n"}, {5: TOKEN}, TOKEN, 5])
def test_headers_that_cannot_be_sent_are_refused_without_their_values(headers: Any) -> None:
    with pytest.raises(InvalidArgument, match="header") as caught:
        authorized("http://host", headers)
    assert TOKEN not in str(caught.value)
