"""What the kit says of a server: findings, one for each check, and the report that gathers them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import wrap
from typing import Any, ClassVar

from openenv_gym.types import Plain

__all__ = ["Failed", "Finding", "Lacking", "Outcome", "Report", "Skipped", "Verdict"]


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    """The server breaks OpenEnv's protocol, or says what is not so."""
    LACKING = "lacking"
    """OpenEnv allows it, but whoever plays the server with openenv-gym misses something."""
    SKIPPED = "skipped"
    """The question could not be asked; the text says why."""


class Verdict(Exception):
    """Ends a check that did not pass; its text is a sentence about the server.

    Args:
        text: what was expected, and what came.
        evidence: the messages or values that show it, as plain data.
    """

    outcome: ClassVar[Outcome] = Outcome.FAILED

    def __init__(self, text: str, evidence: Plain = None) -> None:
        super().__init__(text)
        self.evidence = evidence


class Failed(Verdict):
    """The server breaks OpenEnv's protocol."""


class Lacking(Verdict):
    """The server does not have what OpenEnv does not demand."""

    outcome = Outcome.LACKING


class Skipped(Verdict):
    """The question cannot be asked of this server."""

    outcome = Outcome.SKIPPED


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """The check's name, ``protocol-unknown-type``."""
    outcome: Outcome
    text: str
    """A sentence about the server."""
    evidence: Plain = None
    """Messages or values that show it; plain data."""
    question: str = ""
    """What the check asks."""

    @property
    def subject(self) -> str:
        """What the check is about, ``protocol``."""
        return self.check.partition("-")[0]

    def __str__(self) -> str:
        return f"{self.check}: {self.outcome}: {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about one server; ``str(report)`` is a table.

    >>> report = Report("http://127.0.0.1:8000")
    >>> report.findings.append(Finding("http-health", Outcome.PASSED, "healthy"))
    >>> print(report)
    http://127.0.0.1:8000: 1 passed
      passed   http-health
    """

    url: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what is lacking or was skipped does not count."""
        return all(finding.outcome is not Outcome.FAILED for finding in self.findings)

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many checks ended in which way; ways that none took are left out."""
        counted = Counter(finding.outcome for finding in self.findings)
        return {outcome: counted[outcome] for outcome in Outcome if counted[outcome]}

    @property
    def summary(self) -> str:
        """The counts in a line."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items()) or "nothing checked"

    def of(self, outcome: Outcome) -> list[Finding]:
        """The findings that ended in one way."""
        return [finding for finding in self.findings if finding.outcome is outcome]

    def to_dict(self) -> dict[str, Plain]:
        """The report as JSON-able data."""
        return {
            "url": self.url,
            "ok": self.ok,
            "counts": {str(outcome): count for outcome, count in self.counts.items()},
            "findings": [
                {**dataclasses.asdict(finding), "outcome": str(finding.outcome)} for finding in self.findings
            ],
        }

    def __str__(self) -> str:
        return "\n".join([f"{self.url}: {self.summary}", *self._lines()])

    def _lines(self) -> list[str]:
        lines: list[str] = []
        for finding in self.findings:
            lines.append(f"  {finding.outcome:<8} {finding.check}")
            if finding.outcome is not Outcome.PASSED:
                lines += wrap(finding.text, 100, initial_indent=" " * 11, subsequent_indent=" " * 11)
        return lines


def shown(value: Any, limit: int = 120) -> str:
    """A value in a sentence, cut short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
