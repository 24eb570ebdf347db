"""The kit waits for what a server frees; the servers here free it at once, or never."""

from __future__ import annotations

import pytest

from openenv_gym.testing import target
from openenv_gym.testing.checks import isolation


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time enough for a busy machine, and no more."""
    monkeypatch.setattr(target, "FREEING_SECONDS", 1.0)
    monkeypatch.setattr(isolation, "GOING_SECONDS", 2.0)
