"""The public ``serve_gym``; imports the server, and with it FastAPI and uvicorn, only when called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv_gym.envs.serving import GymServer
    from openenv_gym.server.app import Application

__all__ = ["create_app", "serve_gym"]


def serve_gym(
    env: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    block: bool = True,
    kwargs: Mapping[str, Any] | None = None,
    vectorization: str = "lanes",
    calls: Sequence[str] = (),
    max_lanes: int = 1024,
    max_sessions: int | None = None,
    max_message_bytes: int = 16 * 2**20,
    max_json_depth: int = 64,
    idle_timeout: float = 900.0,
    resume_grace: float = 60.0,
    step_timeout: float | None = None,
    isolation: str = "thread",
    token: str | None = None,
    allow_anonymous: bool = False,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    client_ids: Sequence[str] = (),
    client_kwargs: Sequence[str] = (),
    mode: str | None = None,
    workers: int = 1,
    pin_workers: bool = False,
    worker_timeout: float = 10.0,
) -> GymServer:
    """Serve a Gymnasium, PettingZoo or typed environment as an OpenEnv server.

    One instance is built, reset and stepped some twenty times before the server opens, to read its
    spaces and to learn what a step costs.

    Args:
        env: a Gymnasium id, an ``EnvSpec``, an environment class, or a function that builds one: a
            ``gym.Env``, a ``VectorEnv`` (given ``num_envs``) or a PettingZoo ``AECEnv``; the class of a
            typed environment, whose ``step`` names its models; or what :func:`create_app` gave, which
            has its limits and its mode already.
        host: the address to listen on; loopback unless you say otherwise.
        port: to listen on; 0 takes a free one.
        block: whether to serve until Ctrl-C, or on a thread of its own and return at once.
        kwargs: constructor arguments of the environment.
        vectorization: ``lanes``, one environment a lane, or ``native``, the id's own vector
            environment.
        calls: names of methods and attributes that clients may ask for; of a part, its whole name:
            ``ale.getRAM``. Of an Atari environment, what its wrappers read is offered anyway
            (:mod:`openenv_gym.hosting.atari`).
        max_lanes: of all sessions together.
        max_sessions: at the same time; ``None``: as many as there are lanes.
        max_message_bytes: the largest message, or HTTP body, that a client may send.
        max_json_depth: how deep the lists and objects of a JSON message may be nested.
        idle_timeout: seconds after which a session that is played over HTTP, and that nobody uses, ends.
        resume_grace: seconds for which a session whose connection broke, without a goodbye, keeps its lanes
            and waits for our client to come back; 0 ends it at once. OpenEnv's own JSON cannot come back.
        step_timeout: seconds that a reset or step may take; past it the session is over.
        isolation: ``thread``, or ``process``: each session's environment lives in a child process,
            which is killed when a step passes its deadline.
        token: what a client must show, everywhere but at ``/health``; if not given, what the environment
            variable ``OPENENV_TOKEN`` says. Our clients take it from there, too.
        allow_anonymous: serve an address that is not loopback without a token.
        allowed_hosts: names that the ``Host`` header may carry, beside the server's own address;
            :mod:`openenv_gym.server.doors` has the whole rule.
        allowed_origins: origins whose pages may talk to the server, beside its own.
        client_ids: further Gymnasium ids that a client may ask for, as ``env_id``.
        client_kwargs: names of constructor arguments that a client may choose, in ``env_kwargs``. Its
            choice beats ``kwargs``, which are for ``env`` and not for ``client_ids``.
        mode: ``simulation``, or ``production``, which leaves out the routes that play an episode over
            HTTP; if not given, what ``OPENENV_MODE`` says, else ``simulation``.
        workers: processes that serve, among which connections are spread; with more than one, this
            process only passes connections on. ``env`` is sent to them by cloudpickle; Linux only.
        pin_workers: whether each worker, with all that it starts, keeps to a core of its own. Schedulers
            like to put two that are woken at once on one core; an environment that computes on several
            threads, or processes beside the server that keep cores busy, lose by it.
        worker_timeout: seconds without a sign of life of a worker's event loop, after which it is killed
            and replaced.

    Returns:
        The server, which is stopped if it blocked; use it as a context manager otherwise.

    Raises:
        FactoryFailed: if the environment cannot be built, or fails its first steps.
        InvalidArgument: if ``env`` is none of those, a call is not public, the mode is unknown, the port
            cannot be had, or other machines could come in without a token and ``allow_anonymous`` is
            not set.

    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """
    serving = import_module("openenv_gym.envs.serving")
    server: GymServer = serving.open_server(
        env,
        host=host,
        port=port,
        kwargs=kwargs,
        vectorization=vectorization,
        calls=calls,
        limits={
            "max_lanes": max_lanes,
            "max_sessions": max_sessions,
            "max_message_bytes": max_message_bytes,
            "max_json_depth": max_json_depth,
            "idle_timeout": idle_timeout,
            "resume_grace": resume_grace,
            "step_timeout": step_timeout,
            "isolation": isolation,
        },
        doors={
            "token": token,
            "allow_anonymous": allow_anonymous,
            "allowed_hosts": allowed_hosts,
            "allowed_origins": allowed_origins,
        },
        client_ids=client_ids,
        client_kwargs=client_kwargs,
        mode=mode,
        workers=workers,
        pin_workers=pin_workers,
        patience={"hung": worker_timeout},
    )
    if block:
        server.run()
        return server
    return server.start()


def create_app(
    env: Callable[[], Any],
    action_cls: type[Any],
    observation_cls: type[Any],
    env_name: str | None = None,
    max_concurrent_envs: int | None = None,
    state_cls: type[Any] | None = None,
    *,
    mode: str | None = None,
    reset_observation_cls: type[Any] | None = None,
    gym_env: Any = None,
    calls: Sequence[str] = (),
    client_kwargs: Sequence[str] = (),
    **limits: Any,
) -> Application:
    """An ASGI application that serves a typed environment, in the shape of OpenEnv's own function.

    Run it by any ASGI server, or by ``openenv-gym serve package.module:app``.

    Args:
        env: the environment's class, or a function that builds one: a subclass of
            :class:`openenv_gym.models.Environment` or of upstream's.
        action_cls: the model of its actions.
        observation_cls: the model of its observations.
        env_name: what it is called; by default the name of ``env``.
        max_concurrent_envs: sessions at the same time; 1 unless the environment says
            ``SUPPORTS_CONCURRENT_SESSIONS``.
        state_cls: the model of its state, for ``/schema``.
        mode: ``simulation``, or ``production``, which leaves out the routes that play an episode over
            HTTP; if not given, what ``OPENENV_MODE`` says, else ``simulation``.
        reset_observation_cls: the model of a reset's observation, if that is another.
        gym_env: the same environment for those who want arrays: whatever :func:`serve_gym` takes.
            The native dialect and ``?view=array`` show it, with as many lanes as ``max_lanes`` allows.
        calls: names of methods and attributes of ``gym_env`` that clients may ask for.
        client_kwargs: names of constructor arguments that a client may choose, of both views.
        **limits: any of :class:`openenv_gym.server.limits.Limits`.

    Returns:
        A ``FastAPI`` application, to which further routes may be added.

    Raises:
        InvalidArgument: if ``env`` is no class or function, or does not support so many sessions.
    """
    serving = import_module("openenv_gym.envs.serving")
    application: Application = serving.typed_application(
        env,
        (action_cls, observation_cls, state_cls, reset_observation_cls),
        name=env_name,
        gym_env=gym_env,
        calls=calls,
        client_kwargs=client_kwargs,
        max_sessions=max_concurrent_envs,
        mode=mode,
        limits=limits,
    )
    return application
