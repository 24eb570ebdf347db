"""Arrays of bounds in a schema: short where they can be, exact always, hostile until proven otherwise.

An array is one scalar when it is uniform, a flat list up to 64 items, and base64 of its
little-endian bytes beyond. JSON has no infinity, so ``"Infinity"`` and ``"-Infinity"`` stand for
it. A longdouble has no exact JSON number and is always base64. Internal to ``spaces``.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces.casting import limits, shown
from openenv_gym.types import Plain

__all__ = [
    "decode_array",
    "decode_dtype",
    "decode_integer",
    "encode_array",
    "encode_number",
    "same_bits",
    "uniform",
]

LIST_LIMIT = 64
"""The most items that are written as a list rather than as base64."""

_DTYPES = re.compile(r"\|[biu]1|[<>](?:[iuf][248]|f12|f16)")
_INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}


def same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Compare two arrays of one dtype by their bits, but for the padding of a longdouble.

    >>> same_bits(np.array([0.0]), np.array([-0.0]))
    False
    """
    if one.shape != other.shape or one.dtype != other.dtype or not bool((one == other).all()):
        return False
    # Equal floats that are not NaN differ in their bits only where one zero is negative.
    return one.dtype.kind != "f" or bool((np.signbit(one) == np.signbit(other)).all())


def uniform(array: NDArray[Any]) -> bool:
    """Say whether all items (at least one) have the same bits.

    >>> uniform(np.zeros((2, 2))), uniform(np.arange(3)), uniform(np.zeros(0))
    (True, False, False)
    """
    return array.size > 0 and same_bits(array, np.broadcast_to(array.flat[0:1].reshape(()), array.shape))


def encode_number(number: Any) -> Plain:
    """Write a NumPy scalar of at most 64 bits as strict JSON.

    >>> encode_number(np.float32(0.1)), encode_number(np.float16(-np.inf)), encode_number(np.True_)
    (0.10000000149011612, '-Infinity', True)
    """
    plain = number.item()
    if isinstance(plain, float) and math.isinf(plain):
        return "Infinity" if plain > 0 else "-Infinity"
    return plain


def encode_array(array: NDArray[Any]) -> Plain:
    """Write an array (or NumPy scalar) so that :func:`decode_array` restores each of its bits.

    >>> encode_array(np.full((2, 3), -np.inf)), encode_array(np.array([1, 2], np.uint8))
    ('-Infinity', [1, 2])
    """
    array = np.asarray(array)
    if _is_long(array.dtype):
        one = array.flat[0:1] if uniform(array) else array
        return {"base64": base64.b64encode(_little_endian_bytes(one)).decode()}
    if uniform(array):
        return encode_number(array.flat[0])
    if array.size <= LIST_LIMIT:
        return [encode_number(number) for number in array.flat]
    return {"base64": base64.b64encode(_little_endian_bytes(array)).decode()}


def decode_array(plain: Plain, dtype: np.dtype[Any], shape: tuple[int, ...], path: str) -> NDArray[Any]:
    """Read what :func:`encode_array` wrote; the caller has checked that ``shape`` is affordable.

    >>> decode_array([1, 2], np.dtype("u1"), (2,), "$")
    array([1, 2], dtype=uint8)
    >>> decode_array([1, 300], np.dtype("u1"), (2,), "$.low")
    Traceback (most recent call last):
    openenv_gym.errors.ProtocolViolation: at $.low: expected uint8 (0 to 255), got 300

    Raises:
        ProtocolViolation: the data do not describe such an array.
    """
    if isinstance(plain, dict):
        return _decode_base64(plain, dtype, shape, path)
    if _is_long(dtype):
        raise ProtocolViolation(f"at {path}: expected base64, the only exact form of {dtype}")
    if isinstance(plain, list) and len(plain) != math.prod(shape):
        raise ProtocolViolation(f"at {path}: expected {math.prod(shape)} items, got {len(plain)}")
    with np.errstate(all="ignore"):  # a number too small for the dtype is zero, whatever NumPy is told to do
        if isinstance(plain, list):
            return np.array([_decode_number(item, dtype, path) for item in plain], dtype).reshape(shape)
        return np.full(shape, _decode_number(plain, dtype, path), dtype)


