"""``https`` and ``wss``: each client speaks TLS, trusts whom it is told to trust, and nobody else."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trustme

from openenv_gym import OpenEnvClient, OpenEnvGym, OpenEnvVectorEnv
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import Closed, ConnectFailed, DeadlineExceeded, InvalidArgument
from tests.client.conftest import OpenClient
from tests.client.test_forks import expect, in_child
from tests.fronts import FrontProxy


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """The context of a client that knows the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certified(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """The context of a server with a certificate for some names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def secure(authority: trustme.CA, cartpole: GymServer) -> Iterator[FrontProxy]:
    """CartPole behind TLS."""
    with FrontProxy(cartpole.url, tls=certified(authority, "localhost")) as front:
        yield front


@pytest.mark.parametrize("scheme", ["https", "wss"])
@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_client_plays_over_tls(
    open_client: OpenClient, secure: FrontProxy, trusting: ssl.SSLContext, dialect: str, scheme: str
) -> None:
    client = open_client(f"{scheme}://localhost:{secure.port}", dialect=dialect, ssl_context=trusting)
    client.reset(seeds=[0])
    for _ in range(3):
        rows = client.step_one(1 if dialect == "native" else {"action": 1})
        assert rows.reward[0] == 1.0
    client.close()


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_face_plays_over_tls(secure: FrontProxy, trusting: ssl.SSLContext, dialect: str) -> None:
    env = OpenEnvGym(secure.url, dialect=dialect, ssl_context=trusting)
    env.reset(seed=0)
    assert env.step(1)[1] == 1.0
    env.close()
    envs = OpenEnvVectorEnv(secure.url, 2, dialect=dialect, ssl_context=trusting)
    envs.reset(seed=0)
    assert envs.step(np.array([0, 1]))[1].tolist() == [1.0, 1.0]
    envs.close()
    with OpenEnvClient(secure.url, ssl_context=trusting).sync() as typed:
        assert len(typed.reset(seed=0).observation["observation"]) == 4


def test_the_variable_ssl_cert_file_names_whom_to_trust(
    open_client: OpenClient,
    secure: FrontProxy,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(os.fspath(file))
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(file))
    open_client(secure.url).close()
    OpenEnvGym(secure.url, dialect="json").close()  # which reads /schema as well


def test_a_certificate_of_an_unknown_authority_is_refused_at_once(
    open_client: OpenClient, secure: FrontProxy
) -> None:
    with pytest.raises(ConnectFailed, match=r"ssl_context=.*SSL_CERT_FILE"):
        open_client(secure.url, wait_timeout=None)


def test_a_certificate_for_another_name_is_refused(
    open_client: OpenClient, cartpole: GymServer, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with FrontProxy(cartpole.url, tls=certified(authority, "elsewhere.test")) as front:
        with pytest.raises(ConnectFailed, match=r"not trusted.*localhost"):
            open_client(front.url, ssl_context=trusting, wait_timeout=None)


def test_tls_with_a_server_in_the_clear(open_client: OpenClient, cartpole: GymServer) -> None:
    with pytest.raises(ConnectFailed, match="http://"):
        open_client(cartpole.url.replace("http", "https"), wait_timeout=0)


def test_no_tls_with_a_server_that_wants_it(open_client: OpenClient, secure: FrontProxy) -> None:
    with pytest.raises(ConnectFailed):
        open_client(secure.url.replace("https", "http"), wait_timeout=0)


def test_a_context_for_an_address_in_the_clear_is_refused(
    open_client: OpenClient, cartpole: GymServer, trusting: ssl.SSLContext
) -> None:
    with pytest.raises(InvalidArgument, match="https"):
        open_client(cartpole.url, ssl_context=trusting)


def test_a_time_that_is_up_over_tls(
    open_client: OpenClient, sleeper: GymServer, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with FrontProxy(sleeper.url, tls=certified(authority, "localhost")) as front:
        client = open_client(front.url, ssl_context=trusting, timeout=0.2)
        client.reset(options={"seconds": 0.6})
        with pytest.raises(DeadlineExceeded):
            client.step_one(1)
        client.close()


def test_a_forked_child_does_no_harm_to_a_session_over_tls(
    secure: FrontProxy, trusting: ssl.SSLContext
) -> None:
    with OpenEnvClient(secure.url, ssl_context=trusting).sync() as client:
        client.reset(seed=0)

        def work() -> None:
            expect(Closed, lambda: client.step({"action": 1}))
            client.close()

        in_child(work)
        assert client.step({"action": 1}).reward == 1.0
