"""Stock servers that differ in what an episode is to them, and our faces, in which it is always the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Text
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from openenv_gym import OpenEnvGym, OpenEnvPool, OpenEnvVecEnv, OpenEnvVectorEnv
from openenv_gym.errors import CapacityReached, ContractViolation, EnvironmentRaised, ResetNeeded

pytestmark = pytest.mark.slow

LENGTH, SESSIONS = 5, 8  # as in scripts/variants.py
NUMBERS = Dict(number=Box(0, 10**6, (), np.int64), steps=Box(0, LENGTH, (), np.int64))
MOVE: dict[str, Any] = {
    "action_space": Discrete(3),
    "observation_space": NUMBERS,
    "encode_action": lambda action: {"action_id": int(action)},
}
FIELDS = [f"{column}{row}" for row in "123" for column in "abc"]
WORDS = ["UP", "DOWN", "LEFT", "RIGHT"]
SHOUT = Dict(text=Text(12), times=Discrete(3, start=1))


def board_and_legal(fields: dict[str, Any]) -> dict[str, Any]:
    legal = [int(name in fields["legal_moves"]) for name in FIELDS]
    return {"board": np.array(fields["board"], np.int8), "legal": np.array(legal, np.int8)}


def padded(fields: dict[str, Any]) -> NDArray[np.float32]:
    history = np.full(LENGTH, -1, np.float32)
    history[: len(fields["history"])] = fields["history"]
    return history


def perhaps(fields: dict[str, Any]) -> NDArray[np.float32]:
    amount = fields["last_amount"]
    return np.array([np.nan if amount is None else amount], np.float32)


CASES: dict[str, dict[str, Any]] = {
    "enum actions": {
        "action_space": Dict(direction=Discrete(4), far=Discrete(2)),
        "observation_space": Dict(x=Discrete(4), y=Discrete(4)),
        "encode_action": lambda action: {
            "direction": WORDS[action["direction"]],
            "far": bool(action["far"]),
        },
    },
    "string moves": {
        "action_space": Discrete(9),
        "observation_space": Dict(board=Box(0, 9, (3, 3), np.int8), legal=MultiBinary(9)),
        "encode_action": lambda action: {"move": FIELDS[action]},
        "decode_observation": board_and_legal,
    },
    "flat screen": {
        **MOVE,
        "observation_space": Box(0, 255, (4, 3, 3), np.uint8),
        "decode_observation": lambda fields: np.array(fields["screen"], np.uint8).reshape(
            fields["screen_shape"]
        ),
    },
    "growing arrays": {
        **MOVE,
        "observation_space": Box(-1, 1, (LENGTH,), np.float32),
        "decode_observation": padded,
    },
    "nullable fields": {
        "action_space": Box(-1, 1, (1,), np.float32),
        "observation_space": Box(-1, 1, (1,), np.float32),
        "encode_action": lambda action: {"amount": float(action[0])} if action[0] > 0 else {},
        "decode_observation": perhaps,
    },
    "tools": {
        "action_space": SHOUT,
        "observation_space": Text(40, min_length=0),
        "encode_action": lambda action: {
            "tool_name": "shout",
            "arguments": {"text": action["text"], "times": int(action["times"])},
        },
        "decode_observation": lambda fields: (fields.get("result") or {}).get("data") or "",
    },
}
ENDERS = ["self-resetting", "takes it back", "repeating"]


@contextmanager
def warned(*texts: str) -> Iterator[None]:
    """Warns once of each, and of nothing else."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    said = [str(each.message) for each in caught]
    assert len(said) == len(texts), said
    for text, each in zip(texts, said, strict=True):
        assert text in each and each.startswith("the server at http://127.0.0.1")


def play(env: OpenEnvGym, act: Callable[[Any], Any], steps: int = 200) -> list[int]:
    """Random steps; how many each episode had. The server is not stepped beyond an end."""
    lengths = [0]
    observation, _ = env.reset(seed=3)
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(act(observation))
        lengths[-1] += 1
        assert np.isfinite(reward) and type(terminated) is type(truncated) is bool
        assert env.state()["step_count"] == lengths[-1]
        if terminated or truncated:
            observation, info = env.reset()
            lengths.append(0)
        assert type(info) is dict
    return lengths


@pytest.mark.parametrize("name", CASES)
def test_two_hundred_random_steps(variants: dict[str, str], name: str) -> None:
    with closing(OpenEnvGym(variants[name], **CASES[name])) as env:
        env.action_space.seed(1)

        def act(observation: Any) -> Any:
            if name == "nullable fields":
                assert observation.dtype == np.float32 and observation.shape == (1,)
            else:
                assert observation in env.observation_space
            mask = observation["legal"] if name == "string moves" else None
            return env.action_space.sample(mask)

        missing = "in the answer to a reset, field 'tool_name' is missing"
        with warned(*[missing, "gave a step no reward"] if name == "tools" else []):
            lengths = play(env, act)
    assert lengths == [200] if name == "tools" else max(lengths) == LENGTH


