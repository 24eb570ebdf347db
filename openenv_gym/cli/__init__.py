"""The command line, one module a verb."""

from __future__ import annotations

import sys

import typer

from openenv_gym.cli import check, serve
from openenv_gym.errors import OpenEnvGymError
from openenv_gym.version import __version__

__all__ = ["main"]

app = typer.Typer(
    help="Serve Gymnasium environments as OpenEnv servers, and check any OpenEnv server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        typer.echo(f"openenv-gym {__version__}")
        raise typer.Exit


app.command("serve")(serve.serve)
app.command("check")(check.check)


def main() -> None:
    """Run a command; an error that we know ends in one sentence, without a traceback."""
    try:
        app()
    except OpenEnvGymError as error:
        typer.secho(f"openenv-gym: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
