"""What is served, in the form in which it travels to workers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import cloudpickle
import gymnasium
from gymnasium.envs.registration import EnvSpec

from openenv_gym.errors import InvalidArgument, OpenEnvGymError
from openenv_gym.hosting.source import spec_of
from openenv_gym.server.app import Application

__all__ = ["sealed_work"]


def sealed_work(
    env: Any, target: str | None, build: Callable[[Any], Application], client_ids: Iterable[str]
) -> bytes:
    """A function without arguments that builds the application, as a worker can be given it.

    Args:
        env: what ``serve_gym`` takes, also what cannot be imported: a lambda, a class in ``__main__``.
            What is registered here under an id is what the id means there.
        target: ``module:name`` of it, if it can be imported.
        build: makes the application of it.
        client_ids: further ids.

    Raises:
        InvalidArgument: if it cannot leave this process.
    """
    if isinstance(env, Application):
        if target is None:
            raise InvalidArgument(
                "each worker builds an application of its own, so what create_app gave cannot be handed to "
                "several; name where it can be imported: openenv-gym serve package.module:app --workers N"
            )
        env = _Target(target)
    ids = [name for name in (env, *client_ids) if isinstance(name, str)]
    specs = [spec for name in ids if (spec := gymnasium.registry.get(name)) is not None]
    try:
        work: bytes = cloudpickle.dumps(partial(_work, env, build, specs))
    except Exception as error:  # whatever an object of the operator's does when it is pickled
        raise InvalidArgument(
            f"what builds the environment is sent to the workers, but cannot be pickled: {error}; pass an "
            "id, a class or a function that holds plain values, or workers=1"
        ) from error
    return work


class _Target:
    """``module:name`` of what is imported where it is needed."""

    def __init__(self, target: str) -> None:
        self._module, _, self._name = target.partition(":")

    def load(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)


def _work(env: Any, build: Callable[[Any], Application], specs: Iterable[EnvSpec]) -> Application:
    """In a worker: the application."""
    for spec in specs:
        with suppress(OpenEnvGymError):  # its plug-in registers it first, and would warn of ours
            spec_of(spec.id)
        gymnasium.registry[spec.id] = spec
    return build(env.load() if isinstance(env, _Target) else env)
