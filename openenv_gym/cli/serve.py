"""``openenv-gym serve ID``: an environment behind a port until Ctrl-C."""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from openenv_gym.cli.opening import import_modules, import_target, read_arguments
from openenv_gym.errors import InvalidArgument

if TYPE_CHECKING:
    from openenv_gym.envs.serving import GymServer

__all__ = ["serve"]

_ADDRESS = "Address"
_DOORS = "Who may come in"
_CHOICES = "What clients may choose"
_LIMITS = "Limits"


def serve(
    env: str = typer.Argument(
        metavar="ID", help="CartPole-v1, ALE/Pong-v5, openenv/chess; or module:Class, module:app."
    ),
    kwargs: str = typer.Option(
        "{}", "--env-kwargs", "--kwargs", metavar="JSON", help="Constructor arguments."
    ),
    plugins: list[str] = typer.Option(
        [], "--import", metavar="MODULE", help="Imported first, for it registers ids. Repeatable."
    ),
    vectorization: str = typer.Option(
        "lanes", metavar="HOW", help="lanes, or native: the id's own vector environment."
    ),
    mode: str | None = typer.Option(
        None,
        metavar="MODE",
        help="simulation, or production: no /reset, /step, /state.",
        envvar="OPENENV_MODE",
    ),
    port: int = typer.Option(8000, metavar="N", help="0 takes a free one.", rich_help_panel=_ADDRESS),
    host: str = typer.Option("127.0.0.1", metavar="IP", help="To listen on.", rich_help_panel=_ADDRESS),
    token_file: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="Holds the token that clients must show; else OPENENV_TOKEN is the token.",
        rich_help_panel=_DOORS,
    ),
    allow_anonymous: bool = typer.Option(
        False,
        "--allow-anonymous",
        metavar="",
        help="Let anyone in who reaches an address beyond loopback.",
        rich_help_panel=_DOORS,
    ),
    allow_host: list[str] = typer.Option(
        [], metavar="NAME", help="May stand in the Host header. Repeatable.", rich_help_panel=_DOORS
    ),
    allow_origin: list[str] = typer.Option(
        [], metavar="URL", help="Its pages may talk to the server. Repeatable.", rich_help_panel=_DOORS
    ),
    client_id: list[str] = typer.Option(
        [], metavar="ID", help="A further id that they may ask for. Repeatable.", rich_help_panel=_CHOICES
    ),
    client_kwarg: list[str] = typer.Option(
        [],
        metavar="NAME",
        help="A constructor argument that they may give. Repeatable.",
        rich_help_panel=_CHOICES,
    ),
    max_lanes: int = typer.Option(
        1024, metavar="N", help="Lanes of all sessions together.", rich_help_panel=_LIMITS
    ),
    max_sessions: int | None = typer.Option(
        None, metavar="N", help="Sessions at the same time.", rich_help_panel=_LIMITS
    ),
    max_message_bytes: int = typer.Option(
        16 * 2**20, metavar="N", help="The largest message, or HTTP body.", rich_help_panel=_LIMITS
    ),
    max_json_depth: int = typer.Option(
        64, metavar="N", help="How deep JSON may be nested.", rich_help_panel=_LIMITS
    ),
    idle_timeout: float = typer.Option(
        900.0, metavar="S", help="Seconds until an idle HTTP session ends.", rich_help_panel=_LIMITS
    ),
    resume_grace: float = typer.Option(
        60.0, metavar="S", help="Seconds for which a vanished client may return.", rich_help_panel=_LIMITS
    ),
    step_timeout: float | None = typer.Option(
        None, metavar="S", help="Seconds that a reset or step may take.", rich_help_panel=_LIMITS
    ),
    isolation: str = typer.Option(
        "thread",
        metavar="HOW",
        help="thread, or process: each session in a child process.",
        rich_help_panel=_LIMITS,
    ),
    workers: int = typer.Option(
        1, metavar="N", help="Processes that serve; connections are spread among them."
    ),
    pin_workers: bool = typer.Option(
        False, "--pin-workers", metavar="", help="Keep each worker to a core of its own."
    ),
    worker_timeout: float = typer.Option(
        10.0, metavar="S", help="Seconds after which a silent worker is replaced."
    ),
) -> None:
    """Serve an environment as an OpenEnv server until Ctrl-C.

    An address beyond loopback wants a token (OPENENV_TOKEN, --token-file) or --allow-anonymous.
    """
    import_modules(plugins)
    # Here and not above: no other verb wants FastAPI and uvicorn.
    server: GymServer = import_module("openenv_gym.envs.serving").open_server(
        import_target(env),
        host=host,
        port=port,
        kwargs=read_arguments("--env-kwargs", kwargs),
        vectorization=vectorization,
        calls=(),
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
            "token": None if token_file is None else _token(token_file),
            "allow_anonymous": allow_anonymous,
            "allowed_hosts": allow_host,
            "allowed_origins": allow_origin,
        },
        client_ids=client_id,
        client_kwargs=client_kwarg,
        mode=mode,
        workers=workers,
        pin_workers=pin_workers,
        patience={"hung": worker_timeout},
        target=env if ":" in env else None,
    )
    threading.Thread(target=_announce, args=(server, env), daemon=True).start()
    server.run()


def _announce(server: GymServer, env: str) -> None:
    """Say where the server is once it can be reached; a program may wait for this line."""
    server.started.wait()
    typer.echo(f"{env} is served at {server.url} (Ctrl-C ends it)")


def _token(path: Path) -> str:
    """The token in a file, where ``ps`` does not show it."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"--token-file {path} cannot be read ({type(error).__name__}); it is a file that holds the "
            "token and nothing else"
        ) from error
