"""What holds for every test: it leaves nothing behind, opens no window, and draws reproducible examples."""

from __future__ import annotations

import gc
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import leaks
from tests.peers.awake import awake_python

GRACE = 2.0
"""Seconds in which threads, processes and sockets may still go after a test is over."""

_SESSION_VARIABLE = "OPENENV_GYM_TEST_SESSION"

# No deadline: the first example pays for imports, and CI machines stall.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    """Mark every process of this session, so that orphans are found, and let SDL draw without a screen."""
    if not hasattr(config, "workerinput"):  # xdist's workers inherit the mark of the process that runs them
        os.environ[_SESSION_VARIABLE] = uuid.uuid4().hex
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background jobs ignore Ctrl-C, and so would every process that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long ones: together in the tail they would keep one worker while the others are idle."""
    items.sort(key=lambda item: "trainers" not in item.path.parts)


def pytest_collection_finish() -> None:
    """Keep what all tests need out of each garbage collection: half a million objects, 0.1 s a time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)  # after xdist has stopped its workers
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session when a process outlives it, even one whose parent is gone."""
    if hasattr(session.config, "workerinput"):
        return
    mark = os.environ[_SESSION_VARIABLE]
    left = leaks.wait_until_empty(lambda: leaks.bearers(_SESSION_VARIABLE, mark), grace=GRACE)
    if left:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.section("processes outlive the session", red=True)
            reporter.write_line("\n".join(left))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def session_leaves_nothing_behind() -> Iterator[None]:
    """Hold the fixtures of modules and sessions, and the tests marked ``leaves``, to the rule as well."""
    before = leaks.held()
    yield
    _refuse(leaks.left_since(before, grace=GRACE), "the tests of this session")


@pytest.fixture(scope="session")
def awake_stock() -> Iterator[Path]:
    """The stock interpreter, with ``openenv`` imported already; a process of its own for each program."""
    with awake_python() as python:
        yield python


@pytest.fixture(autouse=True)
def each_test_leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, a process or a socket behind.

    What fixtures of a wider scope hold was there before. When such a fixture takes on more during
    a test, as a server's thread pool does, mark the test ``leaves`` and give the reason.
    """
    if request.node.get_closest_marker("leaves"):
        yield
        return
    before = leaks.held()
    yield
    _refuse(leaks.left_since(before, grace=GRACE), "the test")


def _refuse(left: list[str], who: str) -> None:
    if left:
        pytest.fail("\n  ".join([f"{who} left behind:", *left]), pytrace=False)
