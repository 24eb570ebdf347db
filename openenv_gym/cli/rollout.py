"""``openenv-gym rollout``: random episodes, and what came out of them."""

from __future__ import annotations

import json
import math
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, pstdev
from typing import Annotated, Any

import gymnasium
import typer
from gymnasium.wrappers import RecordVideo
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from openenv_gym.cli.opening import import_modules, open_env, read_arguments, short_name
from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.envs.stats import Stats
from openenv_gym.errors import CallerError, InvalidArgument, MissingExtra
from openenv_gym.spaces import sample_legal

__all__ = ["Episode", "Rollouts", "play_episodes", "rollout"]

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Episode:
    """What one episode came to."""

    seed: int
    length: int
    total: float
    """The sum of its rewards."""
    ending: str
    """``terminated``, ``truncated``, or ``stopped`` by ``--max-steps``."""


@dataclass(slots=True)
class Rollouts:
    """Episodes, and the time that their steps and resets took."""

    target: str
    seed: int
    episodes: list[Episode] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    environment_seconds: float | None = None
    """What of them the served environment took, where the server says it."""
    interrupted: bool = False

    def facts(self) -> dict[str, Any]:
        """All of it, plain; what is not finite is ``null``."""
        totals = [episode.total for episode in self.episodes]
        lengths = [episode.length for episode in self.episodes]
        episodes = [{**asdict(episode), "total": _finite(episode.total)} for episode in self.episodes]
        for each in episodes:
            each["return"] = each.pop("total")
        endings = [episode.ending for episode in self.episodes]
        return {
            "env": self.target,
            "seed": self.seed,
            "interrupted": self.interrupted,
            "return": _spread(totals),
            "length": _spread(lengths),
            **{name: endings.count(name) for name in ("terminated", "truncated", "stopped")},
            "steps": self.steps,
            "seconds": self.seconds,
            "environment_seconds": self.environment_seconds,
            "steps_per_second": self.steps / self.seconds if self.seconds else None,
            "episodes": episodes,
        }


def rollout(
    target: str = typer.Argument(
        metavar="ID|URL", help="CartPole-v1, openenv/chess, module:Class; or a server's address."
    ),
    episodes: int = typer.Option(10, "--episodes", "-n", metavar="N", min=1, help="How many to play."),
    seed: int | None = typer.Option(
        None, metavar="N", min=0, help="Episode i takes N+i, its actions too; else one is drawn."
    ),
    max_steps: int | None = typer.Option(None, metavar="N", min=1, help="Stop each episode after N steps."),
    kwargs: str = typer.Option("{}", "--env-kwargs", metavar="JSON", help="Constructor arguments."),
    video: Path | None = typer.Option(None, metavar="DIR", help="Record each episode there, as MP4."),
    json_: bool = typer.Option(False, "--json", metavar="", help="Print one JSON document."),
    hints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A hint file; openenv-gym inspect URL writes one.")
    ] = None,
    plugins: list[str] = typer.Option(
        [], "--import", metavar="MODULE", help="Imported first, for it registers ids. Repeatable."
    ),
) -> None:
    """Play random episodes, of legal actions where an action mask names them, and sum them up.

    Ctrl-C stops and sums up what was played so far.
    """
    arguments = read_arguments("--env-kwargs", kwargs)
    import_modules(plugins)
    if video is not None and find_spec("moviepy") is None:
        raise MissingExtra("--video needs moviepy: pip install moviepy", extra="moviepy")
    env = _open(target, arguments, video, hints)
    rollouts = Rollouts(target, secrets.randbelow(1 << 31) if seed is None else seed)
    try:
        _play_all(env, rollouts, episodes, max_steps)
    except KeyboardInterrupt:
        rollouts.interrupted = True
    except Exception:  # whatever it is, what was played so far is shown first
        if rollouts.episodes and not json_:
            _show(rollouts, seed, video)
        raise
    finally:
        env.close()
    rollouts.environment_seconds = _stats(env).environment_seconds
    if json_:
        typer.echo(json.dumps(rollouts.facts(), indent=2, allow_nan=False))
    else:
        _show(rollouts, seed, video)
    if rollouts.interrupted:
        raise typer.Exit(_INTERRUPTED)


