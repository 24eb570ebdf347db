"""With ``on_failure="restart"`` a lane that fails comes back truncated and named, and all others go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import openenv_gym  # noqa: F401 - registers openenv/gym
from openenv_gym import Client, OpenEnvGym, OpenEnvPool, OpenEnvVecEnv, OpenEnvVectorEnv, serve_gym
from openenv_gym.envs.connecting import check_restarts
from openenv_gym.envs.embedded import close_servers
from openenv_gym.envs.recovery import named_lanes
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import (
    ConnectFailed,
    EnvironmentRaised,
    InvalidAction,
    InvalidArgument,
    ResetNeeded,
)
from openenv_gym.wire.messages import Hello
from tests.environments import Brittle
from tests.envs.test_restarts import Restarting
from tests.fidelity import assert_identical
from tests.served import eventually, health

MODES = list(AutoresetMode)
DIALECTS = ["native", "json"]
CURSED = Brittle.CURSED
REPLACED = pytest.mark.leaves("the server of this module replaces the worker that is killed")


@pytest.fixture(autouse=True)
def all_is_sound() -> Iterator[None]:
    yield
    Brittle.unsound.clear()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym(Brittle, port=0, block=False) as server:
        yield server.url


@pytest.fixture(scope="module")
def killing() -> Iterator[GymServer]:
    with serve_gym(Brittle, port=0, block=False, workers=2, kwargs={"how": "kill"}) as server:
        yield server


@pytest.fixture
def workers(killing: GymServer) -> Iterator[str]:
    """Two processes, one of which a step ends."""
    before = set(killing.worker_pids)
    assert eventually(lambda: health(killing.url)["workers"] == 2, seconds=30)
    yield killing.url
    assert eventually(lambda: len(set(killing.worker_pids) - before) == 1, seconds=30)
    assert eventually(lambda: health(killing.url)["workers"] == 2, seconds=30)


@pytest.fixture
def restarting() -> Iterator[Restarting]:
    server = Restarting()
    yield server
    server.server.close()


def acts(lanes: int, step: int) -> Any:
    return np.arange(step, step + lanes) % 2


def failure_in(infos: dict[str, Any], lane: int) -> dict[str, str]:
    """The cause that a lane names, by Gymnasium's rule; no other lane names one."""
    if "final_info" in infos:
        infos = infos["final_info"]
    assert np.flatnonzero(infos["_failure"]).tolist() == [lane]
    return {key: infos["failure"][key][lane] for key in ("code", "side", "message")}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_the_other_lanes_are_what_they_are_without_failures(
    url: str, mode: AutoresetMode, dialect: str
) -> None:
    seeds: Any = [1, 2, 3, 1013, 5, 6, 7, 8]
    others = np.arange(8) != 3
    sync = SyncVectorEnv([lambda: Brittle(how="none")] * 8, autoreset_mode=mode)
    remote = OpenEnvVectorEnv(url, 8, autoreset_mode=mode, dialect=dialect, on_failure="restart")
    with closing(sync), closing(remote):
        last = remote.reset(seed=seeds)[0]
        assert_identical(last, sync.reset(seed=seeds)[0], "reset")
        for step in range(24):
            ours: Any = remote.step(acts(8, step))
            theirs = sync.step(acts(8, step))
            for one, other in zip(ours[:4], theirs[:4], strict=True):
                assert_identical(one[others], other[others], f"step {step}")
            if step == 2:
                fails(ours, last, mode)
            elif "_failure" in ours[4]:
                raise AssertionError("no other step fails")
            last = ours[0]
            if mode is AutoresetMode.DISABLED:
                for envs, over in ((remote, ours[2] | ours[3]), (sync, theirs[2] | theirs[3])):
                    if over.any():
                        envs.reset(options={"reset_mask": over})
        assert 3 <= ours[4]["steps"][3] + step < 40  # the lane that failed is in another episode


