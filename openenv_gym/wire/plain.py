"""Any value to plain JSON and back, with a map beside it of what JSON cannot say.

``describe`` gives the plain value and its *types*: JSON-pointer path -> tag. Tags::

    ["tuple"]                       a list that is a tuple
    ["array", dtype, shape]         nested lists that are an array
    ["array", dtype, shape, data]   the same, exact bytes in base64: the lists have lost something
    ["scalar", dtype]               a number or text that is a NumPy scalar
    ["scalar", dtype, data]         the same, exact bytes in base64
    ["objects", shape]              a flat list that is an array of objects
    ["float", "nan" | "inf" | "-inf"]   a null that is a float
    ["int"]                         text that is an integer beyond 64 bits
    ["bytes"]                       base64 text that is bytes
    ["pairs"]                       a list of pairs that is a dict with keys of any type
    ["opaque"]                      text of an object that has no wire form; stays text

Stock clients ignore the map and see ordinary JSON.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from openenv_gym.errors import ProtocolViolation
from openenv_gym.types import Plain

__all__ = ["describe", "restore"]

_DTYPE = re.compile(r"[<>|=](?:b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|32)|[SU]\d{1,6})")
_TEXT_LIMIT = 2**26
"""The most bytes that arrays of text may take: each item is as wide as its dtype, however little came."""
_INT64 = range(-(2**63), 2**64)


def describe(value: Any) -> tuple[Plain, dict[str, list[Plain]]]:
    """The plain form of a value, and its types.

    >>> describe({"position": (1, np.float32(0.5)), "step": 3})
    ({'position': [1, 0.5], 'step': 3}, {'/position': ['tuple'], '/position/1': ['scalar', '<f4']})
    """
    types: dict[str, list[Plain]] = {}
    return _plain(value, "", types), types


def restore(plain: Plain, types: Mapping[str, Any]) -> Any:
    """The value that :func:`describe` described.

    Raises:
        ProtocolViolation: if the types do not fit the value.
    """
    if not isinstance(types, Mapping):
        raise ProtocolViolation(f"the types beside a value are a {type(types).__name__}, not a map")
    if not types:
        return plain
    try:
        if sum(map(_text_bytes, types.values())) > _TEXT_LIMIT:
            raise ProtocolViolation(f"arrays of text beside a value take more than {_TEXT_LIMIT} bytes")
        return _restore(plain, "", types)
    except ProtocolViolation:
        raise
    except (TypeError, ValueError, KeyError, IndexError, RecursionError, OverflowError) as error:
        raise ProtocolViolation(f"types beside a value do not fit it: {error}") from error


def _plain(value: Any, path: str, types: dict[str, list[Plain]]) -> Plain:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if value in _INT64:
            return value
        long = value.bit_length() > 13_000  # Python refuses to print an int of 4301 digits
        types[path] = ["opaque"] if long else ["int"]
        return hex(value) if long else str(value)
    if kind is float:
        if math.isfinite(value):
            return value
        types[path] = ["float", str(value)]
        return None
    if isinstance(value, np.generic):
        return _plain_scalar(value, path, types)
    if isinstance(value, np.ndarray):
        return _plain_array(value, path, types)
    if isinstance(value, Mapping):
        return _plain_mapping(value, path, types)
    if isinstance(value, (list, tuple)):
        if isinstance(value, tuple):
            types[path] = ["tuple"]
        return [_plain(item, f"{path}/{index}", types) for index, item in enumerate(value)]
    if isinstance(value, bytes):
        types[path] = ["bytes"]
        return base64.b64encode(value).decode()
    for base in (int, float, str):  # an enum of them, for example
        if isinstance(value, base):
            return _plain(base(value), path, types)
    types[path] = ["opaque"]
    return repr(value)


def _plain_scalar(value: np.generic, path: str, types: dict[str, list[Plain]]) -> Plain:
    dtype = value.dtype
    if not _DTYPE.fullmatch(dtype.str):
        types[path] = ["opaque"]
        return repr(value)
    exact = dtype.kind in "biuU" or (dtype.kind == "f" and dtype.itemsize <= 8 and math.isfinite(value))
    types[path] = ["scalar", dtype.str] if exact else ["scalar", dtype.str, _base64(value)]
    return value.item() if exact else None


def _plain_array(value: np.ndarray[Any, Any], path: str, types: dict[str, list[Plain]]) -> Plain:
    dtype = value.dtype
    shape = list(value.shape)
    if dtype.kind == "O":
        types[path] = ["objects", shape]
        return [_plain(item, f"{path}/{index}", types) for index, item in enumerate(value.ravel())]
    if not _DTYPE.fullmatch(dtype.str):
        types[path] = ["opaque"]
        return repr(value)
    exact = dtype.kind in "biuU" or (dtype.kind == "f" and dtype.itemsize <= 8 and np.isfinite(value).all())
    types[path] = ["array", dtype.str, shape] if exact else ["array", dtype.str, shape, _base64(value)]
    if exact:
        return value.tolist()
    if dtype.kind != "f":
        return None
    finite = value.astype(np.float64)
    return np.where(np.isfinite(finite), finite, None).tolist()  # type: ignore[call-overload]


def _plain_mapping(value: Mapping[Any, Any], path: str, types: dict[str, list[Plain]]) -> Plain:
    if all(type(key) is str for key in value):
        return {key: _plain(item, f"{path}/{_escape(key)}", types) for key, item in value.items()}
    types[path] = ["pairs"]
    return [
        [_plain(key, f"{path}/{index}/0", types), _plain(item, f"{path}/{index}/1", types)]
        for index, (key, item) in enumerate(value.items())
    ]


def _restore(plain: Plain, path: str, types: Mapping[str, Any]) -> Any:
    tag: list[Any] = types.get(path) or [None]
    name = tag[0]
    if name in {"array", "scalar"}:
        return _restore_numbers(plain, tag)
    value: Any
    if isinstance(plain, dict):
        value = {key: _restore(item, f"{path}/{_escape(key)}", types) for key, item in plain.items()}
    elif isinstance(plain, list):
        value = [_restore(item, f"{path}/{index}", types) for index, item in enumerate(plain)]
    else:
        value = plain
    match name:
        case None | "opaque":
            return value
        case "tuple":
            return tuple(value)
        case "float":
            return float(tag[1])
        case "int":
            return int(value)
        case "bytes":
            return base64.b64decode(value, validate=True)
        case "pairs":
            return dict(value)
        case "objects":
            objects = np.empty(len(value), dtype=object)
            for index, item in enumerate(value):  # a slice would spread items that are lists
                objects[index] = item
            return objects.reshape(tag[1])
    raise ProtocolViolation(f"the type {name!r:.40} beside a value is not known")


def _restore_numbers(plain: Plain, tag: list[Any]) -> Any:
    dtype, shape = tag[1], (tag[2] if tag[0] == "array" else [])
    if type(dtype) is not str or not _DTYPE.fullmatch(dtype):
        raise ProtocolViolation(f"{dtype!r:.40} is no dtype that may travel")
    data = tag[3:] if tag[0] == "array" else tag[2:]
    text = np.dtype(dtype).kind in "SU"
    if text and bool(data) is ("U" in dtype):
        raise ProtocolViolation(f"text of dtype {dtype} and shape {shape!r:.80} cannot be restored")
    if text and not data:  # as objects first: no more items than were counted shall take its width
        array = np.array(plain, object).reshape(shape).astype(dtype)
    elif data:
        array = np.frombuffer(bytearray(base64.b64decode(data[0], validate=True)), dtype).reshape(shape)
    else:
        with np.errstate(all="ignore"):  # a number that overflows is infinite, whatever NumPy is told to do
            array = np.array(plain, dtype).reshape(shape)
    return array if tag[0] == "array" else array[()]


def _text_bytes(tag: list[Any]) -> int:
    """What an array of text, or one text, will take; 0 of anything else."""
    if tag[0] not in ("array", "scalar") or not _DTYPE.fullmatch(tag[1]) or tag[1][1] not in "SU":
        return 0
    shape = tag[2] if tag[0] == "array" else []
    if any(type(size) is not int or size < 0 for size in shape):
        raise ProtocolViolation(f"an array of text has the shape {shape!r:.80}")
    return int(math.prod(shape) * np.dtype(tag[1]).itemsize)


def _base64(value: Any) -> str:
    return base64.b64encode(value.tobytes()).decode()


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
