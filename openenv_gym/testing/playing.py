"""Episodes that checks play, over the bare session."""

from __future__ import annotations

from collections.abc import Sequence

from openenv_gym.testing.actions import ADVICE, Actor
from openenv_gym.testing.equality import differences
from openenv_gym.testing.findings import Failed, Skipped, shown
from openenv_gym.testing.sessions import Observed, Session
from openenv_gym.testing.target import Target

__all__ = ["FEW", "STEPS", "differs_at", "play", "step"]

STEPS = 50
"""The most steps of one check's episode."""
FEW = 10
"""Steps where a few will do."""


def step(session: Session, actor: Actor, observed: Observed) -> Observed:
    """Take one action.

    Raises:
        Skipped: if the server refuses an action that was guessed from its schema.
        Failed: if it refuses any other.
    """
    action = actor.act(observed.fields)
    answer = session.ask({"type": "step", "data": action})
    if answer.get("type") == "error":
        if actor.guessed:
            raise Skipped(f"the server refuses an action made from its /schema; {ADVICE}", [action, answer])
        raise Failed(f"the server refuses the action {shown(action)}", answer)
    return Observed.read(answer)


def play(
    target: Target, session: Session, *, seed: int | None = None, steps: int = STEPS, acts: int = 0
) -> list[Observed]:
    """An episode: the answers to a reset and to each step, until it is done or long enough.

    Args:
        target: the server.
        session: to play on.
        seed: of the reset; ``None``: none is sent.
        steps: at most.
        acts: the same number makes the same actions.
    """
    actor = target.actor(acts)
    observed = [session.reset() if seed is None else session.reset(seed=seed)]
    while len(observed) <= steps and not observed[-1].done:
        target.check_deadline()
        observed.append(step(session, actor, observed[-1]))
    return observed


def differs_at(one: Sequence[Observed], other: Sequence[Observed]) -> int | None:
    """The first index at which two episodes differ; 0 is the reset."""
    for at, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if next(differences(mine.comparable, theirs.comparable), None) is not None:
            return at
    return None if len(one) == len(other) else min(len(one), len(other))
