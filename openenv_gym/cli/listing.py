"""``openenv-gym list``: what can be served and played here, and what to install for the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import typer
from rich.columns import Columns
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from openenv_gym.cli.opening import import_modules
from openenv_gym.errors import InvalidArgument, MissingExtra
from openenv_gym.hosting.families import ATARI, FAMILIES, Family, close_ids, family_of, load_plugin, newest

__all__ = ["SERVERS", "Section", "list_", "sections"]

SERVERS = {
    "openenv/chess": ("Chess against random, greedy or yourself", "chess", "openenv-gym[chess]"),
    "openenv/gym": ("Any id below: gym.make('openenv/gym', env_id=...)", None, None),
    "openenv/remote": ("A server that runs already: base_url='http://...'", None, None),
}
"""What the bridge registers: what it is, the module that it needs, and what to install for that."""

_GAMES = "PettingZoo games"
_GAME, _MAKER = "pettingzoo.classic.", ":env"
_GAME_NEEDS = {"chess": "chess", "hanabi": "pyspiel", "rlcard": "rlcard"}
_CARD_GAMES = ("gin_rummy", "leduc_holdem", "texas_holdem")
_FOLDED = 24
_FAMOUS = tuple(
    f"ALE/{game}-v5" for game in ("Breakout", "MsPacman", "Pong", "Qbert", "Seaquest", "SpaceInvaders")
)


@dataclass(frozen=True, slots=True)
class Section:
    """Ids that need the same packages."""

    name: str
    ids: tuple[str, ...]
    installed: bool = True
    install: str | None = None
    """What ``pip install`` takes, if something is missing."""
    draws: bool = True
    """Whether images can be rendered."""

    def facts(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "family": self.name,
            "installed": self.installed,
            "renders_images": self.draws,
            "install": self.install,
            "ids": list(self.ids),
        }


def list_(
    filter_: str = typer.Argument(
        "", metavar="FILTER", help="A part of an id or of a family's name.", show_default=False
    ),
    all_: bool = typer.Option(False, "--all", metavar="", help="Old versions, and all Atari games, too."),
    plugins: list[str] = typer.Option(
        [], "--import", metavar="MODULE", help="Imported first, for it registers ids. Repeatable."
    ),
    json_: bool = typer.Option(False, "--json", metavar="", help="Print one JSON document."),
) -> None:
    """List the ids, and what each needs installed."""
    import_modules(plugins)
    found = sections(filter_, old=all_)
    servers = {name: facts for name, facts in SERVERS.items() if filter_.lower() in name}
    if json_:
        said = [_server_facts(name) for name in servers]
        typer.echo(json.dumps({"servers": said, "families": [each.facts() for each in found]}, indent=2))
        return
    if not found and not servers:
        close = " or ".join(close_ids(filter_))
        raise InvalidArgument(
            f"nothing is called {filter_!r:.80}; {f'was {close} meant? ' if close else ''}"
            "openenv-gym list without a filter shows all families, --import MODULE adds a package's ids"
        )
    _show(servers, found, Console(highlight=False), folded=not (all_ or filter_))


def sections(filter_: str = "", *, old: bool = False) -> list[Section]:
    """The families with the ids that a filter leaves, each in the order in which they are shown.

    Args:
        filter_: a part of an id, or of a family's name.
        old: whether to take versions that a newer one has replaced, too.
    """
    with suppress(MissingExtra):
        load_plugin("ALE/")
    grouped: dict[Family, list[str]] = {family: [] for family in FAMILIES}
    for spec in sorted(gymnasium.registry.values() if old else newest(), key=lambda spec: spec.id.lower()):
        family = family_of(spec)
        # Of an Atari game there are ids for every way to play it; its makers advise the one with a namespace.
        passed_over = not old and family is ATARI and spec.namespace is None
        if family is not None and spec.namespace != "openenv" and not passed_over:
            grouped.setdefault(family, []).append(spec.id)
    if not grouped[ATARI]:
        grouped[ATARI] = list(_FAMOUS)
    found = [_of_family(family, ids) for family, ids in grouped.items()]
    asked = filter_.lower()
    kept = []
    for section in [*found, *_games()]:
        all_of_it = asked in section.name.lower()
        ids = tuple(each for each in section.ids if all_of_it or asked in each.lower())
        if ids:
            kept.append(Section(section.name, ids, section.installed, section.install, section.draws))
    return kept


def _of_family(family: Family, ids: Iterable[str]) -> Section:
    install = family.package if not family.installed else None if family.draws else family.to_draw
    return Section(family.name, tuple(ids), family.installed, install, family.draws)


def _games() -> list[Section]:
    """PettingZoo's turn-based games, by the names of their modules."""
    package = find_spec("pettingzoo")
    if package is None or not package.submodule_search_locations:
        return []
    folder = Path(package.submodule_search_locations[0]) / "classic"
    targets = [f"{_GAME}{path.stem}{_MAKER}" for path in sorted(folder.glob("*_v[0-9]*.py"))]
    ready = tuple(target for target in targets if find_spec(_needed_by(target)) is not None)
    rest = tuple(target for target in targets if target not in ready)
    return [
        Section(_GAMES, ready),
        Section(_GAMES, rest, installed=False, install="pettingzoo[classic]", draws=False),
    ]


