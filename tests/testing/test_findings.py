"""What a report says of itself."""

from __future__ import annotations

import json

import pytest

from openenv_gym.testing import Finding, Outcome, Report
from openenv_gym.testing.kit import chosen_checks


def finding(outcome: Outcome, check: str = "http-health") -> Finding:
    return Finding(check, outcome, "what was seen", {"status": "ok"}, "what was asked")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_what_failed_makes_a_report_not_ok(outcome: Outcome) -> None:
    assert Report("url", [finding(outcome)]).ok is (outcome is not Outcome.FAILED)


def test_a_report_is_plain_data_and_a_table() -> None:
    report = Report("http://host", [finding(Outcome.PASSED, "protocol-close"), finding(Outcome.FAILED)])
    said = json.loads(json.dumps(report.to_dict()))
    assert (said["ok"], said["counts"]) == (False, {"passed": 1, "failed": 1})
    assert said["findings"][1] == {
        "check": "http-health",
        "outcome": "failed",
        "text": "what was seen",
        "evidence": {"status": "ok"},
        "question": "what was asked",
    }
    assert str(report).splitlines() == [
        "http://host: 1 passed, 1 failed",
        "  passed   protocol-close",
        "  failed   http-health",
        "           what was seen",
    ]


def test_questions_fit_a_line_of_a_terminal() -> None:
    checks = chosen_checks(local=True)
    assert [check.name for check in checks if len(check.question.replace("``", "")) > 76] == []
    assert [check.name for check in checks if check.question.endswith(".") is False] == []
    assert len({check.name for check in checks}) == len(checks) > len(chosen_checks(local=False))
