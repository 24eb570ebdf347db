"""``openenv-gym serve ID``: an environment behind a port until Ctrl-C."""

from __future__ import annotations

import importlib
import json
import threading
from typing import Any

import typer

from openenv_gym.envs.serving import GymServer, open_server
from openenv_gym.errors import InvalidArgument

__all__ = ["serve"]


def serve(
    env: str = typer.Argument(help="A Gymnasium id (ALE/Pong-v5), module:Class, or module:app."),
    port: int = typer.Option(8000, help="The port; 0 takes a free one."),
    host: str = typer.Option("127.0.0.1", help="The address to listen on."),
    kwargs: str = typer.Option("{}", help="Constructor arguments, a JSON object."),
    vectorization: str = typer.Option("lanes", help="lanes, or native: the id's own vector environment."),
    max_lanes: int = typer.Option(1024, help="Lanes of all sessions together."),
    idle_timeout: float = typer.Option(900.0, help="Seconds after which an idle HTTP session ends."),
    mode: str | None = typer.Option(
        None, help="simulation, or production: no /reset, /step, /state.", envvar="OPENENV_MODE"
    ),
) -> None:
    """Serve an environment as an OpenEnv server until Ctrl-C."""
    server = open_server(
        _target(env),
        host=host,
        port=port,
        kwargs=_arguments(kwargs),
        vectorization=vectorization,
        calls=(),
        limits={"max_lanes": max_lanes, "idle_timeout": idle_timeout},
        mode=mode,
    )
    threading.Thread(target=_announce, args=(server, env), daemon=True).start()
    server.run()


def _announce(server: GymServer, env: str) -> None:
    """Say where the server is once it can be reached; a program may wait for this line."""
    server.started.wait()
    typer.echo(f"{env} is served at {server.url} (Ctrl-C ends it)")


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(
            f"--kwargs is no JSON: {error}; one looks like --kwargs '{{\"continuous\": true}}'"
        ) from error
    if type(arguments) is not dict:
        raise InvalidArgument("--kwargs is a JSON object; one looks like --kwargs '{\"continuous\": true}'")
    return arguments


def _target(env: str) -> Any:
    """An id as it is; ``module:name`` as what is found there, which the operator names at start."""
    module, colon, name = env.partition(":")
    if not colon:
        return env
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InvalidArgument(f"{env} cannot be imported: {error}") from error
