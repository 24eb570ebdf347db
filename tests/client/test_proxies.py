"""Forward proxies: those of the environment, one that is named, and none."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from openenv_gym import OpenEnvClient, OpenEnvGym, serve_gym
from openenv_gym.client.proxies import Proxy, ProxyChoice, proxy_for
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import ConnectFailed, InvalidArgument, MissingExtra
from tests.client.conftest import OpenClient
from tests.fronts import FrontProxy, Rewrite, forward, saying

ELSEWHERE = "http://game.test:8000"
"""A name that nobody but the proxy can resolve."""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def cartpole() -> Iterator[GymServer]:
    """CartPole, under a name that only a proxy knows."""
    with serve_gym("CartPole-v1", port=0, block=False, allowed_hosts=["game.test"]) as server:
        yield server


@pytest.fixture
def heard() -> list[str]:
    """The first lines of what the proxy was asked."""
    return []


@pytest.fixture
def proxy(cartpole: GymServer, heard: list[str]) -> Iterator[FrontProxy]:
    with FrontProxy(cartpole.url, forward(heard)) as front:
        yield front


def play(client: Any) -> None:
    client.reset(seeds=[0])
    assert client.step_one(1).reward[0] == 1.0
    client.close()


def test_a_proxy_that_is_named(open_client: OpenClient, proxy: FrontProxy, heard: list[str]) -> None:
    play(open_client(ELSEWHERE, proxy=proxy.url))
    assert heard == ["CONNECT game.test:8000 HTTP/1.1"]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment(
    open_client: OpenClient, proxy: FrontProxy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    play(open_client(ELSEWHERE))


def test_the_pages_come_through_the_proxy_too(proxy: FrontProxy, heard: list[str]) -> None:
    OpenEnvGym(ELSEWHERE, dialect="json", proxy=proxy.url).close()
    assert heard == ["CONNECT game.test:8000 HTTP/1.1", "GET http://game.test:8000/schema HTTP/1.1"]
    with OpenEnvClient(ELSEWHERE, proxy=proxy.url).sync() as typed:
        typed.reset()


def test_tls_through_a_proxy(open_client: OpenClient, cartpole: GymServer, heard: list[str]) -> None:
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("game.test").configure_cert(context)
    authority.configure_trust(trusting)
    with FrontProxy(cartpole.url, tls=context) as secure, FrontProxy(secure.url, forward(heard)) as proxy:
        play(open_client("https://game.test", proxy=proxy.url, ssl_context=trusting))
        env = OpenEnvGym("https://game.test", dialect="json", proxy=proxy.url, ssl_context=trusting)
        env.close()
    assert set(heard) == {"CONNECT game.test:443 HTTP/1.1"}


def test_no_proxy_for_the_loopback_and_for_whom_the_environment_excepts(
    open_client: OpenClient, cartpole: GymServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    play(open_client(cartpole.url))
    monkeypatch.setenv("NO_PROXY", "game.test")
    with pytest.raises(ConnectFailed, match=r"game\.test"):
        open_client(ELSEWHERE, wait_timeout=0)


def test_none_is_none(open_client: OpenClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ConnectFailed, match=r"game\.test"):
        open_client(ELSEWHERE, proxy=None, wait_timeout=0)


def test_a_proxy_that_wants_a_name_and_a_password(open_client: OpenClient, cartpole: GymServer) -> None:
    with FrontProxy(cartpole.url, forward([], credentials="me:p@ss word")) as proxy:
        play(open_client(ELSEWHERE, proxy=f"http://me:p%40ss%20word@localhost:{proxy.port}"))
        for wrong in (
            proxy.url,
            f"http://me:secret@localhost:{proxy.port}",
            f"http://me@localhost:{proxy.port}",
        ):
            with pytest.raises(ConnectFailed, match=r"407.*password") as refusal:
                open_client(ELSEWHERE, proxy=wrong, wait_timeout=None)
            assert "secret" not in str(refusal.value)


def refusing(head: bytes) -> tuple[bytes, bytes | None]:
    return saying("403 Forbidden"), None


def babbling(head: bytes) -> tuple[bytes, bytes | None]:
    return b"220 mail.test ESMTP\r\n\r\n", None


@pytest.mark.parametrize("answer", [refusing, babbling])
def test_a_proxy_that_does_not_help(open_client: OpenClient, cartpole: GymServer, answer: Rewrite) -> None:
    with FrontProxy(cartpole.url, answer) as proxy:
        with pytest.raises(ConnectFailed):
            open_client(ELSEWHERE, proxy=proxy.url, wait_timeout=None)


def test_a_proxy_that_is_not_there(open_client: OpenClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed, match=rf"no proxy answers at 127\.0\.0\.1:{port}"):
        open_client(ELSEWHERE, proxy=f"http://127.0.0.1:{port}", wait_timeout=0)


def test_a_socks_proxy_is_refused_by_type(open_client: OpenClient) -> None:
    with pytest.raises((InvalidArgument, MissingExtra)):  # blocking, and without python-socks
        open_client(ELSEWHERE, proxy="socks5://127.0.0.1:1")


@pytest.mark.parametrize("address", ["ftp://me:secret@host", "http://", "http://me:secret@host:port"])
def test_an_address_of_no_proxy(open_client: OpenClient, address: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        open_client(ELSEWHERE, proxy=address)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variables", "secure", "expected"),
    [
        ({}, False, None),
        ({"HTTPS_PROXY": "http://p:1"}, True, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, False, None),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://q:2"}, True, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://q:2"}, False, "http://q:2"),
        ({"HTTP_PROXY": "p:1"}, False, "http://p:1"),
        ({"HTTP_PROXY": "http://p"}, False, "http://p:80"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, False, None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "test"}, False, None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "game.test:9"}, False, "http://p:1"),
    ],
)
def test_what_the_environment_says(
    variables: dict[str, str], secure: bool, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = proxy_for("game.test", 8000, secure=secure, choice=True)
    assert (found and found.url) == expected


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "game.localhost"])
def test_a_loopback_address_is_not_behind_a_proxy_unless_one_is_named(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:1")
    named: ProxyChoice = "http://p:1"
    assert proxy_for(host, 80, secure=False, choice=True) is None
    assert proxy_for(host, 80, secure=False, choice=named) == Proxy("http", "p", 1)


def test_a_password_is_not_shown() -> None:
    proxy = proxy_for("game.test", 80, secure=False, choice="http://me:s%2Fecret@[::1]:3128")
    assert proxy is not None
    assert proxy.url == "http://me:s%2Fecret@[::1]:3128"
    assert "ecret" not in repr(proxy)
