"""Every client and check of the stock package at our servers, of lifted and of typed environments."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from openenv_gym import create_app, serve_gym
from openenv_gym.servers.chess.environment import ChessAction, ChessEnvironment, ChessObservation
from openenv_gym.spaces import to_plain
from tests.envs.worlds import Menagerie
from tests.peers.conftest import SCRIPTS, Twins
from tests.typed import Count, Counted, Counting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first test starts all servers

SEED = 7
NAMES = ("cartpole", "nested", "counting", "chess", "echo")
PLAYERS = ("generic, async", "generic, sync", "typed, async", "typed, sync", "auto")


def lifted(env: gymnasium.Env[Any, Any], steps: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Actions as a stock client sends them, and the rows that they lead to."""
    env.action_space.seed(SEED)
    shown = env.observation_space

    def row(observation: Any, reward: float, done: bool) -> dict[str, Any]:
        return {"observation": {"observation": to_plain(shown, observation)}, "reward": reward, "done": done}

    actions: list[dict[str, Any]] = []
    rows = [row(env.reset(seed=SEED)[0], 0.0, False)]
    while len(actions) < steps and not rows[-1]["done"]:
        action = env.action_space.sample()
        actions.append({"action": to_plain(env.action_space, action)})
        observation, reward, terminated, truncated, _ = env.step(action)
        rows.append(row(observation, float(reward), bool(terminated or truncated)))
    env.close()
    return actions, rows


def counted() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows = [
        {"observation": {"total": total}, "reward": reward, "done": total >= 10}
        for total, reward in ((SEED, None), (SEED + 1, 0.0), (SEED + 3, 1.0))
    ]
    return [{"by": 1}, {"by": 2}], rows


def alone() -> ChessEnvironment:
    """Both seats: an opponent's moves are counted too, but the grader wants one a step."""
    return ChessEnvironment(opponent="none")


def chessboards() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    env = alone()
    seen = [env.reset(seed=SEED)]
    actions: list[dict[str, Any]] = []
    while len(actions) < 12:
        actions.append({"move": seen[-1].legal_moves[-1]})
        seen.append(env.step(ChessAction(**actions[-1])))
    rows = [
        {
            "observation": board.model_dump(exclude={"reward", "done", "metadata"}),
            "reward": board.reward,
            "done": board.done,
        }
        for board in seen
    ]
    return actions, rows


def echoed() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    texts = ["Echo Env environment ready!", "hello", ""]
    seen = [{"echoed_message": text, "message_length": len(text)} for text in texts]
    seen[0]["message_length"] = 0
    rows = [
        {"observation": fields, "reward": reward, "done": False}
        for fields, reward in zip(seen, (0.0, 0.5, 0.0), strict=True)
    ]
    return [{"message": text} for text in texts[1:]], rows


EPISODES: dict[str, Callable[[], tuple[list[dict[str, Any]], list[dict[str, Any]]]]] = {
    "cartpole": lambda: lifted(gymnasium.make("CartPole-v1"), 12),
    "nested": lambda: lifted(Menagerie(), 12),
    "counting": counted,
    "chess": chessboards,
    "echo": echoed,
}


def _served(stack: ExitStack, name: str, mode: str) -> str:
    served: Any = "CartPole-v1"
    if name == "nested":
        served = Menagerie
    elif name == "counting":
        served = create_app(Counting, Count, Counted, max_concurrent_envs=8, mode=mode)
    elif name == "chess":
        served = create_app(alone, ChessAction, ChessObservation, max_concurrent_envs=8, mode=mode)
    return stack.enter_context(serve_gym(served, port=0, block=False, mode=mode)).url


@pytest.fixture(scope="module")
def looked(awake_stock: Path, scaffold: Path, twins: dict[str, Twins]) -> Iterator[dict[str, Any]]:
    """What all of them saw at all servers: one process of the stock interpreter."""
    with ExitStack() as stack:
        plans = {
            name: {
                "url": twins["echo"].ours if name == "echo" else _served(stack, name, "simulation"),
                "production": twins["echo, production"].ours
                if name == "echo"
                else _served(stack, name, "production"),
                "seed": SEED,
                "actions": EPISODES[name]()[0],
                "rewards": [-1e9, 1e9],
            }
            for name in NAMES
        }
        done = subprocess.run(
            [str(awake_stock), str(SCRIPTS / "clients.py"), str(scaffold), json.dumps(plans)],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        yield json.loads(done.stdout)


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("name", NAMES)
def test_an_episode(looked: dict[str, Any], name: str, player: str) -> None:
    actions, rows = EPISODES[name]()
    said = looked[name][player]
    assert said["rows"] == rows
    assert said["state"] == {"episode_id": "mine", "step_count": len(actions)}


@pytest.mark.parametrize("name", NAMES)
def test_a_client_of_tools_finds_none(looked: dict[str, Any], name: str) -> None:
    assert looked[name]["tools"] == []
    assert looked[name]["tools, production"] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_runtime_graders_pass(looked: dict[str, Any], name: str) -> None:
    graded = looked[name]["graders"]
    assert graded.keys() == {
        "runtime.reward_well_formed",
        "runtime.observation_schema",
        "runtime.state_contract",
    }
    assert all(status == "pass" for status, _ in graded.values()), graded


@pytest.mark.parametrize("mode", ["validate", "validate, production"])
@pytest.mark.parametrize("name", NAMES)
def test_the_validator_passes_six_of_six(looked: dict[str, Any], name: str, mode: str) -> None:
    said = looked[name][mode]
    assert said["code"] == 0
    assert said["report"]["passed"]
    assert said["report"]["mode"] == ("production" if "production" in mode else "simulation")
    assert [criterion["passed"] for criterion in said["report"]["criteria"]] == [True] * 6
