"""The virtual environment of the stock peer: ``openenv`` as it is published, and Gymnasium."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from benchmarks.peers import Peer

__all__ = ["STOCK", "STOCK_VERSION", "stock_python"]

STOCK_VERSION = "0.10.0"
STOCK = Peer(
    f"stock-{STOCK_VERSION}",
    "OPENENV_STOCK_PYTHON",
    # msgspec is ours: there our own package is imported beside the peer's, to host its classes.
    (f"openenv=={STOCK_VERSION}", "gymnasium>=1.2", "ale-py>=0.11", "msgspec>=0.19"),
)


@cache
def stock_python() -> Path:
    """Return an interpreter that has the stock peer and can serve Gymnasium with it."""
    return STOCK.python()
