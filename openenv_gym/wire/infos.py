"""Infos as columns: what many rows say under one key travels as one array, and comes back exact.

A key becomes a column when all its values are of one kind: Python's own ``int``, ``float`` or
``bool``; a NumPy scalar of one dtype; an array of one dtype and shape; a nested dict. Whatever is
mixed (FrozenLake's ``prob`` is an int at reset and a float afterwards) travels value by value.
So a row's dict can always be rebuilt, and the face that wants Gymnasium's vector infos applies
Gymnasium's own rule to the whole batch, in lane order, wherever the lanes are served.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openenv_gym.errors import ProtocolViolation
from openenv_gym.wire.values import travels

__all__ = ["InfoColumn", "Infos"]

_DEPTH = 32
"""How deep dicts are taken apart into columns; what lies deeper travels value by value."""

_PYTHON_KINDS: dict[type, tuple[str, type]] = {
    int: ("int", np.int64),
    float: ("float", np.float64),
    bool: ("bool", np.bool_),
}
_FROM_PYTHON = {"int": int, "float": float, "bool": bool}


@dataclass(frozen=True, slots=True)
class InfoColumn:
    """What some rows say under one key.

    Attributes:
        kind: ``int``, ``float``, ``bool`` (Python's own), ``scalar``, ``array``, ``dict``, ``mixed``.
        rows: int32, (m,): which rows have the key, ascending.
        data: (m,) or (m, *shape) array; for ``dict`` nested columns whose rows are of the same
            count; for ``mixed`` a list of m values.
    """

    kind: str
    rows: NDArray[np.int32]
    data: Any

    def values(self) -> Iterator[tuple[int, Any]]:
        """Each row with its value, as it was on the other side."""
        rows = self.rows.tolist()
        if self.kind == "dict":
            nested: dict[str, InfoColumn] = self.data
            dicts: dict[int, dict[str, Any]] = {row: {} for row in rows}
            for key, column in nested.items():
                for row, value in column.values():
                    dicts[row][key] = value
            yield from dicts.items()
        elif self.kind in _FROM_PYTHON:
            yield from zip(rows, self.data.tolist(), strict=True)
        elif self.kind == "array":
            # The ellipsis keeps an array of shape () an array.
            yield from ((row, self.data[index, ...].copy()) for index, row in enumerate(rows))
        else:
            yield from zip(rows, self.data, strict=True)


class Infos:
    """The infos of the rows of one answer: columns by key, or the one dict of an answer of one row.

    A row whose info is an empty dict is not told apart from a row without one.

    Args:
        columns: by key.
        alone: the info of the only row, instead of columns.
    """

    __slots__ = ("_alone", "_columns")

    def __init__(self, columns: Mapping[str, InfoColumn], alone: dict[str, Any] | None = None) -> None:
        self._columns, self._alone = columns, alone

    def __bool__(self) -> bool:
        return bool(self._columns) or bool(self._alone)

    @property
    def columns(self) -> Mapping[str, InfoColumn]:
        """The infos by key."""
        return self._columns if self._alone is None else _columns([(0, self._alone)])

    def dicts(self) -> dict[int, dict[str, Any]]:
        """Row -> its info, for the rows that have one."""
        if self._alone is not None:
            return {0: self._alone.copy()}
        found: dict[int, dict[str, Any]] = {}
        for key, column in self.columns.items():
            for row, value in column.values():
                found.setdefault(row, {})[key] = value
        return found

    def of(self, row: int) -> dict[str, Any]:
        """The info of one row, a dict of its own for each who asks, ``{}`` if it has none."""
        return self.dicts().get(row, {})


NO_INFOS = Infos({})


def from_dicts(infos: Sequence[tuple[int, Mapping[str, Any]]]) -> Infos:
    """Columns of ``(row, info)`` pairs, rows ascending.

    >>> infos = from_dicts([(0, {"lives": 3}), (2, {"lives": 2})])
    >>> infos.columns["lives"].rows, infos.columns["lives"].data
    (array([0, 2], dtype=int32), array([3, 2]))
    >>> infos.dicts()
    {0: {'lives': 3}, 2: {'lives': 2}}
    """
    return Infos(_columns(infos))


def joined(answers: Sequence[tuple[Infos, int]]) -> Infos:
    """The infos of whole answers one behind the other, each with the number that its first row is given.

    >>> infos = joined([(from_dicts([(0, {"lives": 3})]), 0), (from_dicts([(1, {"lives": 2})]), 4)])
    >>> infos.dicts()
    {0: {'lives': 3}, 5: {'lives': 2}}
    """
    found = _joined_columns([(infos.columns, start) for infos, start in answers])
    if found is None:
        each = [(start, sorted(infos.dicts().items())) for infos, start in answers]
        return from_dicts([(start + row, info) for start, said in each for row, info in said])
    return Infos(found)


def _joined_columns(answers: Sequence[tuple[Mapping[str, InfoColumn], int]]) -> dict[str, InfoColumn] | None:
    """The same of columns; ``None`` if those of one key are of different kinds."""
    parts: dict[str, list[tuple[InfoColumn, int]]] = {}
    for columns, start in answers:
        for key, column in columns.items():
            parts.setdefault(key, []).append((column, start))
    found: dict[str, InfoColumn] = {}
    for key, each in parts.items():
        kind = each[0][0].kind
        if any(column.kind != kind for column, _ in each):
            return None
        data: Any
        if kind == "dict":
            data = _joined_columns([(column.data, start) for column, start in each])
            if data is None:
                return None
        elif kind == "mixed":
            data = [value for column, _ in each for value in column.data]
        else:
            arrays = [column.data for column, _ in each]
            first = arrays[0]
            if any(a.dtype != first.dtype or a.shape[1:] != first.shape[1:] for a in arrays):
                return None
            data = np.concatenate(arrays, dtype=first.dtype)  # or the byte order would be lost
        rows = np.concatenate([column.rows + np.int32(start) for column, start in each])
        found[key] = InfoColumn(kind, rows, data)
    return found


def _columns(infos: Sequence[tuple[int, Mapping[str, Any]]], depth: int = 0) -> dict[str, InfoColumn]:
    gathered: dict[str, tuple[list[int], list[Any]]] = {}
    for row, info in infos:
        for key, value in info.items():
            entry = gathered.get(key)
            if entry is None:
                gathered[key] = ([row], [value])
            else:
                entry[0].append(row)
                entry[1].append(value)
    return {key: _column(rows, values, depth) for key, (rows, values) in gathered.items()}


def _column(rows: list[int], values: list[Any], depth: int) -> InfoColumn:
    where = np.array(rows, np.int32)
    kind = type(values[0])
    if any(type(value) is not kind for value in values):
        return InfoColumn("mixed", where, values)
    if kind in _PYTHON_KINDS:
        name, dtype = _PYTHON_KINDS[kind]
        try:
            return InfoColumn(name, where, np.array(values, dtype))
        except OverflowError:
            return InfoColumn("mixed", where, values)
    if issubclass(kind, (np.number, np.bool_)) and travels(values[0].dtype):
        return InfoColumn("scalar", where, np.array(values, values[0].dtype))
    if kind is np.ndarray and travels(values[0].dtype):
        first = values[0]
        if all(value.dtype == first.dtype and value.shape == first.shape for value in values):
            return InfoColumn("array", where, np.stack(values, dtype=first.dtype))
    # An empty nested dict, or one with odd keys, would be lost between columns.
    named = kind is dict and all(value and all(type(key) is str for key in value) for value in values)
    if named and depth < _DEPTH:
        return InfoColumn("dict", where, _columns(list(zip(rows, values, strict=True)), depth + 1))
    return InfoColumn("mixed", where, values)


def to_wire(infos: Infos) -> dict[str, list[Any]]:
    """Columns as plain lists of ``[kind, rows, data]`` for the value encoder."""
    return {key: _column_to_wire(column) for key, column in infos.columns.items()}


def _column_to_wire(column: InfoColumn) -> list[Any]:
    data = column.data
    return [column.kind, column.rows, to_wire(Infos(data)) if column.kind == "dict" else data]


def from_wire(data: Any, rows: int, depth: int = 0) -> Infos:
    """Columns from the wire, checked: every row index lies below ``rows``.

    Raises:
        ProtocolViolation: if they are not columns.
    """
    if type(data) is not dict:
        raise ProtocolViolation("infos on the wire are not a map of columns")
    if depth > _DEPTH:
        raise ProtocolViolation(f"infos on the wire are nested more than {_DEPTH} deep")
    return Infos({str(key): _column_from_wire(key, entry, rows, depth) for key, entry in data.items()})


def _column_from_wire(key: str, entry: Any, rows: int, depth: int) -> InfoColumn:
    data: Any
    match entry:
        case [_, np.ndarray() as where, _] if where.ndim != 1 or where.dtype != np.int32:
            sound, data = False, None
        case ["dict", np.ndarray() as where, dict(nested)]:
            data = dict(from_wire(nested, rows, depth + 1).columns)
            sound = all(set(column.rows.tolist()) <= set(where.tolist()) for column in data.values())
        case ["mixed", np.ndarray() as where, list(data)]:
            sound = len(data) == len(where)
        case [("int" | "float" | "bool" | "scalar") as kind, np.ndarray() as where, np.ndarray() as data]:
            sound = data.shape == where.shape and (
                kind == "scalar" or data.dtype == _PYTHON_KINDS[_FROM_PYTHON[kind]][1]
            )
        case ["array", np.ndarray() as where, np.ndarray() as data]:
            sound = data.ndim >= 1 and len(data) == len(where)
        case _:
            raise ProtocolViolation(f"the info column {key!r:.80} is not [kind, rows, data]")
    if not sound or not _ascend(where, rows):
        raise ProtocolViolation(f"the info column {key!r:.80} does not fit its rows")
    return InfoColumn(entry[0], where, data)


def _ascend(where: NDArray[np.int32], rows: int) -> bool:
    return not len(where) or bool(where[0] >= 0 and where[-1] < rows and (where[1:] > where[:-1]).all())
