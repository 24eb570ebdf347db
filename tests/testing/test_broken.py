"""Each server that breaks one rule is noticed by the one check that is meant to."""

from __future__ import annotations

import pytest

from openenv_gym.testing import Report, check_server
from tests.testing.little import BROKEN, Little, running


def deviations(report: Report) -> dict[str, str]:
    return {
        finding.check: str(finding.outcome)
        for finding in report.findings
        if finding.outcome in ("failed", "lacking")
    }


@pytest.fixture(scope="module")
def honest() -> dict[str, str]:
    """What even the honest server lacks."""
    with running(Little()) as url:
        return deviations(check_server(url))


def test_an_honest_server_lacks_only_what_is_ours(honest: dict[str, str]) -> None:
    assert honest == {"spaces-exact": "lacking", "native-negotiated": "lacking"}


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_broken_server_is_caught_by_the_check_that_is_meant_to(wrong: str, honest: dict[str, str]) -> None:
    server, check, outcome = BROKEN[wrong]
    with running(server()) as url:
        report = check_server(url)
    assert deviations(report) == {**honest, check: outcome}, str(report)
