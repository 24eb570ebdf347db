"""``openenv-gym inspect URL``: what is inferred of its spaces, as a table and as a hint file."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer
from rich.console import Console

from openenv_gym.cli.check import read_header
from openenv_gym.cli.showing import harmless
from openenv_gym.client.blocking import Client
from openenv_gym.envs.inferring import gathered, inferred
from openenv_gym.envs.known import Spaces
from openenv_gym.envs.options import Options
from openenv_gym.errors import ConnectFailed, InvalidArgument
from openenv_gym.spaces.inference import Inference
from openenv_gym.spaces.inference.conclusions import described

__all__ = ["inspect"]

_WIDTHS = (80, 110)
_EXAMPLES = {
    "Discrete": '{"schema": {"type": "integer", "minimum": 0, "maximum": 6}}',
    "Box(low, high)": '{"schema": {"type": "number", "minimum": -1, "maximum": 1}}',
    "a list of names": '["left", "right"]',
}


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
        inference = _inferred(url, spaces, headers, timeout)
    except ConnectFailed as error:
        raise ConnectFailed(f"{error.message} openenv-gym serve ID starts one", **error.fields) from error
    if output is not None:
        _write(output, inference.to_hints())
    console = Console(highlight=False)
    width = min(max(console.width, _WIDTHS[0]), _WIDTHS[1])
    lines = [*_heading(url, inference), "", inference.table(width), "", *_advice(url, inference, output)]
    for line in "\n".join(lines).splitlines():
        for part in wrap(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ) or [""]:
            console.print(harmless(part), soft_wrap=True)


def _inferred(url: str, spaces: Spaces, headers: dict[str, str] | None, timeout: float) -> Inference:
    """What is concluded, with what stays open, in a session that has ended then."""
    options = Options(dialect="json", headers=headers, wait_timeout=0)
    with Client.to(url, timeout=timeout, **options.connection) as client:
        fetch = options.fetcher(url)
        return inferred(spaces, gathered(client, fetch("/schema"), fetch).evidence)


def _heading(url: str, inference: Inference) -> list[str]:
    name = f"{inference.name} at {url}" if inference.name else url
    lines = [f"{name}, schema {inference.fingerprint}"]
    if inference.tools:
        lines.append("tools: " + ", ".join(str(tool.get("name")) for tool in inference.tools))
    return lines


def _advice(url: str, inference: Inference, output: Path | None) -> list[str]:
    """What it comes to, and what to do next."""
    lines = []
    if not inference.open:
        lines += [
            f"action_space: {described(inference.action_space)}",
            f"observation_space: {described(inference.observation_space)}",
        ]
    if output is None:
        lines.append(f"openenv-gym inspect {url} -o x.hints.json writes this as a hint file.")
    elif inference.open:
        said = f'Wrote {output}. Say in it, under "hints", what is open'
        example = _example(inference)
        lines += [f"{said}, for example", *example] if example else [f"{said}."]
    else:
        lines.append(f'Wrote {output}. OpenEnvGym("{url}", hints="{output}") reads it.')
    return lines


def _example(inference: Inference) -> list[str]:
    """A line of a hint file for each field that is open, where one shows how."""
    wanted = {row.path: row.override for row in inference.fields}
    lines = []
    for path in inference.open:
        for start, text in _EXAMPLES.items():
            if wanted.get(path, "").startswith(start):
                lines.append(f'  "{path}": {text}')
    return lines


def _write(output: Path, hints: dict[str, Any]) -> None:
    try:
        output.write_text(json.dumps(hints, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise InvalidArgument(f"{output} cannot be written: {error}; name another file") from error
