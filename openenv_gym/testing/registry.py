"""The list of checks: each one idea, one function, one name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from openenv_gym.errors import OpenEnvGymError
from openenv_gym.testing.findings import Finding, Outcome, Verdict, shown
from openenv_gym.testing.target import Target

__all__ = ["CHECKS", "Check", "check"]


@dataclass(frozen=True, slots=True)
class Check:
    """A question that a server is asked."""

    name: str
    """``subject-idea``, ``protocol-unknown-type``; stable, for it is a test's id."""
    question: str
    """In a sentence: the first line of the function's docstring."""
    ask: Callable[[Target], str]

    @property
    def subject(self) -> str:
        """The first part of the name."""
        return self.name.partition("-")[0]

    def run(self, target: Target) -> Finding:
        """Ask; whatever happens becomes a finding."""
        try:
            target.check_deadline()
            outcome, text, evidence = Outcome.PASSED, self.ask(target), None
        except Verdict as verdict:
            outcome, text, evidence = verdict.outcome, str(verdict), verdict.evidence
        except OpenEnvGymError as error:
            text = f"{type(error).__name__} ({error.side}): {error}"
            outcome, evidence = Outcome.FAILED, {"code": error.code, "fields": shown(error.fields)}
        except Exception as error:  # the boundary: nothing that a server sends may cost the other findings
            text = f"the check could not make sense of the server: {type(error).__name__}: {error!s:.200}"
            outcome, evidence = Outcome.FAILED, None
        return Finding(self.name, outcome, text, evidence, self.question)


CHECKS: dict[str, Check] = {}
"""All checks by name, those of one subject in the order in which they are asked."""


def check(function: Callable[[Target], str]) -> Callable[[Target], str]:
    """Register a check: a function that returns what it saw, or raises a :class:`Verdict`.

    Its name is made of its module's and its own.
    """
    subject = function.__module__.rpartition(".")[2]
    name = f"{subject}-{function.__name__.replace('_', '-')}"
    question = (function.__doc__ or "").strip().splitlines()[0]
    CHECKS[name] = Check(name, question, function)
    return function
