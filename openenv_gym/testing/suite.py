"""The checks as tests: ``pytest --pyargs openenv_gym.testing.suite --openenv-url URL``.

What failed fails, what is lacking is an expected failure (``-rx`` says what), what was skipped is
skipped.
"""

from __future__ import annotations

import pytest

from openenv_gym.testing.findings import Outcome
from openenv_gym.testing.registry import Check
from openenv_gym.testing.target import Target

__all__ = ["test_openenv"]


def test_openenv(openenv_check: Check, openenv_target: Target) -> None:
    """One check of one server; the plugin chooses both."""
    openenv_target.arrive()
    finding = openenv_check.run(openenv_target)
    match finding.outcome:
        case Outcome.FAILED:
            pytest.fail(
                f"{finding.question}\n{finding.text}\n{finding.evidence or ''}".rstrip(), pytrace=False
            )
        case Outcome.LACKING:
            pytest.xfail(finding.text)
        case Outcome.SKIPPED:
            pytest.skip(finding.text)
