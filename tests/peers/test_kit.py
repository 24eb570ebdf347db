"""The conformance kit on stock servers: they keep to their own protocol, and it says what they lack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.children import ChildProcess
from openenv_gym.testing import Outcome, check_server

pytestmark = pytest.mark.slow

SERVE = Path(__file__).parents[2] / "benchmarks" / "stock" / "scripts" / "serve.py"
LACKING = {
    "http-episodes",
    "spaces-exact",
    "episodes-step-after-end",
    "episodes-how-it-ended",
    "limits-deep-message",
    "native-negotiated",
}


@pytest.fixture(scope="module", params=[1, 4])
def stock(request: pytest.FixtureRequest, awake_stock: Path) -> Iterator[str]:
    """The URL of a stock server of CartPole; the first has room for two sessions, for it doubles."""
    server = ChildProcess([str(awake_stock), str(SERVE), "cartpole", "--sessions", str(request.param)])
    try:
        yield server.server_url()
    finally:
        server.stop()


def test_a_stock_server_fails_nothing_and_is_told_what_it_lacks(stock: str) -> None:
    report = check_server(stock, local="CartPole-v1")
    assert report.ok, str(report)
    assert {finding.check for finding in report.of(Outcome.LACKING)} == LACKING, str(report)
    passed = {finding.check for finding in report.of(Outcome.PASSED)}
    assert {"parity-json", "episodes-seed-repeats", "isolation-interleaved"} <= passed, str(report)
