"""The typed view of a lifted Gymnasium environment: exactly one field each way.

An action arrives as ``{"action": ...}`` and an observation leaves as ``{"observation": ...}``,
whatever the space is; a Dict space is never spread at top level, where its keys could collide with
``reward``, ``done`` or ``metadata``. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from openenv_gym.errors import InvalidAction, OpenEnvGymError
from openenv_gym.spaces import Kind as LeafKind
from openenv_gym.spaces import (
    Layout,
    compile_range_check,
    compile_reader,
    compile_writer,
    from_plain,
    layout_of,
    same_value,
    to_plain,
)
from openenv_gym.types import Plain, Signature

__all__ = ["FieldsView"]

_IGNORED = frozenset({"metadata"})
"""Upstream's base ``Action`` has it; typed clients send it empty."""


class FieldsView:
    """Fields to actions and observations to fields, for the one agent of a signature."""

    def __init__(self, signature: Signature) -> None:
        self._action_space = signature.action_spaces[0]
        self._check = compile_range_check(self._action_space)
        self._observation_space = signature.observation_spaces[0]
        layout = layout_of(self._observation_space)
        self._fits = None if layout is None else _fitter(layout, tuple(map(LeafKind, signature.kinds)))

    def action_in(self, fields: Any) -> Any:
        """The action in the fields of a request, as the action space's own type.

        Raises:
            InvalidAction: if a field is missing or unknown, or its value does not fit.
        """
        if type(fields) is not dict:
            raise InvalidAction(f"an action is an object of fields, not {type(fields).__name__}")
        unknown = fields.keys() - {"action"} - _IGNORED
        if unknown or "action" not in fields:
            wrong = f"unknown: {', '.join(sorted(map(str, unknown)))}" if unknown else "'action' is missing"
            raise InvalidAction(
                f"an action of this environment has the one field 'action' ({wrong}); see /schema",
                errors=[_complaint(name, fields[name]) for name in sorted(unknown)]
                or [{"type": "missing", "loc": ["action"], "msg": "Field required", "input": fields}],
            )
        action = from_plain(self._action_space, fields["action"], error=InvalidAction)
        if self._check is not None:
            self._check(action)
        return action

    def observation_out(self, observation: Any) -> tuple[Plain, bool]:
        """The fields of an observation, and whether space and kinds are enough to restore it exactly."""
        if self._fits is None:
            return self._whole_out(observation)
        return {"observation": to_plain(self._observation_space, observation)}, self._fits(observation)

    def _whole_out(self, observation: Any) -> tuple[Plain, bool]:
        """The same of a space without a layout: what comes back is the only measure."""
        try:
            plain = to_plain(self._observation_space, observation)
            restored = from_plain(self._observation_space, plain)
        except OpenEnvGymError:  # it deviates from its space, and travels with its types beside it
            return {}, False
        return {"observation": plain}, same_value(restored, observation)


def _complaint(name: str, value: Any) -> dict[str, Plain]:
    return {"type": "extra_forbidden", "loc": [name], "msg": "Extra inputs are not permitted", "input": value}


def _fitter(layout: Layout, kinds: tuple[LeafKind, ...]) -> Callable[[Any], bool]:
    """Whether a plain value, read back by the space, gives the observation to the bit."""
    columns = layout.views(bytearray(layout.nbytes(1)), 1)
    write = compile_writer(layout, columns, kinds)
    floats = [column for column in _leaves(columns) if column.dtype.kind == "f"]

    def fits(observation: Any) -> bool:
        # JSON has no numbers beyond a double's, and none for NaN and infinity.
        return write(0, observation) and all(c.itemsize <= 8 and np.isfinite(c).all() for c in floats)

    return fits


def reader_of(signature: Signature) -> Callable[[Any], Any]:
    """How a client restores an observation from its plain value, by space and kinds alone."""
    space = signature.observation_spaces[0]
    layout = layout_of(space)
    if layout is None:
        return lambda plain: from_plain(space, plain)
    columns = layout.views(bytearray(layout.nbytes(1)), 1)
    kinds = tuple(map(LeafKind, signature.kinds))
    write = compile_writer(layout, columns, kinds)
    read = compile_reader(layout, columns, kinds)

    def restore(plain: Any) -> Any:
        write(0, from_plain(space, plain))
        return read(0)

    return restore


def _leaves(columns: Any) -> list[Any]:
    if isinstance(columns, dict):
        return [leaf for column in columns.values() for leaf in _leaves(column)]
    if isinstance(columns, tuple):
        return [leaf for column in columns for leaf in _leaves(column)]
    return [columns]