def decode_integer(plain: Plain, path: str, least: int, greatest: int) -> int:
    """Read an integer of a known range; ``True`` and ``1.0`` are none.

    >>> decode_integer(3, "$.n", 1, 127)
    3

    Raises:
        ProtocolViolation: it is no integer, or out of range.
    """
    if type(plain) is not int:
        raise ProtocolViolation(f"at {path}: expected an integer, got a {type(plain).__name__}")
    if not least <= plain <= greatest:
        raise ProtocolViolation(f"at {path}: expected {least} to {greatest}, got {shown(plain)}")
    return plain


def decode_dtype(plain: Plain, path: str, kinds: str = "biuf") -> np.dtype[Any]:
    """Read a dtype in NumPy's array-protocol form, such as ``"<f4"``; never anything that NumPy might parse.

    >>> decode_dtype("|u1", "$.dtype")
    dtype('uint8')

    Raises:
        ProtocolViolation: it is no such dtype, of none of ``kinds``, or this machine lacks it.
    """
    if not isinstance(plain, str) or not _DTYPES.fullmatch(plain) or plain[1] not in kinds:
        raise ProtocolViolation(
            f"at {path}: expected a dtype of kinds {kinds!r} such as '<f4', got {shown(plain)}"
        )
    try:
        return np.dtype(plain)
    except TypeError as error:
        raise ProtocolViolation(f"at {path}: this machine has no dtype {plain!r}") from error


def _is_long(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and dtype.itemsize > 8


def _little_endian_bytes(array: NDArray[Any]) -> bytes:
    little = np.array(array, array.dtype.newbyteorder("<"), order="C")
    if _is_long(little.dtype) and np.finfo(little.dtype).nmant == 63:
        # x87's extended format uses 10 bytes of each item; the others are whatever memory held.
        little.reshape(-1).view(np.uint8).reshape(-1, little.dtype.itemsize)[:, 10:] = 0
    return little.tobytes()


def _decode_base64(
    plain: dict[str, Any], dtype: np.dtype[Any], shape: tuple[int, ...], path: str
) -> NDArray[Any]:
    text = plain.get("base64")
    if plain.keys() != {"base64"} or not isinstance(text, str):
        raise ProtocolViolation(f"at {path}: expected an object with the one key 'base64' and a string")
    count = math.prod(shape)
    if _is_long(dtype) and count and len(text) == _base64_length(dtype.itemsize):
        count = 1
    if len(text) != _base64_length(count * dtype.itemsize):
        raise ProtocolViolation(
            f"at {path}: expected base64 of {count * dtype.itemsize} bytes, got {len(text)} characters"
        )
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolViolation(f"at {path}: expected base64 ({error})") from error
    if len(raw) != count * dtype.itemsize:
        raise ProtocolViolation(f"at {path}: expected {count * dtype.itemsize} bytes, got {len(raw)}")
    if dtype.kind == "b" and raw.strip(b"\x00\x01"):
        raise ProtocolViolation(f"at {path}: expected bytes 0 and 1 for a bool")
    items = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
    return items.reshape(shape) if count == math.prod(shape) else np.full(shape, items[0], dtype)


def _base64_length(nbytes: int) -> int:
    return -(-nbytes // 3) * 4


def _decode_number(plain: Plain, dtype: np.dtype[Any], path: str) -> bool | int | float:
    if dtype.kind == "b":
        if not isinstance(plain, bool):
            raise ProtocolViolation(f"at {path}: expected true or false, got a {type(plain).__name__}")
        return plain
    if dtype.kind == "f":
        return _decode_float(plain, dtype, path)
    least, greatest = limits(dtype)
    if type(plain) is not int:
        raise ProtocolViolation(f"at {path}: expected an integer of {dtype}, got a {type(plain).__name__}")
    if not least <= plain <= greatest:
        raise ProtocolViolation(f"at {path}: expected {dtype} ({least} to {greatest}), got {shown(plain)}")
    return plain


def _decode_float(plain: Plain, dtype: np.dtype[Any], path: str) -> float:
    if isinstance(plain, str) and plain in _INFINITIES:
        return _INFINITIES[plain]
    if type(plain) not in (int, float):
        raise ProtocolViolation(f"at {path}: expected a number, got a {type(plain).__name__}")
    # `not <=` also catches NaN, which bounds nothing, and the infinities, which have names here.
    if not abs(plain) <= float(np.finfo(dtype).max):
        raise ProtocolViolation(f"at {path}: expected a finite {dtype}, got {shown(plain)}")
    return float(plain)
