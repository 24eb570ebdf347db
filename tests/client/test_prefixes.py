"""A server below a path of its host: behind a reverse proxy, and mounted in a larger application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from openenv_gym import OpenEnvClient, OpenEnvGym
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import ConnectFailed
from openenv_gym.hosting.source import open_source
from openenv_gym.server.app import Application
from openenv_gym.server.house import House
from openenv_gym.server.limits import Limits
from openenv_gym.server.listening import listen, url_of
from tests import web
from tests.client.conftest import OpenClient
from tests.fronts import FrontProxy, strip_prefix

PAGES = ["/health", "/metadata", "/schema", "/openapi.json", "/docs"]


def application() -> Application:
    return Application(House(open_source("CartPole-v1"), Limits()))


@contextmanager
def running(app: Any, **config: Any) -> Iterator[str]:
    """The address of an application on a plain uvicorn."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", **config))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def plays(url: str, open_client: OpenClient) -> None:
    """Demand that every face of a client plays the server at a URL, and that its pages are there."""
    for dialect in ("native", "json"):
        client = open_client(url, dialect=dialect)
        client.reset(seeds=[0])
        assert client.step_one(1 if dialect == "native" else {"action": 1}).reward[0] == 1.0
        client.close()
        env = OpenEnvGym(url, dialect=dialect)  # in JSON, it reads /schema
        env.reset(seed=0)
        assert env.step(1)[1] == 1.0
        env.close()
    with OpenEnvClient(url).sync() as typed:
        typed.reset(seed=0)
    assert [web.get(f"{url}{page}").status_code for page in PAGES] == [200] * len(PAGES)


@pytest.mark.parametrize("ending", ["", "/", "/ws"])
def test_behind_a_reverse_proxy_that_strips_the_prefix(
    open_client: OpenClient, cartpole: GymServer, ending: str
) -> None:
    with FrontProxy(cartpole.url, strip_prefix("/games/pole")) as front:
        client = open_client(f"{front.url}/games/pole{ending}")
        client.reset(seeds=[0])
        client.close()
        if not ending:
            plays(f"{front.url}/games/pole", open_client)
        with pytest.raises(ConnectFailed, match="404"):
            open_client(front.url, wait_timeout=None)


def test_mounted_in_another_application(open_client: OpenClient) -> None:
    app = Starlette(routes=[Mount("/chess", application()), Mount("/deep/down", application())])
    with running(app) as url:
        plays(f"{url}/chess", open_client)
        plays(f"{url}/deep/down", open_client)
        with pytest.raises(ConnectFailed):
            open_client(url, wait_timeout=None)


def test_behind_a_prefix_that_the_web_server_is_told_of(open_client: OpenClient) -> None:
    with running(application(), root_path="/pole") as url:
        with FrontProxy(url, strip_prefix("/pole")) as front:
            plays(f"{front.url}/pole", open_client)