def play_episodes(
    env: gymnasium.Env[Any, Any],
    rollouts: Rollouts,
    count: int,
    max_steps: int | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Episode]:
    """Play and note random episodes, one at a time.

    Args:
        env: to play.
        rollouts: where they are noted; its ``seed`` is the first episode's.
        count: how many.
        max_steps: after which an episode is stopped.
        clock: seconds, from any beginning.
    """
    for seed in range(rollouts.seed, rollouts.seed + count):
        env.action_space.seed(seed)
        started = clock()
        _, info = env.reset(seed=seed)
        rollouts.seconds += clock() - started
        total, length, ending = 0.0, 0, "stopped"
        while length != max_steps:
            action = sample_legal(env.action_space, info)
            started = clock()
            _, reward, terminated, truncated, info = env.step(action)
            rollouts.seconds += clock() - started
            rollouts.steps += 1
            length, total = length + 1, total + float(reward)
            if terminated or truncated:
                ending = "terminated" if terminated else "truncated"
                break
        episode = Episode(seed, length, total, ending)
        rollouts.episodes.append(episode)
        yield episode


def _open(
    target: str, arguments: dict[str, Any], video: Path | None, hints: Path | None
) -> gymnasium.Env[Any, Any]:
    if video is None:
        return open_env(target, render_mode=None, arguments=arguments, hints=hints)
    try:
        env = open_env(target, render_mode="rgb_array", arguments=arguments, hints=hints)
    except MissingExtra:
        raise
    except CallerError as error:
        raise InvalidArgument(f"no video can be recorded: {error.message}; leave out --video") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the folder exists; other videos there stay
            return RecordVideo(
                env,
                str(video),
                episode_trigger=lambda _: True,
                name_prefix=_file_name(target),
                disable_logger=True,
            )
    except OSError as error:
        env.close()
        raise InvalidArgument(
            f"videos cannot be written to {video}: {error.strerror}; name another folder: --video DIR"
        ) from error


def _stats(env: gymnasium.Env[Any, Any]) -> Stats:
    face = env.unwrapped
    assert isinstance(face, OpenEnvGym)
    return face.stats


def _file_name(target: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in short_name(target))


def _play_all(env: gymnasium.Env[Any, Any], rollouts: Rollouts, count: int, max_steps: int | None) -> None:
    """Play the episodes behind a progress bar, if somebody is there to see it."""
    progress = Progress(
        TextColumn(short_name(rollouts.target)),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}", style="dim"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with progress:
        task = progress.add_task("", total=count, said="")
        for episode in play_episodes(env, rollouts, count, max_steps):
            progress.update(task, advance=1, said=f"return {episode.total:g}")


def _show(rollouts: Rollouts, asked: int | None, video: Path | None) -> None:
    console, facts = Console(highlight=False), rollouts.facts()
    count = len(rollouts.episodes)
    console.print(
        Text.assemble("\n", (rollouts.target, "bold"), f": {count} random episode{'' if count == 1 else 's'}")
    )
    if count:
        console.print(_table(facts))
    grid = Table.grid(padding=(0, 2))
    for name, said in _lines(rollouts, facts, asked, video):
        grid.add_row(Text(f"  {name}", style="dim"), Text(said))
    console.print(grid)
    if rollouts.interrupted:
        console.print(Text("  Ctrl-C: the episode that was being played does not count.", style="yellow"))


def _table(facts: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    columns = ("mean", "std", "min", "max")
    table.add_column("", min_width=8)
    for column in columns:
        table.add_column(column, justify="right", min_width=10)
    for name in ("return", "length"):
        spread = facts[name]
        table.add_row(Text(f"  {name}", style="bold"), *[_number(spread[column]) for column in columns])
    return table


def _lines(
    rollouts: Rollouts, facts: dict[str, Any], asked: int | None, video: Path | None
) -> Iterator[tuple[str, str]]:
    endings = [f"{facts[name]} {name}" for name in ("terminated", "truncated", "stopped") if facts[name]]
    if endings:
        yield "ended", ", ".join(endings)
    if rollouts.steps:
        yield (
            "steps",
            f"{rollouts.steps:,} in {rollouts.seconds:.2f} s: {facts['steps_per_second']:,.0f} a second",
        )
        each = 1e6 * rollouts.seconds / rollouts.steps
        frame = "" if video is None else ", and its frame"
        yield "a step", f"{each:,.0f} µs, the way to the server and back included{frame}"
        if rollouts.environment_seconds is not None:
            own = 1e6 * rollouts.environment_seconds / rollouts.steps
            yield "", f"{own:,.0f} µs of it in the environment, resets included"
    yield (
        "seed",
        f"{rollouts.seed}"
        if asked is not None
        else f"{rollouts.seed} (--seed {rollouts.seed} plays the same again)",
    )
    if video is not None:
        yield "videos", str(video)


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.2f}"


def _spread(values: Sequence[float]) -> dict[str, float | None] | None:
    if not values:
        return None
    if not all(map(math.isfinite, values)):
        return dict.fromkeys(("mean", "std", "min", "max"))
    return {"mean": fmean(values), "std": pstdev(values), "min": min(values), "max": max(values)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
