"""What ``gymnasium.make("openenv/...")`` and ``make_vec`` give: the faces, and a server if none runs.

:mod:`openenv_gym.envs.arguments` says which keywords are whose.
"""

from __future__ import annotations

import copy
import inspect
import weakref
from collections.abc import Mapping
from typing import Any

from gymnasium.envs.registration import EnvSpec

from openenv_gym.client.addresses import without_user
from openenv_gym.envs.arguments import address_of, environment_arguments
from openenv_gym.envs.embedded import Lease, lease_application, lease_environment
from openenv_gym.envs.registration import SERVERS
from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.envs.vector import OpenEnvVectorEnv
from openenv_gym.errors import InvalidArgument

__all__ = ["RegisteredGym", "RegisteredVectorEnv"]

_CONNECTION = frozenset({"headers", "ssl_context", "proxy"})
"""How to reach a server somewhere else; an embedded one is beside us, and has a token of its own."""
_SECRET = frozenset({"headers", "ssl_context"})
_FACE = (
    frozenset(inspect.signature(OpenEnvGym).parameters)
    | frozenset(inspect.signature(OpenEnvVectorEnv).parameters)
) - {"url"}
_BRIDGE = _FACE | {"server", "base_url", "vectorization", "workers"}
_VECTOR = ("autoreset_mode", "num_envs", "vectorization")


class _Place:
    """Where an environment is played, and what the server there is asked for.

    Args:
        server: the name behind ``openenv/``.
        base_url: of a server that runs already.
        env_id: what is served.
        env_kwargs: its arguments.
        vectorization: ``lanes`` or ``native``.
        others: all further keywords.
    """

    def __init__(
        self,
        server: str,
        base_url: str | None,
        env_id: Any,
        env_kwargs: Mapping[str, Any] | None,
        vectorization: str,
        others: Mapping[str, Any],
    ) -> None:
        if vectorization not in ("lanes", "native"):
            raise InvalidArgument(f"vectorization is 'lanes' or 'native', not {vectorization!r:.40}")
        ours = {name: value for name, value in others.items() if name in _BRIDGE}
        theirs = {name: value for name, value in others.items() if name not in _BRIDGE}
        self.workers = ours.pop("workers", 1)
        arguments = environment_arguments(theirs, env_kwargs, _BRIDGE)
        self._lease: Lease | None = None
        url, target = address_of(server, base_url), SERVERS[server]
        session = {"env_id": env_id, "env_kwargs": arguments}
        if url is not None:
            if self.workers != 1:
                raise InvalidArgument(
                    f"workers is for a server that starts by itself; the one at {url} has its own: "
                    "openenv-gym serve ID --workers N"
                )
            if not (env_id is None or isinstance(env_id, str)):
                raise InvalidArgument(
                    f"{env_id!r:.80} cannot be sent to a server that runs already; name an id that it serves"
                )
        else:
            ours = {name: value for name, value in ours.items() if name not in _CONNECTION}
            if target is not None:
                self._lease = lease_application(target, workers=self.workers)
            elif env_id is None:
                raise InvalidArgument(
                    "openenv/gym wants to know what to serve: env_id='CartPole-v1'; or where it is served: "
                    "base_url=..."
                )
            else:
                self._lease = lease_environment(
                    env_id, arguments, vectorization=vectorization, workers=self.workers
                )
                session = {}
            url, ours["headers"] = self._lease.url, self._lease.headers
            ours.setdefault("resume_timeout", 0)  # what is lost beside us is dead, and does not come back
        self.url = url
        self.options = {**ours, **session}

    def attend(self, env: Any) -> None:
        """Release the server when an environment is gone, even if nobody closes it."""
        if self._lease is not None:
            weakref.finalize(env, self._lease.release).atexit = False

    def release(self) -> None:
        """The environment is closed; may be called twice."""
        if self._lease is not None:
            self._lease.release()


class _Specified:
    """Keeps what Gymnasium writes down of an environment, without what is secret."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """How to make it again; a token comes from ``OPENENV_TOKEN`` then."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = None if spec is None else _without_secrets(spec)