def fails(ours: Any, last: Any, mode: AutoresetMode) -> None:
    observations, rewards, terminated, truncated, infos = ours
    assert (rewards[3], terminated[3], truncated[3]) == (0.0, False, True)
    said = failure_in(infos, 3)
    assert (said["code"], said["side"]) == ("ENVIRONMENT_RAISED", "environment")
    assert "broken in step" in said["message"]
    if mode is AutoresetMode.SAME_STEP:
        assert_identical(infos["final_obs"][3], last[3], "the last observation")
        assert observations[3].tolist() != last[3].tolist()
    else:
        assert_identical(observations[3], last[3], "the last observation")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_single_environment(url: str, dialect: str) -> None:
    with closing(OpenEnvGym(url, dialect=dialect, on_failure="restart")) as env:
        env.reset(seed=1012)
        last, *_ = env.step(1)
        kept = last.copy()
        last[:] = 0.0  # it is the caller's
        observation, reward, terminated, truncated, info = env.step(1)
        assert_identical(observation, kept, "the last observation")
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert info["failure"]["code"] == "ENVIRONMENT_RAISED" and list(info) == ["failure"]
        with pytest.raises(ResetNeeded):
            env.step(1)
        env.reset(seed=1)
        assert env.step(1)[4] == {"steps": 1}


def test_what_stable_baselines_sees(url: str) -> None:
    with closing(OpenEnvVecEnv(url, 3, on_failure="restart")) as envs:
        envs.seed(1010)  # the lanes fail at no step, at their first, and at their second
        envs.reset()
        last: Any = envs.step(np.ones(3, int))[0]
        _, rewards, dones, infos = envs.step(np.ones(3, int))
        assert dones.tolist() == [False, False, True] and rewards[2] == 0.0
        assert infos[2]["TimeLimit.truncated"] is True
        assert infos[2]["failure"]["code"] == "ENVIRONMENT_RAISED"
        assert_identical(infos[2]["terminal_observation"], last[2], "the last observation")
        for _ in range(20):
            infos = envs.step(np.ones(3, int))[3]
            assert not any("failure" in info for info in infos)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("mode", MODES[:2], ids=lambda mode: mode.value)
def test_lanes_of_a_pool(mode: AutoresetMode, dialect: str) -> None:
    with (
        serve_gym(Brittle, port=0, block=False, kwargs={"slow": True}) as server,
        OpenEnvPool(server.url, 4, 2, autoreset_mode=mode, on_failure="restart", dialect=dialect) as pool,
    ):
        pool.async_reset(seed=1011)  # they fail at their first, second, third and fourth step
        seen = play_pool(pool, 24)
        assert sorted(lane for lane, _ in seen) == [0, 1, 2, 3]
        assert {code for _, code in seen} == {"ENVIRONMENT_RAISED"}


def play_pool(pool: OpenEnvPool, batches: int) -> list[tuple[int, str]]:
    """The lanes that fail in some batches, and the codes."""
    seen = []
    same_step = pool.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    for _ in range(batches):
        _, rewards, _, truncated, infos = pool.recv()
        failures = (infos.get("final_info", {}) if same_step else infos).get("failure")
        for place in np.flatnonzero(truncated).tolist():
            assert failures is not None and rewards[place] == 0.0
            seen.append((int(infos["env_id"][place]), failures["code"][place]))
        pool.send(np.ones(len(truncated), int), infos["env_id"])
    return seen


@pytest.mark.parametrize("mode", MODES[:2], ids=lambda mode: mode.value)
def test_one_lane_of_several_loses_its_process(mode: AutoresetMode) -> None:
    with (
        serve_gym(Brittle, port=0, block=False, isolation="process", kwargs={"slow": True}) as server,
        closing(OpenEnvVectorEnv(server.url, 2, autoreset_mode=mode, on_failure="restart")) as envs,
    ):
        pids = envs.reset(seed=[1, 2])[1]["pid"].tolist()
        assert len({*pids, os.getpid()}) == 3
        os.kill(pids[1], signal.SIGKILL)
        if mode is AutoresetMode.NEXT_STEP:  # a question that finds it out costs no session
            with pytest.raises(EnvironmentRaised, match="SIGKILL"):
                envs.state(1)
        ours = envs.step(np.ones(2, int))
        assert ours[3].tolist() == [False, True] and ours[1][1] == 0.0
        said = failure_in(ours[4], 1)
        assert said["code"] == "ENVIRONMENT_DIED" and "SIGKILL" in said["message"]
        if mode is AutoresetMode.NEXT_STEP:
            with pytest.raises(ResetNeeded):
                envs.state(1)
            ours = envs.step(np.ones(2, int))
        assert ours[4]["pid"][1] not in pids
        steps = envs.step(np.ones(2, int))[4]["steps"].tolist()
        assert steps == [2 + (mode is AutoresetMode.NEXT_STEP), 1]
        assert str(envs.state(1)["episode_id"]).endswith(".1")


