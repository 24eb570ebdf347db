"""A session belongs to the process that began it: a forked child lets go of what it inherits.

Parent and child share the connection's descriptor; whatever the child sent on it, a goodbye above
all, would arrive as the parent's. The child is told once, in the fork itself, so that no call has
to ask on its way which process it is in.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Protocol
from weakref import WeakSet

__all__ = ["let_go_in_children"]


class Owned(Protocol):
    """What belongs to one process."""

    def abandon(self) -> None:
        """Let go without a word to the other end."""


_owned: WeakSet[Owned] = WeakSet()


def let_go_in_children(owned: Owned) -> None:
    """Have every child that is forked from now on abandon its copy."""
    _ask_to_be_told()
    _owned.add(owned)


@cache
def _ask_to_be_told() -> None:
    """Once, and with the first session: importing the package changes nothing."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_abandon_all)


def _abandon_all() -> None:
    for owned in list(_owned):
        owned.abandon()
    _owned.clear()
