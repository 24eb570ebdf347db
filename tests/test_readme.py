"""What the README says is true: its code runs, its drawing is walked, its tables and links hold."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import openenv_gym
from benchmarks import readme
from openenv_gym import OpenEnvGym, errors, serve_gym
from openenv_gym.envs.embedded import close_servers

ROOT = Path(__file__).parents[1]
PACKAGE = Path(openenv_gym.__file__).parent
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def drawing() -> list[list[str]]:
    """The names of the drawing, ``file.py: function``, between one wavy line and the next."""
    (drawn,) = (block for block in blocks("") if "~~~" in block)
    return [
        re.findall(r"(?<= )[\w/]+\.py: [\w.]+", part)
        for part in re.split(r"^~+.*$", drawn, flags=re.MULTILINE)
    ]


# code -------------------------------------------------------------------------------------------


@pytest.fixture
def address() -> Iterator[str]:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        yield server.url


@pytest.mark.parametrize("code", [block for block in blocks("python") if "openenv.core" not in block])
def test_python_runs(code: str, address: str) -> None:
    try:
        exec(compile(code.replace(ADDRESS, address), "README.md", "exec"), {})
    finally:
        close_servers()


@pytest.mark.slow
@pytest.mark.parametrize("code", [block for block in blocks("python") if "openenv.core" in block])
def test_the_stock_clients_python_runs(code: str, address: str, awake_stock: Path) -> None:
    assert ADDRESS in code
    code += "\nassert result.done\n"
    command = [str(awake_stock), "-c", code.replace(ADDRESS, address)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)(?=`|    #)", README)) <= targets


# the drawing ------------------------------------------------------------------------------------


def test_each_name_of_the_drawing_is_called_in_that_order_by_one_step() -> None:
    down, inside, back = drawing()
    assert len(down) > 5 and len(inside) > 5 and len(back) > 3
    ours, theirs = record_one_step()
    walk(down + back, ours)
    walk(inside, theirs)


def walk(names: list[str], calls: list[str]) -> None:
    """Find the names among the calls, each behind the one before it."""
    left = iter(calls)
    for name in names:
        assert name in left, f"{name} is not called, or not then; what is called:\n" + "\n".join(calls)


def record_one_step() -> tuple[list[str], list[str]]:
    """What a step calls in the package: on the client's thread and on the server's."""
    calls: dict[int, list[str]] = {}
    recording = False

    def record(frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if recording and event == "call" and path.is_relative_to(PACKAGE):
            name = f"{path.relative_to(PACKAGE)}: {frame.f_code.co_qualname}"
            calls.setdefault(threading.get_ident(), []).append(name)

    before = sys.getprofile()
    threading.setprofile(record)
    try:
        with serve_gym("CartPole-v1", port=0, block=False) as server:
            threading.setprofile(None)
            env = OpenEnvGym(server.url)
            env.reset(seed=42)
            env.step(1)
            sys.setprofile(record)
            recording = True
            env.step(1)
            recording = False
            sys.setprofile(before)
            env.close()
    finally:
        threading.setprofile(None)
        sys.setprofile(before)
    ours = calls.pop(threading.get_ident())
    (theirs,) = calls.values()
    return ours, theirs


# tables, lists and links ------------------------------------------------------------------------


def test_the_layout_lists_the_folders_that_there_are() -> None:
    (listing,) = (block for block in blocks("") if "openenv_gym/wire/ " in block)
    listed = [line.split()[0] for line in listing.splitlines()]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {Path(file).parts for file in files}
    top = {f"{parts[0]}/" for parts in folders if len(parts) > 1 and not parts[0].startswith(".")}
    rooms = {f"openenv_gym/{parts[1]}/" for parts in folders if parts[0] == "openenv_gym" and len(parts) > 2}
    assert sorted(listed) == sorted(top | rooms)


def test_each_error_is_on_the_side_that_the_table_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", README, re.MULTILINE)
    assert [side for side, _ in rows] == [str(side) for side in errors.Side]
    for side, name in rows:
        assert getattr(errors, name).side == side


def test_every_file_and_every_link_exists() -> None:
    files = re.findall(r"`([\w/]+\.py)`", README)
    missing = [file for file in files if not (PACKAGE / file).exists() and not (ROOT / file).exists()]
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    missing += [link for link in links if not (ROOT / link).exists()]
    assert files and links
    assert missing == []


def test_the_figures_are_those_of_the_results() -> None:
    assert readme.main(["--check"]) == 0


def test_figures_come_with_spread_machine_command_and_what_was_missed() -> None:
    trip = {"name": "ours", "placement": "one core", "median": 40.2, "ninety_ninth_percentile": 71.0}
    rate = {
        "median": 19_000.0,
        "low": 18_000.0,
        "high": 20_000.0,
        "first_quartile": 18_050,
        "third_quartile": 19_950,
    }
    target = {"of": "ours", "over": "stock", "at_least": 4.0}
    machine = {
        "cpu": "A CPU", "cores": 2, "load": 0.25, "memory_gigabytes": 4.0, "system": "Linux 6 x86_64",
        "python": "CPython 3.11.7", "packages": {"numpy": "2.4"}, "stock": "openenv==0.10.0", "commit": "abc",
    }  # fmt: skip
    ratio = {"median": 3.9, "low": 3.8, "high": 4.1}
    measured = {
        "name": "ours", "rate": rate, "rates": [19_000.0], "seconds": [1.0], "connections": [3, 4],
        "client_cpu_microseconds": 10.0, "server_cpu_microseconds": 50.0,
    }  # fmt: skip
    case = {
        "title": "One lane", "effort": {"rounds": 7, "round_seconds": 1.0}, "round_trips": [trip],
        "measured": [measured], "unavailable": {"stock": "gone"},
        "verdicts": [{"target": target, "ratio": ratio, "is_met": False}],
    }  # fmt: skip
    run = {
        "question": "What?", "command": "python -m benchmarks.single", "started": "2026-11-21T06:00:00+00:00",
        "machine": machine, "cases": [case],
    }  # fmt: skip
    written = readme.shown(run)
    for said in (
        "A CPU, 2 cores (load 0.2 at the start)",
        "`python -m benchmarks.single`, 2026-11-21, commit `abc`",
        "| ours | 19.0k | 18.0k to 20.0k | 10% | 19%, 95% | 40, 71 |",
        "ours: connections at each worker 3, 4.",
        "| stock | not measured |",
        "ours / stock **3.9** (3.8 to 4.1; target 4, **not met**)",
    ):
        assert said in written


def test_figures_go_between_the_markers_and_nothing_else_changes() -> None:
    text = textwrap.dedent(f"""\
        before
        {readme.BEGIN}
        old
        {readme.END}
        after""")
    assert readme.filled(text, "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="not once each"):
        readme.filled(text + readme.BEGIN, "new")
