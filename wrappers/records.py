"""What a log of episodes holds: values as JSON that restores them, their digests, and the lines of a file."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import GraphInstance
from numpy.typing import NDArray

from openenv_gym.errors import InvalidArgument

__all__ = ["digest", "read_lines", "restored", "told"]

_TAGS = frozenset({"array", "bytes", "dict", "float", "graph", "repr", "tuple"})
_READABLE = 64
"""An array of more numbers is written in base64."""


def told(value: Any) -> Any:
    """A value as plain JSON: what JSON has not is an object with a tag; a NumPy number is Python's.

    >>> told({"at": np.array([0.5, 2], np.float32), "move": (np.int64(3), "x")})
    {'at': {'array': [0.5, 2.0], 'dtype': '<f4', 'shape': [2]}, 'move': {'tuple': [3, 'x']}}
    """
    match value:
        case None | bool() | str():
            return value
        case np.generic() if isinstance(value.item(), (bool, int, float, str, bytes)):
            return told(value.item())
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        case np.ndarray() if value.dtype.kind in "biufcSU":
            return _array(value)
        case np.ndarray():
            return told(value.tolist())
        case GraphInstance():
            return {"graph": [told(part) for part in value]}
        case list():
            return [told(each) for each in value]
        case tuple():
            return {"tuple": [told(each) for each in value]}
        case dict() if all(isinstance(key, str) for key in value) and _TAGS.isdisjoint(value):
            return {key: told(part) for key, part in value.items()}
        case dict():
            return {"dict": [[told(key), told(part)] for key, part in value.items()]}
        case bytes():
            return {"bytes": base64.b64encode(value).decode()}
        case _:
            return {"repr": type(value).__name__}


def _array(array: NDArray[Any]) -> dict[str, Any]:
    about = {"dtype": array.dtype.str, "shape": list(array.shape)}
    readable = array.dtype.kind in "biu" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)
    if array.size <= _READABLE and readable and np.isfinite(array).all():
        return {"array": array.tolist(), **about}
    return {"array": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(), **about}


def restored(plain: Any) -> Any:
    """The value that :func:`told` has written.

    Raises:
        InvalidArgument: if it was written without what restores it, or is damaged.
    """
    if isinstance(plain, list):
        return [restored(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    try:
        match plain:
            case {"array": values, "dtype": str(dtype), "shape": list(shape)}:
                return _restored_array(values, np.dtype(dtype), shape)
            case {"float": str(number)}:
                return float(number)
            case {"tuple": list(parts)}:
                return tuple(restored(each) for each in parts)
            case {"graph": list(parts)}:
                return GraphInstance(*(restored(each) for each in parts))
            case {"dict": list(pairs)}:
                return {restored(key): restored(part) for key, part in pairs}
            case {"bytes": str(text)}:
                return base64.b64decode(text, validate=True)
            case {"repr": name}:
                raise InvalidArgument(f"the log does not hold a {name!s:.40}, only that there was one")
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"the log is damaged: {json.dumps(plain)!s:.80}") from error
    return {key: restored(part) for key, part in plain.items()}


def _restored_array(values: Any, dtype: np.dtype[Any], shape: list[Any]) -> NDArray[Any]:
    if dtype.kind not in "biufcSU":
        raise ValueError(f"no array of {dtype} is ever written")
    if isinstance(values, str):
        return np.frombuffer(base64.b64decode(values, validate=True), dtype).reshape(shape).copy()
    return np.array(values, dtype).reshape(shape)


def digest(plain: Any) -> str:
    """A short fingerprint of what :func:`told` gave; equal values have the same in every process."""
    said = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def read_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a log, with their numbers from 1; one that broke off where its writer died is left out.

    Raises:
        InvalidArgument: if another line is damaged.
    """
    broken: int | None = None
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if broken is not None and (not isinstance(entry, dict) or entry.get("event") != "open"):
                raise InvalidArgument(
                    f"line {broken} of {path} is damaged; remove it and the rest of its episode"
                )
            broken = None if isinstance(entry, dict) else number
            if isinstance(entry, dict):
                yield number, entry
