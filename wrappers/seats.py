"""One seat of a game whose client has to play them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.utils import RecordConstructorArgs

from openenv_gym.errors import InvalidArgument, LayoutMismatch, ResetNeeded
from openenv_gym.wrappers.fields import Field, listed, look_up
from openenv_gym.wrappers.moves import Form, Teller, actions_of

__all__ = ["Policy", "Rewards", "Seat", "SeatOpponent"]

Policy: TypeAlias = Callable[[Any, Mapping[str, Any], list[Any], np.random.Generator], Any]
"""Chooses an action by an observation, its info, the legal actions (empty if none are told) and chance."""

Seat: TypeAlias = Literal["first", "second", "random"]
Rewards: TypeAlias = Literal["mover", "first", "learner"]

_STREAM = 0x5EA7
"""Sets the opponent's chance apart from what an environment draws with the same seed."""


class SeatOpponent(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Plays the other seat of a game for two whose environment wants the moves of both.

    A step is the learner's move and the opponent's answer to it, until it is the learner's turn again or
    the game is over; its reward is the learner's of all of them. ``info["seat"]`` says which seat that is, as
    ``turn`` has it, and ``info["opponent_actions"]`` what was answered.

    Args:
        env: the game. Its observations and infos are those of whoever is to move.
        turn: the field that says whose turn it is, with dots if it is nested (``"info.next_player"``), or a
            function of observation and info; by default the seats take turns, 0 and 1.
        seat: the learner's: ``first`` to move, ``second``, or ``random``, drawn anew for each episode.
        policy: the opponent: a function of observation, info, legal actions and a generator, that returns an
            action. By default any legal one, as likely as the others.
        rewards: whose they are: ``mover``: of the seat whose move they answer; ``first``: of the one that
            moves first; ``learner``. Those of the other seat count with the sign turned.
        legal: the field that tells the legal moves, as of :class:`~openenv_gym.wrappers.LegalActions`.
        form: ``"mask"`` or ``"moves"``, for a list of zeros and ones that could be either.

    The opponent's chance comes from the seed of a reset; without one it goes on.

    Raises:
        InvalidArgument: if ``seat`` or ``rewards`` is none of these.

    >>> class Nim(gymnasium.Env):  # whoever takes the last of five sticks has won
    ...     observation_space, action_space = Discrete(6), Discrete(2, start=1)
    ...     def reset(self, *, seed=None, options=None):
    ...         super().reset(seed=seed)
    ...         self.sticks = 5
    ...         return self.sticks, {"legal_moves": [1, 2]}
    ...     def step(self, action):
    ...         self.sticks -= int(action)
    ...         over = self.sticks == 0
    ...         return self.sticks, float(over), over, False, {"legal_moves": [1, 2][: self.sticks]}
    >>> env = SeatOpponent(Nim(), policy=lambda observation, info, legal, chance: legal[-1])
    >>> _ = env.reset()
    >>> env.step(2)
    (1, 0.0, False, False, {'legal_moves': [1], 'seat': 0, 'opponent_actions': (np.int64(2),)})
    >>> env.step(1)[1:3]
    (1.0, True)
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        turn: Field | None = None,
        seat: Seat = "first",
        policy: Policy | None = None,
        rewards: Rewards = "mover",
        legal: Field | None = None,
        form: Form | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, turn=turn, seat=seat, policy=policy, rewards=rewards, legal=legal, form=form
        )
        gymnasium.Wrapper.__init__(self, env)
        _check("seat", seat, get_args(Seat))
        _check("rewards", rewards, get_args(Rewards))
        self._turn, self._wanted, self._rewards = turn, seat, rewards
        self._policy = policy
        space = env.action_space
        self._teller = Teller(legal, form, int(space.n) if isinstance(space, Discrete) else None)
        self._rng: np.random.Generator | None = None
        self._first: Any = None
        self._seat: Any = None
        self._mover: Any = None
        self._answers: list[Any] = []
        self._owed = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a game; an opponent whose turn it is moves first.

        Raises:
            InvalidArgument: if the game is over before the learner has a turn.
            LayoutMismatch: if nothing tells whose turn it is, or what is legal.
        """
        if self._rng is None or seed is not None:
            self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM,)))
        self._mover, self._answers, self._owed = None, [], 0.0
        observation, info = self.env.reset(seed=seed, options=options)
        self._first = self._mover = 0 if self._turn is None else self._told(observation, info)
        begins = self._rng.integers(2) == 0 if self._wanted == "random" else self._wanted == "first"
        self._seat = self._first if begins else None
        observation, self._owed, terminated, truncated, info = self._answered(
            observation, 0.0, False, False, info
        )
        if terminated or truncated:
            raise InvalidArgument(
                "the game was over before the learner's first turn; pass seat='first', or start it otherwise"
            )
        self._seat = self._mover
        return observation, self._marked(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make the learner's move, and have the opponent answer it.

        Raises:
            ResetNeeded: if no game has begun, or it is over.
            LayoutMismatch: if nothing tells whose turn it is, or what is legal.
        """
        if self._mover is None:
            raise ResetNeeded("no game is going on; call reset()")
        self._answers = []
        observation, reward, terminated, truncated, info = self._answered(*self._moved(action))
        reward, self._owed = reward + self._owed, 0.0
        return observation, reward, terminated, truncated, self._marked(info)

    def _answered(
        self, observation: Any, total: float, terminated: bool, truncated: bool, info: dict[str, Any]
    ) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Have the opponent move until it is the learner's turn, or the game is over."""
        while not (terminated or truncated) and self._opposed():
            action = self._chosen(observation, info)
            self._answers.append(action)
            observation, reward, terminated, truncated, info = self._moved(action)
            total += reward
        return observation, total, terminated, truncated, info

    def _opposed(self) -> bool:
        """Whether it is the opponent's turn; the learner's seat is not known until it is first left free."""
        return bool(self._mover == self._first if self._seat is None else self._mover != self._seat)

    def _moved(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make a move, and have its reward from the learner's side."""
        mover = self._mover
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self._mover = None
        else:
            self._mover = 1 - mover if self._turn is None else self._told(observation, info)
        whose = {"mover": mover, "first": self._first, "learner": self._seat}[self._rewards]
        share = float(reward)
        return observation, share if whose == self._seat else -share, bool(terminated), bool(truncated), info

    def _told(self, observation: Any, info: Mapping[str, Any]) -> Any:
        assert self._turn is not None
        turn = look_up(self._turn, observation, info)
        if isinstance(turn, (np.ndarray, np.generic)) and turn.size == 1:
            turn = turn.item()
        if turn is None or isinstance(turn, np.ndarray):
            fields = listed(observation) if isinstance(observation, Mapping) else "none"
            raise LayoutMismatch(
                f"turn={self._turn!r:.60} is {turn!r:.40}, and says not whose turn it is; fields of the "
                f"observation: {fields}, of the info: {listed(info)}"
            )
        return turn

    def _chosen(self, observation: Any, info: Mapping[str, Any]) -> Any:
        assert self._rng is not None
        told = self._teller.tell(observation, info)
        legal = [] if told is None else actions_of(told, self.env.action_space)
        if self._policy is not None:
            return self._policy(observation, info, legal, self._rng)
        if told is None:
            raise self._teller.missing(observation, info)
        if not legal:
            raise LayoutMismatch("no move of the opponent's is legal, and the game is not over; pass policy=")
        return legal[self._rng.integers(len(legal))]

    def _marked(self, info: dict[str, Any]) -> dict[str, Any]:
        return {**info, "seat": self._seat, "opponent_actions": tuple(self._answers)}


def _check(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidArgument(f"{name} is one of {', '.join(map(repr, choices))}, not {value!r:.40}")
