"""Does memory stay flat over two hours' worth of steps? ``python -m benchmarks.soak``.

Two hours at the pace of the stock pair, some 2,800 steps a second, are twenty million steps. They are
taken in fast environments: CartPole as a native vector environment and as lanes, each in a session that
lasts from beginning to end, through a seeded proxy that cuts its connections now and then; and beside them
sessions come and go, every third without a goodbye. After each round, at rest, the processes are looked
at: memory, threads, descriptors. The run fails when one of them has grown, after a first quarter in which
caches fill, or when a server has counted other steps than were asked for.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.children import usage
from benchmarks.machine import Machine
from benchmarks.plot import draw_course
from benchmarks.record import Run
from benchmarks.rig import Rig, action_table
from openenv_gym import Client, OpenEnvVectorEnv
from openenv_gym.wire.messages import Hello
from tests.proxy import Fate, RoughProxy

__all__ = ["Course", "main"]

QUESTION = "Does memory stay flat over two hours' worth of steps?"
ENV_ID = "CartPole-v1"
STOCK_STEPS_PER_SECOND = 2_800
STEPS = 2 * 3600 * STOCK_STEPS_PER_SECOND
ROUNDS = 100
SEED = 20_261_121
VECTOR_LANES, LANES, COMER_LANES = 256, 64, 4
SHARES = {"vector": 0.8, "lanes": 0.15, "comers": 0.05}
"""Of the steps of a round: the native vector environment's, the lanes', and of those that come and go."""
COMER_STEPS = 100
GRACE_SECONDS = 0.5
CUT_BYTES = range(1 << 16, 1 << 19)
"""What a client sends before its connection is cut: some tens to some hundreds of steps."""
TOLERANCE_MEGABYTES = 4.0
"""What the median may grow by from the second quarter to the last; a byte a step would be twenty."""
REST_SECONDS = 20.0
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Course:
    """What one process held, at rest after each round.

    Attributes:
        name: of the process.
        megabytes: resident.
        threads: that it had.
        descriptors: that it had open.
    """

    name: str
    megabytes: list[float]
    threads: list[int]
    descriptors: list[int]

    def look(self, pid: int) -> None:
        """Add what it holds now."""
        held = usage([pid])
        self.megabytes.append(held.megabytes)
        self.threads.append(held.threads)
        self.descriptors.append(len(os.listdir(f"/proc/{pid}/fd")))

    @property
    def growth(self) -> float:
        """Megabytes, from the median of the second quarter to that of the last."""
        before, after = _quarters(self.megabytes)
        return float(statistics.median(after) - statistics.median(before))

    @property
    def is_flat(self) -> bool:
        """Whether nothing has grown."""
        counts = map(_quarters, (self.threads, self.descriptors))
        return self.growth <= TOLERANCE_MEGABYTES and all(
            max(after) <= max(before) for before, after in counts
        )


def _quarters(figures: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The second and the last; at least one figure each."""
    quarter = max(1, len(figures) // 4)
    return figures[quarter : 2 * quarter] or figures[:1], figures[-quarter:]


@dataclass(frozen=True)
class Record(Run):
    """A run without cases.

    Attributes:
        asked: steps that were asked of each server.
        counted: steps that each says it has taken.
        steps: of all, after each round.
        flat: whether all is as it should be.
    """

    seconds: float
    cuts: int
    sessions: int
    asked: dict[str, int]
    counted: dict[str, int]
    steps: list[int]
    growth_megabytes: dict[str, float]
    courses: list[Course]
    flat: bool


class Soak:
    """Two servers, each with a session that lasts, behind proxies that cut.

    Args:
        rig: to open them on.
        seed: of actions, cuts and comings.
    """

    def __init__(self, rig: Rig, seed: int) -> None:
        self._random = random.Random(seed)
        self.pids = {"client": os.getpid()}
        self.asked = {"vector": 0, "lanes": 0}
        self.sessions = 0
        self._urls: dict[str, str] = {}
        self._proxies: list[RoughProxy] = []
        self._envs: dict[str, Any] = {}
        self._actions: dict[str, Iterator[Any]] = {}
        for name, lanes in (("vector", VECTOR_LANES), ("lanes", LANES)):
            self._open(rig, name, lanes)

    def _open(self, rig: Rig, name: str, lanes: int) -> None:
        command = [sys.executable, "-m", "openenv_gym", "serve", ENV_ID, "--port", "0"]
        command += ["--resume-grace", str(GRACE_SECONDS)]
        command += ["--vectorization", "native"] if name == "vector" else []
        url = self._urls[name] = rig.start_server(command)
        self.pids[f"server of {name}"] = rig.server_pids()[-1]
        draw = self._random
        proxy = RoughProxy(url, lambda number: Fate(up=draw.choice(CUT_BYTES), reset=draw.random() < 0.5))
        self._proxies.append(rig.stack.enter_context(proxy))
        envs = self._envs[name] = OpenEnvVectorEnv(proxy.url, lanes)
        rig.stack.callback(envs.close)
        envs.reset(seed=draw.randrange(2**31))
        self._actions[name] = _endless(action_table(2, lanes))

    @property
    def cuts(self) -> int:
        """How many connections were cut so far."""
        return sum(proxy.cuts for proxy in self._proxies)

    def round(self, steps: int) -> None:
        """Take about so many steps in all, and come to rest."""
        for name, lanes in (("vector", VECTOR_LANES), ("lanes", LANES)):
            for _ in range(max(1, round(SHARES[name] * steps / lanes))):
                self._envs[name].step(next(self._actions[name]))
                self.asked[name] += lanes
        for _ in range(max(3, round(SHARES["comers"] * steps / (COMER_LANES * COMER_STEPS)))):
            self._come_and_go()
        self._rest()

    def _come_and_go(self) -> None:
        name = "vector" if self._random.random() < 0.5 else "lanes"
        client = Client.to(self._urls[name], Hello(lanes=COMER_LANES, autoreset="NextStep"))
        client.reset(seeds=self._random.randrange(2**31))
        for _ in range(COMER_STEPS):
            client.step(None, next(self._actions[name])[:COMER_LANES])
        self.asked[name] += COMER_LANES * COMER_STEPS
        self.sessions += 1
        if self.sessions % 3:
            client.close()
        else:
            client.abandon()

    def _rest(self) -> None:
        """Wait until only what lasts is there, and nothing that could be collected."""
        deadline = time.monotonic() + REST_SECONDS
        while any(_health(url)["sessions"] > 1 for url in self._urls.values()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"sessions that are gone are still there after {REST_SECONDS:g} s")
            time.sleep(0.02)
        gc.collect()

    def counted(self) -> dict[str, int]:
        """The steps that each server says it has taken."""
        return {name: _steps_of(url) for name, url in self._urls.items()}


def _endless(table: Any) -> Iterator[Any]:
    while True:
        yield from table


def _health(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/health") as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def _steps_of(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        said = answer.read().decode()
    return sum(map(int, re.findall(r"^openenv_gym_steps_total\S* (\d+)$", said, re.MULTILINE)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print and write; 1 when something has grown, or was counted otherwise than it was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=f"{QUESTION} A run of another size writes nothing unless --output is given.",
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"in all, default {STEPS}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--seed", type=int, default=SEED, help=f"default {SEED}")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default benchmarks/results")
    options = parser.parse_args(arguments)
    if options.steps < 1 or options.rounds < 4:
        parser.error("at least one step and four rounds are wanted")
    console = Console()
    console.print(QUESTION, style="bold")
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        with console.status("") as status:
            record = _soak(options, status.update)
    finally:
        signal.signal(signal.SIGTERM, before)
    _print(console, record)
    usual = (options.steps, options.rounds, options.seed) == (STEPS, ROUNDS, SEED)
    folder = options.output or (RESULTS if usual else None)
    if folder is not None:
        _write(folder, record)
        console.print("\nwrote soak.json and soak.png", style="dim")
    return 0 if record.flat else 1


def _soak(options: argparse.Namespace, say: Callable[[str], object]) -> Record:
    started, machine = datetime.now(UTC).isoformat(timespec="seconds"), Machine.here()
    begun, rig = time.perf_counter(), Rig()
    try:
        soak = Soak(rig, options.seed)
        courses = {name: Course(name, [], [], []) for name in soak.pids}
        steps: list[int] = []
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}, {soak.cuts} cuts")
            soak.round(options.steps // options.rounds)
            steps.append(sum(soak.asked.values()))
            for name, pid in soak.pids.items():
                courses[name].look(pid)
        counted = soak.counted()
        return Record(
            "soak",
            QUESTION,
            _command(options),
            started,
            machine,
            (),
            time.perf_counter() - begun,
            soak.cuts,
            soak.sessions,
            soak.asked,
            counted,
            steps,
            {name: course.growth for name, course in courses.items()},
            list(courses.values()),
            counted == soak.asked and all(course.is_flat for course in courses.values()),
        )
    finally:
        rig.close()


def _command(options: argparse.Namespace) -> str:
    usual = {"steps": STEPS, "rounds": ROUNDS, "seed": SEED}
    said = {name: getattr(options, name) for name in usual}
    words = [f"--{name} {value}" for name, value in said.items() if value != usual[name]]
    return " ".join(["python -m benchmarks.soak", *words])


def _print(console: Console, record: Record) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(["at rest", "MB, first", "last", "growth", "threads", "descriptors", ""]):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for course in record.courses:
        table.add_row(
            course.name,
            f"{course.megabytes[0]:.1f}",
            f"{course.megabytes[-1]:.1f}",
            f"{course.growth:+.2f}",
            f"{course.threads[0]} -> {course.threads[-1]}",
            f"{course.descriptors[0]} -> {course.descriptors[-1]}",
            "flat" if course.is_flat else "GROWN",
        )
    console.print(table)
    console.print(
        f"{record.steps[-1]:,} steps, {record.cuts} cuts, {record.sessions} sessions, {record.seconds:.0f} s"
    )
    if record.counted != record.asked:
        console.print(f"asked for {record.asked} steps, and counted {record.counted}", style="red")


def _write(folder: Path, record: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder)
    ran = f"{record.command}, {record.started[:10]}, {record.machine}"
    across = [steps / 1e6 for steps in record.steps]
    courses = {course.name: course.megabytes for course in record.courses}
    draw_course(folder / "soak.png", QUESTION, ran, ("million steps", across), ("resident MB", courses))


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
