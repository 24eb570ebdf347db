"""The conformance kit: ask any OpenEnv server whether it keeps to the protocol, and what it lacks.

``check_server`` as a function, ``openenv-gym check URL`` on the command line, and under pytest
``pytest --pyargs openenv_gym.testing.suite --openenv-url URL``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv_gym.testing.findings import Finding, Outcome, Report
    from openenv_gym.testing.kit import check_server

__all__ = ["Finding", "Outcome", "Report", "check_server"]

_HOMES = {
    "Finding": "openenv_gym.testing.findings",
    "Outcome": "openenv_gym.testing.findings",
    "Report": "openenv_gym.testing.findings",
    "check_server": "openenv_gym.testing.kit",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: pytest loads the plugin in here at every start."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
