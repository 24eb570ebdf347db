"""Values <-> plain data by space: nested lists, Python's own numbers and texts, dicts with string keys.

The typed view and every text codec speak plain data. A plain value says nothing of dtype or shape,
so the space restores both. Floats stay floats, not-a-number and the infinities too: what JSON does
about those is for the codec to decide. A longdouble becomes a double, the widest that Python has.
A Graph is an object with the names of ``GraphInstance``, a OneOf the pair of its index and value.
"""

from __future__ import annotations

import collections.abc
from functools import singledispatch
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    GraphInstance,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
)
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction, OpenEnvGymError, UnsupportedSpace
from openenv_gym.spaces.casting import ACTION, Blame, limits, overflowed, shortened, shown
from openenv_gym.spaces.layout import Path
from openenv_gym.types import Plain

__all__ = ["from_plain", "to_plain"]

_Error: TypeAlias = type[OpenEnvGymError]


def to_plain(space: Space[Any], value: Any, error: _Error = InvalidAction) -> Plain:
    """Write a value of a space as plain data.

    Numbers are taken as the value has them; only containers and shapes are held against the space.

    >>> to_plain(Dict(at=Box(-1, 1, (2,)), key=Discrete(3)), {"at": np.array([0.5, -1]), "key": np.int64(2)})
    {'at': [0.5, -1.0], 'key': 2}

    Raises:
        OpenEnvGymError: of class ``error``, when the value does not have the space's structure.
        UnsupportedSpace: the space has no plain form.
    """
    return _to_plain(space, value, (), _blame(error))


def from_plain(space: Space[Any], plain: Plain, error: _Error = InvalidAction) -> Any:
    """Restore a value from plain data, with the dtype and the shape that the space declares.

    Lenient as OpenEnv's own models are: ``1.0`` and ``True`` count as the integer 1. Nothing else
    is guessed: ``1.5`` is no integer, and a string is never a number. Bounds are not checked. The
    cost is bounded by the data given, whatever shape the space has.

    >>> from_plain(Discrete(3), 2.0), from_plain(Box(-1, 1, (2,)), [0.5, 1])
    (np.int64(2), array([0.5, 1. ], dtype=float32))
    >>> from_plain(Discrete(3), "2")
    Traceback (most recent call last):
    openenv_gym.errors.InvalidAction: action holds a str, action_space wants int64; see env.action_space

    Raises:
        OpenEnvGymError: of class ``error``, when the data do not fit the space.
        UnsupportedSpace: the space has no plain form.
    """
    return _from_plain(space, plain, (), _blame(error))


def _blame(error: _Error) -> Blame:
    if issubclass(error, InvalidAction):
        return Blame(error, ACTION.noun, ACTION.space, ACTION.advice)
    return Blame(error, "value", "its space", "see the space that was agreed on")


@singledispatch
def _to_plain(space: Space[Any], value: Any, path: Path, blame: Blame) -> Plain:
    raise _unsupported(space, path)


@_to_plain.register(Box)
@_to_plain.register(Discrete)
@_to_plain.register(MultiBinary)
@_to_plain.register(MultiDiscrete)
def _to_plain_leaf(space: Space[Any], value: Any, path: Path, blame: Blame) -> Plain:
    array = _array(space, value, path, blame)
    if array.shape != space.shape:
        raise blame.refuse(path, f"has shape {array.shape}", f"wants {space.shape}")
    return array.tolist()


@_to_plain.register(Text)
def _to_plain_text(space: Text, value: Any, path: Path, blame: Blame) -> Plain:
    return _text(value, path, blame)


@_to_plain.register(Sequence)
def _to_plain_sequence(space: Sequence, value: Any, path: Path, blame: Blame) -> Plain:
    if space.stack:
        return _to_plain_stacked(space.feature_space, value, path, blame)
    return _to_plain_each(space.feature_space, value, path, blame)


@_to_plain.register(Graph)
def _to_plain_graph(space: Graph, value: Any, path: Path, blame: Blame) -> Plain:
    if not isinstance(value, tuple) or len(value) != 3:
        raise blame.refuse(path, f"is a {type(value).__name__}", "wants a GraphInstance")
    nodes, edges, links = value
    _check_edges(space, edges, links, path, blame)
    plain: dict[str, Plain] = {
        "nodes": _to_plain_stacked(space.node_space, nodes, (*path, "nodes"), blame),
        "edges": None,
        "edge_links": None,
    }
    if space.edge_space is not None and edges is not None:
        plain["edges"] = _to_plain_stacked(space.edge_space, edges, (*path, "edges"), blame)
        plain["edge_links"] = _to_plain_stacked(_LINK, links, (*path, "edge_links"), blame)
    return plain


