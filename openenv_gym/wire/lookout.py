"""Whether to look for the next message rather than sleep until it is there.

To be woken costs some 50 microseconds, as much as a small environment's whole batch, and a scheduler
likes to wake whoever sleeps on the core of who wakes it. So each end looks for a moment, if the last
message came within that moment, and yields its core at every look. Where somebody else wants that
core, a yield takes as long as he likes; then sleeping is better, and there is a rest. Pure: seconds in,
seconds out.
"""

from __future__ import annotations

__all__ = ["Lookout"]

_YIELDED_SECONDS = 100e-6
"""A look that took longer gave the core away."""
_TIRED_AFTER = 48
"""In fewer waits than that a scheduler parts two ends that began on one core, if there are two."""
_FIRST_REST, _LONGEST_REST = 1 << 10, 1 << 13
"""In messages. Longer each time, until it has not been tired for as many as the longest has."""


class Lookout:
    """How long one end of a connection looks for what it awaits.

    Args:
        longest: seconds; what took longer than that is not looked for the next time.

    Attributes:
        longest: that many.
        patience: seconds to look now; 0 is not at all.

    >>> lookout = Lookout(1e-3)
    >>> lookout.came(after=0.5e-3)
    >>> lookout.patience
    0.001
    >>> lookout.came(after=0.2)
    >>> lookout.patience
    0.0
    """

    __slots__ = ("_fresh", "_gave", "_lost", "_next_rest", "_rest", "_waited", "longest", "patience")

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self._waited = self._gave = False
        self._lost = self._fresh = 0
        self._rest = 0
        self._next_rest = _FIRST_REST
        self.patience = 0.0

    def looked(self, seconds: float) -> None:
        """One look, in vain, and a yield took so long."""
        self._waited = True
        if seconds >= _YIELDED_SECONDS:
            self._gave = True

    def came(self, after: float) -> None:
        """What was awaited is there, after so many seconds."""
        if self._rest:
            self._rest -= 1
            return
        self.patience = self.longest if after < self.longest else 0.0
        self._fresh += 1
        if self._waited:
            self._lost = self._lost + 2 if self._gave else max(self._lost - 1, 0)
            self._waited = self._gave = False
            if self._lost > 2 * _TIRED_AFTER:
                self._tire()

    def _tire(self) -> None:
        if self._fresh > _LONGEST_REST:
            self._next_rest = _FIRST_REST
        self._lost, self._fresh, self._rest, self.patience = 0, 0, self._next_rest, 0.0
        self._next_rest = min(2 * self._next_rest, _LONGEST_REST)
