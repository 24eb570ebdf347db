"""Infos become columns and rows' dicts again, exactly; columns that lie are a violation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import ProtocolViolation
from openenv_gym.wire import infos, values
from openenv_gym.wire.infos import Infos, from_dicts, from_wire, joined, to_wire
from tests.wire.ends import exactly
from tests.wire.strategies import arrays, scalars
from tests.wire.strategies import values as any_value

ROWS = np.array([0, 2], np.int32)


def crossed(pairs: list[tuple[int, dict[str, Any]]], rows: int = 8) -> Infos:
    return from_wire(values.decode(values.encode(to_wire(from_dicts(pairs)))), rows)


def by_key(dicts: dict[int, dict[str, Any]]) -> Any:
    """Exact, but for the order of keys, which columns do not keep."""
    return {row: _sorted(info) for row, info in dicts.items()}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return exactly(value)


# Few keys and few kinds, so that rows often agree, and often nearly.
_entries = st.one_of(
    any_value,
    st.integers(-3, 3),
    st.booleans(),
    st.just(2**63),
    scalars(["<f4", "<f8", "|b1", "<U2"]),
    arrays(["<f4", ">f4", "|u1", "<U2"]),
)
_dicts = st.recursive(
    st.dictionaries(st.sampled_from("abc"), _entries, max_size=3),
    lambda children: st.dictionaries(st.sampled_from("abc"), children | _entries, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.integers(0, 7), _dicts, max_size=6))
def test_each_row_gets_its_own_info_back(dicts: dict[int, dict[str, Any]]) -> None:
    pairs = sorted(dicts.items())
    assert by_key(crossed(pairs).dicts()) == by_key({row: info for row, info in pairs if info})


def described(columns: Any) -> Any:
    """Columns, and those inside of them: kind, rows and data; exact, but for the order of keys."""

    def data_of(column: Any) -> Any:
        if column.kind == "dict":
            return described(column.data)
        return list(map(_sorted, column.data)) if column.kind == "mixed" else exactly(column.data)

    return {
        key: (column.kind, column.rows.dtype, column.rows.tolist(), data_of(column))
        for key, column in columns.items()
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 3), _dicts, max_size=4), min_size=1, max_size=3))
def test_answers_one_behind_the_other_are_as_one(answers: list[dict[int, dict[str, Any]]]) -> None:
    numbered = [sorted(dicts.items()) for dicts in answers]
    together = [(4 * place + row, info) for place, each in enumerate(numbered) for row, info in each]
    parts = [(from_dicts(each), 4 * place) for place, each in enumerate(numbered)]
    assert described(joined(parts).columns) == described(from_dicts(together).columns)


@pytest.mark.parametrize(
    ("ones", "kind"),
    [
        ([1, 2], "int"),
        ([1.5, 2.5], "float"),
        ([True, False], "bool"),
        ([np.float32(1), np.float32(2)], "scalar"),
        ([np.bool_(True), np.bool_(False)], "scalar"),
        ([np.zeros(2), np.ones(2)], "array"),
        ([np.array(1.0), np.array(2.0)], "array"),
        ([{"x": 1}, {"x": 2, "y": "z"}], "dict"),
        ([1, 2.0], "mixed"),
        ([1, True], "mixed"),
        ([np.float32(1), np.float64(2)], "mixed"),
        ([np.zeros(2), np.zeros(3)], "mixed"),
        ([np.zeros(2), np.zeros(2, np.float32)], "mixed"),
        ([{"x": 1}, {}], "mixed"),
        ([{1: 2}, {1: 3}], "mixed"),
        (["a", "b"], "mixed"),
        ([None, None], "mixed"),
        ([2**63, 1], "mixed"),
        ([(1,), (2,)], "mixed"),
    ],
)
def test_values_of_one_kind_become_one_array(ones: list[Any], kind: str) -> None:
    sent = [(0, {"key": ones[0]}), (2, {"key": ones[1]})]
    column = crossed(sent).columns["key"]
    assert column.kind == kind and column.rows.tolist() == [0, 2]
    assert by_key(crossed(sent).dicts()) == by_key(dict(sent))


@pytest.mark.parametrize(
    "value",
    [
        np.timedelta64(3, "s"),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, [("x", "i4")]),
        np.array([1], object),
        object(),
    ],
)
def test_values_that_numpy_has_and_the_wire_has_not_do_not_end_the_session(value: Any) -> None:
    arrived = crossed([(0, {"odd": value, "plain": 1})]).of(0)
    assert arrived["plain"] == 1
    if not isinstance(value, np.ndarray) or value.dtype != object:
        assert arrived["odd"] == repr(value)


def test_arrays_of_foreign_byte_order_keep_it() -> None:
    sent = [(row, {"a": np.array([row], ">f4")}) for row in (0, 1)]
    assert exactly(crossed(sent).dicts()) == exactly(dict(sent))


def test_an_array_taken_from_a_column_belongs_to_the_caller() -> None:
    columns = crossed([(0, {"a": np.zeros(2)}), (1, {"a": np.zeros(2)})])
    columns.of(0)["a"][:] = 5
    assert columns.of(0)["a"].tolist() == [0, 0] and columns.of(1)["a"].tolist() == [0, 0]


def test_rows_without_an_info_have_an_empty_one() -> None:
    columns = crossed([(1, {"a": 1})])
    assert columns.of(0) == {} and columns.of(1) == {"a": 1} and columns
    assert not infos.NO_INFOS and infos.NO_INFOS.dicts() == {}


def _deep(levels: int) -> dict[str, Any]:
    columns: dict[str, Any] = {"a": ["int", np.zeros(1, np.int32), np.zeros(1, np.int64)]}
    for _ in range(levels):
        columns = {"a": ["dict", np.zeros(1, np.int32), columns]}
    return columns


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"a": 1},
        {"a": []},
        {"a": ["int", ROWS]},
        {"a": ["int", [0, 2], np.zeros(2, np.int64)]},
        {"a": ["int", ROWS, [1, 2]]},
        {"a": ["int", ROWS, np.zeros(3, np.int64)]},
        {"a": ["int", ROWS, np.zeros(2, np.int32)]},
        {"a": ["float", ROWS, np.zeros(2, np.int64)]},
        {"a": ["bool", ROWS, np.zeros(2)]},
        {"a": ["scalar", ROWS, np.zeros((2, 2))]},
        {"a": ["array", ROWS, np.array(1.0)]},
        {"a": ["array", ROWS, np.zeros((3, 2))]},
        {"a": ["mixed", ROWS, [1]]},
        {"a": ["mixed", ROWS, (1, 2)]},
        {"a": ["mixed", np.array(0, np.int32), [1]]},
        {"a": ["mixed", ROWS.astype(np.int64), [1, 2]]},
        {"a": ["mixed", ROWS[::-1].copy(), [1, 2]]},
        {"a": ["mixed", np.array([1, 1], np.int32), [1, 2]]},
        {"a": ["mixed", np.array([0, 4], np.int32), [1, 2]]},
        {"a": ["mixed", np.array([-1, 0], np.int32), [1, 2]]},
        {"a": ["mixed", np.array([None, []], object), [1, 2]]},
        {"a": ["dict", ROWS, []]},
        {"a": ["dict", np.zeros((1, 1), np.int32), {}]},
        {"a": ["dict", np.array([[]], object), {}]},
        {"a": ["dict", ROWS, {"b": ["mixed", np.array([1], np.int32), [1]]}]},
        {"a": ["table", ROWS, {}]},
        {"a": [["int"], ROWS, np.zeros(2, np.int64)]},
        _deep(400),
    ],
)
def test_columns_that_do_not_fit_are_a_violation(data: Any) -> None:
    with pytest.raises(ProtocolViolation):
        from_wire(data, 4)


def test_dicts_nested_deeper_than_columns_go_travel_as_values() -> None:
    info: dict[str, Any] = {"leaf": (1, 2)}
    for _ in range(100):
        info = {"nested": info}
    wired = values.decode(values.encode(to_wire(from_dicts([(0, info), (1, info)]))))
    assert from_wire(wired, 2).dicts() == {0: info, 1: info}
