"""``openenv-gym inspect URL``: the spaces of a server that does not tell them, as a table and as a hint file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from openenv_gym.cli.check import read_header
from openenv_gym.cli.showing import harmless
from openenv_gym.envs.inferring import Spaces
from openenv_gym.envs.remote import Options, inspected
from openenv_gym.errors import ConnectFailed, InvalidArgument
from openenv_gym.spaces.inference import Inference
from openenv_gym.spaces.inference.conclusions import described

__all__ = ["inspect"]

_WIDTHS = (80, 110)


def inspect(
    url: str = typer.Argument(metavar="URL", help="Of a running server, http://127.0.0.1:8000."),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a hint file, x.hints.json.")
    ] = None,
    hints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A hint file to begin with; -o may name it again.")
    ] = None,
    timeout: float = typer.Option(30.0, metavar="S", help="Seconds to wait for one answer."),
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="To send with each request. Repeatable."),
    ] = None,
) -> None:
    """Show what each field of a server's actions and observations is, and what tells it.

    One session is begun and reset for it. What cannot be known is open, and named with the hint that says it.
    """
    headers = dict(map(read_header, header or ())) or None
    if output is not None and output.exists() and output != hints:
        raise InvalidArgument(
            f"{output} is there already; name another file, or go on with it: --hints {output} -o {output}"
        )
    spaces = Spaces(None, None, hints=hints)
    try:
        inference = inspected(url, spaces, Options(headers=headers, timeout=timeout, wait_timeout=0))
    except ConnectFailed as error:
        raise ConnectFailed(
            f"{error.message}; is it running, and is the address right? openenv-gym serve ID starts one"
        ) from error
    console = Console(highlight=False)
    lines = [
        *_heading(url, inference),
        "",
        inference.table(min(max(console.width, _WIDTHS[0]), _WIDTHS[1])),
        "",
    ]
    if output is not None:
        _write(output, inference.to_hints())
    lines += _advice(url, inference, output)
    for line in "\n".join(lines).splitlines():
        console.print(harmless(line), soft_wrap=True)


def _heading(url: str, inference: Inference) -> list[str]:
    name = f"{inference.name} at {url}" if inference.name else url
    lines = [f"{name}, schema {inference.fingerprint}"]
    if inference.tools:
        lines.append("tools: " + ", ".join(str(tool.get("name")) for tool in inference.tools))
    return lines


def _advice(url: str, inference: Inference, output: Path | None) -> list[str]:
    lines = []
    if not inference.open:
        lines += [
            f"action_space: {described(inference.action_space)}",
            f"observation_space: {described(inference.observation_space)}",
        ]
    if output is None:
        lines.append(f"openenv-gym inspect {url} -o x.hints.json writes this as a hint file.")
    elif inference.open:
        path = next(iter(inference.open))
        lines += [
            f'Wrote {output}. Before it can be played, say under its "hints" what is open, for example',
            f'  "{path}": {{"schema": {{"type": "integer", "minimum": 0, "maximum": 6}}}}',
        ]
    else:
        lines.append(f'Wrote {output}. OpenEnvGym("{url}", hints="{output}") reads it.')
    return lines


def _write(output: Path, hints: dict[str, Any]) -> None:
    try:
        output.write_text(json.dumps(hints, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise InvalidArgument(f"{output} cannot be written: {error}; name another file") from error