@_to_plain.register(OneOf)
def _to_plain_one_of(space: OneOf[Any], value: Any, path: Path, blame: Blame) -> Plain:
    at, part = _chosen(space, value, path, blame)
    return [at, _to_plain(space.spaces[at], part, (*path, at), blame)]


@singledispatch
def _to_plain_stacked(space: Space[Any], value: Any, path: Path, blame: Blame) -> Plain:
    """Write a batch of values of a space; those without a layout batch as a tuple of values."""
    return _to_plain_each(space, value, path, blame)


@_to_plain_stacked.register(Box)
@_to_plain_stacked.register(Discrete)
@_to_plain_stacked.register(MultiBinary)
@_to_plain_stacked.register(MultiDiscrete)
def _to_plain_stacked_leaf(space: Space[Any], value: Any, path: Path, blame: Blame) -> Plain:
    array = _array(space, value, path, blame)
    if array.ndim == 0 or array.shape[1:] != space.shape:
        raise blame.refuse(path, f"has shape {array.shape}", f"wants any number of {space.shape}")
    return array.tolist()


@_to_plain_stacked.register(Dict)
def _to_plain_stacked_dict(space: Dict, value: Any, path: Path, blame: Blame) -> Plain:
    if not isinstance(value, collections.abc.Mapping) or value.keys() != space.spaces.keys():
        raise _wrong_keys(space, value, path, blame)
    return {
        key: _to_plain_stacked(child, value[key], (*path, key), blame) for key, child in space.spaces.items()
    }


@_to_plain_stacked.register(Tuple)
def _to_plain_stacked_tuple(space: Tuple[Any], value: Any, path: Path, blame: Blame) -> Plain:
    if not isinstance(value, list | tuple) or len(value) != len(space.spaces):
        raise _wrong_length(space, value, path, blame)
    return [_to_plain_stacked(child, value[at], (*path, at), blame) for at, child in enumerate(space.spaces)]


def _to_plain_each(space: Space[Any], value: Any, path: Path, blame: Blame) -> Plain:
    if not isinstance(value, list | tuple):
        raise blame.refuse(path, f"is a {type(value).__name__}", "wants a tuple of any length")
    return [_to_plain(space, item, (*path, at), blame) for at, item in enumerate(value)]


def _array(space: Space[Any], value: Any, path: Path, blame: Blame) -> NDArray[Any]:
    """Numbers as an array that ``tolist`` turns into Python's own."""
    try:
        array = np.asarray(value)
    except Exception as error:  # what __array__ of a foreign class may raise is not ours to list
        raise blame.refuse(
            path, f"is a {type(value).__name__} and no array ({error})", "wants one"
        ) from error
    if array.dtype.kind not in "biuf":
        raise blame.refuse(
            path, f"is a {type(value).__name__} of dtype {array.dtype}", f"wants {space.dtype}"
        )
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array


@_to_plain.register(Dict)
def _to_plain_dict(space: Dict, value: Any, path: Path, blame: Blame) -> Plain:
    try:
        parts = {key: value[key] for key in space.spaces}
    except (KeyError, IndexError, TypeError) as error:
        raise blame.refuse(path, f"is a {type(value).__name__} that lacks {error}", "wants it") from error
    return {key: _to_plain(space.spaces[key], part, (*path, key), blame) for key, part in parts.items()}


@_to_plain.register(Tuple)
def _to_plain_tuple(space: Tuple[Any], value: Any, path: Path, blame: Blame) -> Plain:
    if not isinstance(value, collections.abc.Sequence | np.ndarray) or len(value) != len(space.spaces):
        raise _wrong_length(space, value, path, blame)
    return [_to_plain(child, value[at], (*path, at), blame) for at, child in enumerate(space.spaces)]


@singledispatch
def _from_plain(space: Space[Any], plain: Plain, path: Path, blame: Blame) -> Any:
    raise _unsupported(space, path)


@_from_plain.register(Box)
@_from_plain.register(MultiBinary)
@_from_plain.register(MultiDiscrete)
def _from_plain_array(
    space: Box | MultiBinary | MultiDiscrete, plain: Plain, path: Path, blame: Blame
) -> Any:
    flat = _flattened(plain, space.shape, path, blame)
    return _numbers(flat, space.dtype, path, blame).reshape(space.shape)


@_from_plain.register(Discrete)
def _from_plain_discrete(space: Discrete, plain: Plain, path: Path, blame: Blame) -> Any:
    return _numbers([plain], space.dtype, path, blame)[0]


@_from_plain.register(Dict)
def _from_plain_dict(space: Dict, plain: Plain, path: Path, blame: Blame) -> Any:
    if not isinstance(plain, dict) or plain.keys() != space.spaces.keys():
        raise _wrong_keys(space, plain, path, blame)
    return {key: _from_plain(child, plain[key], (*path, key), blame) for key, child in space.spaces.items()}


