"""What a multilayer perceptron wants: one vector of numbers in, one choice or one vector out.

Of an observation, all numbers behind each other as float32, and named values as one number each that is 1;
texts and lists whose length changes are left out. Of an action, ``Discrete`` or ``MultiDiscrete`` where all
of it is finite, one ``Box`` where all of it is numbers, and what it was where it is neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction
from openenv_gym.spaces.inference.writers import Writer
from openenv_gym.spaces.inference.writings import Writing

__all__ = ["flat_action", "flat_observation", "is_flat"]

CHOICE_LIMIT = 2**16
"""The most actions that are numbered through."""
ONE_HOT_LIMIT = 2**12
"""The most named values that become numbers; more of them are one number."""

_Filler = Callable[[Any, NDArray[np.float32]], None]


def is_flat(space: Space[Any]) -> bool:
    """Whether a part of an observation can be laid out as a fixed number of numbers."""
    if isinstance(space, Dict):
        return all(map(is_flat, space.spaces.values()))
    if isinstance(space, Tuple):
        return all(map(is_flat, space.spaces))
    return isinstance(space, Box | Discrete | MultiBinary | MultiDiscrete)


def flat_observation(space: Space[Any]) -> tuple[Box, Callable[[Any], NDArray[np.float32]]] | None:
    """One Box, float32, (n,), for all numbers of a space, and what lays a value out; ``None`` if it has none.

    >>> flat, lay_out = flat_observation(Dict(at=Box(-1, 1, (2,)), key=Discrete(3)))
    >>> flat.shape, lay_out({"at": np.zeros(2), "key": 1}).tolist()
    ((5,), [0.0, 0.0, 0.0, 1.0, 0.0])
    """
    lows: list[NDArray[Any]] = []
    highs: list[NDArray[Any]] = []
    fillers: list[_Filler] = []
    _collect(space, (), lows, highs, fillers)
    if not fillers:
        return None
    with np.errstate(all="ignore"):
        low, high = [np.concatenate(each).astype(np.float32) for each in (lows, highs)]
    count = low.size

    def lay_out(value: Any) -> NDArray[np.float32]:
        flat = np.zeros(count, np.float32)
        with np.errstate(all="ignore"):
            for fill in fillers:
                fill(value, flat)
        return flat

    return Box(low, high, dtype=np.float32), lay_out


def _collect(
    space: Space[Any],
    path: tuple[Any, ...],
    lows: list[NDArray[Any]],
    highs: list[NDArray[Any]],
    fillers: list[_Filler],
) -> None:
    if isinstance(space, Dict | Tuple):
        children = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
        for key, child in children:
            _collect(child, (*path, key), lows, highs, fillers)
        return
    begin = sum(each.size for each in lows)
    if isinstance(space, Discrete) and space.n <= ONE_HOT_LIMIT:
        lows.append(np.zeros(space.n))
        highs.append(np.ones(space.n))
        fillers.append(partial(_fill_one, path, begin - int(space.start)))
    elif isinstance(space, Discrete):
        lows.append(np.array([space.start]))
        highs.append(np.array([space.start + space.n - 1]))
        fillers.append(partial(_fill, path, begin, begin + 1))
    elif isinstance(space, Box):
        lows.append(space.low.ravel().astype(np.float64))
        highs.append(space.high.ravel().astype(np.float64))
        fillers.append(partial(_fill, path, begin, begin + lows[-1].size))
    elif isinstance(space, MultiBinary | MultiDiscrete):
        count = math.prod(space.shape)
        most = space.start + space.nvec - 1 if isinstance(space, MultiDiscrete) else np.ones(count)
        lows.append(np.zeros(count) if isinstance(space, MultiBinary) else space.start.ravel())
        highs.append(most.ravel())
        fillers.append(partial(_fill, path, begin, begin + count))


def _fill(path: tuple[Any, ...], begin: int, end: int, value: Any, flat: NDArray[np.float32]) -> None:
    for key in path:
        value = value[key]
    flat[begin:end] = np.reshape(value, -1)


def _fill_one(path: tuple[Any, ...], begin: int, value: Any, flat: NDArray[np.float32]) -> None:
    for key in path:
        value = value[key]
    flat[begin + int(value)] = 1


def flat_action(writing: Writing) -> Writing:
    """The same choices as one Discrete, MultiDiscrete or Box, if they can be one.

    >>> flat_action(Writing(Dict(go=Discrete(2), at=Discrete(3)), dict, "", None)).space
    MultiDiscrete([2 3])
    """
    space = writing.space
    if isinstance(space, OneOf):
        counts = [_count(child) for child in space.spaces]
        if all(counts) and sum(counts) <= CHOICE_LIMIT:
            write = partial(_write_numbered, space, counts, writing.write)
            return _as(writing, Discrete(sum(counts)), write)
    if not isinstance(space, Dict):
        return writing
    leaves: list[tuple[str, Any]] = list(space.spaces.items())
    if all(isinstance(child, Discrete) for _, child in leaves):
        many = MultiDiscrete([child.n for _, child in leaves])
        starts = [(key, int(child.start)) for key, child in leaves]
        return _as(writing, many, partial(_write_many, starts, writing.write))
    if all(isinstance(child, Box) for _, child in leaves):
        low = np.concatenate([child.low.ravel().astype(np.float64) for _, child in leaves])
        high = np.concatenate([child.high.ravel().astype(np.float64) for _, child in leaves])
        parts = [(key, child.shape, child.dtype) for key, child in leaves]
        return _as(writing, Box(low, high, dtype=np.float64), partial(_write_vector, parts, writing.write))
    return writing


def _as(writing: Writing, space: Space[Any], write: Writer) -> Writing:
    return Writing(space, write, f"{writing.evidence}, flat", writing.confidence)


def _count(space: Space[Any]) -> int:
    """How many values a finite space has; 0 if it is not, or has too many."""
    if isinstance(space, Discrete):
        return int(space.n)
    if isinstance(space, MultiDiscrete):
        count = math.prod(space.nvec.ravel().tolist())
    elif isinstance(space, Dict):
        count = math.prod([_count(child) for child in space.spaces.values()])
    else:
        return 0
    return count if count <= CHOICE_LIMIT else 0


def _nth(space: Any, at: int) -> Any:
    """The value of a finite space that has a number."""
    if isinstance(space, Discrete):
        return int(space.start) + at
    if isinstance(space, MultiDiscrete):
        return np.array(np.unravel_index(at, space.nvec.ravel())).reshape(space.shape) + space.start
    value: dict[str, Any] = {}
    for key, child in reversed(list(space.spaces.items())):
        at, rest = divmod(at, _count(child))
        value[key] = _nth(child, rest)
    return value


def _write_numbered(space: OneOf[Any], counts: list[int], write: Writer, action: Any) -> Any:
    at = int(np.reshape(action, -1)[0])
    if not 0 <= at < sum(counts):
        raise InvalidAction(
            f"action is {at}, action_space wants 0 to {sum(counts) - 1}; see env.action_space"
        )
    chosen = 0
    while at >= counts[chosen]:
        at -= counts[chosen]
        chosen += 1
    return write((chosen, _nth(space.spaces[chosen], at)))


def _write_many(starts: list[tuple[str, int]], write: Writer, action: Any) -> Any:
    numbers = np.reshape(action, -1)
    if numbers.size != len(starts):
        raise InvalidAction(
            f"action has {numbers.size} numbers, action_space wants {len(starts)}; see env.action_space"
        )
    return write({key: number + start for (key, start), number in zip(starts, numbers, strict=True)})


def _write_vector(parts: list[tuple[str, tuple[int, ...], Any]], write: Writer, action: Any) -> Any:
    numbers = np.reshape(action, -1)
    wanted = sum(math.prod(shape) for _, shape, _ in parts)
    if numbers.size != wanted:
        raise InvalidAction(
            f"action has {numbers.size} numbers, action_space wants {wanted}; see env.action_space"
        )
    value: dict[str, Any] = {}
    begin = 0
    for key, shape, dtype in parts:
        end = begin + math.prod(shape)
        part = numbers[begin:end].reshape(shape)
        value[key] = np.rint(part).astype(dtype) if dtype.kind in "iu" else part
        begin = end
    return write(value)
