"""``serve_gym``: an environment behind a port."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from openenv_gym.envs.worked import sealed_work
from openenv_gym.errors import InvalidArgument
from openenv_gym.hosting.models import Models
from openenv_gym.hosting.shelf import Shelf
from openenv_gym.hosting.source import Source, open_source
from openenv_gym.hosting.typed import is_model, state_of, typed_source
from openenv_gym.models import State
from openenv_gym.server.app import Application, Mode
from openenv_gym.server.doors import Doors
from openenv_gym.server.house import House
from openenv_gym.server.limits import Limits
from openenv_gym.server.listening import WebServer, listen, url_of
from openenv_gym.server.workers.dispatcher import Dispatcher
from openenv_gym.server.workers.patience import Patience

__all__ = ["GymServer", "open_server", "typed_application"]


class GymServer:
    """A running server; a context manager that stops it.

    Attributes:
        url: where it listens, ``http://127.0.0.1:8000``.
    """

    def __init__(self, web: WebServer | Dispatcher, url: str, house: House | None) -> None:
        self._web = web
        self.url = url
        self._house = house

    def __repr__(self) -> str:
        what = "workers" if self._house is None else self._house.source.signature.env_id
        return f"GymServer({what!r}, url={self.url!r})"

    @property
    def house(self) -> House:
        """Its sessions, where they live in this process.

        Raises:
            InvalidArgument: if they live in those of several workers; ask ``/health``, or ``/metrics``.
        """
        if self._house is None:
            raise InvalidArgument("the sessions live in the workers; GET /health and /metrics count them")
        return self._house

    @property
    def worker_pids(self) -> list[int]:
        """The processes that serve, this one if there are no workers."""
        return self._web.pids if isinstance(self._web, Dispatcher) else [os.getpid()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def started(self) -> threading.Event:
        """Set once connections are accepted."""
        return self._web.started

    @property
    def busy(self) -> bool:
        """Whether there are sessions that somebody is connected to."""
        if isinstance(self._web, Dispatcher):
            return self._web.busy
        return self.house.active_sessions > self.house.parked

    @property
    def failure(self) -> BaseException | None:
        """Why workers that were started on a thread of their own have ended, if nobody closed them."""
        return self._web.failure if isinstance(self._web, Dispatcher) else None

    def start(self) -> Self:
        """Serve on a thread of its own, and return once connections are accepted."""
        self._web.start()
        return self

    def run(self) -> None:
        """Serve on this thread until Ctrl-C or :meth:`close`."""
        self._web.run_process()

    def close(self) -> None:
        """End every session and the server; may be called twice."""
        self._web.stop()


def open_server(
    env: Any,
    *,
    host: str,
    port: int,
    kwargs: Mapping[str, Any] | None = None,
    vectorization: str = "lanes",
    calls: Sequence[str] = (),
    limits: Mapping[str, Any] | None = None,
    doors: Mapping[str, Any] | None = None,
    client_ids: Sequence[str] = (),
    client_kwargs: Sequence[str] = (),
    mode: str | None = None,
    workers: int = 1,
    pin_workers: bool = False,
    patience: Mapping[str, Any] | None = None,
    target: str | None = None,
) -> GymServer:
    """Probe the environment, where there are no workers, and take the port; the server does not run yet.

    The arguments are ``serve_gym``'s, but for ``patience``, whose names are those of
    :class:`~openenv_gym.server.workers.patience.Patience`, and ``target``, which is the
    ``module:name`` that workers can import ``env`` by, if there is one.
    """
    checked = _mode(mode)
    _check_types(host, port, kwargs)
    if type(workers) is not int or workers < 1:
        raise InvalidArgument(f"workers is {workers!r:.40}; a whole number of at least 1 was expected")
    cores = _cores(workers) if pin_workers else ()
    entrance = _doors(host, doors or {})
    build = partial(
        _build,
        kwargs=dict(kwargs or {}),
        vectorization=vectorization,
        calls=_names("calls", calls),
        limits=dict(limits or {}),
        entrance=entrance,
        client_ids=_names("client_ids", client_ids),
        client_kwargs=_names("client_kwargs", client_kwargs),
        mode=checked,
    )
    if workers > 1:
        if sys.platform != "linux":
            raise InvalidArgument("several workers need Linux; leave workers out, or run several servers")
        Limits(**(limits or {}))
        waiting = Patience(**(patience or {}))
        work = sealed_work(env, target, build, client_ids)
        listener = listen(host, port)
        web: WebServer | Dispatcher = Dispatcher(work, listener, workers, cores=cores, patience=waiting)
        house = None
    else:
        application = build(env)
        listener = listen(host, port)
        web, house = WebServer(application, listener), application.house
    url = url_of(listener)
    entrance.announce(url)
    return GymServer(web, url, house)


def _build(
    env: Any,
    *,
    kwargs: Mapping[str, Any],
    vectorization: str,
    calls: Sequence[str],
    limits: Mapping[str, Any],
    entrance: Doors,
    client_ids: Sequence[str],
    client_kwargs: Sequence[str],
    mode: Mode,
) -> Application:
    """Probe the environment; in each worker, if there are several."""

    def open_one(env_id: str | None, extra: Mapping[str, Any]) -> Source:
        own = env_id is None
        arguments = {**kwargs, **extra} if own else extra
        return open_source(env if own else env_id, kwargs=arguments, vectorization=vectorization, calls=calls)

    if isinstance(env, Application):
        others = {"kwargs": kwargs, "calls": calls, "client_ids": client_ids, "client_kwargs": client_kwargs}
        _refuse_for_application(limits, {**others, "vectorization": vectorization != "lanes"})
        application = env
    else:
        source = open_one(None, {})
        shelf = Shelf(source, open_one, client_ids, client_kwargs)
        application = _application(source, dict(limits), mode, shelf)
    application.guard(entrance)
    return application


def _doors(host: str, asked: Mapping[str, Any]) -> Doors:
    """The doors that were asked for, with the token of the environment variable if none is given."""
    token = asked.get("token")
    if token is None:
        token = os.environ.get("OPENENV_TOKEN", "").strip() or None
    names = {
        name: _names(name, asked[name]) for name in ("allowed_hosts", "allowed_origins") if name in asked
    }
    return Doors(**{**asked, **names, "host": host, "token": token})


def _cores(workers: int) -> Sequence[int]:
    """A core for each worker, out of those that this process may use."""
    if workers == 1:
        raise InvalidArgument("pin_workers is for several workers; set workers=2 or more, or leave it out")
    if not hasattr(os, "sched_getaffinity"):
        return ()  # refused in a moment, as several workers are
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        raise InvalidArgument(
            f"{workers} workers cannot have a core each: this process may use {len(cores)}; take fewer "
            "workers, or leave pin_workers out"
        )
    return cores[:workers]


def _check_types(host: Any, port: Any, kwargs: Any) -> None:
    """Refuse what Python would refuse later, and without a word of advice."""
    if not isinstance(host, str):
        raise InvalidArgument(f"host is an address to listen on, '127.0.0.1', not {host!r:.40}")
    if not isinstance(port, int):
        raise InvalidArgument(f"port is a whole number, 8000, or 0 for a free one; not {port!r:.40}")
    if not (kwargs is None or isinstance(kwargs, Mapping)):
        raise InvalidArgument(
            f"kwargs are the constructor's arguments by name, {{'continuous': True}}, not {kwargs!r:.40}"
        )


def _names(setting: str, given: Any) -> tuple[str, ...]:
    """Names one by one; a single text would otherwise be taken for its letters."""
    if (
        isinstance(given, str)
        or not isinstance(given, Iterable)
        or not all(isinstance(name, str) for name in given)
    ):
        raise InvalidArgument(f"{setting} is a list of names, not {given!r:.80}")
    return tuple(given)


def _refuse_for_application(limits: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    """Raise for what an application has settled already, and what would be dropped without a word."""
    usual = asdict(Limits())
    spare = [name for name, value in limits.items() if value != usual[name]]
    spare += [name for name, value in others.items() if value]
    if spare:
        raise InvalidArgument(
            f"what create_app gave has its limits already, so {', '.join(spare)} cannot be set here; "
            "limits are arguments of create_app"
        )


def _application(
    source: Source, limits: dict[str, Any], mode: Mode, shelf: Shelf | None = None
) -> Application:
    typed = source.seen_as("typed")
    if typed.signature.views == ("typed",):
        limits["max_sessions"] = _bearable(typed, limits.get("max_sessions"))
    house = House(source, Limits(**limits), shelf)
    return Application(house, mode=mode)


def _bearable(source: Source, max_sessions: Any) -> Any:
    """The sessions that were asked for, if a typed environment bears so many; one, if nobody asked.

    Raises:
        InvalidArgument: if its instances do not say that several may live at once.
    """
    if max_sessions is None:
        return 1
    if max_sessions != 1 and not source.bears_several():
        raise InvalidArgument(
            f"{source.factory_name} does not say SUPPORTS_CONCURRENT_SESSIONS = True, so {max_sessions} "
            "sessions at a time cannot be; leave max_concurrent_envs (max_sessions, --max-sessions) out, or "
            "have its instances share nothing and say so"
        )
    return max_sessions


def typed_application(
    env: Any,
    models: tuple[Any, Any, Any, Any],
    *,
    name: str | None,
    gym_env: Any,
    calls: Sequence[str],
    client_kwargs: Sequence[str],
    max_sessions: int | None,
    mode: str | None,
    limits: dict[str, Any],
) -> Application:
    """What ``create_app`` gives."""
    if not callable(env):
        raise InvalidArgument(
            f"create_app takes an environment's class or a function that builds one, not {env!r:.80}; "
            "an instance cannot be shared by sessions"
        )
    action, observation, state, reset_observation = models
    for model in (action, observation, state, reset_observation):
        if model is not None and not is_model(model):
            raise InvalidArgument(f"create_app takes pydantic models, not {model!r:.80}")
    described = Models(action, observation, state or state_of(env) or State, reset_observation)
    calls, client_kwargs = _names("calls", calls), _names("client_kwargs", client_kwargs)

    def open_one(env_id: str | None, extra: Mapping[str, Any]) -> Source:
        built = partial(env, **extra) if extra else env
        typed = typed_source(built, described, name or str(getattr(env, "__name__", "environment")))
        if gym_env is None:
            return typed
        arrays = open_source(gym_env, kwargs=extra, calls=calls)
        if "typed" not in arrays.signature.views:
            raise InvalidArgument("gym_env is a Gymnasium environment, whose lanes can be played one by one")
        return replace(
            arrays, signature=replace(arrays.signature, env_id=typed.signature.env_id), typed=typed
        )

    source = open_one(None, {})
    shelf = Shelf(source, open_one, (), client_kwargs)
    application = _application(source, {"max_sessions": max_sessions, **limits}, _mode(mode), shelf)
    # Whoever runs it decides where it listens and under which name.
    application.guard(_doors("", {"allow_anonymous": True, "allowed_hosts": ("*",)}))
    return application


def _mode(asked: str | None) -> Mode:
    """The mode that was asked for, or that the environment variable of OpenEnv names."""
    mode = str(os.environ.get("OPENENV_MODE", "simulation") if asked is None else asked).lower()
    if mode == "simulation":
        return "simulation"
    if mode == "production":
        return "production"
    raise InvalidArgument(f"there is no mode {mode!r:.40}; take simulation or production")
