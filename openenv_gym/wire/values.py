"""Any value to bytes and back, exact to type and bit: MessagePack with a handful of extensions.

Plain data is plain MessagePack. What MessagePack cannot tell apart travels as an extension::

    1  tuple          array of values
    2  ndarray        [dtype, shape, bytes], C order
    3  NumPy scalar   [dtype, bytes]
    4  big integer    decimal digits
    5  dict with keys other than text and 64-bit integers: array of [key, value]
    6  opaque         UTF-8 text of an object that has no wire form; arrives as str
    7  object array   [shape, values]

A dtype is NumPy's array-protocol string (``<f4``, ``|u1``, ``<U5``). Nothing is ever pickled, and
an array is only as large as the bytes that came.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from openenv_gym.errors import ProtocolViolation

__all__ = ["decode", "encode", "travels"]

_TUPLE, _ARRAY, _SCALAR, _BIG, _PAIRS, _OPAQUE, _OBJECTS = range(1, 8)
_DTYPE = re.compile(r"[<>|=](?:b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|32)|[SU][1-9]\d{0,5})")
_INT64 = range(-(2**63), 2**64)
_DIGITS = 4096
"""The longest integer that travels; Python itself refuses to print one of 4301 digits."""

_encode = msgspec.msgpack.Encoder().encode


def encode(value: Any) -> bytes:
    """The bytes of any value; an object without a wire form becomes its ``repr``.

    >>> decode(encode((1, {"a": np.float32(0.5)})))
    (1, {'a': np.float32(0.5)})
    """
    return _encode(_tag(value))


def decode(data: bytes | memoryview) -> Any:
    """The value of bytes made by :func:`encode`; arrays are fresh and writable.

    Raises:
        ProtocolViolation: if the bytes are not of that form.
    """
    try:
        return _decode(data)
    except ProtocolViolation:
        raise
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ProtocolViolation(f"a value on the wire cannot be read: {error}") from error


def travels(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of a dtype arrive as arrays; others arrive as text."""
    return _DTYPE.fullmatch(dtype.str) is not None


def _tag(value: Any) -> Any:
    tagger = _TAGGERS.get(type(value))
    return tagger(value) if tagger is not None else _tag_other(value)


def _same(value: Any) -> Any:
    return value


def _tag_int(value: int) -> Any:
    if value in _INT64:
        return value
    if value.bit_length() > 3.32 * _DIGITS:
        return msgspec.msgpack.Ext(_OPAQUE, hex(value).encode())
    return msgspec.msgpack.Ext(_BIG, str(value).encode())


def _tag_text(value: str) -> Any:
    return value if _is_utf8(value) else _opaque_text(value)


def _is_utf8(value: str) -> bool:
    """Whether a text can be said in UTF-8; one with half a surrogate pair cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_plain_key(key: Any) -> bool:
    return (type(key) is str and _is_utf8(key)) or (type(key) is int and key in _INT64)


def _tag_list(value: list[Any]) -> list[Any]:
    return [_tag(item) for item in value]


def _tag_tuple(value: tuple[Any, ...]) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(_TUPLE, _encode([_tag(item) for item in value]))


def _tag_dict(value: dict[Any, Any]) -> Any:
    if all(_is_plain_key(key) for key in value):
        return {key: _tag(item) for key, item in value.items()}
    return msgspec.msgpack.Ext(_PAIRS, _encode([[_tag(key), _tag(item)] for key, item in value.items()]))


def _tag_array(value: np.ndarray[Any, Any]) -> msgspec.msgpack.Ext:
    shape = list(value.shape)
    if value.dtype == object:
        return msgspec.msgpack.Ext(_OBJECTS, _encode([shape, [_tag(item) for item in value.ravel()]]))
    if not travels(value.dtype):
        return _opaque(value)
    return msgspec.msgpack.Ext(_ARRAY, _encode([value.dtype.str, shape, value.tobytes()]))


def _tag_scalar(value: np.generic) -> msgspec.msgpack.Ext:
    array = np.asarray(value)  # np.str_("") itself claims a dtype without room for one character
    if not travels(array.dtype):
        return _opaque(value)
    return msgspec.msgpack.Ext(_SCALAR, _encode([array.dtype.str, array.tobytes()]))


def _tag_other(value: Any) -> Any:
    if isinstance(value, np.generic):
        return _tag_scalar(value)
    if isinstance(value, np.ndarray):
        return _tag_array(np.asarray(value))
    for base in _BASES:
        if isinstance(value, base):
            made: Callable[[Any], Any] = base
            return _TAGGERS[base](made(value))
    return _opaque(value)


def _opaque(value: Any) -> msgspec.msgpack.Ext:
    return _opaque_text(repr(value))


def _opaque_text(text: str) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(_OPAQUE, text.encode("utf-8", "replace"))


_TAGGERS: dict[type, Callable[[Any], Any]] = {
    type(None): _same,
    bool: _same,
    float: _same,
    str: _tag_text,
    bytes: _same,
    int: _tag_int,
    list: _tag_list,
    tuple: _tag_tuple,
    dict: _tag_dict,
    np.ndarray: _tag_array,
}

_BASES: tuple[type, ...] = (dict, list, tuple, int, float, str, bytes)
"""A subclass, an enum for example, travels as what it is a kind of."""


def _untag(code: int, data: memoryview) -> Any:
    match code:
        case 1:
            return tuple(_items(data))
        case 2:
            dtype, shape, raw = _items(data, 3)
            return _array(_dtype(dtype), shape, raw)
        case 3:
            dtype, raw = _items(data, 2)
            return _array(_dtype(dtype), [], raw)[()]
        case 4:
            if len(data) > _DIGITS:
                raise ProtocolViolation(f"an integer of {len(data)} digits; the limit is {_DIGITS}")
            return int(bytes(data))
        case 5:
            return dict(_items(data))
        case 6:
            return str(data, "utf-8")
        case 7:
            shape, values = _items(data, 2)
            objects = np.empty(len(values), dtype=object)
            for index, value in enumerate(values):  # a slice would spread values that are lists
                objects[index] = value
            return objects.reshape(shape)
    raise ProtocolViolation(f"a value on the wire has the unknown extension {code}; is the peer newer?")


def _items(data: memoryview, count: int | None = None) -> list[Any]:
    items = _decode(data)
    if type(items) is not list or (count is not None and len(items) != count):
        raise ProtocolViolation("an extension on the wire does not hold what its code promises")
    return items


def _dtype(name: Any) -> np.dtype[Any]:
    if type(name) is not str:
        raise ProtocolViolation(f"{name!r:.40} is no dtype that may travel")
    return _dtype_named(name)


@lru_cache(maxsize=64)
def _dtype_named(name: str) -> np.dtype[Any]:
    if not _DTYPE.fullmatch(name):
        raise ProtocolViolation(f"{name!r:.40} is no dtype that may travel")
    return np.dtype(name)


def _array(dtype: np.dtype[Any], shape: list[int], raw: bytes) -> np.ndarray[Any, Any]:
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ProtocolViolation(f"an array of shape {shape} and dtype {dtype} came with {len(raw)} bytes")
    if dtype.kind == "U" and raw and np.frombuffer(raw, dtype.str[0] + "u4").max() > sys.maxunicode:
        raise ProtocolViolation(f"an array of dtype {dtype} holds what is no character")
    # bytearray: the receiver owns the array and may write to it.
    return np.frombuffer(bytearray(raw), dtype).reshape(shape) if raw else np.empty(shape, dtype)


_decode = msgspec.msgpack.Decoder(ext_hook=_untag).decode
