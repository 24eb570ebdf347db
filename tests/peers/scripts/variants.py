"""Environments as authors of OpenEnv write them: what was seen in the wild, each odd thing by itself.

Run by the stock interpreter: ``python variants.py``. When all servers listen, one line of JSON says where:
``{"name": url, ...}``. The process ends when its standard input does.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import threading
import time
from enum import StrEnum
from typing import Any, ClassVar
from uuid import uuid4

import uvicorn
from fastmcp import FastMCP
from openenv.core.env_server import Action, Environment, MCPEnvironment, Observation, State, create_app
from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation
from pydantic import Field

SESSIONS = 8
LENGTH = 5
"""Steps of an episode, where nothing else ends it."""


class Game(Environment):
    """What is the same for most: episodes of some steps, a state that counts them, and seeds."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._state = State(episode_id=str(uuid4()), step_count=0)
        self.random = random.Random()

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        """Begin an episode."""
        self.random = random.Random(seed)
        return self.begin(episode_id)

    def begin(self, episode_id: str | None = None) -> Observation:
        """The same, from the random state that there is."""
        self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
        self.start()
        return self.observed(None, False)

    def step(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        """Take one action."""
        self._state.step_count += 1
        reward = self.act(action)
        return self.observed(reward, self._state.step_count >= LENGTH)

    def start(self) -> None:
        """Set the board."""

    def act(self, action: Any) -> float | None:
        """Play, and give the reward."""
        return 1.0

    def observed(self, reward: float | None, done: bool) -> Observation:
        """What there is to see."""
        raise NotImplementedError

    @property
    def state(self) -> State:
        """Which episode, and how far into it."""
        return self._state


class Move(Action):
    """A number, with a setting that is no choice of the agent."""

    action_id: int = Field(ge=0, le=2)
    game_name: str = "counting"


class Seen(Observation):
    """A number that the seed decides, and the steps so far."""

    number: int
    steps: int


class Counting(Game):
    """Nothing is odd about it."""

    def start(self) -> None:
        """Draw the number."""
        self.number = self.random.randrange(1_000_000)

    def observed(self, reward: float | None, done: bool) -> Observation:
        """The number and the steps."""
        return Seen(number=self.number, steps=self._state.step_count, reward=reward, done=done)


class Direction(StrEnum):
    """Published through a ``$ref``."""

    UP = "UP"
    DOWN = "DOWN"
    LEFT = "LEFT"
    RIGHT = "RIGHT"


class Walk(Action):
    """One of four words, and how far."""

    direction: Direction
    far: bool = False


class Place(Observation):
    """Where the walker is, and in words."""

    x: int
    y: int
    message: str = ""


class EnumActions(Game):
    """A walk on four by four fields, in words."""

    def start(self) -> None:
        """Begin in a corner."""
        self.x = self.y = 0

    def act(self, action: Walk) -> float:
        """Go, as far as the edge."""
        by = 2 if action.far else 1
        dx, dy = {"UP": (0, -1), "DOWN": (0, 1), "LEFT": (-1, 0), "RIGHT": (1, 0)}[action.direction.value]
        self.x, self.y = (min(max(at + by * d, 0), 3) for at, d in ((self.x, dx), (self.y, dy)))
        return float((self.x, self.y) == (3, 3))

    def observed(self, reward: float | None, done: bool) -> Observation:
        """The place."""
        return Place(x=self.x, y=self.y, message="walking", reward=reward, done=done or bool(reward))


class Say(Action):
    """A move, written down."""

    move: str


class Moves(Observation):
    """A board, and what may be played."""

    board: list[list[int]]
    legal_moves: list[str] = Field(default_factory=list)


class StringMoves(Game):
    """Three by three fields are taken in turn by their names; an illegal move raises."""

    def start(self) -> None:
        """Nothing is taken."""
        self.board = [[0] * 3 for _ in range(3)]

    def legal(self) -> list[str]:
        """What is free."""
        return [f"{'abc'[x]}{y + 1}" for y in range(3) for x in range(3) if not self.board[y][x]]

    def act(self, action: Say) -> float:
        """Take a field."""
        if action.move not in self.legal():
            raise ValueError(f"{action.move} is not legal")
        self.board[int(action.move[1]) - 1]["abc".index(action.move[0])] = self._state.step_count
        return 0.0

    def observed(self, reward: float | None, done: bool) -> Observation:
        """The board; after the end nothing is legal."""
        legal = [] if done else self.legal()
        return Moves(board=self.board, legal_moves=legal, reward=reward, done=done)


class Screen(Observation):
    """A picture as upstream's Atari sends it."""

    screen: list[int]
    screen_shape: list[int]
    legal_actions: list[int]


class FlatScreen(Game):
    """A picture of random bytes, flat, its shape beside it."""

    def observed(self, reward: float | None, done: bool) -> Observation:
        """Four by three pixels of three colours."""
        screen = [self.random.randrange(256) for _ in range(36)]
        shape, legal = [4, 3, 3], [0, 1, 2]
        return Screen(screen=screen, screen_shape=shape, legal_actions=legal, reward=reward, done=done)


class Story(Observation):
    """Grows."""

    history: list[float] = Field(default_factory=list)
    words: str = ""


class GrowingArrays(Game):
    """An array that has one more number after each step."""

    def observed(self, reward: float | None, done: bool) -> Observation:
        """All that has been."""
        steps = self._state.step_count
        return Story(history=[0.5] * steps, words="on " * steps, reward=reward, done=done)


class Perhaps(Action):
    """A number, if anything."""

    amount: float | None = None
    target: int | None = None


class Hint(Observation):
    """What may be there or not."""

    hint: str | None = None
    last_amount: float | None = None
    scores: dict[str, float] | None = None


class NullableFields(Game):
    """Fields that are null at first and after every other step."""

    def act(self, action: Perhaps) -> float:
        """Remember."""
        self.amount = action.amount
        return 0.0

    def observed(self, reward: float | None, done: bool) -> Observation:
        """Null, or what was done."""
        if self._state.step_count % 2 == 0:
            return Hint(reward=reward, done=done)
        return Hint(hint="warm", last_amount=self.amount, scores={"a": 0.5}, reward=reward, done=done)


class Tools(MCPEnvironment):
    """Two tools; at the reset a field is missing that the schema requires."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        tools: FastMCP = FastMCP("tools")

        @tools.tool
        def add(a: int, b: int) -> int:
            """Add two whole numbers."""
            return a + b

        @tools.tool
        def shout(text: str, times: int = 1) -> str:
            """Say it in capitals."""
            return text.upper() * times

        super().__init__(tools)
        self._state = State(episode_id=str(uuid4()), step_count=0)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        """Begin."""
        self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
        return Observation(done=False, reward=0.0, metadata={"status": "ready"})

    async def step_async(self, action: Action, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        """Call a tool, which gives no reward."""
        self._state.step_count += 1
        return await super().step_async(action, timeout_s=timeout_s, **kwargs)

    def _step_impl(self, action: Action, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        return Observation(done=False, reward=0.0, metadata={"error": "no such action"})

    @property
    def state(self) -> State:
        """Which episode, and how far into it."""
        return self._state


class Surprise(Seen):
    """More than is published."""

    surprise: list[int]


class LyingSchema(Counting):
    """Answers a step with what its model would refuse: a text, nothing, and a field that nobody knows."""

    def step(self, action: Move, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        """Truthful at a reset, and in every other step."""
        seen = super().step(action)
        if seen.steps % 2:
            return Surprise.model_construct(
                number=str(seen.number), reward=seen.reward, done=seen.done, surprise=[1, 2], metadata={}
            )
        return seen


class NanRewards(Counting):
    """NaN, none, infinity, true, and a number."""

    REWARDS: ClassVar[list[Any]] = [math.nan, None, math.inf, True, 0.25]

    def act(self, action: Move) -> Any:
        """In turn."""
        return self.REWARDS[(self._state.step_count - 1) % len(self.REWARDS)]


class DoneAtReset(Counting):
    """Says done at every reset, and takes it back with the first step."""

    def begin(self, episode_id: str | None = None) -> Observation:
        """Begin, and end."""
        seen = super().begin(episode_id)
        seen.done, seen.reward = True, -1.0
        return seen


class SelfResetting(Counting):
    """Begins anew by itself with the step after the end."""

    def step(self, action: Move, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        """Step, or begin."""
        return self.begin() if self._state.step_count >= LENGTH else super().step(action)


class TakesItBack(Counting):
    """Goes on after the end, and takes done back."""

    def observed(self, reward: float | None, done: bool) -> Observation:
        """Done in one step alone."""
        return super().observed(reward, self._state.step_count == LENGTH)


class Repeating(Counting):
    """Repeats its last answer for ever after the end, reward and all."""

    def step(self, action: Move, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        """Step, or repeat."""
        if self._state.step_count < LENGTH:
            self.last = super().step(action)
        return self.last


class Seedless(Counting):
    """Its reset takes nothing."""

    def reset(self) -> Observation:
        """Begin anywhere."""
        return self.begin()


class Forgetful(Counting):
    """Takes a seed and forgets it."""

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        """Begin anywhere."""
        return self.begin(episode_id)


class Limited(Counting):
    """Says in its metadata that it was a limit that ended the episode."""

    def observed(self, reward: float | None, done: bool) -> Observation:
        """The end is a truncation."""
        seen = super().observed(reward, done)
        seen.metadata = {"truncated": done, "level": 3}
        return seen


class Failing(Counting):
    """Fails at every step."""

    def act(self, action: Move) -> float:
        """Fail."""
        raise RuntimeError("the simulator is gone")


VARIANTS: dict[str, tuple[Any, Any, Any]] = {
    "plain": (Counting, Move, Seen),
    "enum actions": (EnumActions, Walk, Place),
    "string moves": (StringMoves, Say, Moves),
    "flat screen": (FlatScreen, Move, Screen),
    "growing arrays": (GrowingArrays, Move, Story),
    "nullable fields": (NullableFields, Perhaps, Hint),
    "tools": (Tools, CallToolAction, CallToolObservation),
    "lying schema": (LyingSchema, Move, Seen),
    "nan rewards": (NanRewards, Move, Seen),
    "done at reset": (DoneAtReset, Move, Seen),
    "self-resetting": (SelfResetting, Move, Seen),
    "takes it back": (TakesItBack, Move, Seen),
    "repeating": (Repeating, Move, Seen),
    "seedless": (Seedless, Move, Seen),
    "forgetful": (Forgetful, Move, Seen),
    "limited": (Limited, Move, Seen),
    "failing": (Failing, Move, Seen),
}


def serve(name: str, environment: Any, action: Any, observation: Any) -> str:
    """Serve as ``uvicorn server.app:app`` does, on a free port."""
    app = create_app(environment, action, observation, env_name=name, max_concurrent_envs=SESSIONS)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.005)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def main() -> None:
    """Serve all, say where, and wait for the end."""
    print(json.dumps({name: serve(name, *parts) for name, parts in VARIANTS.items()}), flush=True)
    sys.stdin.read()
    os._exit(0)  # the servers' threads go on


if __name__ == "__main__":
    main()
