"""Play CartPole on a server with the stock client, and print what happened as one JSON object.

Run by the stock interpreter: ``python play.py URL async|sync ACTIONS``, where the actions are
``[[seed, [action, ...]], ...]``. Our own names for what goes in and comes out are in
``tests/peers/test_stock.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from openenv.core import GenericEnvClient
from openenv.core.mcp_client import MCPToolClient

PING_SECONDS = 0.3


def client_of(url: str) -> GenericEnvClient:
    """A client that asks three times a second whether the server is there."""
    return GenericEnvClient(
        base_url=url, websocket_ping_interval_s=PING_SECONDS, websocket_ping_timeout_s=PING_SECONDS
    )


def row(result: Any) -> dict[str, Any]:
    """What a result shows, as plain data."""
    return {"observation": result.observation, "reward": result.reward, "done": result.done}


async def play_async(url: str, episodes: list[Any]) -> dict[str, Any]:
    """Play through the asynchronous client."""
    rows = []
    async with client_of(url) as client:
        for seed, actions in episodes:
            rows.append(row(await client.reset(seed=seed)))
            rows += [row(await client.step({"action": action})) for action in actions]
        state = await client.state()
        connection = client._ws
        await asyncio.sleep(5 * PING_SECONDS)
        refused = ""
        try:
            await client.step({"action": "left"})
        except RuntimeError as error:
            refused = str(error)
        await client.reset(seed=0)
        after = row(await client.step({"action": 1}))
        kept = client._ws is connection
    return {"rows": rows, "state": state, "refused": refused, "after": after, "kept": kept}


def play_sync(url: str, episodes: list[Any]) -> dict[str, Any]:
    """Play through the blocking client."""
    rows = []
    with client_of(url).sync() as client:
        for seed, actions in episodes:
            rows.append(row(client.reset(seed=seed)))
            rows += [row(client.step({"action": action})) for action in actions]
        state = client.state()
        connection = client.async_client._ws
        time.sleep(5 * PING_SECONDS)
        refused = ""
        try:
            client.step({"action": "left"})
        except RuntimeError as error:
            refused = str(error)
        client.reset(seed=0)
        after = row(client.step({"action": 1}))
        kept = client.async_client._ws is connection
    return {"rows": rows, "state": state, "refused": refused, "after": after, "kept": kept}


def be_refused(url: str) -> dict[str, Any]:
    """Ask a full server for a reset."""
    try:
        with GenericEnvClient(base_url=url).sync() as client:
            client.reset()
    except Exception as error:  # which class it is, is the client's affair
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"refused": ""}


class Push:
    """An action, as the client of tools takes it."""

    def __init__(self, action: int) -> None:
        self.action = action

    def model_dump(self) -> dict[str, Any]:
        """Its fields."""
        return {"action": self.action}


async def play_with_tools(url: str, episodes: list[Any]) -> dict[str, Any]:
    """Connect as a client of tools, ask which there are, and play the same session."""
    rows = []

    def note(result: Any) -> None:
        seen = result.observation.observation
        rows.append({"observation": seen, "reward": result.reward, "done": result.done})

    async with MCPToolClient(base_url=url) as client:
        tools = [tool.name for tool in await client.list_tools()]
        for seed, actions in episodes:
            note(await client.reset(seed=seed))
            for action in actions:
                note(await client.step(Push(action)))
        again = [tool.name for tool in await client.list_tools(use_cache=False)]
        state = await client.state()
    return {"tools": tools, "again": again, "rows": rows, "steps": state.step_count}


def main() -> None:
    """Play as told; whatever the client prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    url, how, episodes = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if how == "async":
        said = asyncio.run(play_async(url, episodes))
    elif how == "tools":
        said = asyncio.run(play_with_tools(url, episodes))
    elif how == "sync":
        said = play_sync(url, episodes)
    else:
        said = be_refused(url)
    answers.write(json.dumps(said))
    answers.close()


if __name__ == "__main__":
    main()
