"""Is a served environment the same environment? ``python -m benchmarks.demo``.

Serves real environments, each in a process of its own, wraps them back, and plays the same seeded
rollouts beside the local ones. Every answer is compared to the bit; the first that differs is
shown, and the exit code is 1. The speeds that it prints are a first look: ``make bench`` measures.
"""

from __future__ import annotations

import itertools
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchmarks.children import ChildFailed
from benchmarks.equality import reset_difference, step_difference
from benchmarks.ours import our_server
from benchmarks.rig import Rig
from benchmarks.table import number
from openenv_gym import OpenEnvGym, OpenEnvGymError, OpenEnvVectorEnv
from openenv_gym.spaces import identical

__all__ = ["SUBJECTS", "Effort", "Subject", "main"]

SEED = 42
BATCH = 64
CHUNK = 8
LANES = 7
MODES = ("NextStep", "SameStep", "Disabled")


@dataclass(frozen=True)
class Subject:
    """An environment that is served and compared."""

    env_id: str
    steps: int = 1000
    batch: int = BATCH
    """Lanes of the timed batches."""
    module: str | None = None
    """What must be installed for it,"""
    extra: str = ""
    """and the extra of this package that brings it."""

    def is_installed(self) -> bool:
        """Can it be made here?"""
        return self.module is None or find_spec(self.module) is not None


@dataclass(frozen=True)
class Effort:
    """How long to time, and how much to compare of the lanes."""

    turns: int = 3
    seconds: float = 0.25
    """Of a turn."""
    lane_steps: int = 300


class Pair(NamedTuple):
    """The same environment, or lanes of it, here and there."""

    local: Any
    remote: Any


SUBJECTS = (
    Subject("CartPole-v1"),
    Subject("FrozenLake-v1"),
    Subject("Pendulum-v1"),
    Subject("LunarLander-v3", module="Box2D", extra="box2d"),
    # Sixty-four emulators take ten seconds to start.
    Subject("ALE/Breakout-v5", steps=300, batch=8, module="ale_py", extra="atari"),
)
MODE_SUBJECTS = ("CartPole-v1", "FrozenLake-v1")


class Unequal(Exception):
    """The served environment and the local one gave different answers."""


def main(
    subjects: Sequence[Subject] = SUBJECTS, effort: Effort | None = None, console: Console | None = None
) -> int:
    """Compare, time, print, and return the exit code: 1 when anything differs or cannot be served."""
    console = console or Console(highlight=False)
    with _interruptible():
        try:
            return _run(subjects, effort or Effort(), console)
        except KeyboardInterrupt:
            console.print("stopped; every server that was started is gone", style="yellow")
            return 128 + signal.SIGINT
        except (ChildFailed, OpenEnvGymError) as error:
            console.print(f"failed: {error}", style="red", markup=False)
            return 1


def _run(subjects: Sequence[Subject], effort: Effort, console: Console) -> int:
    started = time.monotonic()
    console.print("Is a served environment the same environment?", style="bold")
    console.print(
        "Each is served by a process of its own and played beside the local one, with the\n"
        "same seed and actions. Spaces and every answer are compared to the bit.\n",
        style="dim",
    )
    installed = [subject for subject in subjects if subject.is_installed()]
    differences = _one_lane(installed, effort, console)
    for subject in subjects:
        if subject not in installed:
            console.print(
                f"{subject.env_id} was left out: {subject.module} is not installed; "
                f"pip install -e '.[{subject.extra}]' brings it",
                style="yellow",
                markup=False,
            )
    differences += _all_modes(effort, console)
    if differences:
        console.print("Not equal. The first difference of each:", style="bold red")
        for difference in differences:
            console.print(f"  {difference}", markup=False)
        return 1
    console.print(
        f"All equal, in {time.monotonic() - started:.0f} s. "
        f'To go on, run "{_program()} serve CartPole-v1" in one terminal, play '
        'OpenEnvGym("http://127.0.0.1:8000") in another, and follow one action through README.md.'
    )
    return 0