@_from_plain.register(Tuple)
def _from_plain_tuple(space: Tuple[Any], plain: Plain, path: Path, blame: Blame) -> Any:
    if not isinstance(plain, list | tuple) or len(plain) != len(space.spaces):
        raise _wrong_length(space, plain, path, blame)
    return tuple([_from_plain(child, plain[at], (*path, at), blame) for at, child in enumerate(space.spaces)])


@_from_plain.register(Text)
def _from_plain_text(space: Text, plain: Plain, path: Path, blame: Blame) -> Any:
    return _text(plain, path, blame)


@_from_plain.register(Sequence)
def _from_plain_sequence(space: Sequence, plain: Plain, path: Path, blame: Blame) -> Any:
    if space.stack:
        return _from_plain_stacked(space.feature_space, plain, path, blame)
    return _from_plain_each(space.feature_space, plain, path, blame)


@_from_plain.register(Graph)
def _from_plain_graph(space: Graph, plain: Plain, path: Path, blame: Blame) -> Any:
    if not isinstance(plain, dict) or plain.keys() != set(GraphInstance._fields):
        has = f"has keys {shortened(plain)}" if isinstance(plain, dict) else f"is a {type(plain).__name__}"
        raise blame.refuse(path, has, f"wants keys {shortened(GraphInstance._fields)}")
    edges, links = plain["edges"], plain["edge_links"]
    _check_edges(space, edges, links, path, blame)
    nodes = _from_plain_stacked(space.node_space, plain["nodes"], (*path, "nodes"), blame)
    if space.edge_space is None or edges is None:
        return GraphInstance(nodes, None, None)
    return GraphInstance(
        nodes,
        _from_plain_stacked(space.edge_space, edges, (*path, "edges"), blame),
        _from_plain_stacked(_LINK, links, (*path, "edge_links"), blame),
    )


@_from_plain.register(OneOf)
def _from_plain_one_of(space: OneOf[Any], plain: Plain, path: Path, blame: Blame) -> Any:
    at, part = _chosen(space, plain, path, blame)
    return np.int64(at), _from_plain(space.spaces[at], part, (*path, at), blame)


@singledispatch
def _from_plain_stacked(space: Space[Any], plain: Plain, path: Path, blame: Blame) -> Any:
    """Restore a batch of values of a space; those without a layout batch as a tuple of values."""
    return _from_plain_each(space, plain, path, blame)


@_from_plain_stacked.register(Box)
@_from_plain_stacked.register(Discrete)
@_from_plain_stacked.register(MultiBinary)
@_from_plain_stacked.register(MultiDiscrete)
def _from_plain_stacked_leaf(
    space: Box | Discrete | MultiBinary | MultiDiscrete, plain: Plain, path: Path, blame: Blame
) -> Any:
    if not isinstance(plain, list | tuple):
        raise blame.refuse(path, f"is a {type(plain).__name__}", f"wants any number of {space.shape}")
    shape = (len(plain), *(space.shape or ()))
    flat = _flattened(plain, shape, path, blame)
    return _numbers(flat, np.dtype(space.dtype), path, blame).reshape(shape)


@_from_plain_stacked.register(Dict)
def _from_plain_stacked_dict(space: Dict, plain: Plain, path: Path, blame: Blame) -> Any:
    if not isinstance(plain, dict) or plain.keys() != space.spaces.keys():
        raise _wrong_keys(space, plain, path, blame)
    return {
        key: _from_plain_stacked(child, plain[key], (*path, key), blame)
        for key, child in space.spaces.items()
    }


@_from_plain_stacked.register(Tuple)
def _from_plain_stacked_tuple(space: Tuple[Any], plain: Plain, path: Path, blame: Blame) -> Any:
    if not isinstance(plain, list | tuple) or len(plain) != len(space.spaces):
        raise _wrong_length(space, plain, path, blame)
    parts = [
        _from_plain_stacked(child, plain[at], (*path, at), blame) for at, child in enumerate(space.spaces)
    ]
    return tuple(parts)


def _from_plain_each(space: Space[Any], plain: Plain, path: Path, blame: Blame) -> Any:
    if not isinstance(plain, list | tuple):
        raise blame.refuse(path, f"is a {type(plain).__name__}", "wants a list of any length")
    return tuple([_from_plain(space, item, (*path, at), blame) for at, item in enumerate(plain)])


_LINK = Box(0, np.iinfo(np.int32).max, (2,), np.int32)
"""One row of ``edge_links``, with the dtype that Gymnasium samples."""


def _check_edges(space: Graph, edges: Any, links: Any, path: Path, blame: Blame) -> None:
    if (edges is None) is not (links is None):
        raise blame.refuse(path, "has edges or edge_links alone", "wants both or neither")
    if edges is not None and space.edge_space is None:
        raise blame.refuse(path, "has edges", "wants none")


