"""``gymnasium.make("openenv/...")``: the same environment, one line, and nothing left behind."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.wrappers import FrameStackObservation, RecordEpisodeStatistics, RecordVideo, TimeLimit

from openenv_gym import Client, OpenEnvGym, serve_gym
from openenv_gym.envs import embedded
from openenv_gym.envs.arguments import environment_arguments
from openenv_gym.envs.embedded import close_servers, lease_application
from openenv_gym.errors import (
    Closed,
    ConnectionLost,
    FactoryFailed,
    InvalidArgument,
    ResetNeeded,
    ServerClosed,
    Unauthorized,
)
from tests.environments import Counter
from tests.fidelity import (
    assert_identical,
    assert_same_episodes,
    assert_same_vector_play,
    assert_same_vector_spaces,
)
from tests.served import eventually, is_running

ROOT = Path(__file__).parents[2]
CARTPOLE: dict[str, Any] = {"env_id": "CartPole-v1"}


@pytest.fixture(scope="module")
def cartpole() -> Iterator[OpenEnvGym]:
    """Keeps the embedded server of CartPole for all tests here."""
    env = make(**CARTPOLE)
    yield env
    env.close()
    close_servers()


@pytest.fixture
def tidy() -> Iterator[None]:
    """Stops the servers that a test starts."""
    servers = embedded._SERVERS._servers
    before = set(servers)
    yield
    for sealed in set(servers) - before:
        servers.pop(sealed).process.stop()


def make(**arguments: Any) -> Any:
    """The face, without wrappers."""
    return gymnasium.make("openenv/gym", **arguments).unwrapped


def users(what: str) -> dict[int, int]:
    """The embedded servers of something, and how many use each."""
    servers = embedded._SERVERS._servers
    return {server.process.pid: server.users for key, server in servers.items() if what.encode() in key}


def in_python(program: str, *arguments: str) -> str:
    """What a program prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ids


@pytest.mark.parametrize(
    "program",
    [
        "import openenv_gym, gymnasium",
        "import gymnasium, openenv_gym",
        "import gymnasium; gymnasium.envs.registration._find_spec('openenv_gym:openenv/gym')",
    ],
)
def test_importing_the_package_registers_its_ids(program: str) -> None:
    show = "; print(*[name for name in gymnasium.registry if name.startswith('openenv/')])"
    assert in_python(program + show).split() == ["openenv/gym", "openenv/remote", "openenv/chess"]


def test_registering_again_warns_of_nothing() -> None:
    in_python("import openenv_gym, importlib; importlib.reload(openenv_gym)")


# the same environment


@pytest.mark.usefixtures("cartpole")
def test_an_environment_equals_the_local_one() -> None:
    with closing(gymnasium.make("openenv_gym:openenv/gym", **CARTPOLE)) as remote:
        with closing(gymnasium.make("CartPole-v1")) as local:
            assert assert_same_episodes(remote, local)


@pytest.mark.usefixtures("tidy")
@pytest.mark.parametrize("arguments", [{"is_slippery": False}, {"env_kwargs": {"is_slippery": False}}])
def test_arguments_reach_the_environment(arguments: dict[str, Any]) -> None:
    with closing(gymnasium.make("openenv/gym", env_id="FrozenLake-v1", **arguments)) as remote:
        with closing(gymnasium.make("FrozenLake-v1", is_slippery=False)) as local:
            assert_same_episodes(remote, local)


@pytest.mark.usefixtures("cartpole")
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_lanes_equal_those_of_gymnasium(mode: AutoresetMode) -> None:
    chosen: dict[str, Any] = {} if mode is AutoresetMode.NEXT_STEP else {"autoreset_mode": mode}
    remote = gymnasium.make_vec("openenv/gym", num_envs=5, **CARTPOLE, **chosen)
    local = gymnasium.make_vec(
        "CartPole-v1", 5, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}
    )
    with closing(remote), closing(local):
        assert_same_vector_spaces(remote, local)
        if mode is not AutoresetMode.DISABLED:
            assert assert_same_vector_play(remote, local, steps=60)


@pytest.mark.usefixtures("tidy")
def test_a_native_vector_environment_equals_its_own() -> None:
    remote = gymnasium.make_vec("openenv/gym", num_envs=5, vectorization="native", **CARTPOLE)
    local = gymnasium.make_vec("CartPole-v1", 5, vectorization_mode="vector_entry_point")
    with closing(remote), closing(local):
        assert_same_vector_spaces(remote, local)
        assert assert_same_vector_play(remote, local, steps=60)


