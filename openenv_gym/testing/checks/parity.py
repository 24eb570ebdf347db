"""The server held up against the local environment that it is said to be; asked only where one is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium

from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.errors import PeerError
from openenv_gym.spaces import identical
from openenv_gym.testing.checks.native import play_gymnasium
from openenv_gym.testing.equality import differences
from openenv_gym.testing.findings import Failed, Skipped
from openenv_gym.testing.playing import STEPS
from openenv_gym.testing.registry import check
from openenv_gym.testing.target import Target

SEEDS = (42, 7)


@check
def spaces(target: Target) -> str:
    """The published spaces are the local environment's to the bit."""
    served = target.exact_spaces()
    with _local(target) as local:
        for name, mine, theirs in (
            ("action", local.action_space, served.action),
            ("observation", local.observation_space, served.observation),
        ):
            if not identical(mine, theirs):
                raise Failed(f"the {name} space is {theirs!r:.200}, locally {mine!r:.200}")
    return "identical"


@check
def native(target: Target) -> str:
    """Episodes in the native dialect equal the local ones to the bit."""
    return _equal(target, "native", whole=True)


@check
def json(target: Target) -> str:
    """Episodes in JSON equal the local ones to the bit."""
    return _equal(target, "json", whole=target.spaces is not None)


def _equal(target: Target, dialect: str, *, whole: bool) -> str:
    steps = 0
    with _local(target) as local, _remote(target, dialect, local) as remote:
        for seed in SEEDS:
            remote.action_space = local.action_space
            mine = play_gymnasium(local, seed=seed, steps=STEPS // 2)
            theirs = play_gymnasium(remote, seed=seed, steps=STEPS // 2)
            found = next(differences(_said(theirs, whole), _said(mine, whole), f"seed {seed}"), None)
            if found is not None:
                raise Failed(f"the served environment is not the local one: {found:.300}")
            steps += len(mine) - 1
    return f"{steps} steps, {'infos included' if whole else 'observations, rewards and ends'}"


def _said(episode: list[Any], whole: bool) -> list[Any]:
    """The answers of an episode, with Gymnasium's own scalars; without what a stock server cannot say."""
    first, *steps = episode
    if not whole:
        return [first[0], *((each[0], float(each[1]), bool(each[2] or each[3])) for each in steps)]
    return [first, *((each[0], float(each[1]), bool(each[2]), bool(each[3]), each[4]) for each in steps)]


@contextmanager
def _local(target: Target) -> Iterator[gymnasium.Env[Any, Any]]:
    if target.local is None:
        raise Skipped("no local environment is named")
    env = target.local()
    try:
        yield env
    finally:
        env.close()


@contextmanager
def _remote(target: Target, dialect: str, local: gymnasium.Env[Any, Any]) -> Iterator[OpenEnvGym]:
    target.check_deadline()
    told = target.spaces is None
    try:
        env = OpenEnvGym(
            target.url,
            dialect=dialect,
            action_space=local.action_space if told else None,
            observation_space=local.observation_space if told else None,
            headers=target.headers,
            timeout=target.timeout,
            connect_timeout=target.timeout,
        )
    except PeerError as error:
        raise Skipped(f"the environment is not served in the {dialect} dialect: {error}") from error
    try:
        yield env
    finally:
        env.close()