@pytest.mark.parametrize("name", ["plain", "enum actions", "flat screen"])
def test_gymnasium_finds_nothing_wrong(variants: dict[str, str], name: str) -> None:
    with closing(OpenEnvGym(variants[name], **CASES.get(name, MOVE))) as env, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="gymnasium")
        check_env(env, skip_render_check=True)


# the end of an episode ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", *ENDERS])
def test_an_episode_ends_once(variants: dict[str, str], name: str) -> None:
    with closing(OpenEnvGym(variants[name], **MOVE)) as env:
        env.action_space.seed(1)
        assert play(env, lambda _: env.action_space.sample(), 60)[:-1] == [LENGTH] * 12
        env.reset(seed=4)
        ends = [env.step(0)[2] for _ in range(LENGTH)]
        assert ends == [False] * 4 + [True]
        for _ in range(2):
            with pytest.raises(ResetNeeded, match="its episode has ended"):
                env.step(0)
        assert env.reset(seed=4)[0]["steps"] == 0


def recorded(variants: dict[str, str], name: str, mode: str) -> list[Any]:
    """Of two lanes: steps, rewards and ends, and what the infos say of the last observations."""
    with closing(OpenEnvVectorEnv(variants[name], 2, autoreset_mode=mode, **MOVE)) as envs:
        seen: list[Any] = [envs.reset(seed=7)[0]["number"].tolist()]
        for _ in range(3 * LENGTH):
            observations, rewards, terminations, truncations, infos = envs.step([1, 1])
            last = infos.get("final_obs")
            seen.append(
                [
                    observations["steps"].tolist(),
                    rewards.tolist(),
                    terminations.tolist(),
                    truncations.tolist(),
                ]
            )
            seen.append(None if last is None else [each["steps"] for each in last])
    return seen


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_lanes_are_those_of_a_server_with_manners(variants: dict[str, str], mode: str) -> None:
    expected = recorded(variants, "plain", mode)
    assert [row[2] for row in expected[1::2]].count([True, True]) >= 2
    for name in ENDERS:
        assert recorded(variants, name, mode) == expected


@pytest.mark.parametrize("name", ["plain", *ENDERS])
def test_lanes_of_a_pool_end_by_themselves(variants: dict[str, str], name: str) -> None:
    with OpenEnvPool(variants[name], 3, 1, **MOVE) as pool:
        steps = {lane: [] for lane in range(3)}  # type: dict[int, list[int]]
        pool.async_reset(seed=1)
        for _ in range(36):
            observations, _, _, _, infos = pool.recv()
            lane = int(infos["env_id"][0])
            steps[lane].append(int(observations["steps"][0]))
            pool.send([0], [lane])
    for each in steps.values():
        assert each == [count % (LENGTH + 1) for count in range(len(each))]


def test_a_limit_is_a_truncation_where_the_server_says_so(variants: dict[str, str]) -> None:
    with closing(OpenEnvGym(variants["limited"], **MOVE)) as env:
        env.reset(seed=1)
        rows = [env.step(0) for _ in range(LENGTH)]
        assert [row[2:4] for row in rows] == [(False, False)] * 4 + [(False, True)]
        assert rows[-1][4] == {"truncated": True, "level": 3}
    with closing(OpenEnvVecEnv(variants["limited"], 1, **MOVE)) as envs:
        envs.reset()
        infos = [envs.step(np.array([0]))[3][0] for _ in range(LENGTH)]
        assert [info["TimeLimit.truncated"] for info in infos] == [False] * 4 + [True]


def test_an_environment_that_fails_says_so_at_every_step(variants: dict[str, str]) -> None:
    with closing(OpenEnvVectorEnv(variants["failing"], 2, **MOVE)) as envs:
        for _ in range(2):
            envs.reset()
            with pytest.raises(EnvironmentRaised, match="the simulator is gone"):
                envs.step([0, 0])


def test_a_server_that_is_full_says_so_to_the_lane_that_is_too_many(variants: dict[str, str]) -> None:
    with OpenEnvPool(variants["plain"], SESSIONS + 1, 1, **MOVE) as pool:
        pool.async_reset()
        caught: list[CapacityReached] = []
        for _ in range(SESSIONS + 1):
            try:
                pool.recv()
            except CapacityReached as error:
                caught.append(error)
        assert len(caught) == 1 and "lane" in caught[0].fields


# done at reset ------------------------------------------------------------------------------------

OVER = "answered a reset with done: true"


