"""``openenv-gym check URL``: the conformance kit on the command line."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from openenv_gym.errors import ConnectFailed, InvalidArgument
from openenv_gym.testing.findings import Finding, Outcome, Report
from openenv_gym.testing.kit import check_server

__all__ = ["check", "read_header"]

_LOOKS = {
    Outcome.PASSED: ("✓", "green"),
    Outcome.FAILED: ("✗", "bold red"),
    Outcome.LACKING: ("○", "yellow"),
    Outcome.SKIPPED: ("·", "bright_black"),
}
_SUBJECTS = {
    "protocol": "Messages and codes",
    "http": "HTTP and MCP",
    "spaces": "Spaces and schemas",
    "episodes": "Episodes",
    "isolation": "Isolation",
    "limits": "Limits",
    "native": "Native dialect",
    "parity": "Parity with the local environment",
}


def check(
    url: str = typer.Argument(metavar="URL", help="Of a running server, http://127.0.0.1:8000."),
    local: str | None = typer.Option(
        None, metavar="ID", help="A Gymnasium id that the server should equal to the bit."
    ),
    timeout: float = typer.Option(10.0, metavar="S", help="Seconds to wait for one answer."),
    deadline: float = typer.Option(120.0, metavar="S", help="Seconds for all checks together."),
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="To send with each request. Repeatable."),
    ] = None,
    json_: bool = typer.Option(False, "--json", metavar="", help="Print one JSON document."),
) -> None:
    """Check a running OpenEnv server: what breaks the protocol, and what its users miss."""
    headers = dict(map(read_header, header or ()))
    try:
        with Console(stderr=True).status("Checking") as status:
            report = check_server(
                url,
                local=local,
                headers=headers,
                timeout=timeout,
                deadline=deadline,
                on_finding=lambda finding: status.update(f"Checked: {finding.check}"),
            )
    except ConnectFailed as error:
        raise ConnectFailed(
            f"{error.message}; is it running, and is the address right? openenv-gym serve ID starts one"
        ) from error
    if json_:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _show(report, Console(highlight=False))
    raise typer.Exit(0 if report.ok else 1)


def read_header(text: str) -> tuple[str, str]:
    """The name and the value in an option.

    Raises:
        InvalidArgument: if they are not both there.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidArgument("--header takes a name and a value: --header 'X-Team: blue'")
    return name.strip(), value.strip()


def _show(report: Report, console: Console) -> None:
    """A table for each subject; a finding that did not pass says why, beneath what was asked."""
    for subject in dict.fromkeys(finding.subject for finding in report.findings):
        of_subject = [finding for finding in report.findings if finding.subject == subject]
        console.print(Text(f"\n{_SUBJECTS.get(subject, subject)}", style="bold"))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column()
        for finding in of_subject:
            table.add_row(*_row(finding))
        console.print(Padding(table, (0, 0, 0, 2)))
    console.print()
    console.print(_summary(report))


def _row(finding: Finding) -> tuple[Text, Text]:
    mark, style = _LOOKS[finding.outcome]
    question = finding.question.replace("``", "").rstrip(".")
    if finding.outcome is Outcome.PASSED:
        return Text(mark, style=style), Text(question)
    cell = Text(question, style=style)
    cell.append(
        f"\n{finding.text} ", style=style if finding.outcome is Outcome.SKIPPED else "not bold default"
    )
    cell.append(f"[{finding.check}]", style="bright_black")
    return Text(mark, style=style), cell


def _summary(report: Report) -> Text:
    line = Text()
    for outcome, count in report.counts.items():
        mark, style = _LOOKS[outcome]
        line.append(f"{mark} {count} {outcome}   ", style=style)
    verdict = "keeps to OpenEnv's protocol" if report.ok else "breaks OpenEnv's protocol"
    line.append(f"\n{report.url} {verdict}", style="bold green" if report.ok else "bold red")
    return line
