"""The pytest plugin: options, fixtures, and the parameters of :mod:`openenv_gym.testing.suite`.

pytest imports it at every start, wherever openenv-gym is installed. So it is no part of the package,
which imports Gymnasium to register its ids, and it imports nothing but pytest until a test asks for
what it offers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openenv_gym.testing.target import Target

__all__ = ["openenv_server", "openenv_target", "pytest_addoption", "pytest_generate_tests"]

_DEADLINE = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the servers to check, and what they should equal."""
    group = parser.getgroup("openenv", "OpenEnv servers (openenv-gym)")
    group.addoption(
        "--openenv-url",
        action="append",
        default=[],
        metavar="URL",
        help="a running OpenEnv server for the fixture openenv_server; may be given again. "
        "`--pyargs openenv_gym.testing.suite` checks it",
    )
    group.addoption(
        "--openenv-local",
        metavar="ID",
        help="a Gymnasium id that the server should equal to the bit",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask each check of each server."""
    urls = metafunc.config.getoption("openenv_url")
    if "openenv_server" in metafunc.fixturenames and urls:
        ids = ["openenv"] if len(urls) == 1 else urls
        metafunc.parametrize("openenv_server", urls, ids=ids, scope="session")
    if "openenv_check" in metafunc.fixturenames:
        from openenv_gym.testing.kit import chosen_checks

        checks = chosen_checks(local=metafunc.config.getoption("openenv_local") is not None)
        metafunc.parametrize("openenv_check", checks, ids=[check.name for check in checks])


@pytest.fixture(scope="session")
def openenv_server(request: pytest.FixtureRequest) -> str:
    """The URL of the server that ``--openenv-url`` names."""
    url: str | None = getattr(request, "param", None)
    if url is None:
        pytest.skip("name a running server: --openenv-url http://127.0.0.1:8000")
    return url


@pytest.fixture
def openenv_target(openenv_server: str, request: pytest.FixtureRequest) -> Iterator[Target]:
    """The server on trial, for one check."""
    from openenv_gym.testing.target import Target

    local = request.config.getoption("openenv_local")
    with Target(openenv_server, local=local, deadline=_DEADLINE) as target:
        yield target