def _needed_by(target: str) -> str:
    game = target.rpartition(".")[2]
    return _GAME_NEEDS.get("rlcard" if game.startswith(_CARD_GAMES) else game.split("_v")[0], "pygame")


def _server_facts(name: str) -> dict[str, Any]:
    what, module, package = SERVERS[name]
    installed = module is None or find_spec(module) is not None
    return {"id": name, "what": what, "installed": installed, "install": None if installed else package}


def _show(servers: Iterable[str], found: list[Section], console: Console, *, folded: bool) -> None:
    rows = [_server_facts(name) for name in servers]
    if rows:
        console.print(_heading("OpenEnv servers", all(row["installed"] for row in rows), None))
        table = Table.grid(padding=(0, 2))
        for row in rows:
            needs = "" if row["installed"] else f"; pip install '{row['install']}'"
            table.add_row(row["id"], Text(f"{row['what']}{needs}", style="dim"))
        console.print(Padding(table, (0, 0, 0, 4), expand=False))
    for section in found:
        console.print(_heading(section.name, section.installed, section.install))
        few = folded and len(section.ids) > _FOLDED
        ids = _some(section.ids) if few else section.ids
        style = "" if section.installed else "dim"
        names = [Text(each.removeprefix(_GAME).removesuffix(_MAKER), style=style) for each in ids]
        console.print(Padding(Columns(names, padding=(0, 2), column_first=True), (0, 0, 0, 4), expand=False))
        if few:
            rest = f"and {len(section.ids) - len(ids)} others: openenv-gym list {section.name}"
            console.print(Text(f"    {rest}", style="dim"))
        if section.name == _GAMES and section.installed:
            console.print(Text(f"    openenv-gym serve {ids[0]}", style="dim"))
    console.print()
    console.print(Text("openenv-gym play ID steps one by hand, rollout ID at random.", style="dim"))
    if folded:
        console.print(Text("openenv-gym list --all shows old versions, too.", style="dim"))


def _some(ids: Sequence[str]) -> Sequence[str]:
    """A few of many ids: those that everybody knows, or the first."""
    return [each for each in ids if each in _FAMOUS] or ids[:6]


def _heading(name: str, installed: bool, install: str | None) -> Text:
    line = Text("\n")
    line.append("✓ " if installed else "○ ", style="green" if installed else "yellow")
    line.append(name, style="bold")
    if install is not None:
        line.append(f"  {'to render: ' if installed else ''}pip install '{install}'", style="yellow")
    return line