def test_a_process_of_all_lanes_is_their_session() -> None:
    with (
        serve_gym(Brittle, port=0, block=False, isolation="process") as server,
        closing(OpenEnvVectorEnv(server.url, 2, on_failure="restart")) as envs,
    ):
        os.kill(int(envs.reset(seed=1)[1]["pid"][0]), signal.SIGKILL)
        _, _, _, truncated, infos = envs.step(np.ones(2, int))
        assert truncated.tolist() == [True, True]
        assert infos["failure"]["code"].tolist() == ["ENVIRONMENT_DIED"] * 2
        envs.step(np.ones(2, int))
        assert envs.step(np.ones(2, int))[4]["steps"].tolist() == [1, 1]


@REPLACED
def test_a_worker_is_killed_amid_a_batch(workers: str) -> None:
    sync = SyncVectorEnv([lambda: Brittle(how="none")] * 4)
    remote = OpenEnvVectorEnv([workers] * 2, 4, on_failure="restart")
    seeds: Any = [1, 1013, 3, 4]  # whose first two are in one worker, and the others in the other
    with closing(sync), closing(remote):
        assert_identical(remote.reset(seed=seeds)[0], sync.reset(seed=seeds)[0], "reset")
        for step in range(12):
            ours, theirs = remote.step(acts(4, step)), sync.step(acts(4, step))
            for one, other in zip(ours[:4], theirs[:4], strict=True):
                assert_identical(one[2:], other[2:], f"step {step}")
            assert ours[3].tolist() == [step == 2, step == 2, False, False]
            if step == 2:
                assert ours[4]["_failure"].tolist() == [True, True, False, False]
                assert ours[4]["failure"]["code"][0] == "CONNECTION_LOST"


@REPLACED
def test_a_pool_loses_a_worker_amid_a_step(workers: str) -> None:
    options: dict[str, Any] = {"autoreset_mode": "SameStep", "on_failure": "restart"}
    with OpenEnvPool([workers] * 2, 4, 2, **options) as pool:
        pool.async_reset(seed=[1, 1013, 3, 4])
        seen: list[tuple[int, str]] = []
        while len(seen) < 2:  # lanes of the other worker may come more often
            seen += play_pool(pool, 1)
        assert sorted(seen) == [(0, "CONNECTION_LOST"), (1, "CONNECTION_LOST")]
        assert not play_pool(pool, 10)
        lane = pool.recv()[4]["env_id"][0]
        assert "episode_id" in pool.state(lane)


@pytest.mark.parametrize("mode", MODES[:2], ids=lambda mode: mode.value)
def test_a_pool_whose_server_restarts(restarting: Restarting, mode: AutoresetMode) -> None:
    with OpenEnvPool(restarting.url, 4, 2, autoreset_mode=mode, on_failure="restart") as pool:
        pool.async_reset()
        assert not play_pool(pool, 5)
        restarting.restart()
        assert sorted(lane for lane, _ in play_pool(pool, 8)) == [0, 1, 2, 3]  # each is told once
        assert not play_pool(pool, 4)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_a_server_that_restarts(restarting: Restarting, mode: AutoresetMode, dialect: str) -> None:
    options: dict[str, Any] = {"autoreset_mode": mode, "dialect": dialect, "on_failure": "restart"}
    with closing(OpenEnvVectorEnv(restarting.url, 2, **options)) as envs:
        envs.reset()
        restarting.restart()
        envs.reset(seed=1)  # nothing is lost that a reset would not end
        assert envs.step(np.ones(2, int))[0].tolist() == [[1.0], [1.0]]
        restarting.restart()
        observations, _, _, truncated, infos = envs.step(np.ones(2, int))
        assert truncated.all()
        if mode is AutoresetMode.SAME_STEP:
            assert [last.tolist() for last in infos["final_obs"]] == [[1.0], [1.0]]
            assert observations.tolist() == [[0.0], [0.0]]
        else:
            assert observations.tolist() == [[1.0], [1.0]]
        if mode is AutoresetMode.NEXT_STEP:
            observations, _, _, truncated, infos = envs.step(np.ones(2, int))
            assert observations.tolist() == [[0.0], [0.0]] and not truncated.any()
        elif mode is AutoresetMode.DISABLED:
            envs.reset()
        assert envs.step(np.ones(2, int))[0].tolist() == [[1.0], [1.0]]
        assert envs.stats.bytes_sent > 0
    assert eventually(lambda: restarting.sessions() == 0)


