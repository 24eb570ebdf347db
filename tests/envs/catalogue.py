"""The environments that these tests serve, each with its local twin."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from openenv_gym import serve_gym
from tests import web

__all__ = ["World", "active_lanes"]


@dataclass(frozen=True)
class World:
    """An environment, served and local.

    Attributes:
        source: a Gymnasium id, or a class.
        kwargs: of its constructor.
        needs: a module that must be there, and that registers the id if it is a plug-in.
    """

    source: Any
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    needs: str | None = None

    def __str__(self) -> str:
        return self.source if isinstance(self.source, str) else self.source.__name__

    def serve(self) -> Any:
        """A server of it, on a free port."""
        return serve_gym(self.source, port=0, block=False, kwargs=self.kwargs)

    def local(self) -> gymnasium.Env[Any, Any]:
        """One of its own, in this process."""
        if not isinstance(self.source, str):
            made: gymnasium.Env[Any, Any] = self.source(**self.kwargs)
            return made
        if self.needs is not None:
            gymnasium.register_envs(importlib.import_module(self.needs))
        return gymnasium.make(self.source, **self.kwargs)


def active_lanes(url: str) -> int:
    """How many lanes of a server are taken."""
    return int(web.get(f"{url}/health").raise_for_status().json()["active_lanes"])
