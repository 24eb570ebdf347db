"""Values of a space out of JSON, whoever wrote it: a player or a model; and an example of what to write."""

from __future__ import annotations

import copy
import json
from functools import singledispatch
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple
from gymnasium.vector.utils import concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction

__all__ = ["array_of", "example", "from_json"]

_SOME = "text"
_UNBOUNDED = 2**32
"""So long a text is of any length."""


@singledispatch
def from_json(space: Space[Any], plain: Any, path: str = "") -> Any:
    """The value of a space that JSON describes: an object for Dict, lists for the others that have parts.

    >>> from_json(Dict(go=Discrete(4), at=Box(0, 9, (2,), np.int8)), {"at": [1, 2], "go": 3})
    {'go': np.int64(3), 'at': array([1, 2], dtype=int8)}

    Raises:
        InvalidAction: if it is none, with the place where it is not.
    """
    raise InvalidAction(f"{_at(path)}there is no way to write {space!r:.60}")


@from_json.register
def _of_discrete(space: Discrete, plain: Any, path: str = "") -> Any:
    first, last = int(space.start), int(space.start) + int(space.n) - 1
    if type(plain) is not int or not first <= plain <= last:
        raise InvalidAction(f"{_at(path)}{plain!r:.40} is no whole number from {first} to {last}")
    return space.dtype.type(plain)


@from_json.register(Box)
@from_json.register(MultiDiscrete)
@from_json.register(MultiBinary)
def _of_array(space: Box | MultiDiscrete | MultiBinary, plain: Any, path: str = "") -> NDArray[Any]:
    try:
        values = np.asarray(plain, object if plain is None else None)
    except ValueError:  # lists of unequal length
        values = np.empty(0, object)
    if values.dtype.kind not in "iuf" or values.shape != space.shape:
        shape = " x ".join(map(str, space.shape)) or "no list of"
        raise InvalidAction(f"{_at(path)}{json.dumps(plain)!s:.40} is not {shape} numbers")
    try:
        return array_of(space, values)
    except InvalidAction as error:
        raise InvalidAction(f"{_at(path)}{error.message}") from error


@from_json.register
def _of_text(space: Text, plain: Any, path: str = "") -> str:
    if not isinstance(plain, str) or not space.contains(plain):
        raise InvalidAction(f"{_at(path)}{plain!r:.40} is none of its texts")
    return plain


@from_json.register
def _of_dict(space: Dict, plain: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(plain, dict) or set(plain) != set(space.spaces):
        keys = ", ".join(f'"{key}"' for key in space.spaces)
        raise InvalidAction(f"{_at(path)}{json.dumps(plain)!s:.60} is no object of exactly {keys}")
    return {key: from_json(part, plain[key], f"{path}.{key}") for key, part in space.spaces.items()}


@from_json.register(Tuple)
def _of_tuple(space: Tuple[Any], plain: Any, path: str = "") -> tuple[Any, ...]:
    if not isinstance(plain, list) or len(plain) != len(space.spaces):
        raise InvalidAction(f"{_at(path)}{json.dumps(plain)!s:.60} is no list of {len(space.spaces)}")
    return tuple(
        from_json(part, each, f"{path}.{place}")
        for place, (part, each) in enumerate(zip(space.spaces, plain, strict=True))
    )


@from_json.register(Sequence)
def _of_sequence(space: Sequence, plain: Any, path: str = "") -> Any:
    if not isinstance(plain, list):
        raise InvalidAction(f"{_at(path)}{json.dumps(plain)!s:.60} is no list")
    values = tuple(
        from_json(space.feature_space, each, f"{path}.{place}") for place, each in enumerate(plain)
    )
    if not space.stack:
        return values
    empty = create_empty_array(space.feature_space, len(values), fn=np.zeros)
    return concatenate(space.feature_space, values, empty) if values else empty  # type: ignore[arg-type]


@from_json.register(OneOf)
def _of_one_of(space: OneOf[Any], plain: Any, path: str = "") -> tuple[Any, Any]:
    if not isinstance(plain, list) or len(plain) != 2:
        raise InvalidAction(f"{_at(path)}{json.dumps(plain)!s:.60} is no list of a number and a value")
    which = from_json(Discrete(len(space.spaces)), plain[0], f"{path}.0")
    return which, from_json(space.spaces[which], plain[1], f"{path}.1")


def _at(path: str) -> str:
    return f"{path.lstrip('.')}: " if path else ""


def array_of(space: Space[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as an array of the space, if that holds exactly those; floats are rounded to its precision.

    Raises:
        InvalidAction: if one of them is outside.
    """
    if values.dtype.kind in "iuf":  # else there is a whole number of more than 64 bits
        with np.errstate(over="ignore", invalid="ignore"):
            array = values.astype(space.dtype)
        exact = (array == values) if array.dtype.kind in "iub" else np.isfinite(array) == np.isfinite(values)
        if exact.all() and space.contains(array):
            return array
    raise InvalidAction("a number is outside its range")


def example(space: Space[Any]) -> str:
    """A value of the space as JSON, the same each time."""
    own = copy.deepcopy(space)
    own.seed(0)
    return json.dumps(_plain(own, own.sample()))


def _plain(space: Space[Any], value: Any) -> Any:
    match space:
        case Text() if space.min_length <= len(_SOME) and space.max_length >= _UNBOUNDED:
            return _SOME
        case Dict():
            return {key: _plain(part, value[key]) for key, part in space.spaces.items()}
        case Tuple():
            return [_plain(part, each) for part, each in zip(space.spaces, value, strict=True)]
        case Sequence():
            each = iterate(space.stacked_feature_space, value) if space.stack else value
            return [_plain(space.feature_space, one) for one in each]
        case OneOf():
            return [int(value[0]), _plain(space.spaces[value[0]], value[1])]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
