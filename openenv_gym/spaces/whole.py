"""Values of spaces without a layout, which travel whole: what the wire forgets, and their batches.

The wire knows tuples but no ``GraphInstance``, so the space brings it back. Batches of such values
are Gymnasium's own: arrays where a part has a fixed size, tuples with one value a lane elsewhere.
A value that does not follow its space passes as it is. May be imported from above ``spaces``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import singledispatch
from typing import Any, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Dict, Graph, GraphInstance, OneOf, Sequence, Tuple
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

from openenv_gym.errors import InvalidAction, LayoutMismatch, OpenEnvGymError
from openenv_gym.spaces.casting import ACTION, OBSERVATION, Blame

__all__ = ["compile_restorer", "concatenated", "same_value", "split"]

_VALUE = Blame(OpenEnvGymError, "value", "its space", "see the space that was agreed on")
Restorer: TypeAlias = Callable[[Any], Any]


def compile_restorer(space: Space[Any]) -> Restorer:
    """Make a function that gives a value that came over the wire the types that its space knows.

    >>> from gymnasium.spaces import Discrete
    >>> restore = compile_restorer(Tuple([Discrete(2), Graph(Discrete(3), None)]))
    >>> restore((1, (np.array([2, 0]), None, None)))
    (1, GraphInstance(nodes=array([2, 0]), edges=None, edge_links=None))
    """
    return _restorer(space) or _same


def concatenated(
    space: Space[Any], values: Iterable[Any], error: type[OpenEnvGymError] = LayoutMismatch
) -> Any:
    """One batch of the values of all lanes, as ``SyncVectorEnv`` makes it.

    >>> from gymnasium.spaces import Discrete, Text
    >>> concatenated(Dict(key=Discrete(9), word=Text(5)), [{"key": 1, "word": "a"}, {"key": 2, "word": "b"}])
    {'key': array([1, 2]), 'word': ('a', 'b')}

    Raises:
        OpenEnvGymError: of class ``error``, when a value does not have the structure of its space.
    """
    values = list(values)
    try:
        empty: Any = create_empty_array(space, len(values))
        return concatenate(space, values, empty)
    except (KeyError, IndexError, TypeError, ValueError) as misfit:
        blame = ACTION if issubclass(error, InvalidAction) else OBSERVATION
        raise blame.refuse((), f"does not batch ({str(misfit)[:200]})", f"is {str(space)[:200]}") from misfit


def split(
    batched: Space[Any], batch: Any, lanes: int, error: type[OpenEnvGymError] = InvalidAction
) -> list[Any]:
    """One value a lane out of a batch, as ``SyncVectorEnv`` takes actions apart.

    >>> from gymnasium.spaces import Text
    >>> from gymnasium.vector.utils import batch_space
    >>> split(batch_space(Text(5), 2), ("up", "down"), 2)
    ['up', 'down']

    Raises:
        OpenEnvGymError: of class ``error``, when the batch does not fit the batched space.
    """
    blame = ACTION if issubclass(error, InvalidAction) else _VALUE
    try:
        each = list(iterate(batched, batch))
    except (KeyError, IndexError, TypeError, ValueError, CustomSpaceError) as misfit:
        has = f"is a {type(batch).__name__} that does not come apart ({str(misfit)[:200]})"
        raise replace(blame, error=error).refuse((), has, f"wants {lanes} lanes") from misfit
    if len(each) != lanes:
        raise replace(blame, error=error).refuse((), f"has {len(each)} lanes", f"wants {lanes} lanes")
    return each


def same_value(one: Any, other: Any) -> bool:
    """Say whether two values have the same types, order of keys, dtypes, shapes and finite numbers.

    What is not finite, which JSON cannot say, is the same as nothing.

    >>> same_value((1, np.float32(0.5)), (1, np.float32(0.5))), same_value([1], (1,)), same_value(1, True)
    (True, False, False)
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same_value(part, other[key]) for key, part in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, np.ndarray | np.generic):
        return _same_array(np.asarray(one), np.asarray(other))
    if isinstance(one, float):
        return math.isfinite(one) and one == other and math.copysign(1, one) == math.copysign(1, other)
    return isinstance(one, str | int | None) and one == other


def _same_array(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape or one.dtype.kind not in "biuf":
        return False
    if one.dtype.kind == "f" and not np.isfinite(one).all():
        return False
    return bool(
        (one == other).all() and (one.dtype.kind != "f" or (np.signbit(one) == np.signbit(other)).all())
    )


def _same(value: Any) -> Any:
    return value


@singledispatch
def _restorer(space: Space[Any]) -> Restorer | None:
    """A restorer of a space, or ``None`` where its values come back by themselves."""
    return None


@_restorer.register(Dict)
def _restorer_of_dict(space: Dict) -> Restorer | None:
    return _by_key({key: _restorer(child) for key, child in space.spaces.items()})


@_restorer.register(Tuple)
def _restorer_of_tuple(space: Tuple[Any]) -> Restorer | None:
    return _by_place([_restorer(child) for child in space.spaces])


@_restorer.register(OneOf)
def _restorer_of_one_of(space: OneOf[Any]) -> Restorer | None:
    children = [_restorer(child) for child in space.spaces]
    if not any(children):
        return None

    def restore(value: Any) -> Any:
        if type(value) is not tuple or len(value) != 2 or not isinstance(value[0], int | np.integer):
            return value
        child = children[value[0]] if 0 <= value[0] < len(children) else None
        return value if child is None else (value[0], child(value[1]))

    return restore


@_restorer.register(Sequence)
def _restorer_of_sequence(space: Sequence) -> Restorer | None:
    return _stacked(space.feature_space) if space.stack else _each(_restorer(space.feature_space))


@_restorer.register(Graph)
def _restorer_of_graph(space: Graph) -> Restorer | None:
    nodes = _stacked(space.node_space) or _same
    edges = (None if space.edge_space is None else _stacked(space.edge_space)) or _same

    def restore(value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != 3:
            return value
        return GraphInstance(nodes(value[0]), edges(value[1]), value[2])

    return restore


@singledispatch
def _stacked(space: Space[Any]) -> Restorer | None:
    """A restorer of a batch of values of a space."""
    return _each(_restorer(space))


@_stacked.register(Dict)
def _stacked_dict(space: Dict) -> Restorer | None:
    return _by_key({key: _stacked(child) for key, child in space.spaces.items()})


@_stacked.register(Tuple)
def _stacked_tuple(space: Tuple[Any]) -> Restorer | None:
    return _by_place([_stacked(child) for child in space.spaces])


def _by_key(children: dict[Any, Restorer | None]) -> Restorer | None:
    known = {key: child for key, child in children.items() if child is not None}
    if not known:
        return None

    def restore(value: Any) -> Any:
        if type(value) is not dict:
            return value
        return {key: known[key](part) if key in known else part for key, part in value.items()}

    return restore


def _by_place(children: list[Restorer | None]) -> Restorer | None:
    if not any(children):
        return None
    each = [child or _same for child in children]

    def restore(value: Any) -> Any:
        if type(value) is not tuple or len(value) != len(each):
            return value
        return tuple([child(part) for child, part in zip(each, value, strict=True)])

    return restore


def _each(child: Restorer | None) -> Restorer | None:
    if child is None:
        return None
    return lambda value: tuple(map(child, value)) if type(value) is tuple else value
