"""Sessions do not notice one another, and leave their place when they go."""

from __future__ import annotations

import time
from contextlib import ExitStack

from openenv_gym.testing.actions import Actor
from openenv_gym.testing.findings import Failed, Skipped
from openenv_gym.testing.playing import FEW, differs_at, play, step
from openenv_gym.testing.registry import check
from openenv_gym.testing.sessions import Full, Observed, Session
from openenv_gym.testing.target import Target

GOING_SECONDS = 5.0
"""How long the place of a client that vanished may stay taken."""


@check
def interleaved(target: Target) -> str:
    """Two sessions that play in turns have the episodes that each has alone."""
    alone, counted = [], []
    for seed, steps in TURNS.items():
        with target.session() as session:
            alone.append(play(target, session, seed=seed, steps=steps, acts=seed))
            counted.append(session.state()["step_count"])
    with target.session() as session:
        again = play(target, session, seed=1, steps=TURNS[1], acts=1)
    with target.two_sessions() as pair:
        together = _in_turns(target, pair)
        counts = [session.state()["step_count"] for session in pair]
    if counted == _steps(alone) and counts != _steps(together):
        raise Failed(f"two sessions took {_steps(together)} steps, and count {counts}: they share an episode")
    if differs_at(alone[0], again) is not None:
        return "each counts its own steps; episodes cannot be compared, for the seed has no effect"
    for (seed, steps), mine, shared in zip(TURNS.items(), alone, together, strict=True):
        at = differs_at(mine, shared)
        if at is None:
            continue
        with target.session() as session:  # was it chance that an episode came twice?
            once_more = play(target, session, seed=seed, steps=steps, acts=seed)
        if differs_at(mine, once_more) is None:
            raise Failed(f"an episode differs from step {at} on when another session plays beside it")
    return f"{sum(counts)} steps in turns"


TURNS = {1: FEW, 2: FEW - 1}
"""The seed of each session, and its steps: not the same number, so that their counts differ."""


def _in_turns(target: Target, pair: tuple[Session, Session]) -> list[list[Observed]]:
    episodes = [[session.reset(seed=seed)] for session, seed in zip(pair, TURNS, strict=True)]
    # Not guesses any more: alone, the server took these actions.
    actors = [Actor(target.actor(seed).act, guessed=False) for seed in TURNS]
    for turn in range(FEW):
        for session, actor, episode, steps in zip(pair, actors, episodes, TURNS.values(), strict=True):
            if turn < steps and not episode[-1].done:
                episode.append(step(session, actor, episode[-1]))
    return episodes


def _steps(episodes: list[list[Observed]]) -> list[int]:
    return [len(episode) - 1 for episode in episodes]


@check
def vanished_client(target: Target) -> str:
    """The place of a client that vanishes without a goodbye becomes free."""
    target.must_be_playable()
    count = _open_sessions(target)
    if count is not None:
        return _place_is_counted_free(target, count)
    with ExitStack() as stack:
        held = _fill(target, stack)
        held.reset()
        held.vanish()
        _wait_for_room(target)
    return "a full server takes the next client"


def _fill(target: Target, stack: ExitStack) -> Session:
    """Take every place; the session that came last."""
    session = stack.enter_context(target.session())
    for _ in range(2):
        try:
            further = stack.enter_context(target.connect())
            further.ask({"type": "state"})
        except Full:
            return session
        session = further
    raise Skipped("the server says neither how many sessions it has, nor is it full with three")


def _wait_for_room(target: Target) -> None:
    patience = target.clock() + GOING_SECONDS
    while True:
        try:
            with target.session():
                return
        except Full as full:
            if target.clock() >= patience:
                raise Failed(
                    f"{GOING_SECONDS:g} s after its client vanished, a session still holds its place"
                ) from full


def _open_sessions(target: Target) -> int | None:
    """How many sessions ``/health`` counts, if it does."""
    count = target.page("/health").get("sessions")
    return count if type(count) is int else None


def _place_is_counted_free(target: Target, before: int) -> str:
    session = target.connect()
    try:
        session.reset()
    finally:
        session.vanish()
    patience = target.clock() + GOING_SECONDS
    while (count := _open_sessions(target)) is not None and count > before:
        if target.clock() >= patience:
            raise Failed(
                f"{GOING_SECONDS:g} s after its client vanished, /health counts {count} sessions, "
                f"not {before}"
            )
        time.sleep(0.05)
    return "/health counts it no more"
