"""Episodes written down, and played again."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, GraphInstance, Tuple
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit

from openenv_gym.errors import InvalidArgument
from openenv_gym.spaces import same_value
from openenv_gym.wrappers import EpisodeLog, LegalActions, SeatOpponent, replay
from openenv_gym.wrappers.records import digest, restored, told
from tests.wrappers.games import ConnectFour
from tests.wrappers.showing import Showing


def lake(**arguments: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("FrozenLake-v1", **arguments)


def log(path: Path, env: gymnasium.Env[Any, Any], seeds: list[int | None], **arguments: Any) -> None:
    """Play an episode for each seed, and write it down."""
    logged = EpisodeLog(env, path, **arguments)
    for seed in seeds:
        logged.reset(seed=seed)
        logged.action_space.seed(seed)
        over = False
        while not over:
            _, _, terminated, truncated, _ = logged.step(logged.action_space.sample())
            over = terminated or truncated
    logged.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("observations", ["digest", "full"])
@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "CartPole-v1", "Taxi-v4", "MountainCarContinuous-v0"])
def test_a_log_is_played_again(env_id: str, observations: str, tmp_path: Path) -> None:
    def make() -> gymnasium.Env[Any, Any]:
        return gymnasium.make(env_id, max_episode_steps=30)

    path = tmp_path / "deep" / "log.jsonl"
    log(path, make(), [1, None, 7], observations=observations)
    written = lines(path)
    assert written[0] == {"event": "open", "format": 1, "env_id": env_id}
    assert [line["seed"] for line in written if line["event"] == "reset"] == [1, None, 7]
    assert all(("observation" in line) == (observations == "full") for line in written[1:])
    again = replay(path, make(), compare=["observation", "reward", "terminated", "truncated", "info"])
    assert again and again.episodes == 3 and again.steps == len(written) - 4
    assert str(again) == f"3 episodes, {again.steps} steps: the same"


def test_it_is_told_where_a_replay_first_differs(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log(path, lake(), [1, 2], observations="full")
    again = replay(path, lake(is_slippery=False))
    assert not again and again.difference is not None
    written = lines(path)[again.difference.line - 1]
    assert again.difference.field == "observation"
    assert (written["episode"], written["step"]) == (again.difference.episode, again.difference.step)
    assert written["observation"] == again.difference.logged != again.difference.replayed
    place = f"observation differs at episode 0, step {written['step']} (line {again.difference.line}): logged"
    assert place in str(again)


def test_a_digest_differs_too_and_so_do_rewards(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log(path, lake(), [1])
    found = replay(path, lake(is_slippery=False)).difference
    assert found is not None and found.field == "observation" and len(found.logged) == 16
    log(tmp_path / "other.jsonl", TimeLimit(ConnectFour(columns=1, wins=2), 9), [1])
    rows = ConnectFour(columns=1, wins=3)
    found = replay(tmp_path / "other.jsonl", rows, compare=["reward", "terminated"]).difference
    assert found is None or found.field == "reward"


def test_a_log_that_began_without_a_seed_says_so(tmp_path: Path) -> None:
    log(tmp_path / "log.jsonl", lake(), [None, None, None])
    again = replay(tmp_path / "log.jsonl", lake())
    assert again or "no reset of the log up to there had a seed" in str(again)


def test_it_replays_within_and_without_other_wrappers(tmp_path: Path) -> None:
    def within(path: Path) -> gymnasium.Env[Any, Any]:
        return LegalActions(SeatOpponent(EpisodeLog(ConnectFour(rows=3), path), turn="current_player"))

    def without(path: Path | None) -> gymnasium.Env[Any, Any]:
        env = LegalActions(SeatOpponent(ConnectFour(rows=3), turn="current_player"))
        return env if path is None else EpisodeLog(RecordEpisodeStatistics(env), path)

    for make in (within, without):
        env = make(tmp_path / f"{make.__name__}.jsonl")
        for seed in (1, 2):
            _, info = env.reset(seed=seed)
            env.action_space.seed(seed)
            over = False
            while not over:
                _, _, over, _, info = env.step(env.action_space.sample(info["action_mask"]))
        env.close()
    assert replay(tmp_path / "within.jsonl", ConnectFour(rows=3)).episodes == 2
    assert replay(tmp_path / "within.jsonl", ConnectFour(rows=3))
    assert replay(tmp_path / "without.jsonl", without(None))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        float("nan"),
        -np.inf,
        "text",
        b"bytes",
        [1, (2, "x")],
        {"a": {"b": [1]}},
        {1: "number", "tuple": "a tag"},
        {"array": [1], "dtype": "<f4", "shape": [1]},
        np.array([0.1, -0.0, 3], np.float32),
        np.array([np.nan, np.inf]),
        np.arange(500, dtype=np.int64).reshape(20, 25),
        np.zeros((0, 3), np.uint8),
        np.array(5, np.int8),
        np.array([1 + 2j], np.complex64),
        np.array(["ab", "c"]),
        np.array([0.1], np.longdouble),
        np.array([1, 2], ">i4"),
        np.array([True, False]),
    ],
)
def test_values_are_restored_from_json(value: Any) -> None:
    said = json.loads(json.dumps(told(value), allow_nan=False))
    again = restored(said)
    assert type(again) is type(value) and repr(again) == repr(value)
    assert getattr(again, "dtype", None) == getattr(value, "dtype", None)


def test_numbers_of_numpy_are_pythons_and_others_are_named() -> None:
    assert told({"n": np.int64(3), "x": np.float32(0.5), "b": np.bool_(True)}) == {
        "n": 3,
        "x": 0.5,
        "b": True,
    }
    assert type(told(np.bool_(True))) is bool
    assert told(np.array([None, 1], object)) == [None, 1]
    assert told(object()) == {"repr": "object"}
    with pytest.raises(InvalidArgument, match="does not hold a object, only that there was one"):
        restored({"repr": "object"})


def test_a_graph_is_restored() -> None:
    graph = Graph(Box(0, 1, (2,)), Discrete(3), seed=1).sample(num_nodes=3, num_edges=2)
    again = restored(json.loads(json.dumps(told(graph))))
    assert isinstance(again, GraphInstance) and same_value(tuple(again), tuple(graph))


@pytest.mark.parametrize(
    "damaged",
    [
        {"array": "AAAA", "dtype": "<f8", "shape": [1]},
        {"array": "no base64", "dtype": "|u1", "shape": [1]},
        {"array": [1], "dtype": "|O", "shape": [1]},
        {"array": [1], "dtype": "nothing", "shape": [1]},
        {"array": [1, 2], "dtype": "<i4", "shape": [3]},
        {"float": "much"},
        {"graph": [1]},
    ],
)
def test_a_damaged_value_is_refused(damaged: Any) -> None:
    with pytest.raises(InvalidArgument, match="the log is damaged"):
        restored(damaged)


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest(told({"a": 1, "b": 2})) == digest(told({"b": 2, "a": 1}))
    assert digest(told(np.float32(0))) != digest(told(np.array(0, np.float32)))


def test_actions_of_any_space_are_played_again_as_they_were(tmp_path: Path) -> None:
    space = Dict(go=Discrete(4), at=Tuple([Box(-1, 1, (2,), np.float32), Discrete(9)]))
    env = EpisodeLog(Showing(Discrete(2), 0, space), tmp_path / "log.jsonl")
    env.reset(options={"level": (1, np.array([2.0]))})
    space.seed(3)
    actions = [space.sample() for _ in range(4)]
    for action in actions:
        env.step(action)
    env.close()
    other = Showing(Discrete(2), 0, space)
    assert replay(tmp_path / "log.jsonl", other)
    for one, two in zip(actions, other.taken, strict=True):
        assert same_value(one["at"][0], two["at"][0]) and one["go"] == two["go"] and two in space


def test_what_a_killed_writer_left_is_read_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    program = (
        "import os, sys, gymnasium\n"
        "from openenv_gym.wrappers import EpisodeLog\n"
        "env = EpisodeLog(gymnasium.make('FrozenLake-v1', is_slippery=False), sys.argv[1])\n"
        "env.reset(seed=1)\n"
        "for action in (2, 1): env.step(action)\n"
        "env.reset()\n"
        "env.step(2)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False, env={**os.environ})
    assert [line["event"] for line in lines(path)] == ["open", "reset", "step", "step", "reset"]
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert replay(path, lake(is_slippery=False)).steps == 2
    log(path, lake(is_slippery=False), [5])
    again = replay(path, lake(is_slippery=False))
    assert again and again.episodes == 2


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    opened = '{"event":"open","format":1,"env_id":null}\n'
    cases = {
        opened + "broken\n" + opened.replace("open", "reset"): "line 2 of .* is damaged; remove it",
        '{"event":"step"}\n': "line 1 of .* is none of a log",
        "{}\n": "line 1 of .* is none of a log",
        '{"event":[]}\n': "line 1 of .* is none of a log",
        opened.replace("1", "2"): "has format 2, and this reads 1",
    }
    for text, why in cases.items():
        path.write_text(text)
        with pytest.raises(InvalidArgument, match=why):
            replay(path, lake())
    with pytest.raises(InvalidArgument, match="not 'rewards'"):
        replay(path, lake(), compare=["rewards"])
    with pytest.raises(InvalidArgument, match="'digest' or 'full'"):
        EpisodeLog(lake(), path, observations="none")  # type: ignore[arg-type]


def test_lines_reach_the_file_when_an_episode_is_over_or_begins(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    env = EpisodeLog(TimeLimit(ConnectFour(), 2), path)
    env.reset()
    env.step(0)
    assert len(lines(path)) == 2
    env.step(1)
    assert len(lines(path)) == 4
    env.close()
    env.close()


def test_a_copy_writes_behind_what_there_is(tmp_path: Path) -> None:
    env = EpisodeLog(ConnectFour(), tmp_path / "log.jsonl")
    env.reset()
    env.step(0)
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    env.close()
    for each in copies:
        each.reset()
        each.close()
    events = [line["event"] for line in lines(tmp_path / "log.jsonl")]
    assert events == ["open", "reset", "step", "open", "reset", "open", "reset"]
