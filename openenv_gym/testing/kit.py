"""``check_server``: every check, one after the other, gathered in a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openenv_gym.testing.actions import Actions
from openenv_gym.testing.checks import SUBJECTS
from openenv_gym.testing.findings import Finding, Report
from openenv_gym.testing.registry import CHECKS, Check
from openenv_gym.testing.target import Target

__all__ = ["check_server", "chosen_checks"]


def check_server(
    url: str,
    *,
    local: Any = None,
    action: Actions | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 10.0,
    deadline: float = 120.0,
    on_finding: Callable[[Finding], None] | None = None,
) -> Report:
    """Ask a running server whether it keeps to OpenEnv's protocol, and what its users miss.

    Any OpenEnv server will do. The checks play it: some fifty steps each, on sessions of their own, of
    which at most three are open at once. What needs two sessions is skipped where there is room for one.

    Args:
        url: of the server.
        local: a Gymnasium id, or a function that builds a ``gymnasium.Env``, that the server should
            equal to the bit.
        action: how to act, where the published schema does not say enough: the fields of some actions,
            played over and over, or a function from an observation's fields to an action's.
        headers: to send with each request.
        timeout: seconds to wait for one answer.
        deadline: seconds for all checks together; what is left then is skipped. The check under way may
            still wait for its answer.
        on_finding: is told each finding as it is made.

    Returns:
        The findings; ``report.ok`` says whether nothing failed.

    Raises:
        ConnectFailed: if no OpenEnv server answers.
        Unauthorized: if it wants a token.
        CapacityReached: if it is full.
        InvalidArgument: if the URL or ``local`` cannot be used.

    >>> from openenv_gym import serve_gym
    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     report = check_server(server.url, local="CartPole-v1")
    >>> report.ok
    True
    """
    report = Report(url)
    with Target(
        url, headers=headers, action=action, local=local, timeout=timeout, deadline=deadline
    ) as target:
        target.arrive()
        for each in chosen_checks(local=local is not None):
            finding = each.run(target)
            report.findings.append(finding)
            if on_finding is not None:
                on_finding(finding)
    return report


def chosen_checks(*, local: bool) -> list[Check]:
    """The checks to ask; those of parity only where a local environment is named."""
    subjects = [subject for subject in SUBJECTS if local or subject != "parity"]
    return [each for subject in subjects for each in CHECKS.values() if each.subject == subject]
