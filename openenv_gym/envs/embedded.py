"""Embedded servers: one process for each thing that is served, shared by those who use it.

The environments and lanes of a process share them, and so do its forked children, whose sessions keep
a server that their parent has released; only the process that started a server can stop it. A server
ends some seconds after its last user has gone, when its process exits, and at once when that is killed.
It listens on loopback and wants a random token, which it is told over an inherited pipe: neither ``ps``
nor a process's environment shows it.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pickle
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import cloudpickle
import gymnasium
from gymnasium.envs.registration import EnvSpec

from openenv_gym.errors import InvalidArgument, MissingExtra, OpenEnvGymError
from openenv_gym.runtimes.process import ServiceProcess

if TYPE_CHECKING:
    from openenv_gym.envs.serving import GymServer

__all__ = ["Lease", "close_servers", "lease_application", "lease_environment"]

_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_PROBE_SECONDS = 1.0
_LIMITS = {"max_lanes": 1 << 20, "max_message_bytes": 1 << 30}
"""A private server need not be protected from its only user; an application has its own."""


class _Server:
    """A server, and how many use it in the process that started it."""

    def __init__(self, sealed: bytes, grace: float) -> None:
        self.pid = os.getpid()
        self.users = 1
        self.token = secrets.token_urlsafe()
        work = pickle.dumps(partial(_open, sealed, self.token))
        self.process = ServiceProcess(work, grace=grace)

    @property
    def foreign(self) -> bool:
        """Whether a parent of this process started it."""
        return os.getpid() != self.pid

    @property
    def released(self) -> bool:
        """Whether it ends by itself, and this process has to reap it."""
        return self.users == 0 and not self.foreign

    def is_usable(self) -> bool:
        """Whether it runs, and will go on."""
        if not self.foreign:
            return self.process.keep()  # asked, for one that was just killed may still be seen
        address = urlsplit(self.process.endpoint)
        try:
            socket.create_connection((address.hostname, address.port), _PROBE_SECONDS).close()
        except OSError:
            return False
        return True


class Lease:
    """The use of an embedded server, until it is released.

    Attributes:
        url: of the server.
        headers: which it wants to see.
    """

    def __init__(self, servers: _Servers, server: _Server) -> None:
        self._servers = servers
        self._server: _Server | None = server
        self._pid = os.getpid()
        self.url = server.process.endpoint
        self.headers = {"Authorization": f"Bearer {server.token}"}

    def release(self) -> None:
        """Use it no more; may be called twice, and does nothing in a forked child."""
        server, self._server = self._server, None
        if server is not None and self._pid == os.getpid():
            self._servers.release(server)


class _Servers:
    """The embedded servers of this process, by what they serve.

    Args:
        grace: seconds for which a server waits for its next user.
    """

    def __init__(self, grace: float = _GRACE_SECONDS) -> None:
        self._grace = grace
        self._servers: dict[bytes, _Server] = {}
        # Of one thread again and again: the collector may release a lease while another is made.
        self._lock = threading.RLock()
        self._watched = False
        self._reaping = False

    def lease(self, sealed: bytes) -> Lease:
        """Use the server of something, which is started if it does not run."""
        with self._lock:
            self._watch()
            server = self._servers.get(sealed)
            if server is not None:
                server.users += 1  # before it is asked, lest the collector releases it meanwhile
                if server.is_usable():
                    return Lease(self, server)
                if not server.foreign:
                    server.process.stop()
            server = self._servers[sealed] = _Server(sealed, self._grace)
            return Lease(self, server)

    def release(self, server: _Server) -> None:
        """One user fewer."""
        with self._lock:
            server.users -= 1
            if server.released:
                server.process.release()
                self._reap_later()

    def close(self) -> None:
        """Stop those that this process started."""
        with self._lock:
            for server in self._servers.values():
                if not server.foreign:
                    server.process.stop()
            self._servers.clear()

    def _reap_later(self) -> None:
        """Have a thread wait for the end of the released servers, or dead ones and their pipes were kept."""
        if self._reaping:
            return
        self._reaping = True
        try:
            threading.Thread(target=self._reap, name="openenv-gym-reaper", daemon=True).start()
        except RuntimeError:  # no thread can be started: this process is about to end
            self._reaping = False

    def _reap(self) -> None:
        while self._reaping:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                for sealed, server in list(self._servers.items()):
                    if server.released and not server.process.alive:
                        server.process.stop()
                        self._servers.pop(sealed, None)
                self._reaping = any(server.released for server in self._servers.values())

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            atexit.register(self.close)
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._reaping = False


_SERVERS = _Servers()


def close_servers() -> None:
    """Stop the embedded servers that this process started, whoever uses them; at exit it is done anyway."""
    _SERVERS.close()


def lease_application(target: str, *, workers: int = 1) -> Lease:
    """A server of an application.

    Args:
        target: of which module, and its name there: ``package.module:app``.
        workers: processes that serve it.
    """
    return _SERVERS.lease(pickle.dumps(partial(_application, target, workers)))


def lease_environment(env: Any, kwargs: Mapping[str, Any], *, vectorization: str, workers: int = 1) -> Lease:
    """A server of an environment.

    Args:
        env: whatever ``serve_gym`` takes, also what cannot be imported: a lambda, a class in
            ``__main__``. What is registered under an id here is what the id means there.
        kwargs: constructor arguments.
        vectorization: ``lanes`` or ``native``.
        workers: processes that serve it.

    Raises:
        InvalidArgument: if it cannot leave this process.
        FactoryFailed: if the server cannot build it.
    """
    spec = None
    if isinstance(env, str):
        module, colon, env = env.rpartition(":")
        if colon:
            importlib.import_module(module)
        spec = gymnasium.registry.get(env)
    try:
        sealed: bytes = cloudpickle.dumps(
            partial(_environment, env, dict(kwargs), vectorization, workers, spec)
        )
    except Exception as error:  # whatever an object of the caller's does when it is pickled
        raise InvalidArgument(
            f"what builds the environment is sent to the embedded server, but cannot be pickled: {error}; "
            "pass an id, a class or a function that holds plain values, or serve it and say base_url=..."
        ) from error
    return _SERVERS.lease(sealed)


def _open(sealed: bytes, token: str) -> GymServer:
    """In the child: the server of what was sealed."""
    env, others = pickle.loads(sealed)()
    # Here and not above: FastAPI and uvicorn are the child's alone.
    serving = importlib.import_module("openenv_gym.envs.serving")
    server: GymServer = serving.open_server(
        env, host="127.0.0.1", port=0, doors={"token": token}, mode="simulation", **others
    )
    return server


def _application(target: str, workers: int) -> tuple[Any, dict[str, Any]]:
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name), {"workers": workers, "target": target}
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("openenv_gym"):
            raise InvalidArgument(f"{target} cannot be imported: {error}") from error
        extra = module.split(".")[-2]
        raise MissingExtra(
            f"{target} needs {error.name}: pip install 'openenv-gym[{extra}]'", extra=extra
        ) from error


def _environment(
    env: Any, kwargs: dict[str, Any], vectorization: str, workers: int, spec: EnvSpec | None
) -> tuple[Any, dict[str, Any]]:
    if spec is not None:
        with suppress(OpenEnvGymError):  # its plug-in registers it first, and would warn of ours
            importlib.import_module("openenv_gym.hosting.source").spec_of(spec.id)
        gymnasium.registry[spec.id] = spec
    return env, {"kwargs": kwargs, "vectorization": vectorization, "workers": workers, "limits": _LIMITS}
