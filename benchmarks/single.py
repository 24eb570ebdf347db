"""What does one remote lane of CartPole cost? ``python -m benchmarks.single``.

Six ways to take the same steps: in process; stock client and server; stock client on our
server; our client in OpenEnv's JSON dialect and in the native one; and messages as long as the
native ones with no environment behind them, which is what the road itself costs.
"""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.cases import Benchmark, Case, Target
from benchmarks.command import main
from benchmarks.echo import Echo
from benchmarks.local import in_process
from benchmarks.ours import our_server, remote_lane
from benchmarks.rig import SingleLane, action_table
from benchmarks.stock.peer import StockLane, stock_server
from benchmarks.wire_sizes import sizes_of_a_step

ENV_ID = "CartPole-v1"
ACTIONS = 2


def cartpole() -> Case:
    """One lane, stepped and reset by its caller."""
    actions = action_table(ACTIONS, lanes=1)
    return Case(
        "cartpole",
        "One lane of CartPole",
        lanes=1,
        alternatives=(
            SingleLane("in process", in_process(ENV_ID), actions),
            StockLane("stock pair", stock_server("cartpole"), actions),
            StockLane("stock client, our server", our_server(ENV_ID), actions),
            SingleLane("ours, JSON", remote_lane(ENV_ID, "json"), actions),
            SingleLane("ours, native", remote_lane(ENV_ID, "native"), actions),
            Echo("bare WebSocket", partial(sizes_of_a_step, ENV_ID, ACTIONS)),
        ),
        targets=(
            Target("ours, native", "stock pair", at_least=5.0),
            Target("ours, native", "bare WebSocket", at_least=1 / 1.6, figure="p50"),
        ),
    )


SINGLE = Benchmark("single", "What does one remote lane of CartPole cost?", (cartpole,))

if __name__ == "__main__":
    sys.exit(main(SINGLE))
