"""Connect four in the fields and by the rules of upstream's ``connect4_env``, and a count of what was played.

Run by the stock interpreter: ``uvicorn connect_four:app --app-dir ...``. The client plays both seats, 1 and
-1 on the board, and ``next_player`` in the metadata says whose turn it is. A win is worth 1 to whoever has
moved; a move that is not legal is worth -1, and ends the game. ``GET /counts`` says how many games and moves
there were so far, and how many of these were not legal.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import ClassVar
from uuid import uuid4

from openenv.core.env_server import Action, Environment, Observation, State, create_app
from pydantic import Field

ROWS, COLUMNS, LINE = 6, 7, 4
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Connect4Action(Action):
    """A column to drop a piece into."""

    column: int


class Connect4Observation(Observation):
    """The board, its top row first, and the columns that are not full."""

    board: list[list[int]] = Field(default_factory=list)
    legal_actions: list[int] = Field(default_factory=list)


class Connect4State(State):
    """The board, and whose turn it is; ``/schema`` shows neither."""

    board: list[list[int]]
    next_player: int


class Connect4Environment(Environment):
    """A game for two; its reset takes nothing, neither a seed nor an episode's name."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    counts: ClassVar[Counter[str]] = Counter()
    lock = Lock()

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        """Clear the board."""
        self.board = [[0] * COLUMNS for _ in range(ROWS)]
        self.player, self.over = 1, False
        self.episode_id, self.steps = str(uuid4()), 0

    def reset(self) -> Connect4Observation:
        """Begin a game."""
        self.begin()
        self.count(games=1)
        return self.observed(0.0)

    def step(self, action: Connect4Action) -> Connect4Observation:
        """Drop a piece, of either seat."""
        legal = not self.over and action.column in self.legal()
        self.count(moves=1, illegal=not legal)
        reward = self.drop(action.column) if legal else -1.0
        self.over = self.over or reward != 0.0 or not self.legal()
        self.player = -self.player
        self.steps += 1
        return self.observed(reward)

    def drop(self, column: int) -> float:
        """Let the piece fall; what it is worth."""
        row = max(row for row in range(ROWS) if self.board[row][column] == 0)
        self.board[row][column] = self.player
        return float(any(self.reach(row, column, *way) >= LINE for way in DIRECTIONS))

    def reach(self, row: int, column: int, down: int, right: int) -> int:
        """How long the line through a piece is."""
        length = 1
        for sign in (1, -1):
            y, x = row + sign * down, column + sign * right
            while 0 <= y < ROWS and 0 <= x < COLUMNS and self.board[y][x] == self.player:
                length, y, x = length + 1, y + sign * down, x + sign * right
        return length

    def legal(self) -> list[int]:
        """The columns that are not full, also after the end."""
        return [column for column in range(COLUMNS) if self.board[0][column] == 0]

    def observed(self, reward: float) -> Connect4Observation:
        """What there is to see."""
        return Connect4Observation(
            board=[list(row) for row in self.board],
            legal_actions=self.legal(),
            reward=reward,
            done=self.over,
            metadata={"next_player": self.player},
        )

    def count(self, **more: int) -> None:
        """Count for all sessions."""
        with self.lock:
            self.counts.update(more)

    @property
    def state(self) -> Connect4State:
        """The same for whoever asks."""
        return Connect4State(
            episode_id=self.episode_id,
            step_count=self.steps,
            board=[list(row) for row in self.board],
            next_player=self.player,
        )


app = create_app(
    Connect4Environment,
    Connect4Action,
    Connect4Observation,
    env_name="connect4_env",
    max_concurrent_envs=8,
)


@app.get("/counts")
def counts() -> Counter[str]:
    """What all sessions have played so far."""
    return Connect4Environment.counts
