"""Connect four whose client plays both seats, as servers in the wild have it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Sequence, Text
from numpy.typing import NDArray

LETTERS = "abcdefghi"


class ConnectFour(gymnasium.Env[dict[str, Any], Any]):
    """The board has 1 for the first player and -1 for the second; a reward is that of whoever has just moved.

    A move into a full column loses the game, and is counted.

    Args:
        legal: how an observation tells the columns that are not full: ``numbers``, ``mask``, or ``names``,
            which are also the actions then: a, b, c, ...
        rows: of the board.
        columns: of it.
        wins: how many in a line win.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(
        self,
        legal: Literal["numbers", "mask", "names"] = "numbers",
        rows: int = 6,
        columns: int = 7,
        wins: int = 4,
    ) -> None:
        self.board = np.zeros((rows, columns), np.int8)
        self.legal, self.wins = legal, wins
        self.player, self.over = 1, True
        self.asked: list[int] = []
        self.illegal = 0
        letter = Text(1, charset=LETTERS[:columns])
        self.action_space = letter if legal == "names" else Discrete(columns)
        told = {
            "numbers": Sequence(Discrete(columns)),
            "mask": MultiBinary(columns),
            "names": Sequence(letter),
        }
        self.observation_space = Dict(
            board=Box(-1, 1, (rows, columns), np.int8),
            legal_actions=told[legal],
            current_player=Discrete(3, start=-1),
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.board[:] = 0
        self.player, self.over, self.asked = 1, False, []
        return self.observe(), {"next_player": 1}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        column = LETTERS.index(action) if self.legal == "names" else int(action)
        self.asked.append(column)
        if self.over or self.board[0, column]:
            self.illegal, self.over = self.illegal + 1, True
            return self.observe(), -1.0, True, False, {"next_player": self.player}
        row = int(np.flatnonzero(self.board[:, column] == 0)[-1])
        self.board[row, column] = self.player
        won = self.wins_at(row, column)
        self.over = won or bool(self.board[0].all())
        self.player = -self.player
        return self.observe(), float(won), self.over, False, {"next_player": self.player}

    def wins_at(self, row: int, column: int) -> bool:
        """Whether the piece that lies there makes a line."""
        lines = ((0, 1), (1, 0), (1, 1), (1, -1))
        return any(
            1 + self.reach(row, column, down, right) + self.reach(row, column, -down, -right) >= self.wins
            for down, right in lines
        )

    def reach(self, row: int, column: int, down: int, right: int) -> int:
        """How many pieces of the same player follow in a direction."""
        height, width = self.board.shape
        mine, count = self.board[row, column], 0
        while True:
            row, column = row + down, column + right
            if not (0 <= row < height and 0 <= column < width and self.board[row, column] == mine):
                return count
            count += 1

    def observe(self) -> dict[str, Any]:
        free: NDArray[np.bool_] = (self.board[0] == 0) & (not self.over)
        columns = np.flatnonzero(free)
        told: Any = {
            "numbers": tuple(np.int64(column) for column in columns),
            "mask": free.astype(np.int8),
            "names": tuple(LETTERS[column] for column in columns),
        }[self.legal]
        return {
            "board": self.board.copy(),
            "legal_actions": told,
            "current_player": np.int64(self.player),
        }
