"""Which worker gets the next connection."""

from __future__ import annotations

import pytest

from openenv_gym.server.workers.spread import Load, by_preference


def place(loads: dict[int, Load], number: int, *, websocket: bool) -> int:
    worker = by_preference(loads, websocket=websocket)[0]
    loads[worker].begin(number, websocket=websocket)
    return worker


def grant(load: Load, lanes: int) -> None:
    load.lanes += lanes
    load.sessions += 1


@pytest.mark.parametrize("lanes", [1, 128])
@pytest.mark.parametrize("slow_worker", [None, 0, 1])
def test_websockets_are_even_whenever_their_sessions_begin(lanes: int, slow_worker: int | None) -> None:
    loads = {0: Load(), 1: Load()}
    for number in range(32):
        worker = place(loads, number, websocket=True)
        if worker != slow_worker:
            grant(loads[worker], lanes)
    assert [load.websockets for load in loads.values()] == [16, 16]


def test_websockets_after_requests_are_even() -> None:
    loads = {worker: Load() for worker in range(4)}
    for number in range(0, 16, 2):
        place(loads, number, websocket=False)
        place(loads, number + 1, websocket=True)
    assert [(load.websockets, load.requests) for load in loads.values()] == [(2, 2)] * 4


def test_a_large_session_counts_as_much_as_many_small_ones() -> None:
    loads = {0: Load(), 1: Load()}
    grant(loads[place(loads, 0, websocket=True)], 64)
    for number in range(1, 17):
        grant(loads[place(loads, number, websocket=True)], 1)
    assert [load.websockets for load in loads.values()] == [1, 16]


def test_requests_on_connections_of_their_own_go_where_sessions_are_few() -> None:
    loads = {0: Load(), 1: Load()}
    for number in range(6):
        worker = place(loads, number, websocket=False)
        grant(loads[worker], 1)
        loads[worker].end(number)
    assert [load.sessions for load in loads.values()] == [3, 3]
