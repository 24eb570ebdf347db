"""Seeds, the order of reset and step, the state's contract, rewards, and how an episode ends."""

from __future__ import annotations

import math
from typing import Any

from openenv_gym.testing.actions import Actor
from openenv_gym.testing.findings import Failed, Lacking, Skipped, shown
from openenv_gym.testing.playing import FEW, STEPS, differs_at, play, step
from openenv_gym.testing.registry import check
from openenv_gym.testing.sessions import Observed, Session
from openenv_gym.testing.target import Target

DROPPED = "the seed has no effect: the same seed and actions give another episode"


@check
def seed_repeats(target: Target) -> str:
    """Same seed, same actions: the same episode, twice in one session."""
    with target.session() as session:
        first, again = (play(target, session, seed=42) for _ in range(2))
    at = differs_at(first, again)
    if at is not None:
        raise Lacking(f"{DROPPED} ({_place(at)})", _two(first, again, at))
    return f"{len(first) - 1} steps"


@check
def seed_across_sessions(target: Target) -> str:
    """Same seed, same actions: the same episode, in two sessions."""
    with target.session() as session:
        first, again = (play(target, session, seed=42) for _ in range(2))
    if differs_at(first, again) is not None:
        raise Skipped("the seed has no effect within a session")
    with target.session() as session:
        other = play(target, session, seed=42)
    at = differs_at(first, other)
    if at is not None:
        raise Lacking(
            f"the same seed gives another episode in another session ({_place(at)})", _two(first, other, at)
        )
    return f"{len(first) - 1} steps"


@check
def step_before_reset(target: Target) -> str:
    """A step before the first reset is refused, and the session goes on."""
    with target.session() as session:
        answer = session.ask({"type": "step", "data": target.actor().act({})})
        if answer.get("type") != "error":
            raise Lacking("a step before the first reset is played, in an episode that nobody began")
        session.goes_on()
        session.reset()
    return _code(answer)


@check
def step_after_end(target: Target) -> str:
    """A step after the end of an episode is refused, and the session goes on."""
    with target.session() as session:
        observed = _ended(target, session)
        answer = session.ask({"type": "step", "data": target.actor(2).act(observed.fields)})
        if answer.get("type") == "error":
            session.goes_on()
            session.reset()
            return _code(answer)
    if not Observed.read(answer).done:
        raise Failed("a step after the end takes done back, in an episode that was said to be over", answer)
    raise Lacking("steps after the end of an episode are accepted, and answered with done again")


@check
def reset_after_end(target: Target) -> str:
    """A reset after the end of an episode begins another."""
    with target.session() as session:
        _ended(target, session)
        again = session.reset(seed=42)
        count = session.state()["step_count"]
    if again.done:
        raise Failed("the reset after the end of an episode is answered with done", shown(again.observation))
    if count != 0:
        raise Failed(f"after the reset the step_count is {count}; 0 was expected")
    return "step_count 0"


@check
def step_count(target: Target) -> str:
    """The state's step_count is 0 after a reset, and exact after each step."""
    actor = target.actor()
    with target.session() as session:
        for _ in range(2):
            observed = session.reset(seed=42)
            counted = 0
            _expect_count(session, counted)
            while counted < FEW and not observed.done:
                observed = step(session, actor, observed)
                counted += 1
                _expect_count(session, counted)
    return f"up to {counted}"


@check
def episode_id(target: Target) -> str:
    """The state's episode_id is the one that the reset asked for."""
    with target.session() as session:
        for wanted in ("openenv-gym-check-1", "openenv-gym-check-2"):
            session.reset(episode_id=wanted)
            said = session.state().get("episode_id")
            if said != wanted:
                raise Lacking(
                    f"a reset's episode_id is dropped: {wanted!r} was asked for, {said!r:.80} is said"
                )
    return "kept"


@check
def rewards(target: Target) -> str:
    """A step's reward is a finite number, never a bool and never null."""
    with target.session() as session:
        first, *steps = play(target, session, seed=42)
    if first.reward is not None:
        steps.append(first)
    for each in steps:
        number = type(each.reward) in (int, float) and math.isfinite(each.reward)
        if not number:
            raise Failed(f"a reward is {shown(each.reward)}; a finite number was expected")
    return f"{len(steps)} rewards"


@check
def how_it_ended(target: Target) -> str:
    """A step's metadata says terminated and truncated, and done is either."""
    with target.session() as session:
        episode = play(target, session, seed=42)[1:]
    for each in episode:
        terminated, truncated = _flags(each.metadata)
        if each.done is not (terminated or truncated):
            raise Failed(
                f"done is {each.done}, but terminated is {terminated} and truncated {truncated}",
                shown(each.metadata),
            )
    return "terminated, truncated"


def _flags(metadata: dict[str, Any]) -> tuple[bool, bool]:
    match metadata:
        case {"terminated": bool() as terminated, "truncated": bool() as truncated}:
            return terminated, truncated
    raise Lacking(
        "a step's metadata says neither terminated nor truncated, so that a time limit looks like an end",
        shown(metadata),
    )


def _ended(target: Target, session: Session) -> Observed:
    """The last answer of an episode that came to its end: by samples, or by one action over and over."""
    last = play(target, session, seed=42)[-1]
    if not last.done:
        observed = session.reset(seed=42)
        actor = target.actor()
        action = actor.act(observed.fields)
        persistent = Actor(lambda observation: action, guessed=actor.guessed)
        for _ in range(STEPS):
            last = step(session, persistent, last)
            if last.done:
                break
    if not last.done:
        raise Skipped(f"no episode ended within {STEPS} steps")
    return last


def _expect_count(session: Session, counted: int) -> None:
    said = session.state()["step_count"]
    if said != counted:
        raise Failed(f"after {counted} steps of an episode the step_count is {said}")


def _place(at: int) -> str:
    return "at the reset" if at == 0 else f"from step {at} on"


def _two(first: list[Observed], other: list[Observed], at: int) -> Any:
    return [shown(episode[at].comparable) if at < len(episode) else None for episode in (first, other)]


def _code(answer: dict[str, Any]) -> str:
    return str(answer.get("data", {}).get("code"))
