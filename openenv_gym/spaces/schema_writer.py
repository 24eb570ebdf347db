"""The writing half of :mod:`.schema`: one function for each class of space. Internal to ``spaces``."""

from __future__ import annotations

import math
import re
from functools import singledispatch
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
)
from numpy.typing import NDArray

from openenv_gym.errors import UnsupportedSpace
from openenv_gym.spaces.bounds import LIST_LIMIT, encode_array, uniform
from openenv_gym.spaces.open_text import OpenText
from openenv_gym.spaces.schema_reader import DEPTH_LIMIT, ELEMENT_LIMIT, KEY, LENGTH_LIMIT, VERSION
from openenv_gym.types import Plain

__all__ = ["write_schema"]


def write_schema(space: Space[Any], path: str = "$", depth: int = 0) -> dict[str, Plain]:
    """Write the schema of a space that is found at ``path``, inside ``depth`` containers.

    >>> write_schema(Discrete(3))["maximum"]
    2

    Raises:
        UnsupportedSpace: the space, or one within it, has no schema.
    """
    if depth > DEPTH_LIMIT:
        raise UnsupportedSpace(
            f"spaces are nested deeper than {DEPTH_LIMIT} at {path[:80]}; flatten them", path=path
        )
    # By the very class: a subclass would come back as its base, which is not the same space.
    write = _schema_of.registry.get(type(space), _schema_of.registry[object])
    return write(space, path, depth)


@singledispatch
def _schema_of(space: Space[Any], path: str, depth: int) -> dict[str, Plain]:
    name = type(space).__name__
    raise UnsupportedSpace(
        f"the space at {path} is a {name}, which has no schema; use one of Gymnasium's own spaces "
        "themselves, or wrap the environment so that it declares one of them",
        space=name,
        path=path,
    )


@_schema_of.register(Box)
def _schema_of_box(space: Box, path: str, depth: int) -> dict[str, Plain]:
    if len(space.shape) > DEPTH_LIMIT or math.prod(space.shape) > ELEMENT_LIMIT:
        raise UnsupportedSpace(
            f"the Box at {path} has shape {space.shape}, which no peer may read", path=path
        )
    node: dict[str, Plain] = {
        "dtype": space.dtype.str,
        "shape": list(space.shape),
        "low": encode_array(space.low.astype(space.dtype)),
        "high": encode_array(space.high.astype(space.dtype)),
    }
    if space.dtype.kind == "f" and space.dtype.itemsize > 8:
        # '<f16' names different formats on different processors; this tells them apart.
        node["mantissa"] = int(np.finfo(np.dtype(space.dtype).str).nmant)
    for key, mask, bound in (
        ("bounded_below", space.bounded_below, space.low),
        ("bounded_above", space.bounded_above, space.high),
    ):
        if not np.array_equal(mask, np.isfinite(bound)):
            node[key] = encode_array(np.asarray(mask))
    below, above = np.asarray(space.bounded_below), np.asarray(space.bounded_above)
    return {**_array_schema(space.dtype, space.low, space.high, below, above), KEY: _node("Box", **node)}


@_schema_of.register(Discrete)
def _schema_of_discrete(space: Discrete, path: str, depth: int) -> dict[str, Plain]:
    n, start = int(space.n), int(space.start)
    node = _node("Discrete", dtype=_dtype_of(space).str, n=n, start=start)
    return {"type": "integer", "minimum": start, "maximum": start + n - 1, KEY: node}


@_schema_of.register(MultiDiscrete)
def _schema_of_multi_discrete(space: MultiDiscrete, path: str, depth: int) -> dict[str, Plain]:
    node = _node(
        "MultiDiscrete",
        dtype=_dtype_of(space).str,
        shape=list(space.shape),
        nvec=encode_array(space.nvec),
        start=encode_array(space.start),
    )
    # In Python's ints: `start + nvec` of an unsigned or narrow dtype may wrap around.
    high = space.start.astype(object) + space.nvec.astype(object) - 1
    bounded = np.ones(space.shape, np.bool_)
    return {**_array_schema(_dtype_of(space), space.start, np.asarray(high), bounded, bounded), KEY: node}


@_schema_of.register(MultiBinary)
def _schema_of_multi_binary(space: MultiBinary, path: str, depth: int) -> dict[str, Plain]:
    n = space.n if isinstance(space.n, int) else list(space.n)
    item = {"type": "integer", "minimum": 0, "maximum": 1}
    return {**_nested(space.shape, item), KEY: _node("MultiBinary", n=n)}


@_schema_of.register(Dict)
def _schema_of_dict(space: Dict, path: str, depth: int) -> dict[str, Plain]:
    keys = list(space.spaces)
    for key in keys:
        if type(key) is not str:
            raise UnsupportedSpace(
                f"the Dict at {path} has the key {key!r}, a {type(key).__name__}; JSON has only "
                "strings for keys: rename it",
                path=path,
            )
    children = {key: write_schema(child, f"{path}.{key}", depth + 1) for key, child in space.spaces.items()}
    node = _node("Dict", keys=keys, sort_keys=bool(getattr(space, "sort_keys", True)))
    return {
        "type": "object",
        "properties": children,
        "required": list(keys),
        "additionalProperties": False,
        KEY: node,
    }


@_schema_of.register(Tuple)
def _schema_of_tuple(space: Tuple[Any], path: str, depth: int) -> dict[str, Plain]:
    children = [write_schema(child, f"{path}[{at}]", depth + 1) for at, child in enumerate(space.spaces)]
    return {**_fixed_items(children), KEY: _node("Tuple")}


