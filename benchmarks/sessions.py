"""What do many JSON sessions cost a server? ``python -m benchmarks.sessions``.

Unmodified stock clients throughout, all in one process of the stock interpreter, against a stock
server and ours, each in a process of its own. The clients offer compression, as they always do; a
stock server takes it, ours declines. First sixty-four sessions that play on and on, awaited
together; then a crowd, of which each resets and takes five steps, at its own pace.
"""

from __future__ import annotations

import sys

from benchmarks.cases import Benchmark, Case, Target
from benchmarks.command import main
from benchmarks.ours import our_server
from benchmarks.rig import action_table
from benchmarks.stock.peer import StockCrowd, StockSessions, stock_server

__all__ = ["SESSIONS", "cartpole", "crowd"]

ENV_ID = "CartPole-v1"
ACTIONS = 2


def cartpole() -> Case:
    """Sixty-four sessions of a microsecond environment."""
    lanes = 64
    actions = action_table(ACTIONS, lanes)
    return Case(
        "cartpole",
        f"{lanes} JSON sessions of CartPole, stock clients",
        lanes,
        alternatives=(
            StockSessions("stock server", stock_server("cartpole", lanes), actions),
            StockSessions("ours", our_server(ENV_ID), actions),
        ),
        targets=(Target("ours", "stock server", at_least=2.5),),
    )


def crowd(sessions: int = 1000) -> Case:
    """As many sessions as it takes to see what one costs."""
    return Case(
        "crowd",
        f"{sessions:,} JSON sessions of CartPole, stock clients",
        sessions,
        alternatives=(
            StockCrowd("stock server", stock_server("cartpole", sessions), sessions),
            StockCrowd("ours", our_server(ENV_ID), sessions),
        ),
        targets=(
            Target("ours", "stock server", at_least=3.0),
            Target("stock server", "ours", at_least=2.0, figure="memory"),
        ),
        calls=5,
    )


SESSIONS = Benchmark("sessions", "What do many JSON sessions cost a server?", (cartpole, crowd))

if __name__ == "__main__":
    sys.exit(main(SESSIONS))