def _program() -> str:
    """How to call the command line from here."""
    beside = Path(sys.executable).with_name("openenv-gym")
    below = beside.is_relative_to(Path.cwd()) and beside.exists()
    return str(beside.relative_to(Path.cwd())) if below else "openenv-gym"


# equality ---------------------------------------------------------------------------------------


def _one_lane(subjects: Sequence[Subject], effort: Effort, console: Console) -> list[str]:
    """Print the table of environments; return the differences."""
    table = _table(
        "environment",
        "steps",
        "",
        "local\n1 lane",
        "remote\n1 lane",
        f"remote\n{BATCH} lanes",
        f"SyncVectorEnv\n{BATCH} lanes",
    )
    differences = []
    with _growing(table, console):
        for subject in subjects:
            table.caption = f"playing {subject.env_id} ..."
            with closing(Rig()) as rig:
                url = our_server(subject.env_id)(rig)
                lane = _lane(subject, url, rig)
                try:
                    _play(subject, lane)
                except Unequal as error:
                    differences.append(f"{subject.env_id}: {error}")
                    table.add_row(subject.env_id, "", "[red]NOT EQUAL[/]")
                    continue
                rates = [number(rate) for rate in _rates(lane, _batch(subject, url, rig), effort)]
            star = "" if subject.batch == BATCH else "*"
            rates[2:] = [rate + star for rate in rates[2:]]
            table.add_row(subject.env_id, f"{subject.steps:,}", "[green]equal[/]", *rates)
    starred = "".join(f"; * {batch} lanes" for batch in sorted({each.batch for each in subjects} - {BATCH}))
    console.print(f"steps compared, one by one; then environment steps a second{starred}\n", style="dim")
    return differences


@contextmanager
def _growing(table: Table, console: Console) -> Iterator[None]:
    """Show a table while its rows come, and leave it behind."""
    with Live(table, console=console, refresh_per_second=4, transient=True):
        yield
    table.caption = None
    console.print(table)


def _lane(subject: Subject, url: str, rig: Rig) -> Pair:
    if subject.env_id.startswith("ALE/"):
        _register_atari()
    local = gymnasium.make(subject.env_id)
    rig.stack.callback(local.close)
    remote = OpenEnvGym(url)
    rig.stack.callback(remote.close)
    return Pair(local, remote)


def _batch(subject: Subject, url: str, rig: Rig) -> Pair:
    local = gymnasium.make_vec(subject.env_id, num_envs=subject.batch, vectorization_mode="sync")
    rig.stack.callback(local.close)
    remote = OpenEnvVectorEnv(url, num_envs=subject.batch)
    rig.stack.callback(remote.close)
    return Pair(local, remote)


def _register_atari() -> None:
    import ale_py  # an extra

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # it would greet on standard error
    gymnasium.register_envs(ale_py)


def _play(subject: Subject, lane: Pair) -> None:
    """One seeded rollout on both sides, over as many episodes as it takes.

    Raises:
        Unequal: at the first difference.
    """
    local, remote = lane
    _demand_spaces(local, remote)
    local.action_space.seed(SEED)
    _demand("first reset", reset_difference(local.reset(seed=SEED), remote.reset(seed=SEED)))
    for step in range(1, subject.steps + 1):
        action = local.action_space.sample()
        answer = local.step(action)
        _demand(f"step {step}", step_difference(answer, remote.step(action)))
        if answer[2] or answer[3]:
            # Without a seed: the random numbers of both sides must go on alike.
            _demand(f"reset after step {step}", reset_difference(local.reset(), remote.reset()))


