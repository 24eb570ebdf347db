"""The public ``serve_gym``; imports the server, and with it FastAPI and uvicorn, only when called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv_gym.envs.serving import GymServer

__all__ = ["serve_gym"]


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
    max_message_bytes: int = 16 * 2**20,
    idle_timeout: float = 900.0,
    mode: str | None = None,
) -> GymServer:
    """Serve a Gymnasium or PettingZoo environment as an OpenEnv server.

    One instance is built, reset and stepped some twenty times before the server opens, to read its
    spaces and to learn what a step costs.

    Args:
        env: a Gymnasium id, an ``EnvSpec``, an environment class, or a function that builds one: a
            ``gym.Env``, a ``VectorEnv`` (given ``num_envs``) or a PettingZoo ``AECEnv``.
        host: the address to listen on; loopback unless you say otherwise.
        port: to listen on; 0 takes a free one.
        block: whether to serve until Ctrl-C, or on a thread of its own and return at once.
        kwargs: constructor arguments of the environment.
        vectorization: ``lanes``, one environment a lane, or ``native``, the id's own vector
            environment.
        calls: names of methods and attributes that clients may ask for.
        max_lanes: of all sessions together.
        max_message_bytes: the largest message that a client may send over a WebSocket.
        idle_timeout: seconds after which a session that is played over HTTP, and that nobody uses, ends.
        mode: ``simulation``, or ``production``, which leaves out the routes that play an episode over
            HTTP; if not given, what ``OPENENV_MODE`` says, else ``simulation``.

    Returns:
        The server, which is stopped if it blocked; use it as a context manager otherwise.

    Raises:
        FactoryFailed: if the environment cannot be built, or fails its first steps.
        InvalidArgument: if ``env`` is none of those, the mode is unknown, or the port cannot be had.

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
        max_lanes=max_lanes,
        max_message_bytes=max_message_bytes,
        idle_timeout=idle_timeout,
        mode=mode,
    )
    if block:
        server.run()
        return server
    return server.start()