def test_what_is_over_at_its_reset_is_an_episode_of_one_step(variants: dict[str, str]) -> None:
    with closing(OpenEnvGym(variants["done at reset"], **MOVE)) as env, warned(OVER):
        for _ in range(3):
            first, info = env.reset(seed=1)
            assert info == {"done_at_reset": True} and first["steps"] == 0
            assert env.step(0) == (first, -1.0, True, False, {"done_at_reset": True})
            assert env.state()["step_count"] == 0  # it was not sent
            with pytest.raises(ResetNeeded, match="its episode has ended"):
                env.step(0)


@pytest.mark.parametrize(("mode", "pattern"), [("NextStep", [True, False]), ("SameStep", [True, True])])
def test_lanes_that_are_over_at_their_reset_are_not_looped_on(
    variants: dict[str, str], mode: str, pattern: list[bool]
) -> None:
    with (
        closing(OpenEnvVectorEnv(variants["done at reset"], 2, autoreset_mode=mode, **MOVE)) as envs,
        warned(OVER),
    ):
        assert envs.reset(seed=1)[1]["done_at_reset"].tolist() == [True, True]
        ends = [envs.step([0, 0])[2].tolist() for _ in range(6)]
        assert ends == [[end, end] for end in pattern] * 3
    with OpenEnvPool(variants["done at reset"], 2, 1, autoreset_mode=mode, **MOVE) as pool, warned(OVER):
        pool.async_reset(seed=1)
        lanes = []
        for _ in range(8):
            _, _, terminated, _, infos = pool.recv()
            lanes.append((int(infos["env_id"][0]), bool(terminated[0])))
            pool.send([0], infos["env_id"])
        for lane in range(2):
            ends = [end for number, end in lanes if number == lane]
            assert ends == [False, *pattern * 4][: len(ends)]


# rewards, seeds and schemas -----------------------------------------------------------------------


def test_a_step_without_a_reward_is_worth_nothing(variants: dict[str, str]) -> None:
    with closing(OpenEnvGym(variants["nan rewards"], **MOVE)) as env:
        with warned("gave a step no reward (null)"):
            for _ in range(2):
                env.reset(seed=1)
                assert [env.step(0)[1] for _ in range(LENGTH)] == [0.0, 0.0, 0.0, 1.0, 0.25]
    with closing(OpenEnvGym(variants["nan rewards"], strict=True, **MOVE)) as env:
        env.reset(seed=1)
        with pytest.raises(ContractViolation, match="no reward"):
            env.step(0)


def test_a_dropped_seed_is_said_once(variants: dict[str, str]) -> None:
    with closing(OpenEnvGym(variants["plain"], **MOVE)) as env, warned():
        assert env.reset(seed=1)[0] == env.reset(seed=1)[0]
        assert env.state()["episode_id"]
    with closing(OpenEnvGym(variants["seedless"], **MOVE)) as env:
        with warned():
            env.reset()
        with warned("dropped the episode_id that was sent along with seed=1"):
            for _ in range(3):
                env.reset(seed=1)
    with closing(OpenEnvVectorEnv(variants["seedless"], 3, **MOVE)) as envs, warned("along with seed=1"):
        envs.reset(seed=1)
        envs.reset(seed=1)


def test_a_seed_that_is_not_kept_to_is_said_once(variants: dict[str, str]) -> None:
    with closing(OpenEnvGym(variants["forgetful"], **MOVE)) as env:
        with warned():
            env.reset(seed=1)
            env.reset(seed=2)
        with warned("two episodes with seed=1 began with different number"):
            for _ in range(3):
                env.reset(seed=1)
    with closing(OpenEnvGym(variants["forgetful"], strict=True, **MOVE)) as env:
        env.reset(seed=1)
        with pytest.raises(ContractViolation, match="does not keep to seeds"):
            env.reset(seed=1)


LIES = [
    "in the answer to a step, field 'steps' is missing",
    "field 'number' is '",
    "field 'surprise' is not declared",
]


def lenient(fields: dict[str, Any]) -> dict[str, Any]:
    return {"number": np.int64(fields["number"]), "steps": np.int64(fields.get("steps", 0))}


def test_a_server_that_breaks_its_schema_is_warned_about_by_field(variants: dict[str, str]) -> None:
    spaces = {**MOVE, "decode_observation": lenient}
    with closing(OpenEnvGym(variants["lying schema"], **spaces)) as env, warned(*LIES):
        env.reset(seed=1)
        for _ in range(LENGTH):
            env.step(0)
    with closing(OpenEnvVectorEnv(variants["lying schema"], 2, strict=True, **spaces)) as envs:
        envs.reset(seed=1)
        with pytest.raises(ContractViolation, match="breaks the schema") as caught:
            envs.step([0, 0])
        assert caught.value.fields == {"field": "steps", "lane": 0}
        assert envs.step([0, 0])[0]["steps"].tolist() == [2, 2]
