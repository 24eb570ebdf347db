"""A number for each move, and which of them are legal: what learners with masks want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Discrete
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction, InvalidArgument, LayoutMismatch, ResetNeeded
from openenv_gym.wrappers.fields import Field
from openenv_gym.wrappers.moves import Form, Mask, Teller, actions_of
from openenv_gym.wrappers.parts import parts_of

__all__ = ["LegalActions"]

_MOST = 12


class LegalActions(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Actions are numbers, and each answer says which of them are legal.

    ``info["action_mask"]``, int8, is what ``Discrete.sample`` takes, and :meth:`action_masks` what
    sb3-contrib's MaskablePPO asks for. An action that is not legal is refused, and the environment does not
    see it. What a number means is one of four things:

    - of an environment with a Discrete space, its own action;
    - of one whose actions have several parts, each of them Discrete, the action at that place among all
      there are, the last part changing first;
    - with ``moves``, the move at that place of a list that never changes;
    - with ``max_moves``, for moves that cannot be listed beforehand, the move at that place among those
      that are legal now, in the order in which the environment tells them.

    Args:
        env: tells its legal moves in each observation or info.
        legal: the field that tells them, with dots if it is nested (``"info.board.legal"``), or a function of
            observation and info. By default ``action_mask``, ``legal_actions`` or ``legal_moves``,
            whichever there is. It holds actions, or places in ``moves``, or a mask of either.
        moves: all moves there are, as the environment takes them.
        max_moves: how many can be legal at once.
        form: ``"mask"`` or ``"moves"``, for a list of zeros and ones that could be either.
        order: where a legal move lists values, as ``[[0, 2], [1, 1]]``, the fields of a Dict action that they
            are of, ``("row", "column")``. A MultiDiscrete or Tuple has an order of its own. The values are
            those of the action space.

    Raises:
        InvalidArgument: if neither the space nor an argument says how many actions there are, or both
            arguments do; or if ``order`` does not name the fields of the actions.

    >>> from gymnasium.spaces import Text
    >>> class Nim(gymnasium.Env):  # whoever takes the last stick has won
    ...     observation_space, action_space = Discrete(6), Text(8)
    ...     def reset(self, *, seed=None, options=None):
    ...         super().reset(seed=seed)
    ...         self.sticks = 5
    ...         return self.sticks, {"legal_moves": ["one", "two"]}
    ...     def step(self, action):
    ...         self.sticks -= {"one": 1, "two": 2}[action]
    ...         over = self.sticks == 0
    ...         return self.sticks, float(over), over, False, {"legal_moves": ["one", "two"][: self.sticks]}
    >>> env = LegalActions(Nim(), moves=["one", "two"])
    >>> env.action_space
    Discrete(2)
    >>> env.reset()[1]["action_mask"]
    array([1, 1], dtype=int8)
    >>> _ = env.step(1), env.step(1)
    >>> env.action_masks()
    array([ True, False])
    >>> env.step(1)
    Traceback (most recent call last):
    openenv_gym.errors.InvalidAction: 1 (two) is not legal now; legal: 0 (one); see info['action_mask']
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        legal: Field | None = None,
        *,
        moves: Sequence[Any] | None = None,
        max_moves: int | None = None,
        form: Form | None = None,
        order: Sequence[str] | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, legal=legal, moves=moves, max_moves=max_moves, form=form, order=order
        )
        gymnasium.Wrapper.__init__(self, env)
        own = env.action_space
        self._parts = parts_of(own, order)
        self._moves = None if moves is None else list(moves)
        self._max_moves = max_moves
        if self._parts is not None:
            if self._moves is not None:
                self._moves = [self._parts.action(each) for each in self._moves]
            elif max_moves is None and self._parts.count is not None:
                self._moves = list(self._parts)
        names = map(self._name, self._moves or ())
        self._places = {name: place for place, name in enumerate(names) if _hashable(name)}
        if self._moves is not None or max_moves is not None:
            self.action_space = Discrete(_count(self._moves, max_moves))
        elif not isinstance(own, Discrete):
            raise InvalidArgument(
                f"the actions of {own!r:.80} have no numbers; pass moves= all there are, or max_moves= how "
                "many can be legal at once, or order= the fields whose values a move lists"
            )
        told_of = own if self._moves is None else self.action_space
        count = int(told_of.n) if isinstance(told_of, Discrete) else None
        self._teller = Teller(legal, form, count, rows=self._parts is not None)
        self._legal: dict[int, Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; its info has the first mask.

        Raises:
            LayoutMismatch: if nothing tells the legal moves, or tells what are none.
            InvalidArgument: if more are legal than ``max_moves``.
        """
        self._legal = None
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._masked(observation, info, over=False)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Do the move of a number.

        Raises:
            InvalidAction: if it is not legal; the environment was not stepped.
            ResetNeeded: before the first reset.
            LayoutMismatch, InvalidArgument: as of :meth:`reset`.
        """
        legal = self._known()
        number = int(action) if self.action_space.contains(action) else None
        if number is None or number not in legal:
            raise InvalidAction(f"{self._shown(action)} is not legal now; {self._advice(legal)}")
        observation, reward, terminated, truncated, info = self.env.step(legal[number])
        masked = self._masked(observation, info, over=terminated or truncated)
        return observation, reward, terminated, truncated, masked

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now, bool, (n,); your own copy.

        Raises:
            ResetNeeded: before the first reset.
        """
        return self._mask(self._known()).astype(np.bool_)

    def legal_moves(self) -> dict[str, int]:
        """The legal moves by name, with their numbers; none before the first reset."""
        return {str(move): number for number, move in (self._legal or {}).items()}

    def _known(self) -> dict[int, Any]:
        if self._legal is None:
            raise ResetNeeded("what is legal is told by the answer to a reset; call reset() first")
        return self._legal

    def _masked(self, observation: Any, info: dict[str, Any], *, over: bool) -> dict[str, Any]:
        told = self._teller.tell(observation, info)
        if told is None and not over:
            raise self._teller.missing(observation, info)
        self._legal = self._numbered([] if told is None else told)
        return {**info, "action_mask": self._mask(self._legal)}

    def _numbered(self, told: Mask | list[Any]) -> dict[int, Any]:
        """Number -> move, of the legal ones."""
        if self._moves is not None:
            return {place: self._moves[place] for place in self._places_of(told, self._moves)}
        actions = actions_of(told, self.env.action_space)
        if self._parts is not None:
            actions = self._parts.actions(actions)
        elif isinstance(self.env.action_space, Dict):
            _refuse_values(actions)
        if self._max_moves is None:
            return {int(action): action for action in actions}
        if len(actions) > self._max_moves:
            raise InvalidArgument(
                f"{len(actions)} moves are legal where max_moves is {self._max_moves}; pass as many as can be"
            )
        return dict(enumerate(actions))

    def _places_of(self, told: Mask | list[Any], moves: list[Any]) -> list[int]:
        if isinstance(told, np.ndarray):
            return [int(place) for place in np.flatnonzero(told)]
        by_number = not any(isinstance(move, (int, np.integer)) for move in moves)
        places = []
        for each in told:
            name = self._name(each)
            place = self._places.get(name) if _hashable(name) else None
            if place is None and by_number and isinstance(each, (int, np.integer)) and 0 <= each < len(moves):
                place = int(each)
            if place is None:
                raise LayoutMismatch(f"{each!r:.40} is told to be legal, and is not among moves=; add it")
            places.append(place)
        return places

    def _name(self, move: Any) -> Any:
        """What a move is looked up by."""
        key = None if self._parts is None else self._parts.key(move)
        return move if key is None else key

    def _mask(self, legal: Mapping[int, Any]) -> Mask:
        space = self.action_space
        assert isinstance(space, Discrete)
        mask = np.zeros(int(space.n), np.int8)
        mask[[number - int(space.start) for number in legal]] = 1
        return mask

    def _shown(self, action: Any) -> str:
        if self._moves is None or not self.action_space.contains(action):
            return f"{action!s:.40}"
        return f"{action} ({self._moves[int(action)]!s:.40})"

    def _advice(self, legal: Mapping[int, Any]) -> str:
        if not legal:
            return "none is; call reset()"
        named = self._moves is not None or self._max_moves is not None
        some = [f"{number} ({move!s:.40})" if named else str(number) for number, move in legal.items()]
        more = f", ... ({len(some)})" if len(some) > _MOST else ""
        return f"legal: {', '.join(some[:_MOST])}{more}; see info['action_mask']"


def _count(moves: list[Any] | None, max_moves: int | None) -> int:
    if moves is not None and max_moves is not None:
        raise InvalidArgument(
            "pass either moves=, all there are, or max_moves=, how many can be legal at once"
        )
    count = max_moves if moves is None else len(moves)
    if type(count) is not int or count < 1:
        raise InvalidArgument(f"there is at least one move; moves= or max_moves= say {count!r:.40}")
    return count


def _hashable(value: Any) -> bool:
    return isinstance(value, (str, int, np.integer, tuple))


def _refuse_values(moves: Sequence[Any]) -> None:
    """Refuse moves that list values of nobody knows which fields."""
    for move in moves:
        if isinstance(move, (list, tuple)):
            raise LayoutMismatch(
                f"{move!r:.40} is told to be legal, and nothing says which fields its values are of; "
                'pass order=, as in order=("row", "column")'
            )