@_schema_of.register(OneOf)
def _schema_of_one_of(space: OneOf[Any], path: str, depth: int) -> dict[str, Plain]:
    chosen = [write_schema(child, f"{path}[{at}]", depth + 1) for at, child in enumerate(space.spaces)]
    return {
        "oneOf": [_fixed_items([{"const": at}, child]) for at, child in enumerate(chosen)],
        KEY: _node("OneOf"),
    }


@_schema_of.register(Sequence)
def _schema_of_sequence(space: Sequence, path: str, depth: int) -> dict[str, Plain]:
    feature = write_schema(space.feature_space, f"{path}[]", depth + 1)
    if space.stack:
        # Of a batch, whose plain form is not a list of items where the items are dicts or tuples.
        return {"type": _stacked(space.feature_space), KEY: _node("Sequence", stack=True, feature=feature)}
    return {"type": "array", "items": feature, KEY: _node("Sequence", stack=False)}


@_schema_of.register(Graph)
def _schema_of_graph(space: Graph, path: str, depth: int) -> dict[str, Plain]:
    node = write_schema(space.node_space, f"{path}.nodes", depth + 1)
    edge, edges, links = None, ["null"], ["null"]
    if space.edge_space is not None:
        edge = write_schema(space.edge_space, f"{path}.edges", depth + 1)
        edges, links = [_stacked(space.edge_space), "null"], ["array", "null"]
    pair = _nested((2,), {"type": "integer", "minimum": 0})
    properties = {
        "nodes": {"type": _stacked(space.node_space)},
        "edges": {"type": edges},
        "edge_links": {"type": links, "items": pair},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        KEY: _node("Graph", node=node, edge=edge),
    }


@_schema_of.register(Text)
def _schema_of_text(space: Text, path: str, depth: int) -> dict[str, Plain]:
    characters = "".join(space.character_list)
    if any("\ud800" <= character <= "\udfff" for character in characters):
        raise UnsupportedSpace(
            f"the Text at {path} has half of a surrogate pair among its characters; UTF-8 has none", path=path
        )
    if space.max_length > LENGTH_LIMIT or space.min_length > ELEMENT_LIMIT:
        raise UnsupportedSpace(f"the Text at {path} is longer than any peer may read", path=path)
    node = _node("Text", min_length=space.min_length, max_length=space.max_length, characters=characters)
    schema: dict[str, Plain] = {
        "type": "string",
        "minLength": space.min_length,
        "maxLength": space.max_length,
    }
    if characters:  # an empty class is no regular expression in every language
        schema["pattern"] = f"^[{_SPECIAL.sub(_ESCAPED, characters)}]*$"
    return {**schema, KEY: node}


@_schema_of.register(OpenText)
def _schema_of_open_text(space: OpenText, path: str, depth: int) -> dict[str, Plain]:
    bounds = {"minLength": space.min_length}
    if space.max_length < LENGTH_LIMIT:
        bounds["maxLength"] = space.max_length
    node = _node("OpenText", min_length=space.min_length, max_length=space.max_length)
    return {"type": "string", **bounds, KEY: node}


_SPECIAL = re.compile(r"[\\\]\[^-]")
_ESCAPED = r"\\\g<0>"


def _stacked(space: Space[Any]) -> str:
    """The JSON type of what ``to_plain`` makes of values of a space that were stacked."""
    return "object" if isinstance(space, Dict) else "array"


def _node(name: str, **facts: Plain) -> dict[str, Plain]:
    return {"space": name, "version": VERSION, **facts}


def _dtype_of(space: Discrete | MultiDiscrete) -> np.dtype[Any]:
    return np.dtype(space.dtype)


def _array_schema(
    dtype: np.dtype[Any], low: NDArray[Any], high: NDArray[Any], below: NDArray[Any], above: NDArray[Any]
) -> dict[str, Plain]:
    """Describe nested lists: each item's own bounds in a short list, else one bound for all."""
    name = {"b": "boolean", "f": "number"}.get(dtype.kind, "integer")
    exact = dtype.kind != "b" and dtype.itemsize <= 8
    below, above = below & exact & _finite(low), above & exact & _finite(high)

    def item(chosen: Any) -> dict[str, Plain]:
        schema: dict[str, Plain] = {"type": name}
        if low[chosen].size and below[chosen].all():
            schema["minimum"] = low[chosen].min().item() if low.dtype != object else int(low[chosen].min())
        if high[chosen].size and above[chosen].all():
            schema["maximum"] = high[chosen].max().item() if high.dtype != object else int(high[chosen].max())
        return schema

    varied = low.ndim == 1 and 1 < low.size <= LIST_LIMIT and not (uniform(low) and uniform(high))
    if varied and dtype.kind != "b":
        return _fixed_items([item(slice(at, at + 1)) for at in range(low.size)])
    return _nested(low.shape, item(...))


def _finite(bound: NDArray[Any]) -> NDArray[np.bool_]:
    return np.ones(bound.shape, np.bool_) if bound.dtype == object else np.asarray(np.isfinite(bound))


def _nested(shape: tuple[int, ...], item: dict[str, Plain]) -> dict[str, Plain]:
    for length in reversed(shape):
        item = {"type": "array", "minItems": length, "maxItems": length, "items": item}
    return item


def _fixed_items(children: list[Plain]) -> dict[str, Plain]:
    count = len(children)
    schema: dict[str, Plain] = {"type": "array", "minItems": count, "maxItems": count}
    # `prefixItems` must not be empty (JSON Schema, Core 10.3.1.1).
    return {**schema, "prefixItems": children, "items": False} if children else schema
