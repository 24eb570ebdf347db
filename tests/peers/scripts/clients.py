"""Have every stock client and check look at servers, and print what they saw as one JSON object.

Run by the stock interpreter: ``python clients.py SCAFFOLD PLAN``, the directory that ``openenv init`` made
and ``{"name": {"url": ..., "production": ..., "seed": ..., "actions": [...], "rewards": [low, high]}}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SCAFFOLD = Path(sys.argv[1])
sys.path.insert(0, str(SCAFFOLD.parent))

from echo_env import EchoAction, EchoEnv  # noqa: E402 - after the path
from openenv import AutoEnv  # noqa: E402
from openenv.cli.__main__ import app as command_line  # noqa: E402
from openenv.core import EnvClient, GenericEnvClient  # noqa: E402
from openenv.core.client_types import StepResult  # noqa: E402
from openenv.core.env_server import Action, Observation, State  # noqa: E402
from openenv.core.mcp_client import MCPToolClient  # noqa: E402
from openenv.validation.graders import runtime as graders  # noqa: E402
from openenv.validation.runtime.collector import collect_runtime_evidence  # noqa: E402
from openenv.validation.runtime.contracts import RuntimePlan  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

GRADERS = (graders.RewardWellFormedGrader, graders.ObservationSchemaGrader, graders.StateContractGrader)


class Push(Action):
    """CartPole's."""

    action: int


class Cart(Observation):
    """CartPole's."""

    observation: list[float]


class Move(Action):
    """Of an environment with Dict and Tuple."""

    action: dict[str, Any]


class Scene(Observation):
    """Of an environment with Dict and Tuple."""

    observation: dict[str, Any]


class Count(Action):
    """Counting's."""

    by: int


class Counted(Observation):
    """Counting's."""

    total: int


class ChessMove(Action):
    """A move in UCI."""

    move: str


class Board(Observation):
    """Of chess: the fields of OpenEnv's own chess."""

    fen: str
    legal_moves: list[str]
    is_check: bool
    result: str | None


class Typed(EnvClient[Action, Observation, State]):
    """A client as an author writes it: strict models in, strict models out."""

    models: tuple[type[Action], type[Observation]]

    def _step_payload(self, action: Action) -> dict[str, Any]:
        return action.model_dump(exclude={"metadata"})

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[Observation]:
        seen = self.models[1](**payload["observation"], reward=payload["reward"], done=payload["done"])
        return StepResult(observation=seen, reward=payload["reward"], done=payload["done"])

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State(**payload)


class CartPoleClient(Typed):
    """Plays CartPole."""

    models = (Push, Cart)


class NestedClient(Typed):
    """Plays the one with Dict and Tuple."""

    models = (Move, Scene)


class CountingClient(Typed):
    """Counts."""

    models = (Count, Counted)


class ChessClient(Typed):
    """Plays chess."""

    models = (ChessMove, Board)


CLIENTS: dict[str, tuple[type[EnvClient], type[Action]]] = {
    "cartpole": (CartPoleClient, Push),
    "nested": (NestedClient, Move),
    "counting": (CountingClient, Count),
    "chess": (ChessClient, ChessMove),
    "echo": (EchoEnv, EchoAction),
}


def row(result: StepResult) -> dict[str, Any]:
    """A result as plain data; a model's own fields only."""
    seen = result.observation
    if isinstance(seen, Observation):
        seen = seen.model_dump(exclude={"reward", "done"})
    seen = {name: value for name, value in seen.items() if name != "metadata"}
    return {"observation": seen, "reward": result.reward, "done": result.done}


def said_state(state: Any) -> dict[str, Any]:
    """Episode and count, of a model or a dict."""
    fields = state.model_dump() if isinstance(state, State) else state
    return {"episode_id": fields["episode_id"], "step_count": fields["step_count"]}


async def play(client: EnvClient, plan: dict[str, Any], action: Any = dict) -> dict[str, Any]:
    """An episode, awaited."""
    async with client:
        rows = [row(await client.reset(seed=plan["seed"], episode_id="mine"))]
        rows += [row(await client.step(action(**fields))) for fields in plan["actions"]]
        return {"rows": rows, "state": said_state(await client.state())}


def play_sync(client: EnvClient, plan: dict[str, Any], action: Any = dict) -> dict[str, Any]:
    """The same, blocking."""
    with client.sync() as blocking:
        rows = [row(blocking.reset(seed=plan["seed"], episode_id="mine"))]
        rows += [row(blocking.step(action(**fields))) for fields in plan["actions"]]
        return {"rows": rows, "state": said_state(blocking.state())}


async def tools(url: str) -> list[str]:
    """The names of the tools that a client of tools finds."""
    async with MCPToolClient(base_url=url) as client:
        return [tool.name for tool in await client.list_tools()]


def grade(plan: dict[str, Any]) -> dict[str, Any]:
    """What the graders of a running environment say, of evidence that the validator's collector gathers."""
    contents = {
        "plan_schema_version": "1",
        "reset": {"episode_id": "graded", "seed": plan["seed"]},
        "actions": plan["actions"],
    }
    evidence = collect_runtime_evidence(
        plan["url"], RuntimePlan.model_validate(contents), episode_timeout_s=30.0
    )
    reward = SimpleNamespace(range=tuple(plan["rewards"]))
    subject = SimpleNamespace(runtime_evidence=evidence, manifest=SimpleNamespace(reward=reward))
    results = [grader().run(subject) for grader in GRADERS]
    return {result.check_id: [result.status.value, result.evidence] for result in results}


def validate(url: str) -> dict[str, Any]:
    """What ``openenv validate --url URL --json`` prints, and the code that it exits with."""
    done = CliRunner().invoke(command_line, ["validate", "--url", url, "--json"])
    return {"code": done.exit_code, "report": json.loads(done.stdout)}


def look(name: str, plan: dict[str, Any]) -> dict[str, Any]:
    """All of it."""
    url = plan["url"]
    client, action = CLIENTS[name]
    return {
        "generic, async": asyncio.run(play(GenericEnvClient(base_url=url), plan)),
        "generic, sync": play_sync(GenericEnvClient(base_url=url), plan),
        "typed, async": asyncio.run(play(client(base_url=url), plan, action)),
        "typed, sync": play_sync(client(base_url=url), plan, action),
        "auto": play_sync(AutoEnv.from_env(name, base_url=url, skip_install=True), plan),
        "tools": asyncio.run(tools(url)),
        "tools, production": asyncio.run(tools(plan["production"])),
        "graders": grade(plan),
        "validate": validate(url),
        "validate, production": validate(plan["production"]),
    }


def main() -> None:
    """Look at each; whatever the clients print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    plans: dict[str, Any] = json.loads(sys.argv[2])
    answers.write(json.dumps({name: look(name, plan) for name, plan in plans.items()}))
    answers.close()


if __name__ == "__main__":
    main()
