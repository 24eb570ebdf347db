"""``openenv-gym rollout``: its episodes, its summary, and how it fails."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from openenv_gym import serve_gym
from openenv_gym.cli.rollout import Rollouts, play_episodes
from tests.cli.terminal import COLUMNS, COMMAND, Terminal, screen
from tests.cli.worlds import Doors


def rollout(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "rollout", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1"},
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym("CartPole-v1", port=0, block=False) as server:
        yield server.url


def played(env: gymnasium.Env[Any, Any], seed: int, count: int, **options: Any) -> Rollouts:
    rollouts = Rollouts("", seed)
    for _ in play_episodes(env, rollouts, count, **options):
        pass
    env.close()
    return rollouts


def test_the_same_seed_plays_the_same_episodes_and_each_has_its_own() -> None:
    first = played(gymnasium.make("CartPole-v1"), 5, 3).episodes
    assert first == played(gymnasium.make("CartPole-v1"), 5, 3).episodes
    assert first[1:] == played(gymnasium.make("CartPole-v1"), 6, 2).episodes


def test_masked_actions_are_not_played() -> None:
    ended = played(Doors(), 0, 4)
    assert [(each.length, each.total, each.ending) for each in ended.episodes] == [(3, 3.0, "terminated")] * 4


def test_time_is_that_of_resets_and_steps() -> None:
    ended = played(Doors(), 0, 2, clock=itertools.count().__next__)
    assert (ended.steps, ended.seconds) == (6, 8.0)


def test_an_episode_may_be_stopped() -> None:
    facts = played(Doors(), 0, 2, max_steps=2).facts()
    assert (facts["stopped"], facts["terminated"], facts["length"]["max"]) == (2, 0, 2)


def test_what_is_not_finite_is_null_in_json() -> None:
    facts = played(Doors(reward=float("nan")), 0, 1).facts()
    assert facts["return"]["mean"] is None and facts["episodes"][0]["return"] is None
    json.dumps(facts, allow_nan=False)


def test_json_on_a_server_is_one_document_and_equals_the_private_server(url: str) -> None:
    arguments = ("-n", "2", "--seed", "3", "--json")
    there, here = rollout(url, *arguments), rollout("CartPole-v1", *arguments)
    assert there.returncode == here.returncode == 0 and there.stderr == here.stderr == ""
    said = json.loads(there.stdout)
    assert said["episodes"] == json.loads(here.stdout)["episodes"]
    assert [each["seed"] for each in said["episodes"]] == [3, 4] and said["terminated"] == 2


def test_the_summary_reads_well_at_80_columns_and_names_its_seed(url: str) -> None:
    ended = rollout(url, "-n", "2", "--max-steps", "5")
    assert ended.returncode == 0, ended.stderr
    for said in ("2 random episodes", "return", "length", "2 stopped", "--seed", "plays the same again"):
        assert said in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= COLUMNS


def test_ctrl_c_sums_up_what_was_played(url: str) -> None:
    with Terminal([*COMMAND, "rollout", url, "-n", "1000000"]) as terminal:
        terminal.expect("return")  # of an episode, beside the bar
        terminal.type("\x03")
        assert terminal.end() == 130
        shown = screen(terminal.raw)
    assert "random episode" in shown and "does not count" in shown and "Traceback" not in shown


@pytest.mark.slow
def test_each_episode_is_recorded(tmp_path: Path) -> None:
    ended = rollout("CartPole-v1", "-n", "2", "--max-steps", "3", "--video", str(tmp_path / "videos"))
    assert ended.returncode == 0, ended.stderr
    names = sorted(path.name for path in (tmp_path / "videos").iterdir())
    assert names == ["CartPole-v1-episode-0.mp4", "CartPole-v1-episode-1.mp4"]


WITHOUT_MOVIEPY = """
import sys
from importlib.machinery import PathFinder

class Hide(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "moviepy" else super().find_spec(name, path, target)

sys.meta_path[:] = [Hide if finder is PathFinder else finder for finder in sys.meta_path]
sys.argv = ["openenv-gym", "rollout", "CartPole-v1", "--video", "videos"]
from openenv_gym.cli import main
main()
"""


def test_without_moviepy_it_says_what_to_install() -> None:
    command = [COMMAND[0], "-c", WITHOUT_MOVIEPY]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and "pip install moviepy" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cartpole-v1"], "was CartPole-v1 or phys2d/CartPole-v1 meant? openenv-gym list"),
        (["tests.cli.worlds:Doors", "--video", "videos"], "leave out --video"),
        (["tests.cli.worlds:Grumpy", "-n", "1"], "not today"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_sentence(arguments: list[str], said: str) -> None:
    ended = rollout(*arguments)
    assert ended.returncode == 1 and said in ended.stderr, ended.stderr
    assert ended.stdout == "" and ended.stderr.startswith("openenv-gym: ")
    assert "Traceback" not in ended.stderr
