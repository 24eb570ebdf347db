"""When one end looks for what comes next, and when it rests."""

from __future__ import annotations

from openenv_gym.wire.lookout import Lookout


def test_it_looks_once_the_last_message_came_soon() -> None:
    lookout = Lookout(1e-3)
    assert lookout.patience == 0
    lookout.came(after=0.9e-3)
    assert lookout.patience == 1e-3
    lookout.came(after=1.1e-3)
    assert lookout.patience == 0


def test_it_never_looks_if_it_may_not() -> None:
    lookout = Lookout(0.0)
    lookout.came(after=0.0)
    assert lookout.patience == 0


def tired(lookout: Lookout) -> None:
    """Give its core away in each wait, until it looks no more."""
    for _ in range(1000):
        if lookout.patience:
            lookout.looked(4e-3)
            lookout.came(after=0.5e-3)
    assert lookout.patience == 0


def rested(lookout: Lookout) -> int:
    """How many messages come until it looks again."""
    count = 0
    while not lookout.patience:
        lookout.came(after=0.0)
        count += 1
    return count


def test_it_rests_where_its_core_is_wanted_and_longer_each_time() -> None:
    lookout = Lookout(1e-3)
    lookout.came(after=0.0)
    rests = []
    for _ in range(9):
        tired(lookout)
        rests.append(rested(lookout))
    assert rests[:3] == [1025, 2049, 4097]
    assert rests[-1] == rests[-2] == 8193


def test_it_forgets_how_tired_it_was_once_it_has_looked_for_long() -> None:
    lookout = Lookout(1e-3)
    lookout.came(after=0.0)
    for _ in range(3):
        tired(lookout)
        rested(lookout)
    for _ in range(10_000):
        lookout.looked(1e-6)
        lookout.came(after=0.0)
    tired(lookout)
    assert rested(lookout) == 1025


def test_what_comes_without_a_wait_between_does_not_refresh_it() -> None:
    """Of lanes at two servers the second's answer is often there already."""
    lookout = Lookout(1e-3)
    lookout.came(after=0.0)
    for _ in range(100):
        lookout.looked(4e-3)
        lookout.came(after=0.5e-3)
        lookout.came(after=0.0)
    assert lookout.patience == 0


def test_a_wait_in_which_it_gives_way_now_and_then_tires_nobody() -> None:
    lookout = Lookout(1e-3)
    for _ in range(10_000):
        for seconds in (1e-6, 1e-6, 4e-3):
            lookout.came(after=0.0)
            lookout.looked(seconds)
            lookout.looked(1e-6)
    assert lookout.patience
