"""``openenv-gym serve ID``: an environment behind a port until Ctrl-C."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
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
    max_sessions: int | None = typer.Option(None, help="Sessions at the same time."),
    max_message_bytes: int = typer.Option(16 * 2**20, help="The largest message, or HTTP body."),
    max_json_depth: int = typer.Option(64, help="How deep JSON may be nested."),
    idle_timeout: float = typer.Option(900.0, help="Seconds after which an idle HTTP session ends."),
    step_timeout: float | None = typer.Option(None, help="Seconds that a reset or step may take."),
    isolation: str = typer.Option("thread", help="thread, or process: each session in a child process."),
    token_file: Path | None = typer.Option(
        None, help="A file that holds the token which clients must show; else OPENENV_TOKEN holds it."
    ),
    allow_anonymous: bool = typer.Option(
        False, "--allow-anonymous", help="Let anyone in who reaches an address that is not loopback."
    ),
    allow_host: list[str] = typer.Option([], help="A name that the Host header may carry; repeatable."),
    allow_origin: list[str] = typer.Option([], help="An origin whose pages may talk to it; repeatable."),
    client_id: list[str] = typer.Option([], help="A further id that clients may ask for; repeatable."),
    client_kwarg: list[str] = typer.Option(
        [], help="A constructor argument that clients may choose; repeatable."
    ),
    plugins: list[str] = typer.Option(
        [], "--import", help="A module that registers ids, imported first: ale_py, my_envs; repeatable."
    ),
    mode: str | None = typer.Option(
        None, help="simulation, or production: no /reset, /step, /state.", envvar="OPENENV_MODE"
    ),
) -> None:
    """Serve an environment as an OpenEnv server until Ctrl-C.

    An address beyond loopback wants a token (OPENENV_TOKEN, --token-file) or --allow-anonymous.
    """
    for name in plugins:
        gymnasium.register_envs(_module(name))
    server = open_server(
        _target(env),
        host=host,
        port=port,
        kwargs=_arguments(kwargs),
        vectorization=vectorization,
        calls=(),
        limits={
            "max_lanes": max_lanes,
            "max_sessions": max_sessions,
            "max_message_bytes": max_message_bytes,
            "max_json_depth": max_json_depth,
            "idle_timeout": idle_timeout,
            "step_timeout": step_timeout,
            "isolation": isolation,
        },
        doors={
            "token": None if token_file is None else _token(token_file),
            "allow_anonymous": allow_anonymous,
            "allowed_hosts": allow_host,
            "allowed_origins": allow_origin,
        },
        client_ids=client_id,
        client_kwargs=client_kwarg,
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
        return getattr(_module(module), name)
    except AttributeError as error:
        raise InvalidArgument(f"{env} cannot be imported: {error}") from error


def _module(name: str) -> ModuleType:
    """A module that the operator names: installed, or in the working directory."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except (ImportError, TypeError, ValueError) as error:
        raise InvalidArgument(f"{name} cannot be imported: {error}") from error


def _token(path: Path) -> str:
    """The token in a file, where ``ps`` does not show it."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"--token-file {path} cannot be read: {type(error).__name__}") from error