def _chosen(space: OneOf[Any], value: Any, path: Path, blame: Blame) -> tuple[int, Any]:
    """The index of the space that was chosen, and its value."""
    wants = f"wants an index below {len(space.spaces)} and a value"
    if not isinstance(value, list | tuple) or len(value) != 2:
        has = f"has {len(value)} parts" if hasattr(value, "__len__") else f"is a {type(value).__name__}"
        raise blame.refuse(path, has, wants)
    at, part = value
    if isinstance(at, bool) or not isinstance(at, int | np.integer) or not 0 <= at < len(space.spaces):
        raise blame.refuse(path, f"has the index {shown(at)}", wants)
    return int(at), part


def _text(value: Any, path: Path, blame: Blame) -> str:
    if not isinstance(value, str):
        raise blame.refuse(path, f"is a {type(value).__name__}", "wants a str")
    return str(value)


def _wrong_keys(space: Dict, value: Any, path: Path, blame: Blame) -> OpenEnvGymError:
    if not isinstance(value, collections.abc.Mapping):
        return blame.refuse(
            path, f"is a {type(value).__name__}", f"wants an object with {shortened(space.spaces)}"
        )
    return blame.refuse(path, f"has keys {shortened(value)}", f"wants keys {shortened(space.spaces)}")


def _unsupported(space: Space[Any], path: Path) -> UnsupportedSpace:
    where = f" at {list(path)}" if path else ""
    return UnsupportedSpace(
        f"the space{where} is a {type(space).__name__}, which has no plain form; use one of Gymnasium's own",
        path=list(path),
    )


def _wrong_length(space: Tuple[Any], value: Any, path: Path, blame: Blame) -> OpenEnvGymError:
    has = f"has {len(value)} parts" if hasattr(value, "__len__") else f"is a {type(value).__name__}"
    return blame.refuse(path, has, f"wants {len(space.spaces)} parts")


def _flattened(plain: Plain, shape: tuple[int, ...], path: Path, blame: Blame) -> list[Any]:
    """Flatten nested lists, one axis at a time, checking every length against the shape.

    ``np.array`` on a peer's lists would cost without limit: one long string among many numbers
    widens every item to its length.
    """
    items: list[Any] = [plain]
    for axis, length in enumerate(shape):
        for item in items:
            if not isinstance(item, list | tuple):
                raise blame.refuse(
                    path, f"has a {type(item).__name__} on axis {axis}", f"wants shape {shape}"
                )
            if len(item) != length:
                raise blame.refuse(path, f"has {len(item)} items on axis {axis}", f"wants shape {shape}")
        items = list(chain.from_iterable(items))
    return items


def _numbers(flat: list[Any], dtype: np.dtype[Any], path: Path, blame: Blame) -> NDArray[Any]:
    """Turn Python's numbers into an array of shape (len(flat),), refusing whatever would be changed."""
    kinds = set(map(type, flat))
    for kind in kinds - {int, float, bool}:
        raise blame.refuse(path, f"holds a {kind.__name__}", f"wants {dtype}")
    if dtype.kind == "f":
        return _floats(flat, dtype, path, blame)
    integers = _integers(flat, dtype, path, blame) if float in kinds else flat
    least, greatest = (0, 1) if dtype.kind == "b" else limits(dtype)
    try:
        # One array both to compare and to cast: Python compares an image's pixels ten times slower.
        array = np.array(integers, np.int64)
        extremes = (int(array.min()), int(array.max())) if array.size else ()
    except OverflowError:
        array, extremes = np.array(integers, np.object_), (min(integers), max(integers))
    for item in extremes:
        if not least <= item <= greatest:
            raise blame.refuse(path, f"holds {shown(item)}", f"wants {dtype} ({least} to {greatest})")
    return array.astype(dtype)


def _integers(flat: list[Any], dtype: np.dtype[Any], path: Path, blame: Blame) -> list[int]:
    for item in flat:
        if isinstance(item, float) and not item.is_integer():
            raise blame.refuse(path, f"holds {item}", f"wants {dtype}")
    return [int(item) for item in flat]


def _floats(flat: list[Any], dtype: np.dtype[Any], path: Path, blame: Blame) -> NDArray[Any]:
    try:
        doubles = np.array(flat, np.float64)
    except OverflowError as error:
        raise blame.refuse(path, "holds an integer beyond every float", f"wants {dtype}") from error
    with np.errstate(all="ignore"):
        array = doubles.astype(dtype)
    if overflowed(doubles, array):
        raise blame.refuse(path, "holds a finite number that becomes infinite", f"wants {dtype}")
    return array
