"""Every space that Gymnasium has, observed and acted in, over a real socket: the same to the bit."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiDiscrete, OneOf, Sequence, Text, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from openenv_gym import OpenEnvGym, OpenEnvVectorEnv, serve_gym
from openenv_gym.errors import InvalidAction
from openenv_gym.hosting.views import FieldsView
from openenv_gym.spaces import to_plain
from openenv_gym.types import Signature
from tests.envs.catalogue import World
from tests.fidelity import (
    assert_identical,
    assert_same_episodes,
    assert_same_faces,
    assert_same_vector_play,
    assert_same_vector_spaces,
)
from tests.spaces.strategies import bits

EDGED = Graph(Box(-1, 1, (3,)), Discrete(4, start=-1))
SPACES: dict[str, Space[Any]] = {
    "text": Text(7, min_length=0, charset="zé-]\\\U0001f600"),
    "sequence": Sequence(Box(-1, 1, (2,))),
    "stacked": Sequence(Box(-1, 1, (2,)), stack=True),
    "stacked dict": Sequence(Dict(at=Box(-1, 1, (2,), np.float64), word=Text(3)), stack=True),
    "graph": EDGED,
    "graph without edges": Graph(Discrete(3), None),
    "graph of dicts": Graph(Dict(a=Discrete(2), b=Text(2)), Tuple([Discrete(5), Box(0, 1, ())])),
    "one of": OneOf([Discrete(3), Box(-1, 1, (2,)), Text(4)]),
    "dict": Dict(
        {
            "arm": Tuple([Box(-1, 1, (2,)), MultiDiscrete([2, 3])]),
            "goal": Discrete(4),
            "map": EDGED,
            "says": Text(5),
        }
    ),
    "tuple": Tuple([Box(0, 255, (2, 2), np.uint8), Dict(part=OneOf([EDGED, Sequence(EDGED)]))]),
    "nested": Sequence(OneOf([Dict(a=Sequence(Discrete(3), stack=True)), EDGED, Tuple([Text(2)])])),
}


class Echo(gymnasium.Env[Any, Any]):
    """Observes samples of a space; the reward tells every bit and type of the action.

    Args:
        space: of observations and of actions.
    """

    def __init__(self, space: Space[Any]) -> None:
        self.observation_space = copy.deepcopy(space)
        self.action_space = copy.deepcopy(space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of three to six steps."""
        super().reset(seed=None if seed is None else int(seed))  # vector environments may pass NumPy's
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self._left = int(self.np_random.integers(3, 7))
        return self.observation_space.sample(), {"left": self._left}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action."""
        self._left -= 1
        heard = zlib.crc32(repr(bits(action)).encode())
        return self.observation_space.sample(), float(heard), self._left == 0, False, {"left": self._left}


@pytest.fixture(scope="module", params=SPACES)
def world(request: pytest.FixtureRequest) -> Iterator[tuple[World, str]]:
    world = World(Echo, {"space": SPACES[request.param]})
    with world.serve() as server:
        yield world, server.url


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_episodes_are_the_same(world: tuple[World, str], dialect: str) -> None:
    served, url = world
    with closing(OpenEnvGym(url, dialect=dialect)) as remote, closing(served.local()) as local:
        assert_same_faces(remote, local)
        assert assert_same_episodes(remote, local, seeds=(42, None, 7)) == 3


@pytest.mark.parametrize("dialect", ["native", "json"])
@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_vector_play_is_the_same(world: tuple[World, str], mode: AutoresetMode, dialect: str) -> None:
    served, url = world

    def some(step: int, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return ended if mode is AutoresetMode.DISABLED else (np.arange(3) == step % 3) & (step % 5 == 4)

    with (
        closing(OpenEnvVectorEnv(url, 3, autoreset_mode=mode, dialect=dialect)) as remote,
        closing(SyncVectorEnv([served.local] * 3, autoreset_mode=mode)) as local,
    ):
        assert_same_vector_spaces(remote, local)
        assert assert_same_vector_play(remote, local, steps=14, masks=some) >= 1


class EchoVector(SyncVectorEnv):
    """The same as a vector environment of its own."""

    def __init__(self, num_envs: int, space: Space[Any], autoreset_mode: Any = "NextStep") -> None:
        super().__init__([lambda: Echo(space)] * num_envs, autoreset_mode=AutoresetMode(autoreset_mode))


@pytest.mark.parametrize("name", ["text", "stacked", "graph", "dict", "tuple"])
def test_a_native_vector_environment_is_the_same(name: str) -> None:
    space = SPACES[name]
    with (
        serve_gym(EchoVector, port=0, block=False, vectorization="native", kwargs={"space": space}) as server,
        closing(OpenEnvVectorEnv(server.url, 3)) as remote,
        closing(EchoVector(3, space)) as local,
    ):
        assert_same_vector_spaces(remote, local)
        assert assert_same_vector_play(remote, local, steps=14) >= 1


@pytest.mark.parametrize("name", ["text", "graph", "dict"])
def test_one_lane_of_a_native_vector_environment_is_the_same(name: str) -> None:
    space = SPACES[name]
    with (
        serve_gym(EchoVector, port=0, block=False, vectorization="native", kwargs={"space": space}) as server,
        closing(OpenEnvGym(server.url)) as remote,
        closing(EchoVector(1, space, "Disabled")) as local,
    ):
        local.reset(seed=3)
        assert_identical(remote.reset(seed=3)[0], Echo(space).reset(seed=3)[0], "reset")
        actions = local.action_space.sample()
        expected = local.step(actions)
        observation, reward, *_ = remote.step(next(iter(iterate(local.action_space, actions))))
        assert_identical(observation, next(iter(iterate(local.observation_space, expected[0]))), "step")
        assert reward == expected[1][0]


@pytest.mark.parametrize("name", SPACES)
def test_a_stock_client_sees_the_plain_form_that_the_schema_describes(name: str) -> None:
    space = SPACES[name]
    signature = Signature("echo", ("agent",), (space,), (space,), 1, "Disabled")
    view = FieldsView(signature)
    for _ in range(5):
        sample = space.sample()
        assert view.observation_out(sample) == ({"observation": to_plain(space, sample)}, True)


@pytest.mark.parametrize("actions", [("a",), ("a", "b", "c"), 3, None], ids=str)
def test_a_batch_that_does_not_fit_is_refused(actions: Any) -> None:
    with serve_gym(Echo, port=0, block=False, kwargs={"space": Text(3)}) as server:
        with closing(OpenEnvVectorEnv(server.url, 2)) as remote:
            remote.reset(seed=1)
            with pytest.raises(InvalidAction, match=r"see env\.action_space"):
                remote.step(actions)
            remote.step(("a", "b"))
