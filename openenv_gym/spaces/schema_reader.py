"""The reading half of :mod:`.schema`: a hostile description becomes a space, or a typed error.

Internal to ``spaces``. Every path through here checks before it allocates.
"""

from __future__ import annotations

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

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces.bounds import decode_array, decode_dtype, decode_integer
from openenv_gym.spaces.casting import limits, shortened, shown
from openenv_gym.spaces.open_text import LENGTH_LIMIT, OpenText
from openenv_gym.types import Plain

__all__ = ["COPY_LIMIT", "DEPTH_LIMIT", "ELEMENT_LIMIT", "KEY", "LENGTH_LIMIT", "VERSION", "SchemaReader"]

ELEMENT_LIMIT = 2**24
"""The most numbers that one row of a space may have, in all its leaves: 160 frames of an Atari screen."""
DEPTH_LIMIT = 32
"""The most containers within one another, and the most axes of an array."""
COPY_LIMIT = 2**12
"""The most spaces that Gymnasium may copy for the batches of Graph and of a stacked Sequence."""
VERSION = 1
"""The version of the description under ``"gymnasium"`` that is written, and the only one that is read."""
KEY = "gymnasium"


class SchemaReader:
    """Reads one schema, and keeps count of how many elements its leaves have so far.

    >>> SchemaReader().read({"gymnasium": {"space": "MultiBinary", "version": 1, "n": [2, 3]}})
    MultiBinary((2, 3))
    """

    def __init__(self, max_elements: int = ELEMENT_LIMIT) -> None:
        """Grant all leaves together ``max_elements`` numbers."""
        self._max_elements = max_elements
        self._left = max_elements
        self._spaces = self._copies = 0
        self._readers = {
            "Box": self._box,
            "Dict": self._dict,
            "Discrete": self._discrete,
            "Graph": self._graph,
            "MultiBinary": self._multi_binary,
            "MultiDiscrete": self._multi_discrete,
            "OneOf": self._one_of,
            "OpenText": self._open_text,
            "Sequence": self._sequence,
            "Text": self._text,
            "Tuple": self._tuple,
        }

    def read(self, schema: Plain, path: str = "$", depth: int = 0) -> Space[Any]:
        """Build the space of one node, found at ``path`` inside ``depth`` containers.

        Raises:
            ProtocolViolation: the schema is malformed or too large.
        """
        if depth > DEPTH_LIMIT:
            raise ProtocolViolation(f"at {path[:80]}...: expected at most {DEPTH_LIMIT} nested containers")
        node = _object(_object(schema, path).get(KEY), path, f"under {KEY!r}")
        name, version = node.get("space"), node.get("version")
        if type(version) is not int or version != VERSION:
            raise ProtocolViolation(f"at {path}: expected version {VERSION} of a space, got {shown(version)}")
        if not isinstance(name, str) or name not in self._readers:
            raise ProtocolViolation(
                f"at {path}: expected a space among {', '.join(self._readers)}, got {shown(name)}"
            )
        self._spaces += 1
        try:
            return self._readers[name](node, schema, path, depth)
        except (ValueError, TypeError, OverflowError, AssertionError) as error:
            # What Gymnasium's own constructors refuse: low above high, NaN as a bound, nvec of 0.
            raise ProtocolViolation(
                f"at {path}: {name} refuses the description: {str(error)[:200]}"
            ) from error

    def _box(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        dtype = decode_dtype(node.get("dtype"), f"{path}.dtype")
        shape = self._shape(node.get("shape"), f"{path}.shape")
        if dtype.kind == "f" and dtype.itemsize > 8 and node.get("mantissa") != np.finfo(dtype).nmant:
            raise ProtocolViolation(f"at {path}: the peer's {dtype} is another format than this machine's")
        low = decode_array(node.get("low"), dtype, shape, f"{path}.low")
        high = decode_array(node.get("high"), dtype, shape, f"{path}.high")
        space = Box(low, high, shape, dtype=dtype)
        # Gymnasium derives these from the infinities that it was given, and has cast away for ints.
        space.bounded_below, space.bounded_above = [
            np.asarray(np.isfinite(bound))
            if key not in node
            else decode_array(node[key], np.dtype(np.bool_), shape, f"{path}.{key}")
            for key, bound in (("bounded_below", space.low), ("bounded_above", space.high))
        ]
        return space

    def _discrete(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        self._spend((), path)
        dtype = decode_dtype(node.get("dtype"), f"{path}.dtype", "iu")
        least, greatest = limits(dtype)
        n = decode_integer(node.get("n"), f"{path}.n", 1, greatest)
        start = decode_integer(node.get("start"), f"{path}.start", least, greatest)
        if dtype == np.int64:  # the default; older versions of Gymnasium take no dtype here
            return Discrete(n, start=start)
        return Discrete(n, start=start, dtype=dtype)

    def _multi_discrete(
        self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int
    ) -> Space[Any]:
        dtype = decode_dtype(node.get("dtype"), f"{path}.dtype", "iu")
        shape = self._shape(node.get("shape"), f"{path}.shape")
        nvec = decode_array(node.get("nvec"), dtype, shape, f"{path}.nvec")
        start = decode_array(node.get("start"), dtype, shape, f"{path}.start")
        return MultiDiscrete(nvec, dtype, start=start)

    def _multi_binary(
        self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int
    ) -> Space[Any]:
        n = node.get("n")
        if not isinstance(n, list):
            (length,) = self._shape([n], f"{path}.n")
            return MultiBinary(length)
        return MultiBinary(self._shape(n, f"{path}.n"))

    def _dict(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        children = _object(schema.get("properties"), path, "under 'properties'")
        keys, sort_keys = node.get("keys"), node.get("sort_keys")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ProtocolViolation(f"at {path}: expected a list of strings under 'keys'")
        if len(set(keys)) != len(keys) or set(keys) != children.keys():
            raise ProtocolViolation(
                f"at {path}: expected keys {shortened(children)} each once, got {shortened(keys)}"
            )
        if not isinstance(sort_keys, bool):
            raise ProtocolViolation(f"at {path}: expected true or false under 'sort_keys'")
        spaces = [(key, self.read(children[key], f"{path}.{key[:40]}", depth + 1)) for key in keys]
        # A list of pairs keeps its order; `sort_keys` is only passed where Gymnasium must have it.
        return Dict(spaces) if sort_keys else Dict(spaces, sort_keys=False)

    def _tuple(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        children = schema.get("prefixItems", [])
        if not isinstance(children, list):
            raise ProtocolViolation(f"at {path}: expected a list under 'prefixItems'")
        return Tuple([self.read(child, f"{path}[{at}]", depth + 1) for at, child in enumerate(children)])

    def _one_of(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        choices = schema.get("oneOf")
        if not isinstance(choices, list):
            raise ProtocolViolation(f"at {path}: expected a list under 'oneOf'")
        spaces = []
        for at, choice in enumerate(choices):
            pair = _object(choice, f"{path}[{at}]").get("prefixItems")
            if not isinstance(pair, list) or len(pair) != 2:
                raise ProtocolViolation(f"at {path}[{at}]: expected index and value under 'prefixItems'")
            spaces.append(self.read(pair[1], f"{path}[{at}]", depth + 1))
        return OneOf(spaces)

    def _sequence(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        stack = node.get("stack")
        if not isinstance(stack, bool):
            raise ProtocolViolation(f"at {path}: expected true or false under 'stack'")
        if not stack:
            return Sequence(self.read(schema.get("items"), f"{path}[]", depth + 1))
        return Sequence(self._copied(node.get("feature"), f"{path}[]", depth + 1), stack=True)

    def _graph(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        nodes = self._copied(node.get("node"), f"{path}.nodes", depth + 1)
        edge = node.get("edge")
        return Graph(nodes, None if edge is None else self._copied(edge, f"{path}.edges", depth + 1))

    def _text(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        characters = node.get("characters")
        if not isinstance(characters, str) or len(set(characters)) != len(characters):
            raise ProtocolViolation(f"at {path}: expected a string of characters, each once")
        least = decode_integer(node.get("min_length"), f"{path}.min_length", 0, self._max_elements)
        greatest = decode_integer(node.get("max_length"), f"{path}.max_length", least, LENGTH_LIMIT)
        # Gymnasium's empty batch holds a text of the least length.
        self._spend((least + len(characters),), path)
        return Text(greatest, min_length=least, charset=characters)

    def _open_text(self, node: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> Space[Any]:
        least = decode_integer(node.get("min_length"), f"{path}.min_length", 0, self._max_elements)
        greatest = decode_integer(node.get("max_length"), f"{path}.max_length", least, LENGTH_LIMIT)
        self._spend((least,), path)
        return OpenText(least, greatest)

    def _copied(self, schema: Plain, path: str, depth: int) -> Space[Any]:
        """Read a space that Gymnasium will copy for a batch of one, and count it twice.

        Copies of spaces that hold copies double with each level, so depth alone does not bound them.
        """
        spaces, left = self._spaces, self._left
        space = self.read(schema, path, depth)
        spaces, elements = self._spaces - spaces, left - self._left
        self._spaces += spaces
        self._copies += spaces
        if self._copies > COPY_LIMIT:
            raise ProtocolViolation(
                f"at {path[:80]}: expected spaces that Gymnasium copies at most {COPY_LIMIT} times in all"
            )
        self._spend((elements,), path)
        return space

    def _shape(self, plain: Plain, path: str) -> tuple[int, ...]:
        if not isinstance(plain, list) or len(plain) > DEPTH_LIMIT:
            raise ProtocolViolation(f"at {path}: expected a list of at most {DEPTH_LIMIT} lengths")
        shape = tuple([decode_integer(length, path, 0, self._max_elements) for length in plain])
        self._spend(shape, path)
        return shape

    def _spend(self, shape: tuple[int, ...], path: str) -> None:
        """Count the elements of a leaf, before anything of its size is allocated."""
        count, extent = 1, 1
        for length in shape:
            count, extent = count * length, extent * max(length, 1)
        # An array without elements has strides all the same, and NumPy's must not overflow.
        if count > self._left or extent > self._max_elements:
            raise ProtocolViolation(
                f"at {path}: expected at most {self._max_elements} elements in all, "
                f"got {shown(max(count, extent))}"
            )
        self._left -= count


def _object(plain: Plain, path: str, where: str = "") -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise ProtocolViolation(
            f"at {path}: expected an object {where}".rstrip() + f", got a {type(plain).__name__}"
        )
    return plain