def test_a_session_that_is_lost_while_a_lane_is_reset(restarting: Restarting) -> None:
    mask = {"reset_mask": np.array([True, False])}
    with closing(OpenEnvVectorEnv(restarting.url, 2, on_failure="restart")) as envs:
        envs.reset()
        envs.step(np.ones(2, int))
        restarting.restart()
        assert envs.reset(options=mask)[0].tolist() == [[0.0], [1.0]]
        assert envs.step(np.ones(2, int))[3].tolist() == [
            True,
            True,
        ]  # the other one, too: its session is new
        assert envs.reset(options=mask)[0].tolist() == [[0.0], [1.0]]
        assert envs.step(np.ones(2, int))[0].tolist() == [[0.0], [0.0]]
        assert envs.step(np.ones(2, int))[0].tolist() == [[1.0], [1.0]]


def test_a_server_that_stays_away_is_an_error(restarting: Restarting) -> None:
    with (
        closing(OpenEnvGym(restarting.url, on_failure="restart", wait_timeout=0)) as env,
        OpenEnvPool(restarting.url, 2, on_failure="restart", wait_timeout=0) as pool,
    ):
        env.reset()
        pool.reset()
        restarting.server.close()
        with pytest.raises(ConnectFailed):
            env.step(1)
        pool.send(np.ones(2, int))
        with pytest.raises(ConnectFailed):
            pool.recv()
        restarting.restart()
        assert env.step(1)[3]
        env.reset()
        assert pool.step(np.ones(2, int))[3].tolist() == [True, True]
        assert pool.step(np.ones(2, int))[0].tolist() == [[0.0], [0.0]]
        assert pool.step(np.ones(2, int))[0].tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_environment_whose_reset_fails_is_built_anew(url: str, dialect: str) -> None:
    with closing(OpenEnvGym(url, dialect=dialect, on_failure="restart")) as env:
        built = Brittle.built
        Brittle.unsound = ["raise", "raise", ""]
        env.reset(seed=1)
        assert Brittle.built == built + 2
        assert env.step(1)[4] == {"steps": 1}
        with pytest.raises(EnvironmentRaised, match="broken in reset"):
            env.reset(options={"reset": "raise"})
        env.reset()


@pytest.mark.parametrize("mode", MODES[:2], ids=lambda mode: mode.value)
@pytest.mark.parametrize("make", [OpenEnvVectorEnv, OpenEnvPool], ids=lambda make: make.__name__)
def test_a_lane_that_fails_at_every_step_is_an_error(
    url: str, make: Callable[..., Any], mode: AutoresetMode
) -> None:
    with closing(make(url, 2, autoreset_mode=mode, on_failure="restart")) as envs:
        envs.reset(seed=[CURSED, CURSED])
        for _ in range(2):
            assert envs.step(np.ones(2, int))[3].all()
            if mode is AutoresetMode.NEXT_STEP:
                assert not envs.step(np.ones(2, int))[3].any()
        with pytest.raises(EnvironmentRaised, match="3 times in a row"):
            envs.step(np.ones(2, int))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("mode", MODES[:2], ids=lambda mode: mode.value)
