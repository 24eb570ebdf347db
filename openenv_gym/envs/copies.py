"""Copies of an environment: made anew, with the arguments of the one that is copied."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["MadeAnew"]


class _Arguments:
    """What a constructor is called with; shown by nothing that shows the attributes of an object."""

    __slots__ = ("args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs


class MadeAnew:
    """Has ``copy``, ``deepcopy`` and ``pickle`` call the constructor again.

    A session cannot be in two places. What comes out has a session of its own, on the same server if
    it is reached by an address, and wants a reset.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember what the constructor is called with."""
        self = super().__new__(cls)
        self._arguments = _Arguments(args, kwargs)
        return self

    _arguments: _Arguments

    def __reduce__(self) -> tuple[Any, ...]:
        given = self._arguments
        return _make, (type(self), given.args, given.kwargs, getattr(self, "spec", None))


def _make(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any], spec: Any) -> Any:
    made = cls(*args, **kwargs)
    if spec is not None:
        made.spec = spec
    return made