class RegisteredGym(_Specified, OpenEnvGym):
    """An environment of a server that runs already, or of one that is started for it.

    Args:
        server: the name behind ``openenv/``; the registered id says it.
        base_url: of a server that runs already; else the environment variable ``OPENENV_<NAME>_URL``
            says it, else an embedded server is started or shared.
        env_id: for ``openenv/gym``, what is served: an id, an ``EnvSpec``, a class or a function that
            builds an environment; of a server that runs already, one of the ids that it offers.
        env_kwargs: arguments of the environment's constructor, by whatever names.
        workers: processes of the server that is started, which other environments share.
        **others: all further arguments of :class:`OpenEnvGym` are the same there; any other name is
            the environment's.

    Raises:
        InvalidArgument: if an argument cannot be meant so, or its name looks misspelt.
        FactoryFailed: if the environment cannot be built.
    """

    def __init__(
        self,
        *,
        server: str,
        base_url: str | None = None,
        env_id: Any = None,
        env_kwargs: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> None:
        for name in _VECTOR:
            if name in others:
                raise InvalidArgument(
                    f"{name} is for gymnasium.make_vec; if the environment takes {name}, say "
                    f"env_kwargs={{{name!r}: ...}}"
                )
        self._place = _Place(server, base_url, env_id, env_kwargs, "lanes", others)
        self._place.attend(self)
        try:
            super().__init__(self._place.url, **self._place.options)
        except BaseException as error:  # Ctrl-C, too: nobody else could release the server
            self.close()
            _hide(error)
            raise

    def close(self) -> None:
        """End the session, and the use of an embedded server; may be called twice."""
        super().close()
        if hasattr(self, "_place"):
            self._place.release()


class RegisteredVectorEnv(_Specified, OpenEnvVectorEnv):
    """Lanes of a server that runs already, or of one that is started for them.

    Args:
        num_envs: how many lanes.
        server: as for :class:`RegisteredGym`, like all that is not here.
        base_url: of a server that runs already.
        env_id: what is served.
        env_kwargs: arguments of the environment's constructor.
        vectorization: ``lanes``, equal to ``SyncVectorEnv``, or ``native``: the id's own vector
            environment, with its own arrays and infos.
        workers: processes of the server that is started, among which the lanes are spread.
        **others: all further arguments of :class:`OpenEnvVectorEnv`, or the environment's.

    Raises:
        InvalidArgument: if an argument cannot be meant so, or its name looks misspelt.
        FactoryFailed: if the environment cannot be built.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        server: str,
        base_url: str | None = None,
        env_id: Any = None,
        env_kwargs: Mapping[str, Any] | None = None,
        vectorization: str = "lanes",
        **others: Any,
    ) -> None:
        self._place = _Place(server, base_url, env_id, env_kwargs, vectorization, others)
        self._place.attend(self)
        try:
            # A connection to each worker: a batch is stepped by all of them at once.
            urls = [self._place.url] * min(self._place.workers, num_envs)
            super().__init__(urls if len(urls) > 1 else self._place.url, num_envs, **self._place.options)
            if vectorization == "native" and not self._vector:
                raise InvalidArgument(
                    f"the server at {self._place.url} serves lanes, and vectorization='native' is its "
                    "operator's to choose: openenv-gym serve ID --vectorization native"
                )
        except BaseException as error:  # Ctrl-C, too: nobody else could release the server
            self.close_extras()
            _hide(error)
            raise

    def close_extras(self, **kwargs: Any) -> None:
        """End the session, and the use of an embedded server."""
        super().close_extras(**kwargs)
        if hasattr(self, "_place"):
            self._place.release()


def _hide(error: BaseException) -> None:
    """Raise a ``TypeError`` as another; ``gymnasium.make`` tells it with all arguments, headers too."""
    if isinstance(error, TypeError):
        raise InvalidArgument(str(error)) from error


def _without_secrets(spec: EnvSpec) -> EnvSpec:
    spec = copy.copy(spec)
    spec.kwargs = {name: value for name, value in spec.kwargs.items() if name not in _SECRET}
    for name in ("base_url", "proxy"):
        if isinstance(address := spec.kwargs.get(name), str):
            spec.kwargs[name] = without_user(address)
    return spec
