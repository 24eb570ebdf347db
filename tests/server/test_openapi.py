"""Requests that schemathesis makes up from the OpenAPI document: no 500, and answers as documented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from openenv_gym import create_app, serve_gym
from openenv_gym.envs.serving import GymServer
from tests import web
from tests.typed import Count, Counted, Counting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.leaves("the servers of this module keep the HTTP sessions that a request began"),
]

MAX_LANES = 4
CONFORMS: list[Any] = [status_code_conformance, content_type_conformance, response_schema_conformance]
DELIBERATE = (501, 503, 504)
"""No tasks, no room, no time: the server says so on purpose."""


class Careful(Counting):
    """Raises at nothing: what a typed environment raises is a 500 by design."""

    def step(self, action: Count, timeout_s: float | None = None, **kwargs: Any) -> Counted:
        return super().step(Count(by=abs(action.by)))

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Counted:
        return super().reset(seed, episode_id)


@pytest.fixture(scope="module", params=["lifted", "typed"])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    served: Any = "CartPole-v1"
    limits: dict[str, Any] = {"max_lanes": MAX_LANES}
    if request.param == "typed":
        served = create_app(Careful, Count, Counted, env_name="counting", max_concurrent_envs=MAX_LANES)
        limits = {}
    with serve_gym(served, port=0, block=False, **limits) as server:
        yield server


@pytest.fixture
def connection() -> Iterator[requests.Session]:
    """A connection for each request would take a quarter of the time."""
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: str(mode.value))
def test_no_request_makes_the_server_fail(
    server: GymServer, connection: requests.Session, mode: GenerationMode
) -> None:
    (env_name,) = web.get(f"{server.url}/list_environments").json()
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
            continue  # there is nothing to be said wrongly

        @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode), st.booleans())
        def ask(case: Any, known: bool) -> None:
            if known and case.path_parameters:
                case.path_parameters["env_name"] = env_name
            response = case.call(session=connection)
            checks = [*CONFORMS, *([] if response.status_code in DELIBERATE else [not_a_server_error])]
            case.validate_response(response, checks=checks)

        ask()


def test_the_server_still_plays(server: GymServer) -> None:
    """Last in this module: whatever came before it, an episode can be had."""
    answer = web.post(f"{server.url}/reset", json={"seed": 1})
    assert answer.status_code == 200, answer.text
