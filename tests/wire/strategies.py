"""Random values of every type that travels; shared by these tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

NUMBERS = ["|b1", "|i1", "|u1", "<i2", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16"]
SWAPPED = [">i2", ">u4", ">f4", ">f8", ">c16"]
TEXTS = ["|S1", "|S5", "<U1", "<U7"]

plain_leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-(2**63), -(2**63) - 1, 2**63, 2**64 - 1, 2**64, 10**400]),
    st.floats(),
    st.sampled_from([float("nan"), float("inf"), -0.0]),
    st.text(max_size=5),
    st.binary(max_size=5),
)


def scalars(dtypes: list[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from(dtypes).flatmap(lambda name: hnp.arrays(name, ())).map(lambda array: array[()])


def arrays(dtypes: list[str]) -> st.SearchStrategy[Any]:
    shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
    return st.tuples(st.sampled_from(dtypes), shapes).flatmap(lambda pair: hnp.arrays(*pair))


object_arrays: st.SearchStrategy[Any] = st.lists(plain_leaves | st.just([1, [2]]), max_size=4).map(
    lambda items: np.array([*items, None], object)[:-1]
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Leaves within lists, tuples and dicts, whose keys may be of any hashable type."""
    keys = st.one_of(st.text(max_size=3), st.sampled_from(["/", "~", "~1", ""]))
    odd_keys = st.one_of(st.integers(), st.none(), st.booleans(), st.tuples(st.integers(0, 2)), keys)

    def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            st.lists(children, max_size=3),
            st.lists(children, max_size=3).map(tuple),
            st.dictionaries(keys, children, max_size=3),
            st.dictionaries(odd_keys, children, max_size=3),
        )

    return st.recursive(leaves, containers, max_leaves=8)


values: st.SearchStrategy[Any] = nested(
    st.one_of(
        plain_leaves,
        scalars(NUMBERS + TEXTS),
        arrays(NUMBERS + SWAPPED + TEXTS),
        object_arrays,
    )
)

describable: st.SearchStrategy[Any] = nested(
    st.one_of(plain_leaves, scalars(NUMBERS), arrays(NUMBERS + SWAPPED))
)


@st.composite
def mutated(draw: st.DrawFn, messages: list[bytes]) -> bytes:
    """A message of which some bytes were changed, cut out, put in or cut off."""
    data = bytearray(draw(st.sampled_from(messages)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 4)):
            case 0 if data:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case 3:
                del data[at:]
            case _:
                data[at : at + 4] = draw(
                    st.sampled_from([b"\xff" * 4, b"\0\0\0\x80", b"\x01\0\0\0", b"\0" * 4])
                )
    return bytes(data)


@st.composite
def spoilt(draw: st.DrawFn, messages: list[bytes]) -> bytes:
    """A message whose bits are flipped, that is cut, or sewn together from two; or no message at all."""
    first, second = draw(st.sampled_from(messages)), draw(st.sampled_from(messages))
    match draw(st.integers(0, 3)):
        case 0:
            flipped = bytearray(first)
            for at in draw(st.lists(st.integers(0, 8 * len(first) - 1), min_size=1, max_size=8)):
                flipped[at // 8] ^= 1 << at % 8
            return bytes(flipped)
        case 1:
            return first[: draw(st.integers(0, len(first)))] + second[draw(st.integers(0, len(second))) :]
        case 2:
            return draw(st.binary(max_size=200))
        case _:
            return draw(mutated(messages))
