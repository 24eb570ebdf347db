"""Random spaces, random values of them, and what "equal to the bit" means; shared by these tests."""

from __future__ import annotations

import warnings
from typing import Any

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
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from hypothesis import strategies as st
from numpy.typing import NDArray

INTEGERS = ["|i1", "|u1", "<i2", ">u2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8"]
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", np.dtype(np.longdouble).str]

BOOL: Any = np.bool_  # Gymnasium takes it, but its type hints do not say so

shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
keys = st.text("abz_ é", min_size=0, max_size=3)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    dtype = np.dtype(draw(st.sampled_from([*INTEGERS, *FLOATS, "|b1"])))
    shape = draw(shapes)
    low, high = draw(_bounds(dtype, shape)), draw(_bounds(dtype, shape))
    low, high = np.where(low <= high, low, high), np.where(low <= high, high, low)
    # Gymnasium itself warns of a bad cast for infinite bounds in an int64 array.
    if dtype.kind == "i" and dtype.itemsize < 8 and draw(st.booleans()):
        return _half_bounded(draw, dtype, shape)
    return Box(low.astype(dtype), high.astype(dtype), shape, dtype=dtype)


@st.composite
def _bounds(draw: st.DrawFn, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if dtype.kind == "b":
        items: st.SearchStrategy[Any] = st.booleans()
    elif dtype.kind == "f":
        width: Any = min(dtype.itemsize * 8, 64)
        items = st.floats(width=width, allow_nan=False)
    else:
        facts = np.iinfo(dtype)
        items = st.integers(int(facts.min), int(facts.max))
    if draw(st.booleans()):
        return np.full(shape, draw(items), dtype)
    count = int(np.prod(shape, dtype=np.int64))
    return np.array(draw(st.lists(items, min_size=count, max_size=count)), dtype).reshape(shape)


def _half_bounded(draw: st.DrawFn, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Box:
    """An integer Box that was given infinities, which its `low` and `high` no longer show."""
    count = int(np.prod(shape, dtype=np.int64))
    masks = st.lists(st.booleans(), min_size=count, max_size=count)
    low = np.where(np.reshape(draw(masks), shape), -np.inf, -3.0)
    high = np.where(np.reshape(draw(masks), shape), np.inf, 5.0)
    return Box(np.asarray(low), np.asarray(high), shape, dtype=dtype)


@st.composite
def discretes(draw: st.DrawFn) -> Discrete:
    dtype: np.dtype[Any] = np.dtype(draw(st.sampled_from(INTEGERS)))
    facts = np.iinfo(dtype)
    n, start = draw(st.integers(1, int(facts.max))), draw(st.integers(int(facts.min), int(facts.max)))
    return Discrete(n, start=start, dtype=dtype)


@st.composite
def multi_discretes(draw: st.DrawFn) -> MultiDiscrete:
    dtype: np.dtype[Any] = np.dtype(draw(st.sampled_from(INTEGERS)))
    shape = draw(shapes)
    nvec = np.asarray(draw(_bounds(dtype, shape)) // 2)
    start = np.asarray(draw(_bounds(dtype, shape)) // 4)
    return MultiDiscrete(np.maximum(nvec, 1).astype(dtype), dtype, start=start.astype(dtype))


multi_binaries = st.one_of(
    st.integers(1, 70).map(MultiBinary), st.lists(st.integers(1, 3), max_size=3).map(MultiBinary)
)
leaves: st.SearchStrategy[Space[Any]] = st.one_of(boxes(), discretes(), multi_discretes(), multi_binaries)


def _containers(children: st.SearchStrategy[Space[Any]]) -> st.SearchStrategy[Space[Any]]:
    pairs = st.lists(st.tuples(keys, children), max_size=3, unique_by=lambda pair: pair[0])
    return st.one_of(
        st.builds(lambda spaces, sort: Dict(spaces, sort_keys=sort), pairs, st.booleans()),
        st.lists(children, max_size=3).map(Tuple),
    )


spaces: st.SearchStrategy[Space[Any]] = st.recursive(leaves, _containers, max_leaves=6)
"""Spaces with a layout."""


@st.composite
def texts(draw: st.DrawFn) -> Text:
    # NumPy, which draws Gymnasium's samples, loses a NUL at the end of a text.
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    characters = draw(st.text(letters, min_size=1, max_size=9))
    least = draw(st.integers(0, 4))
    charset: str | frozenset[str] = frozenset(characters) if draw(st.booleans()) else characters
    return Text(draw(st.integers(least, 9)), min_length=least, charset=charset)


def batches(space: Space[Any]) -> bool:
    """Whether Gymnasium can batch a space; it cannot where the greatest value overflows, for example."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            batch_space(space, 1)
        except (AssertionError, ValueError, TypeError, OverflowError, Warning):
            return False
    return True


def _all_containers(children: st.SearchStrategy[Space[Any]]) -> st.SearchStrategy[Space[Any]]:
    stackable = children.filter(batches)
    return st.one_of(
        _containers(children),
        children.map(Sequence),
        stackable.map(lambda space: Sequence(space, stack=True)),
        st.builds(Graph, stackable, st.none() | stackable),
        st.lists(children, min_size=1, max_size=3).map(OneOf),
    )


all_spaces: st.SearchStrategy[Space[Any]] = st.recursive(leaves | texts(), _all_containers, max_leaves=6)
"""Spaces of every kind, most of them without a layout."""


def example(space: Space[Any], rng: np.random.Generator) -> Any:
    """A value with random bits, out of bounds as likely as not: neither layout nor codec looks at bounds."""
    if isinstance(space, Dict):
        return {key: example(child, rng) for key, child in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(example(child, rng) for child in space.spaces)
    if isinstance(space, Text):
        return "".join(rng.choice(space.character_list, rng.integers(0, 5)).tolist())
    if isinstance(space, Sequence):
        count = int(rng.integers(0, 4))
        if space.stack:
            return _stack(space.feature_space, count, rng)
        return tuple(example(space.feature_space, rng) for _ in range(count))
    if isinstance(space, Graph):
        return _graph(space, rng)
    if isinstance(space, OneOf):
        at = rng.integers(len(space.spaces))
        return at, example(space.spaces[at], rng)
    array = random_bits(np.dtype(space.dtype), space.shape or (), rng)
    return array[()] if isinstance(space, Discrete) else array


def _stack(space: Space[Any], count: int, rng: np.random.Generator) -> Any:
    """A batch as Gymnasium makes it, which it does not of no values at all."""
    if isinstance(space, Dict):
        return {key: _stack(child, count, rng) for key, child in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(_stack(child, count, rng) for child in space.spaces)
    if isinstance(space, Text | Sequence | Graph | OneOf):
        return tuple(example(space, rng) for _ in range(count))
    return random_bits(np.dtype(space.dtype), (count, *(space.shape or ())), rng)


def _graph(space: Graph, rng: np.random.Generator) -> GraphInstance:
    nodes, edges = int(rng.integers(0, 4)), int(rng.integers(0, 4))
    if space.edge_space is None or edges == 3:
        return GraphInstance(_stack(space.node_space, nodes, rng), None, None)
    links = rng.integers(0, 9, (edges, 2), np.int32)
    return GraphInstance(_stack(space.node_space, nodes, rng), _stack(space.edge_space, edges, rng), links)


def random_bits(dtype: np.dtype[Any], shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    if dtype.kind == "b":
        return np.asarray(rng.integers(0, 2, shape)).astype(np.bool_)
    if dtype.kind == "f" and dtype.itemsize > 8:  # not every pattern of bits is a longdouble
        return np.asarray(np.asarray(rng.normal(size=shape)).astype(dtype) / 3)
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).reshape(shape).copy()


def batched(space: Space[Any], values: list[Any]) -> Any:
    """A batch as Gymnasium's own vector environments make it."""
    empty: Any = create_empty_array(space, len(values))
    return concatenate(space, values, empty)


def bits(value: Any) -> Any:
    """A value as something that `==` compares to the bit: types, order of keys, dtypes, shapes, bytes."""
    if isinstance(value, dict):
        return ["dict", [(key, bits(part)) for key, part in value.items()]]
    if isinstance(value, tuple):
        return [type(value), [bits(part) for part in value]]
    if isinstance(value, np.ndarray | np.generic):
        long = value.dtype.kind == "f" and value.dtype.itemsize > 8
        content = [repr(item) for item in value.flatten()] if long else value.tobytes()
        return [type(value), value.dtype.str, value.shape, content]
    return [type(value), repr(value)]
