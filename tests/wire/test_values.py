"""Any value crosses the wire exactly, and hostile bytes are a violation and nothing else."""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openenv_gym.errors import ProtocolViolation
from openenv_gym.wire import values
from tests.wire.ends import exactly
from tests.wire.strategies import mutated
from tests.wire.strategies import values as any_value

pack, Ext = msgspec.msgpack.encode, msgspec.msgpack.Ext


class Colour(enum.IntEnum):
    RED = 3


def crossed(value: Any) -> Any:
    return values.decode(values.encode(value))


@settings(max_examples=300, deadline=None)
@given(any_value)
@example(np.array([[1, [2]], [None, "x"]], object))
@example(np.str_(""))
@example(np.bytes_(b""))
@example(np.array([""]))
@example(np.array(1.5, ">f8"))
@example({(1, "a"): {True: None}, 2**70: ()})
def test_a_value_comes_back_with_its_type_and_every_bit(value: Any) -> None:
    assert exactly(crossed(value)) == exactly(value)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, "c0"),
        (7, "07"),
        (1.0, "cb 3ff0000000000000"),
        ("a", "a1 61"),
        (b"a", "c4 01 61"),
        ([1], "91 01"),
        ({"a": 1}, "81 a161 01"),
        ((1, 2), "c7 03 01 92 01 02"),
        (np.array([1, 2], np.uint8), "c7 0b 02 93 a37c7531 91 02 c4 02 01 02"),
        (np.float32(0.5), "c7 0b 03 92 a33c6634 c4 04 0000003f"),
        (2**64, "c7 14 04" + b"18446744073709551616".hex()),
        ({True: 1}, "d6 05 91 92 c3 01"),
        ({0: 1}, "81 00 01"),
        (np.array([None], object), "c7 05 07 92 91 01 91 c0"),
    ],
)
def test_the_bytes_of_a_value_are_those_of_the_specification(value: Any, form: str) -> None:
    assert values.encode(value).hex() == form.replace(" ", "")


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (Colour.RED, 3),
        (OrderedDict(a=1), {"a": 1}),
        (np.ma.masked_array([1.5, 2.5]), np.array([1.5, 2.5])),
    ],
)
def test_a_subclass_arrives_as_what_it_is_a_kind_of(value: Any, arrives: Any) -> None:
    assert exactly(crossed(value)) == exactly(arrives)


@pytest.mark.parametrize(
    "value", [object, {1, 2}, np.datetime64("2020-01-01"), 1j, np.zeros(1, [("x", "i4")])]
)
def test_an_object_without_a_wire_form_arrives_as_its_text(value: Any) -> None:
    assert crossed([value]) == [repr(value)]


@pytest.mark.parametrize("digits", [4090, 4200, 10_000])
def test_no_integer_is_too_long_to_be_sent(digits: int) -> None:
    assert crossed(10**digits) in (10**digits, hex(10**digits))


def test_an_array_arrives_writable_and_in_c_order() -> None:
    array = crossed(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert array.flags.writeable and array.flags.c_contiguous and array.tolist() == [[0, 1, 2], [3, 4, 5]]
    array += 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91",
        b"\x01\x02",
        pack(Ext(1, b"\x01")),
        pack(Ext(1, b"")),
        pack(Ext(8, b"")),
        pack(Ext(127, b"")),
        pack(Ext(-2, b"")),
        pack(Ext(2, pack(["<f4", [2], b"1234"]))),
        pack(Ext(2, pack(["<f4", [-1, -1], b"1234"]))),
        pack(Ext(2, pack(["<f4", [2**63] * 2, b""]))),
        pack(Ext(2, pack(["<f4", [2**63, 2**63, 0], b""]))),
        pack(Ext(2, pack(["<f4", [1] * 99, b"1234"]))),
        pack(Ext(2, pack(["<f4", None, b"1234"]))),
        pack(Ext(2, pack(["<f4", ["a"], b"1234"]))),
        pack(Ext(2, pack(["<f4", [1], "1234"]))),
        pack(Ext(2, pack(["<f4", [1], None]))),
        pack(Ext(2, pack(["|O", [1], b"12345678"]))),
        pack(Ext(2, pack(["|V4", [1], b"1234"]))),
        pack(Ext(2, pack(["<M8[s]", [1], b"12345678"]))),
        pack(Ext(2, pack(["i4,f4", [1], b"12345678"]))),
        pack(Ext(2, pack([7, [1], b"12345678"]))),
        pack(Ext(2, pack({"a": 1}))),
        pack(Ext(2, pack(["<f4", [1]]))),
        pack(Ext(3, pack(["<f4", b"12345678"]))),
        pack(Ext(3, pack(["<U1", b"\xff\xff\xff\xff"]))),
        pack(Ext(4, b"12a")),
        pack(Ext(4, b"")),
        pack(Ext(4, b"9" * 5000)),
        pack(Ext(5, pack([[[], 1]]))),
        pack(Ext(5, pack([[1, 2, 3]]))),
        pack(Ext(5, pack([1]))),
        pack(Ext(6, b"\xff")),
        pack(Ext(7, pack([[3], [1]]))),
        pack(Ext(7, pack([[3], 1]))),
        b"\x91" * 100_000 + b"\x01",
        b"\x81\xc7\x0a\x02\x93\xa3|u1\x91\x02\xc4\x02\x01\x02\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ],
)
def test_bytes_that_are_no_value_are_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        values.decode(data)


def test_extensions_nested_without_end_are_a_violation() -> None:
    data = pack(1)
    for _ in range(2000):
        data = pack(Ext(1, b"\x91" + data))
    with pytest.raises(ProtocolViolation):
        values.decode(data)


@pytest.mark.parametrize("dtype", ["<U0", "|S0"])
def test_a_dtype_without_a_size_makes_no_memory_out_of_nothing(dtype: str) -> None:
    with pytest.raises(ProtocolViolation, match="no dtype that may travel"):
        values.decode(pack(Ext(2, pack([dtype, [2**40], b""]))))


def test_characters_beyond_unicode_never_reach_a_reader() -> None:
    with pytest.raises(ProtocolViolation, match="no character"):
        values.decode(pack(Ext(2, pack([">U1", [1], b"\x00\x11\x00\x00"]))))
    assert values.decode(pack(Ext(2, pack([">U1", [1], b"\x00\x10\xff\xff"])))).tolist() == ["\U0010ffff"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64))
def test_random_bytes_are_a_value_or_a_violation(data: bytes) -> None:
    _decode_or_refuse(data)


_SAMPLES = [
    values.encode(value)
    for value in (
        {"a": [1, (2, np.float32(3)), {4: np.arange(5, dtype=np.int16)}], "b": 2**80},
        [np.array(["ab", "c"]), np.str_("d"), np.array([1, None, "x"], object), object()],
        {"trailer": {0: np.zeros((2, 3)), 1: ("a", b"b")}},
    )
]


@settings(max_examples=400, deadline=None)
@given(mutated(_SAMPLES))
def test_a_spoilt_value_is_a_value_or_a_violation(data: bytes) -> None:
    _decode_or_refuse(data)


def _decode_or_refuse(data: bytes) -> None:
    try:
        value = values.decode(data)
    except ProtocolViolation:
        return
    repr(value)  # what was let in can also be looked at


def test_a_text_with_half_a_surrogate_pair_arrives_without_it_and_harms_nothing() -> None:
    assert values.decode(values.encode({"\ud800": "\ud800x", "b": 1})) == {"?": "?x", "b": 1}
