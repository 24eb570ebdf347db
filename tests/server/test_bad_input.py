"""Every kind of bad input on every road: one typed error that says what to do, and nobody else notices."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text

from openenv_gym import (
    Client,
    OpenEnvClient,
    OpenEnvGym,
    OpenEnvGymError,
    OpenEnvVectorEnv,
    serve_gym,
)
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import (
    CapacityReached,
    ConnectionLost,
    DeadlineExceeded,
    EnvironmentRaised,
    FactoryFailed,
    InvalidAction,
    InvalidJson,
    LayoutMismatch,
    MessageTooLarge,
    ResetNeeded,
    UnknownSession,
    error_from_wire,
)
from openenv_gym.spaces import to_plain
from openenv_gym.wire import plain
from openenv_gym.wire.messages import Hello
from tests import web
from tests.served import ServerProcess, eventually, health, serve_command
from tests.server.troubled import WebSocketPlayer
from tests.server.wicked import (
    MAX_BYTES,
    MAX_LANES,
    PLAIN,
    ROADS,
    TEXT,
    TYPED,
    Wicked,
    player_of,
    playing,
    unnoticed,
    wicked,
)
from tests.sockets import JsonSocket


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, GymServer]]:
    with wicked("native") as lifted, wicked("typed json") as typed:
        yield {road: typed if road in TYPED else lifted for road in ROADS}


# what is done -----------------------------------------------------------------------------------


def acting(action: Any) -> Callable[[str, str], None]:
    def act(url: str, road: str) -> None:
        with playing(url, road) as player:
            player.reset()
            player.step(action)

    return act


def planning(during: str, what: str, steps: int = 1) -> Callable[[str, str], None]:
    def act(url: str, road: str) -> None:
        with playing(url, road) as player:
            player.reset(**{during: what})
            for _ in range(steps):
                player.step()

    return act


def step_first(url: str, road: str) -> None:
    with playing(url, road) as player:
        player.step()


def build_what_raises(url: str, road: str) -> None:
    Wicked.broken = True
    try:
        with playing(url, road) as player:
            player.reset()
    finally:
        Wicked.broken = False


def begin_one_too_many(url: str, road: str) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_LANES - 1):
            stack.enter_context(playing(url, "typed json" if road in TYPED else "native")).reset()
        with playing(url, road) as player:
            player.reset()


def say(text: str | bytes, url: str, road: str) -> None:
    """Something as it is, in the place of a step, to where JSON is spoken."""
    if road.endswith("http"):
        answer = web.post(f"{url}/step", content=text, headers={"Content-Type": "application/json"})
        raise_from(answer.json()["error"])
    with JsonSocket(url) as connection:
        connection.ask({"type": "reset"})
        raise_from(connection.ask(text)["data"])


def name_nobody(url: str, road: str) -> None:
    if road.endswith("http"):
        raise_from(web.post(f"{url}/reset", json={"session_id": "nobody"}).json()["error"])
    with JsonSocket(url, session_id="nobody") as connection:
        raise_from(connection.receive()["data"])


def raise_from(said: dict[str, Any]) -> None:
    raise error_from_wire(said["error_code"], said["message"])


@dataclass(frozen=True)
class Row:
    """A kind of bad input: what is done, and what must come of it."""

    name: str
    do: Callable[[str, str], None]
    error: type[OpenEnvGymError]
    side: str
    says: str
    roads: tuple[str, ...] = ROADS


HANGS = "--step-timeout"
TABLE = [
    Row("text for a number", acting("left"), InvalidAction, "you", "see (env.action_space|/schema)"),
    Row("NaN", acting(float("nan")), InvalidAction, "you", "see (env.action_space|/schema)"),
    Row("a list", acting([1, 2]), InvalidAction, "you", "see (env.action_space|/schema)"),
    Row("no such choice", acting(77), InvalidAction, "you", "see (env.action_space|/schema)"),
    Row("a step before the reset", step_first, ResetNeeded, "you", "reset"),
    Row("a step after the end", planning("step", "end", 2), ResetNeeded, "you", r"call reset\(\) first"),
    Row("a constructor that raises", build_what_raises, FactoryFailed, "peer", "ZeroDivisionError.*correct"),
    Row("a reset that raises", planning("reset", "raise"), EnvironmentRaised, "environment", "reset again"),
    Row("a step that raises", planning("step", "raise"), EnvironmentRaised, "environment", "reset to go on"),
    Row("a misfit", planning("step", "misfit"), LayoutMismatch, "environment", "correct|was expected"),
    Row("a reset that hangs", planning("reset", "hang"), DeadlineExceeded, "world", HANGS, TYPED),
    Row("a step that hangs", planning("step", "hang"), DeadlineExceeded, "world", HANGS, TYPED),
    Row("one session too many", begin_one_too_many, CapacityReached, "peer", "--max-(lanes|sessions)"),
    Row("an unknown session", name_nobody, UnknownSession, "peer", "POST /reset", TEXT),
    Row("no JSON", partial(say, '{"action":'), InvalidJson, "you", "JSON", ("json", "typed json")),
    Row("no UTF-8", partial(say, b'"\xff"'), InvalidJson, "you", "JSON", ("http", "typed http")),
    Row("too deep", partial(say, "[" * 99 + "]" * 99), OpenEnvGymError, "you", "--max-json-depth", TEXT),
    Row("huge", acting("x" * MAX_BYTES), MessageTooLarge, "you", "--max-message-bytes", TEXT),
]


@pytest.mark.parametrize(
    ("row", "road"), [pytest.param(row, road, id=f"{row.name}-{road}") for row in TABLE for road in row.roads]
)
def test_one_typed_error_and_nobody_notices(servers: dict[str, GymServer], row: Row, road: str) -> None:
    with unnoticed(servers[road], road):
        with pytest.raises(row.error, match=row.says) as caught:
            row.do(servers[road].url, road)
        assert str(caught.value.side) == row.side


ODD_SPACES = [
    (Discrete(3, start=-1), 2),
    (MultiDiscrete([2, 3]), [1, 3]),
    (MultiBinary(2), [0, 2]),
    (Text(3, charset="ab"), "abc"),
    (Dict(arm=Box(0, 1), hand=Discrete(2)), {"arm": np.zeros(1, np.float32), "hand": -1}),
]


@pytest.mark.parametrize(("space", "action"), ODD_SPACES, ids=lambda value: type(value).__name__)
def test_an_action_that_its_space_does_not_count(space: Any, action: Any) -> None:
    class Odd(Wicked):
        def __init__(self) -> None:
            super().__init__()
            self.action_space = copy.deepcopy(space)

        def step(self, action: Any) -> Any:
            assert action in space
            return super().step(0)

    space.seed(0)
    drawn = space.sample()
    with serve_gym(Odd, port=0, block=False) as server:
        for road in ("native", "json", "http"):
            with playing(server.url, road) as player:
                player.reset()
                with pytest.raises(InvalidAction, match=r"wants .*see env.action_space"):
                    player.step(action if road == "native" else plain.describe(action)[0])
                assert player.step(drawn if road == "native" else to_plain(space, drawn)) == [1.0]
        assert eventually(lambda: health(server.url)["sessions"] == 0)


@pytest.mark.parametrize("road", PLAIN)
def test_what_lies_outside_its_bounds_passes_untouched(servers: dict[str, GymServer], road: str) -> None:
    with unnoticed(servers[road], road), playing(servers[road].url, road) as player:
        player.reset(step="outside")
        assert player.step() == [-5.0]


@pytest.mark.parametrize("road", ROADS)
def test_a_close_that_raises_is_its_clients_alone(servers: dict[str, GymServer], road: str) -> None:
    with unnoticed(servers[road], road), playing(servers[road].url, road) as player:
        player.reset(close="raise")


def test_an_unknown_session_of_mcp(servers: dict[str, GymServer]) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "openenv/session/close", "params": {"session_id": "nobody"}}
    for road in ("http", "typed http"):
        said = web.post(f"{servers[road].url}/mcp", json=call).json()["error"]
        assert said["code"] == -32602 and "nobody" in said["message"]


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_a_face_says_that_a_reset_is_needed(servers: dict[str, GymServer], dialect: str) -> None:
    url = servers["native"].url
    with unnoticed(servers["native"], "native"):
        one = OpenEnvGym(url, dialect=dialect)
        many = OpenEnvVectorEnv(url, 2, autoreset_mode="Disabled", dialect=dialect)
        for env, action in ((one, 1), (many, np.ones(2, int))):
            for options in (None, {"step": "end"}):
                if options is not None:
                    env.reset(options=options)
                    env.step(action)
                with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
                    env.step(action)
            env.close()


# who vanishes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("road", ROADS)
def test_a_client_that_vanishes_amid_a_step(servers: dict[str, GymServer], road: str) -> None:
    server = servers[road]
    with unnoticed(server, road):
        if road.endswith("http"):
            begun = web.post(f"{server.url}/reset").json()
            with suppress(httpx.ReadTimeout):
                field = "by" if road in TYPED else "action"
                step = {"action": {field: 1}, "session_id": begun["session_id"]}
                web.post(f"{server.url}/step", json=step, timeout=0.001)
            web.post(f"{server.url}/close", json={"session_id": begun["session_id"]}).raise_for_status()
            return
        player = player_of(server.url, road)
        assert isinstance(player, WebSocketPlayer)
        player.reset()
        actions: Any = {"native": [1], "three lanes": [1] * 3, "json": [{"action": 1}]}.get(road, [{"by": 1}])
        player.client.send_step(None, actions)
        transport = player.client._transport
        assert isinstance(transport, SocketTransport)
        transport._socket.close()


def test_a_server_that_vanishes_amid_an_episode() -> None:
    with ServerProcess(serve_command("tests.environments:Counter")) as server:
        one = OpenEnvGym(server.url, resume_timeout=0.2)
        text = OpenEnvGym(server.url, dialect="json")
        many = OpenEnvVectorEnv(server.url, 3, resume_timeout=0.2)
        fields = OpenEnvClient(server.url).sync()
        raw = Client.to(server.url, Hello(lanes=2), resume_timeout=0)
        for each in (one, text, many, fields, raw):
            each.reset()
        server.process.kill()
        server.process.wait()
        for step in (
            partial(one.step, 1),
            partial(text.step, 1),
            partial(many.step, np.ones(3, int)),
            partial(fields.step, {"action": 1}),
            partial(raw.step, None, [1, 1]),
        ):
            with pytest.raises(ConnectionLost, match="make a new") as caught:
                step()
            assert str(caught.value.side) == "world"
        for each in (one, text, many, fields, raw):
            each.close()
