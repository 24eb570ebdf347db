"""The native dialect: whether the server speaks it, and whether it says what JSON says."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.vector.utils import iterate

from openenv_gym.client.blocking import Client
from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.envs.vector import OpenEnvVectorEnv
from openenv_gym.errors import CapacityReached
from openenv_gym.testing.equality import differences
from openenv_gym.testing.findings import Failed, Lacking, Skipped
from openenv_gym.testing.playing import FEW
from openenv_gym.testing.registry import check
from openenv_gym.testing.target import Target
from openenv_gym.wire.messages import Hello
from openenv_gym.wire.plain import describe

LANES = 2


@check
def negotiated(target: Target) -> str:
    """The server takes the native dialect that our clients offer."""
    with _client(target) as client:
        if not client.native:
            raise Lacking("the server speaks JSON alone: every number as text, one environment a connection")
        return f"{client.signature.env_id}, {', '.join(client.signature.autoreset_modes)}"


@check
def equals_json(target: Target) -> str:
    """Same seed, same actions: the same episode as in JSON."""
    _must_be_native(target)
    target.must_be_playable()
    played = {dialect: _episode(target, dialect) for dialect in ("native", "json")}
    found = next(differences(played["native"], played["json"], "episode"), None)
    if found is not None:
        raise Failed(f"the native dialect and JSON differ: {found:.300}")
    return f"{len(played['native']) - 1} steps"


@check
def lanes_equal_singles(target: Target) -> str:
    """Each lane of a vector session has the episode that it has alone."""
    _must_be_native(target)
    if target.exact_spaces().vector:
        raise Skipped("the server runs a native vector environment, whose lanes are its own affair")
    try:
        together = _lanes(target)
    except CapacityReached as error:
        raise Skipped(f"this needs {LANES} lanes, and the server has fewer left") from error
    for lane, episode in enumerate(together):
        alone = _single(target, lane, len(episode))
        # As plain data: a batch has one dtype, where an environment alone may say Python's int.
        found = next(differences(describe(episode)[0], describe(alone)[0], f"lane {lane}"), None)
        if found is not None:
            raise Failed(f"a lane's episode is not the one that it has alone: {found:.300}")
    return f"{LANES} lanes, {len(together[0]) - 1} steps"


def _client(target: Target) -> Client:
    target.check_deadline()
    hello = Hello() if target.spaces is None else Hello(autoreset=target.spaces.autoreset)
    return Client.to(
        target.url,
        hello,
        headers=target.headers,
        timeout=target.timeout,
        connect_timeout=target.timeout,
    )


def _must_be_native(target: Target) -> None:
    """Skip a check of the dialect itself, where it is not spoken or not between two faces of ours."""
    with _client(target) as client:
        if not client.native:
            raise Skipped("the server does not speak the native dialect")
    if not target.exact_spaces().alone:
        raise Skipped("the environment has several agents")


def _env(target: Target, dialect: str) -> OpenEnvGym:
    return OpenEnvGym(
        target.url,
        dialect=dialect,
        headers=target.headers,
        timeout=target.timeout,
        connect_timeout=target.timeout,
    )


def _episode(target: Target, dialect: str) -> list[Any]:
    env = _env(target, dialect)
    try:
        return play_gymnasium(env, seed=42, steps=FEW)
    finally:
        env.close()


def play_gymnasium(env: gymnasium.Env[Any, Any], *, seed: int, steps: int) -> list[Any]:
    """An episode as Gymnasium gives it; the same space and seed give the same actions."""
    env.action_space.seed(seed)
    episode: list[Any] = [env.reset(seed=seed)]
    over = False
    while len(episode) <= steps and not over:
        episode.append(env.step(env.action_space.sample()))
        over = bool(episode[-1][2] or episode[-1][3])
    return episode


def _lanes(target: Target) -> list[list[Any]]:
    """Observation, and reward where there is one, of each lane; until a first lane ends."""
    envs = OpenEnvVectorEnv(
        target.url,
        num_envs=LANES,
        autoreset_mode="Disabled",
        headers=target.headers,
        timeout=target.timeout,
        connect_timeout=target.timeout,
    )
    try:
        envs.action_space.seed(42)
        observations, _ = envs.reset(seed=list(range(LANES)))
        episodes = [[each] for each in iterate(envs.observation_space, observations)]
        for _ in range(FEW):
            observations, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
            for lane, each in enumerate(iterate(envs.observation_space, observations)):
                episodes[lane].append(
                    (each, float(rewards[lane]), bool(terminated[lane]), bool(truncated[lane]))
                )
            if (terminated | truncated).any():
                break
        return episodes
    finally:
        envs.close()


def _single(target: Target, lane: int, answers: int) -> list[Any]:
    """The same of a session of one lane, which takes that lane's actions."""
    batched = gymnasium.vector.utils.batch_space(target.exact_spaces().action, LANES)
    batched.seed(42)
    env = _env(target, "native")
    try:
        episode: list[Any] = [env.reset(seed=lane)[0]]
        while len(episode) < answers:
            action = list(iterate(batched, batched.sample()))[lane]
            observation, reward, terminated, truncated, _ = env.step(action)
            episode.append((observation, reward, terminated, truncated))
        return episode
    finally:
        env.close()
