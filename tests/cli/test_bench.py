"""``openenv-gym bench``: what it times, what it says of it, and how it ends."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.cli import main
from openenv_gym.cli.bench import Bound, bound_of, verdict
from openenv_gym.cli.timing import ManyLanes, OneLane, Timed, time_steps
from openenv_gym.envs.embedded import close_servers
from tests.cli.refusals import assert_ends_in_one_line
from tests.cli.terminal import COLUMNS, COMMAND, Terminal, screen
from tests.cli.worlds import Doors

FOUR = 4


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym("CartPole-v1", port=0, block=False, max_lanes=FOUR) as server:
        yield server.url


@pytest.fixture
def ended_servers() -> Iterator[None]:
    """Embedded servers end at once, and not some seconds after their last user."""
    yield
    close_servers()


def timed(**others: Any) -> Timed:
    facts = {
        "lanes": 8, "steps": 100, "seconds": 10.0, "median": 0.1, "ninety_ninth": 0.2, "server_seconds": 8.5,
        "environment_seconds": 7.0, "cpu_seconds": 3.0, "bytes": 80_000,
    }  # fmt: skip
    return Timed(**{**facts, **others})


def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints, in this process."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setattr(sys, "argv", ["openenv-gym", "bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_time_is_that_of_steps_and_resets_and_latency_of_steps_alone(url: str) -> None:
    env = OpenEnvGym(url)
    clock = itertools.count().__next__
    run = time_steps(OneLane(env), 200, clock=clock, cpu_clock=itertools.count(0, 0.5).__next__)
    resets = env.stats.resets - 1
    env.close()
    assert run.lanes == 1 and run.median == run.ninety_ninth == 1
    assert 0 < resets < run.steps and run.steps <= run.seconds <= run.steps + resets
    assert run.cpu_seconds == 0.5 * run.steps


def test_a_step_is_taken_even_in_no_time(url: str) -> None:
    env = OpenEnvVectorEnv(url, num_envs=3)
    run = time_steps(ManyLanes(env), 0.0)
    env.close()
    assert (run.lanes, run.steps) == (3, 1) and run.bytes > 3 * 4 * 4
    assert run.environment_seconds is not None


def test_masked_actions_are_not_played_in_any_lane() -> None:
    with serve_gym(Doors, port=0, block=False) as server:
        env = OpenEnvVectorEnv(server.url, num_envs=2)
        player = ManyLanes(env)
        player.begin()
        assert np.array_equal(player.draw(), [0, 0])
        player.step(player.draw())
        assert np.array_equal(player.draw(), [1, 1])
        time_steps(player, 0.05)
        env.close()


def test_shares_add_up() -> None:
    run = timed()
    assert (run.rate, run.environment_share, run.cpu_share, run.bytes_per_step) == (80.0, 0.7, 0.3, 100.0)
    assert run.client_share == run.bridge_share == pytest.approx(0.15)
    assert timed(environment_seconds=None).bridge_share is None


@pytest.mark.parametrize(
    ("facts", "bound", "said"),
    [
        ({}, Bound.ENVIRONMENT, "With 8 lanes at a time, the environment takes 70% of the time"),
        ({}, Bound.ENVIRONMENT, "gain 1.4 times at the very most"),
        ({"environment_seconds": 1.0}, Bound.BRIDGE, "takes 75% of the time"),
        ({"environment_seconds": 1.0, "bytes": 1 << 30}, Bound.BRIDGE, "so do smaller observations"),
        ({"environment_seconds": 1.0, "server_seconds": 4.0}, Bound.CLIENT, "it takes 60% of the time"),
        ({"environment_seconds": None}, Bound.UNKNOWN, "its dialect is JSON"),
    ],
)
def test_the_verdict_names_what_takes_most_of_the_time(
    facts: dict[str, Any], bound: Bound, said: str
) -> None:
    run = timed(**facts)
    assert bound_of(run) is bound and said in verdict([run])


def test_the_verdict_is_on_the_fastest() -> None:
    slow, fast = timed(lanes=1), timed(lanes=64, environment_seconds=1.0)
    assert "With 64 lanes" in verdict([slow, fast])


def test_a_full_server_is_stepped_with_what_it_grants(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = bench(monkeypatch, capsys, url, "--seconds", "0.01", "--lanes", "1,2,64")
    assert max(map(len, printed.splitlines())) <= COLUMNS and "…" not in printed
    for said in ("p99 ms", "of the time", "More lanes were not granted"):
        assert said in printed
    facts = json.loads(bench(monkeypatch, capsys, url, "--seconds", "0.01", "--lanes", "2,64", "--json"))
    assert [run["lanes"] for run in facts["runs"]] == [2, FOUR]
    assert facts["verdict"] and facts["bound"] in list(Bound) and "64" in facts["refused"]


@pytest.mark.usefixtures("ended_servers")
@pytest.mark.parametrize("target", ["CartPole-v1", "tests.cli.worlds:Doors", "openenv/chess"])
def test_what_is_named_is_served_for_it(
    target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (target, "--seconds", "0.01", "--lanes", "1,2", "--json")
    facts = json.loads(bench(monkeypatch, capsys, *arguments))
    assert [run["lanes"] for run in facts["runs"]] == [1, 2] and facts["refused"] is None
    assert all(0 < run["environment_share"] < 1 for run in facts["runs"])


def test_a_server_that_grants_nothing_ends_it(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env = OpenEnvVectorEnv(url, num_envs=FOUR)
    assert_ends_in_one_line(["bench", url], "lanes", monkeypatch, capsys)
    env.close()


@pytest.mark.parametrize("lanes", ["0,1", "many", ""])
def test_numbers_of_lanes_are_numbers(
    lanes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "numbers of at least 1 were expected, like 1,8,64"
    assert_ends_in_one_line(["bench", "CartPole-v1", "--lanes", lanes], said, monkeypatch, capsys)


def test_ctrl_c_sums_up_what_was_timed(url: str) -> None:
    with Terminal([*COMMAND, "bench", url, "--lanes", "1,2", "--seconds", "0.5"]) as terminal:
        terminal.expect("2 lanes")
        terminal.type("\x03")
        assert terminal.end() == 130
        shown = screen(terminal.raw)
    assert "do not count" in shown and "of the time" in shown and "Traceback" not in shown
