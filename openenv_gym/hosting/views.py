"""The typed view of a lifted Gymnasium environment: exactly one field each way.

An action arrives as ``{"action": ...}`` and an observation leaves as ``{"observation": ...}``,
whatever the space is; a Dict space is never spread at top level, where its keys could collide with
``reward``, ``done`` or ``metadata``. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from openenv_gym.errors import InvalidAction, OpenEnvGymError
from openenv_gym.spaces import (
    INEXACT,
    Layout,
    compile_plain_reader,
    compile_plain_writer,
    compile_range_check,
    compile_reader,
    compile_writer,
    from_plain,
    layout_of,
    same_value,
    to_plain,
)
from openenv_gym.spaces import Kind as LeafKind
from openenv_gym.types import Plain, Signature

__all__ = ["FieldsView", "fields_view"]

_IGNORED = frozenset({"metadata"})
"""Upstream's base ``Action`` has it; typed clients send it empty."""


class FieldsView:
    """Fields to actions and observations to fields, for the one agent of a signature; keeps no state."""

    def __init__(self, signature: Signature) -> None:
        self._action_space = signature.action_spaces[0]
        self._check = compile_range_check(self._action_space)
        self._observation_space = signature.observation_spaces[0]
        self._read = compile_plain_reader(self._action_space)
        self._layout = layout_of(self._observation_space)
        self._kinds = tuple(map(LeafKind, signature.kinds))
        self._write = None if self._layout is None else compile_plain_writer(self._layout, self._kinds)

    def action_in(self, fields: Any) -> Any:
        """The action in the fields of a request, as the action space's own type.

        Raises:
            InvalidAction: if a field is missing or unknown, or its value does not fit.
        """
        if type(fields) is not dict or len(fields) != 1 or "action" not in fields:
            _check_names(fields)
        action = self._read(fields["action"])
        if self._check is not None:
            self._check(action)
        return action

    def observation_out(self, observation: Any) -> tuple[Plain, bool]:
        """The fields of an observation; or none, where space and kinds are not enough to restore it exactly.

        Raises:
            LayoutMismatch: if the space cannot hold it.
        """
        if self._write is None:
            return self._whole_out(observation)
        plain = self._write(observation)
        if plain is not INEXACT:
            return {"observation": plain}, True
        assert self._layout is not None
        _check_held(self._layout, self._kinds, observation)
        return {}, False

    def _whole_out(self, observation: Any) -> tuple[Plain, bool]:
        """The same of a space without a layout: what comes back is the only measure."""
        try:
            plain = to_plain(self._observation_space, observation)
            restored = from_plain(self._observation_space, plain)
        except OpenEnvGymError:  # it deviates from its space, and travels with its types beside it
            return {}, False
        return {"observation": plain}, same_value(restored, observation)


_views: WeakValueDictionary[tuple[Any, ...], FieldsView] = WeakValueDictionary()


def fields_view(signature: Signature) -> FieldsView:
    """The view of a signature, compiled once for all sessions that live at the same time."""
    # By identity: a view keeps its spaces, so their ids mean nothing else while it is in the map.
    spaces = (signature.action_spaces[0], signature.observation_spaces[0])
    key = (*map(id, spaces), signature.kinds)
    view = _views.get(key)
    if view is None:
        view = _views[key] = FieldsView(signature)
    return view


def _check_names(fields: Any) -> None:
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


def _complaint(name: str, value: Any) -> dict[str, Plain]:
    return {"type": "extra_forbidden", "loc": [name], "msg": "Extra inputs are not permitted", "input": value}


def _check_held(layout: Layout, kinds: tuple[LeafKind, ...], observation: Any) -> None:
    """Raise ``LayoutMismatch`` if a column of the array view could not hold the observation either."""
    columns = layout.views(bytearray(layout.nbytes(1)), 1)
    compile_writer(layout, columns, kinds)(0, observation)


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
