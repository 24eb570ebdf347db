"""A figure and how far it strays."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Spread"]


@dataclass(frozen=True)
class Spread:
    """The median of a few rounds, with the extremes and the middle half.

    >>> Spread.of([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0, first_quartile=1.5, third_quartile=2.5)
    """

    median: float
    low: float
    high: float
    first_quartile: float
    third_quartile: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise one value or more."""
        if len(values) == 1:
            return cls(*[values[0]] * 5)
        first, median, third = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, min(values), max(values), first, third)

    @property
    def interquartile_share(self) -> float:
        """The width of the middle half, as a share of the median."""
        return (self.third_quartile - self.first_quartile) / self.median if self.median else 0.0
