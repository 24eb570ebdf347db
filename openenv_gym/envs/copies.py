"""Copies of an environment: made anew, with the arguments of the one that is copied."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["MadeAnew"]


class MadeAnew:
    """Has ``copy``, ``deepcopy`` and ``pickle`` call the constructor again.

    A session cannot be in two places. What comes out has a session of its own, on the same server if
    it is reached by an address, and wants a reset.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember what the constructor is called with."""
        self = super().__new__(cls)
        self._arguments = (args, kwargs)
        return self

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), *self._arguments, getattr(self, "spec", None))


def _make(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any], spec: Any) -> Any:
    made = cls(*args, **kwargs)
    if spec is not None:
        made.spec = spec
    return made