def test_a_lane_that_cannot_begin_anew_is_an_error(url: str, mode: AutoresetMode, dialect: str) -> None:
    options: dict[str, Any] = {"autoreset_mode": mode, "dialect": dialect, "on_failure": "restart"}
    with closing(OpenEnvVectorEnv(url, 2, **options)) as envs:
        envs.reset(seed=[1, 1011])
        if mode is AutoresetMode.NEXT_STEP:
            assert envs.step(np.ones(2, int))[3].tolist() == [False, True]
        Brittle.unsound = ["raise"] * 3
        with pytest.raises(EnvironmentRaised, match="broken in reset"):
            envs.step(np.ones(2, int))
        if mode is AutoresetMode.NEXT_STEP:  # the next step tries again
            assert envs.step(np.ones(2, int))[1][1] == 0.0
            assert envs.step(np.ones(2, int))[4]["steps"][1] == 1
        else:
            with pytest.raises(ResetNeeded):
                envs.step(np.ones(2, int))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_the_caller_does_wrong_is_raised(url: str, dialect: str) -> None:
    with closing(OpenEnvVectorEnv(url, 2, dialect=dialect, on_failure="restart")) as envs:
        with pytest.raises(ResetNeeded):
            envs.step(np.ones(2, int))
        envs.reset(seed=1)
        with pytest.raises(InvalidAction):
            envs.step(np.ones(3, int))
        assert envs.step(np.ones(2, int))[4]["steps"].tolist() == [1, 1]


def test_a_cause_is_told_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(OpenEnvGym(url, on_failure="restart")) as env:
        for _ in range(3):
            env.reset(seed=1012)
            env.step(1)
            assert env.step(1)[3]
    said = [record for record in caplog.records if record.name == "openenv_gym.client"]
    assert len(said) == 1 and "broken in step" in said[0].getMessage()


def test_a_cause_of_many_lanes_is_told_in_one_line(
    restarting: Restarting, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(OpenEnvVectorEnv(restarting.url, 12, on_failure="restart")) as envs:
        envs.reset()
        envs.step(np.ones(12, int))
        restarting.restart()
        assert envs.step(np.ones(12, int))[3].all()
    (said,) = [record.getMessage() for record in caplog.records if "failed, which" in record.getMessage()]
    assert said.startswith("lanes 0 to 11 of ") and "which ends their episodes" in said


def test_lanes_far_apart_are_named_one_by_one_up_to_a_point() -> None:
    assert named_lanes([4]) == "lane 4" and named_lanes([6, 5]) == "lanes 5 to 6"
    assert named_lanes([4, 1]) == "lanes 1, 4"
    assert named_lanes(range(0, 24, 2)) == "lanes 0, 2, 4, 6, 8, 10, 12, 14 and 4 more"


@pytest.mark.parametrize("make", [OpenEnvGym, OpenEnvVectorEnv])
def test_an_environment_that_raises_names_the_way_on(url: str, make: Callable[..., Any]) -> None:
    with closing(make(url)) as env:
        env.reset(seed=1012 if make is OpenEnvGym else [1012])
        with pytest.raises(EnvironmentRaised) as caught:
            for _ in range(3):
                env.step(1 if make is OpenEnvGym else np.ones(1, int))
        assert any("on_failure='restart'" in note for note in caught.value.__notes__)


def test_what_cannot_be_is_refused(url: str) -> None:
    for make in (OpenEnvGym, OpenEnvVectorEnv, OpenEnvVecEnv):
        with pytest.raises(InvalidArgument, match="'raise' or 'restart'"):
            make(url, on_failure="retry")
    with pytest.raises(InvalidArgument, match="'raise' or 'restart'"):
        OpenEnvPool(url, 2, on_failure="retry")
    with serve_gym("CartPole-v1", port=0, block=False, vectorization="native") as server:
        with pytest.raises(InvalidArgument, match="vectorization='lanes'"):
            OpenEnvVectorEnv(server.url, 2, on_failure="restart")
    with pytest.raises(InvalidArgument, match="on_failure is one of raise, restart"):
        Client.to(url, Hello(on_failure="retry"))
    with Client.to(url) as client, pytest.raises(InvalidArgument, match="update the server"):
        check_restarts(url, client.signature)  # as of a server that does not know what it was asked


def test_gymnasium_makes_them() -> None:
    options: Any = {"env_id": Brittle, "on_failure": "restart"}
    with closing(gymnasium.make("openenv/gym", **options)) as env:
        env.reset(seed=1011)
        assert env.step(1)[3]
    with closing(gymnasium.make_vec("openenv/gym", 2, **options)) as envs:
        seeds: Any = [1, 1011]
        envs.reset(seed=seeds)
        assert envs.step(np.ones(2, int))[3].tolist() == [False, True]
    close_servers()