@pytest.mark.usefixtures("tidy")
def test_what_cannot_be_imported_is_served() -> None:
    class Mine(Counter):
        def __init__(self, start: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.start = start

        def reset(self, **kwargs: Any) -> Any:
            super().reset(**kwargs)
            self.steps = self.start
            return self._observation(), {}

    for factory, arguments, first in [(Mine, {"start": 5}, 5), (lambda: Mine(), {}, 3)]:
        with closing(make(env_id=factory, **arguments)) as env:
            assert env.reset()[0].tolist() == [first]


@pytest.mark.usefixtures("tidy")
def test_an_id_that_is_registered_here_alone() -> None:
    gymnasium.register("OnlyHere-v0", lambda **_: Counter(), max_episode_steps=2)
    try:
        with closing(make(env_id="OnlyHere-v0")) as env:
            env.reset()
            assert [env.step(1)[3], env.step(1)[3]] == [False, True]
    finally:
        del gymnasium.registry["OnlyHere-v0"]


@pytest.mark.usefixtures("tidy")
def test_an_application_is_served() -> None:
    lease = lease_application("tests.typed_app:app")
    with Client.to(lease.url, headers=lease.headers) as client:
        client.reset(seeds=[3])
        assert client.step(None, [{"by": 4}]).values[0]["total"] == 7
    lease.release()


# a server that runs already


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """A server that wants a token, and lets clients choose an argument."""
    with serve_gym(
        "FrozenLake-v1", port=0, block=False, token="sesame", client_kwargs=["is_slippery"]
    ) as server:
        yield server.url


SESAME = {"Authorization": "Bearer sesame"}


@pytest.mark.parametrize("name", ["gym", "remote"])
def test_a_server_is_named_by_its_address(running: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(gymnasium.make(f"openenv/{name}", base_url=running, headers=SESAME)) as env:
        assert env.observation_space == gymnasium.spaces.Discrete(16)
    monkeypatch.setenv(f"OPENENV_{name.upper()}_URL", running)
    monkeypatch.setenv("OPENENV_TOKEN", "sesame")
    with closing(gymnasium.make(f"openenv/{name}", is_slippery=False)) as env:
        env.reset(seed=0)
        assert env.step(1)[4]["prob"] == 1.0
    with closing(gymnasium.make_vec(f"openenv/{name}", num_envs=3, env_id="FrozenLake-v1")) as envs:
        assert envs.reset(seed=0)[0].tolist() == [0, 0, 0]
    assert users("FrozenLake") == {}


def test_a_server_that_runs_already_cannot_be_told_how_to_serve(running: str) -> None:
    with pytest.raises(InvalidArgument, match="--vectorization native"):
        gymnasium.make_vec("openenv/remote", base_url=running, headers=SESAME, vectorization="native")
    with pytest.raises(InvalidArgument, match="name an id"):
        gymnasium.make("openenv/gym", base_url=running, headers=SESAME, env_id=Counter)


# whose argument is it


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "env_id='CartPole-v1'"),
        ({**CARTPOLE, "bas_url": "http://127.0.0.1:1"}, "was 'base_url' meant"),
        ({**CARTPOLE, "header": {}}, "was 'headers' meant"),
        ({**CARTPOLE, "sutton": 1, "env_kwargs": {"sutton": 1}}, "given by itself and in env_kwargs"),
        ({**CARTPOLE, "num_envs": 2}, "for gymnasium.make_vec"),
        ({**CARTPOLE, "server": "nowhere"}, "there are gym, remote"),
    ],
)
def test_arguments_that_cannot_be_meant(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        gymnasium.make("openenv/gym", **arguments)


def test_a_longer_name_of_more_words_is_the_environments() -> None:
    given = {"full_action_space": True}
    assert environment_arguments(given, None, {"action_space"}) == given


def test_a_server_must_be_somewhere() -> None:
    with pytest.raises(InvalidArgument, match="OPENENV_REMOTE_URL"):
        gymnasium.make("openenv/remote")
    with pytest.raises(InvalidArgument, match="vectorization is 'lanes' or 'native'"):
        gymnasium.make_vec("openenv/gym", num_envs=2, vectorization="sync", **CARTPOLE)


def test_the_environment_refuses_what_it_does_not_know() -> None:
    with pytest.raises(FactoryFailed, match="nonsense"):
        make(nonsense=1, **CARTPOLE)
    with pytest.raises(FactoryFailed, match="NoSuchThing"):
        make(env_id="NoSuchThing-v0")


# what Gymnasium writes down


@pytest.mark.usefixtures("cartpole")
def test_a_spec_makes_the_same_again() -> None:
    with closing(gymnasium.make("openenv/gym", **CARTPOLE)) as env:
        spec = env.spec
    assert spec is not None
    for again in (spec, gymnasium.envs.registration.EnvSpec.from_json(spec.to_json())):
        with closing(gymnasium.make(again)) as env, closing(gymnasium.make("CartPole-v1")) as local:
            assert_same_episodes(env, local, seeds=(1,))
    with closing(gymnasium.make_vec("openenv/gym", num_envs=2, **CARTPOLE)) as envs:
        assert envs.spec is not None
        with closing(gymnasium.make_vec(envs.spec)) as more:
            assert more.num_envs == 2
        assert "num_envs" in envs.spec.to_json()


def test_no_token_is_written_down(running: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = running.replace("//", "//somebody:sesame@")
    with closing(gymnasium.make("openenv/remote", base_url=running, headers=SESAME)) as env:
        spec: Any = env.spec
        assert "sesame" not in spec.to_json() + repr(spec) + repr(env)
        env.unwrapped.spec = gymnasium.envs.registration.EnvSpec("x", kwargs={"base_url": address})
        assert env.unwrapped.spec.kwargs == {"base_url": running}
    with closing(gymnasium.make_vec("openenv/remote", num_envs=2, base_url=running, headers=SESAME)) as envs:
        assert "sesame" not in repr(envs.spec)
    with pytest.raises(Unauthorized):
        gymnasium.make(spec)
    monkeypatch.setenv("OPENENV_TOKEN", "sesame")
    gymnasium.make(spec).close()


def test_a_misuse_does_not_tell_the_token(running: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        gymnasium.make("openenv/remote", base_url=running, headers=SESAME, proxy=3)
    assert "sesame" not in str(caught.value)


# embedded servers


def test_environments_share_a_server(cartpole: OpenEnvGym) -> None:
    assert list(users("CartPole").values()) == [1]
    with closing(make(**CARTPOLE)), closing(gymnasium.make_vec("openenv/gym", num_envs=3, **CARTPOLE)):
        assert list(users("CartPole").values()) == [3]
    assert list(users("CartPole").values()) == [1]
    cartpole.reset()


@pytest.mark.usefixtures("tidy")
def test_other_arguments_have_another_server() -> None:
    with closing(make(env_id=Counter)), closing(make(env_id=Counter, env_kwargs={"render_mode": "ansi"})):
        assert list(users("Counter").values()) == [1, 1]


@pytest.mark.usefixtures("tidy")
def test_an_environment_that_nobody_closed_releases_its_server() -> None:
    env = make(env_id=Counter)
    assert list(users("Counter").values()) == [1]
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        del env
    assert list(users("Counter").values()) == [0]


def test_the_server_is_private(cartpole: OpenEnvGym) -> None:
    (server,) = (each for key, each in embedded._SERVERS._servers.items() if b"CartPole" in key)
    folder = Path(f"/proc/{server.process.pid}")
    assert server.token.encode() not in (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
    assert server.process.endpoint.startswith("http://127.0.0.1:")
    with pytest.raises(Unauthorized):
        OpenEnvGym(server.process.endpoint)


@pytest.mark.usefixtures("tidy")
def test_a_server_that_was_killed_is_replaced() -> None:
    env = make(env_id=Counter, resume_timeout=0.5)
    env.reset()
    (pid,) = users("Counter")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises((ConnectionLost, ServerClosed, Closed)):
        env.step(1)
    with closing(make(env_id=Counter)) as other:
        other.reset()
        env.close()
        other.step(1)
        assert pid not in users("Counter")


@pytest.mark.usefixtures("tidy")
def test_a_server_is_used_again_in_its_grace() -> None:
    make(env_id=Counter).close()
    before = list(users("Counter"))
    make(env_id=Counter).close()
    assert list(users("Counter")) == before


@pytest.mark.usefixtures("tidy")
def test_forked_children_use_the_server_of_their_parent(cartpole: OpenEnvGym) -> None:
    envs = AsyncVectorEnv([lambda: gymnasium.make("openenv/gym", **CARTPOLE)] * 2)
    local = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    with closing(envs), closing(local):
        assert_same_vector_play(envs, local, steps=10)
    cartpole.reset()


@pytest.mark.usefixtures("cartpole")
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_has_a_session_of_its_own(copied: Callable[[Any], Any]) -> None:
    with closing(gymnasium.make("openenv/gym", **CARTPOLE)) as env:
        env.reset(seed=1)
        with closing(copied(env)) as other, closing(gymnasium.make("CartPole-v1")) as local:
            with pytest.raises(ResetNeeded):
                other.unwrapped.step(1)
            assert_same_episodes(other, local)
            assert other.spec == env.spec
        env.step(1)
    envs = gymnasium.make_vec("openenv/gym", num_envs=2, **CARTPOLE)
    with closing(envs), closing(copied(envs)) as others:
        assert others.reset(seed=3)[0].tolist() == envs.reset(seed=3)[0].tolist()


# a good citizen


@pytest.mark.usefixtures("cartpole")
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
@pytest.mark.filterwarnings("ignore:.*(A Box observation space|Not able to test alternative):UserWarning")
def test_gymnasium_is_content(render_mode: str | None) -> None:
    with closing(make(render_mode=render_mode, **CARTPOLE)) as env:
        check_env(env)


@pytest.mark.usefixtures("tidy")
def test_the_time_limit_is_the_servers_alone() -> None:
    with closing(gymnasium.make("openenv/gym", max_episode_steps=None, **CARTPOLE)) as env:
        assert "TimeLimit" not in str(env)
    with closing(make(env_kwargs={"max_episode_steps": 3}, **CARTPOLE)) as env:
        env.reset(seed=0)
        assert [env.step(1)[3] for _ in range(3)] == [False, False, True]


@pytest.mark.usefixtures("cartpole")
def test_wrappers_wrap() -> None:
    env: Any = RecordEpisodeStatistics(TimeLimit(gymnasium.make("openenv/gym", **CARTPOLE), 4))
    with closing(FrameStackObservation(env, 3)) as env:
        assert env.reset(seed=0)[0].shape == (3, 4)
        for _ in range(4):
            *_, truncated, info = env.step(1)
        assert truncated
        assert info["episode"]["r"] == 4.0


@pytest.mark.usefixtures("cartpole")
def test_a_video_is_recorded(tmp_path: Path) -> None:
    env = gymnasium.make("openenv/gym", render_mode="rgb_array", **CARTPOLE)
    with closing(RecordVideo(env, str(tmp_path / "videos"), video_length=4)) as env:
        env.reset(seed=0)
        for _ in range(5):
            env.step(1)
    assert list(tmp_path.glob("videos/*.mp4"))


@pytest.mark.usefixtures("cartpole")
@pytest.mark.filterwarnings("ignore:.*You are trying to use 'human' rendering:UserWarning")
def test_a_window_shows_what_is_rendered() -> None:
    with closing(gymnasium.make("openenv/gym", render_mode="human", **CARTPOLE)) as env:
        assert "HumanRendering" in str(env)
        env.reset(seed=0)


# nothing is left

SCRIPT = """
import os, signal, sys, time
import gymnasium
import openenv_gym
from openenv_gym.envs import embedded

class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return 1, {}
    def step(self, action):
        return 2, 1.0, False, False, {}

env = gymnasium.make("openenv/gym", env_id=Mine)
env.reset()
pid = next(iter(embedded._SERVERS._servers.values())).process.pid
print(pid, env.step(1)[0], flush=True)
way = sys.argv[1]
if way == "raise":
    sys.excepthook = lambda *error: None
    raise ValueError
if way == "fork" and os.fork() == 0:
    os.close(1)
    os.close(2)
    for _ in range(500):
        if not os.path.exists(f"/proc/{pid}"):
            break
        time.sleep(0.02)
    os._exit(0)
if way in ("kill", "fork"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["end", "raise", "kill", "fork"])
def test_a_script_leaves_no_server(way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, way],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    pid, observation = done.stdout.split()
    assert observation == "2"
    assert done.returncode == {"end": 0, "raise": 1}.get(way, -signal.SIGKILL), done.stderr
    assert eventually(lambda: not is_running(int(pid)))


@pytest.mark.usefixtures("tidy")
def test_lanes_are_spread_over_the_workers_of_an_embedded_server() -> None:
    remote = gymnasium.make_vec("openenv/gym", 3, env_id="CartPole-v1", workers=2)
    local = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    with closing(remote), closing(local):
        local.action_space.seed(0)
        assert_identical(remote.reset(seed=2), local.reset(seed=2), "reset")
        for step in range(30):
            actions = local.action_space.sample()
            assert_identical(remote.step(actions), local.step(actions), f"step {step}")


def test_workers_are_not_for_a_server_that_runs_already() -> None:
    with pytest.raises(InvalidArgument, match="openenv-gym serve ID --workers N"):
        gymnasium.make("openenv/gym", base_url="http://127.0.0.1:9", workers=2)