def _all_modes(effort: Effort, console: Console) -> list[str]:
    """Print the table of autoreset modes; return the differences."""
    table = _table(f"{LANES} lanes beside SyncVectorEnv", *MODES)
    differences = []
    with _growing(table, console):
        for env_id in MODE_SUBJECTS:
            table.caption = f"playing {LANES} lanes of {env_id} ..."
            cells = []
            with closing(Rig()) as rig:
                url = our_server(env_id)(rig)
                for mode in MODES:
                    try:
                        _play_lanes(_lanes(env_id, url, mode, rig), mode, effort.lane_steps)
                    except Unequal as error:
                        differences.append(f"{env_id}, {LANES} lanes, {mode}: {error}")
                        cells.append("[red]NOT EQUAL[/]")
                    else:
                        cells.append(f"{effort.lane_steps * LANES:,} [green]equal[/]")
            table.add_row(env_id, *cells)
    console.print()
    return differences


def _lanes(env_id: str, url: str, mode: str, rig: Rig) -> Pair:
    local = SyncVectorEnv([partial(gymnasium.make, env_id)] * LANES, autoreset_mode=AutoresetMode(mode))
    rig.stack.callback(local.close)
    remote = OpenEnvVectorEnv(url, num_envs=LANES, autoreset_mode=mode)
    rig.stack.callback(remote.close)
    return Pair(local, remote)


def _play_lanes(lanes: Pair, mode: str, steps: int) -> None:
    """One seeded rollout of all lanes on both sides, infos included.

    Raises:
        Unequal: at the first difference.
    """
    local, remote = lanes
    _demand_spaces(local, remote)
    local.action_space.seed(SEED)
    _demand("first reset", reset_difference(local.reset(seed=SEED), remote.reset(seed=SEED)))
    for step in range(1, steps + 1):
        actions = local.action_space.sample()
        answer = local.step(actions)
        _demand(f"step {step}", step_difference(answer, remote.step(actions)))
        over = np.logical_or(answer[2], answer[3])
        if mode == "Disabled" and over.any():
            ours, theirs = [env.reset(options={"reset_mask": over}) for env in (local, remote)]
            _demand(f"reset after step {step}", reset_difference(ours, theirs))


def _demand_spaces(local: Any, remote: Any) -> None:
    for name in ("observation_space", "action_space"):
        ours, theirs = getattr(local, name), getattr(remote, name)
        if not identical(ours, theirs):
            raise Unequal(f"{name}: local is {ours}, remote is {theirs}")


def _demand(where: str, difference: str | None) -> None:
    if difference is not None:
        raise Unequal(f"{where}: {difference}")


# speed ------------------------------------------------------------------------------------------


def _rates(lane: Pair, batch: Pair, effort: Effort) -> list[float]:
    """Time the lane here and there, and the batch there and here, in turns.

    What slows the machine then slows them all.
    """
    timed: list[Callable[[float], float]] = [
        partial(_time_lane, lane.local, _actions(lane)),
        partial(_time_lane, lane.remote, _actions(lane)),
        partial(_time_batch, batch.remote, _actions(batch)),
        partial(_time_batch, batch.local, _actions(batch)),
    ]
    for env in (*lane, *batch):
        env.reset(seed=SEED)
    turns = [[rate(effort.seconds) for rate in timed] for _ in range(effort.turns)]
    return [statistics.median(rates) for rates in zip(*turns, strict=True)]


def _actions(pair: Pair) -> Iterator[Any]:
    return itertools.cycle([pair.local.action_space.sample() for _ in range(256)])


def _time_lane(env: Any, actions: Iterator[Any], seconds: float) -> float:
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for action in itertools.islice(actions, CHUNK):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        steps += CHUNK
    return steps / (time.perf_counter() - start)


def _time_batch(envs: Any, actions: Iterator[Any], seconds: float) -> float:
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for each in itertools.islice(actions, CHUNK):
            envs.step(each)
        steps += CHUNK * envs.num_envs
    return steps / (time.perf_counter() - start)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True, vertical="bottom")
    return table


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the first Ctrl-C, or a SIGTERM, stop everything, and no further one disturb the tidying up."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


if __name__ == "__main__":
    sys.exit(main())
