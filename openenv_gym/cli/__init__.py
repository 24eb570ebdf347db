"""The command line, one module a verb."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from openenv_gym.cli import bench, check, inspecting, listing, play, rollout, serve
from openenv_gym.cli.showing import harmless
from openenv_gym.errors import OpenEnvGymError
from openenv_gym.version import __version__

__all__ = ["main"]

_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}

app = typer.Typer(
    help="Serve Gymnasium environments as OpenEnv servers; play and check any OpenEnv server.",
    epilog="For example: openenv-gym play FrozenLake-v1",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _options(
    version: bool = typer.Option(False, "--version", metavar="", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(f"openenv-gym {__version__}")
        raise typer.Exit


app.command("list", short_help="The ids, and what each needs installed.")(listing.list_)
app.command("play", short_help="Step an environment by hand, in the terminal.")(play.play)
app.command("rollout", short_help="Play random episodes and sum them up.")(rollout.rollout)
app.command("bench", short_help="Time steps, and say what bounds them.")(bench.bench)
app.command("serve", short_help="Serve an environment until Ctrl-C.")(serve.serve)
app.command("inspect", short_help="The spaces of any OpenEnv server, and a hint file.")(inspecting.inspect)
app.command("check", short_help="Hold a running server up against OpenEnv's protocol.")(check.check)


def main() -> None:
    """Run a command; an error that we know ends in one sentence, without a traceback."""
    _have_streams()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app(prog_name="openenv-gym")
    except OpenEnvGymError as error:
        _complain(f"openenv-gym: {error}", "red")
        sys.exit(1)


def _have_streams() -> None:
    """Put the null device where a standard stream is closed: what is opened next would take its place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STREAMS["stderr"]:
        continue
    os.close(descriptor)
    for name, number in _STREAMS.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning is for whoever plays, and no line of code is theirs."""
    _complain(f"openenv-gym: {message}", "yellow")


def _complain(said: str, style: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
    # What a server says stands in it: no command to the terminal.
    console.print(Text(harmless(said).plain, style=style))
