"""``OpenEnvPool``: lanes come as they get ready, each with the answer to what it was last sent."""

from __future__ import annotations

import copy
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from openenv_gym import OpenEnvPool, serve_gym
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.early import EarlyLanes
from openenv_gym.envs.gathering import taken
from openenv_gym.errors import (
    Closed,
    DeadlineExceeded,
    EnvironmentRaised,
    InvalidAction,
    InvalidArgument,
    OpenEnvGymError,
    OutOfTurn,
    ProtocolViolation,
    ResetNeeded,
    UnsupportedSpace,
)
from openenv_gym.hosting import source
from tests.environments import Turnstile
from tests.envs.catalogue import World
from tests.envs.worlds import Menagerie
from tests.fidelity import assert_same_vector_play
from tests.served import eventually, health
from tests.typed import Counting

MODES = list(AutoresetMode)[:2]
ONES = np.ones(64, np.int64)
DIALECTS = ["native", "json"]


@pytest.fixture(autouse=True)
def nothing_is_stopped() -> Iterator[None]:
    Turnstile.let.clear()
    yield
    Turnstile.let.clear()
    Turnstile.broken.clear()


@pytest.fixture(scope="module")
def urls() -> Iterator[list[str]]:
    """Of two servers whose lanes wait for one another to be let through."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serve_gym(Turnstile, port=0, block=False)) for _ in range(2)]
        yield [server.url for server in servers]


def begun(url: Any, num_envs: int, batch_size: int, **options: Any) -> OpenEnvPool:
    """A pool whose lanes have the numbers 1, 2, 3, ... and are idle."""
    pool = OpenEnvPool(url, num_envs, batch_size, **options)
    pool.async_reset(seed=1)
    numbers: list[float] = []
    while len(numbers) < num_envs:
        numbers += pool.recv()[0][:, 0].tolist()
    assert sorted(numbers) == list(range(1, num_envs + 1))
    return pool


def of(batch: tuple[Any, ...]) -> list[int]:
    """Whose batch it is; each lane's observation is its own."""
    lanes: list[int] = batch[4]["env_id"].tolist()
    assert batch[4]["env_id"].dtype == np.int32
    assert (batch[0][:, 0] == batch[4]["env_id"] + 1).all()
    return lanes


def through(*lanes: int) -> None:
    """Let some lanes finish their step."""
    for lane in lanes:
        Turnstile.let[lane + 1].release()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("servers", [1, 2])
def test_the_first_ready_come_first(urls: list[str], servers: int, dialect: str) -> None:
    with begun(urls[:servers], 6, 1, dialect=dialect) as pool:
        Turnstile.stop(*range(1, 7))
        pool.send(ONES[:6])
        for lane in (4, 1, 5, 0, 2, 3):
            through(lane)
            batch = pool.recv()
            assert of(batch) == [lane]
            assert batch[0].tolist() == [[lane + 1, 1]] and batch[1].tolist() == [1.0]
            assert [part.dtype for part in batch[1:4]] == [np.float64, np.bool_, np.bool_]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("servers", [1, 2])
def test_ready_lanes_go_on_while_others_run(urls: list[str], servers: int, dialect: str) -> None:
    with begun(urls[:servers], 4, 2, dialect=dialect) as pool:
        Turnstile.stop(1, 4)
        pool.send(ONES[:4], [3, 2, 0, 1])
        for steps in (1, 2, 3):
            batch = pool.recv()
            assert sorted(of(batch)) == [1, 2]
            assert (batch[0][:, 1] == steps).all()
            actions = batch[4]["env_id"] == 1  # 1 for lane 1, 0 for lane 2
            pool.send(actions.astype(np.int64), batch[4]["env_id"])
            if steps > 1:
                assert batch[1].tolist() == [float(lane == 1) for lane in of(batch)]
        assert sorted(of(pool.recv())) == [1, 2]
        through(0, 3)
        batch = pool.recv()
        assert sorted(of(batch)) == [0, 3] and (batch[0][:, 1] == 1).all()


def test_a_slow_lane_does_not_use_up_what_the_server_keeps(urls: list[str]) -> None:
    with begun(urls[0], 3, 1) as pool:
        Turnstile.stop(1)
        pool.send(ONES[:3])
        for _ in range(1100):
            pool.send([1], pool.recv()[4]["env_id"])
        through(0)
        assert sorted(lane for _ in range(3) for lane in of(pool.recv())) == [0, 1, 2]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_idle_lanes_are_sent_anything(urls: list[str], dialect: str) -> None:
    with begun(urls, 4, 1, dialect=dialect) as pool:
        Turnstile.stop(2)
        pool.send([1, 1], [1, 2])
        with pytest.raises(OutOfTurn, match="lane 1 is busy") as caught:
            pool.send(ONES[:2], [0, 1])
        assert caught.value.fields == {"lane": 1}
        with pytest.raises(OutOfTurn, match="lane 1 is busy"):
            pool.async_reset()
        with pytest.raises(OutOfTurn, match="lane 1 is busy"):
            pool.state(1)
        assert pool.state(0)["step_count"] == 0
        assert of(pool.recv()) == [2]
        through(1)
        assert of(pool.recv()) == [1]
        pool.send([1], [0])
        assert pool.recv()[0].tolist() == [[1, 1]]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lane_whose_row_is_here_is_not_idle(urls: list[str], dialect: str) -> None:
    with begun(urls[0], 3, 3, dialect=dialect) as pool:
        Turnstile.stop(1, 2, 3)
        pool.send(ONES[:3])
        through(1)

        def is_ready() -> bool:
            with pytest.raises(DeadlineExceeded) as caught:
                pool.recv(timeout=0.02)
            return str(caught.value).startswith("1 of 3 lanes")

        assert eventually(is_ready)
        with pytest.raises(OutOfTurn, match="lane 1 is ready"):
            pool.send([1], [1])
        assert pool.state(1)["step_count"] == 1
        through(0, 2)
        assert sorted(of(pool.recv())) == [0, 1, 2]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_would_wait_for_ever_is_refused(urls: list[str], dialect: str) -> None:
    with begun(urls, 4, 2, dialect=dialect) as pool:
        with pytest.raises(OutOfTurn, match="recv\\(\\) gives 2 lanes and 0 are under way"):
            pool.recv()
        pool.send([1], [3])
        with pytest.raises(OutOfTurn, match="1 are under way"):
            pool.recv()
        pool.send([1], [0])
        assert sorted(of(pool.recv())) == [0, 3]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_deadline_loses_nothing(urls: list[str], dialect: str) -> None:
    with begun(urls, 4, 2, timeout=30, dialect=dialect) as pool:
        Turnstile.stop(1, 2, 4)
        pool.send(ONES[:4])
        with pytest.raises(DeadlineExceeded, match=r"of 2 lanes were ready in 0\.05 seconds"):
            pool.recv(timeout=0.05)
        through(3)
        batch = pool.recv()
        assert sorted(of(batch)) == [2, 3] and (batch[0][:, 1] == 1).all()
        with pytest.raises(DeadlineExceeded):
            pool.recv(timeout=0)
        pool.send([0], [2])
        through(1)
        batch = pool.recv()
        assert sorted(of(batch)) == [1, 2]
        assert dict(zip(of(batch), batch[0][:, 1].tolist(), strict=True)) == {1: 1, 2: 2}
        through(0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lane_that_fails_is_named_and_the_others_are_kept(urls: list[str], dialect: str) -> None:
    with begun(urls, 4, 1, dialect=dialect) as pool:
        Turnstile.broken.add(4)
        pool.send(ONES[:4])
        received, caught = [], None
        for _ in range(4):
            try:
                received += of(pool.recv())
            except EnvironmentRaised as error:
                caught = error
        assert sorted(received) == [0, 1, 2] and caught is not None
        assert caught.fields["lane"] == 3 and "in lane 3 of 4" in caught.__notes__
        pool.send([1], [3])
        with pytest.raises(ResetNeeded, match="lane 3 cannot step"):
            pool.recv()
        pool.async_reset([3], seed=[4])
        assert pool.recv()[0].tolist() == [[4, 0]]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_seeds_reach_their_lanes(urls: list[str], dialect: str) -> None:
    with OpenEnvPool(urls, 4, dialect=dialect) as pool:
        assert pool.batch_size == 4
        for ids, seed, expected in (
            (None, 7, [7, 8, 9, 10]),
            ([3, 1], 20, [7, 21, 9, 23]),
            ([0, 3], [5, None], [5, 21, 9, 23]),
        ):
            pool.async_reset(ids, seed=seed)
            if ids is not None:
                pool.send(ONES[:2], [lane for lane in range(4) if lane not in ids])
            batch = pool.recv()
            assert dict(zip(batch[4]["env_id"].tolist(), batch[0][:, 0].tolist(), strict=True)) == dict(
                enumerate(expected)
            )


@pytest.mark.parametrize("ids", [[], [4], [-1], [1, 1], [0.5], 2, ["one"], [[0], [1, 2]]], ids=str)
def test_lanes_that_cannot_be_are_refused(urls: list[str], ids: Any) -> None:
    with OpenEnvPool(urls[0], 4) as pool:
        with pytest.raises(InvalidArgument, match="env_ids are different whole numbers from 0 to 3"):
            pool.send(ONES[:1], ids)
        with pytest.raises(InvalidArgument, match="env_ids are different whole numbers from 0 to 3"):
            pool.async_reset(ids)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_when_one_action_does_not_fit_no_lane_is_stepped(urls: list[str], dialect: str) -> None:
    with begun(urls, 4, 4, dialect=dialect) as pool:
        for actions in ([1, 1, 1, 7], [1, 1, 1], [[1], [1], [1], [1]]):
            with pytest.raises(InvalidAction):
                pool.send(actions)
        observations, *_ = pool.step(ONES[:4])
        assert (observations[:, 1] == 1).all()


@pytest.mark.parametrize("batch_size", [0, 5, 2.0])
def test_a_batch_of_more_than_there_are_is_refused(urls: list[str], batch_size: Any) -> None:
    with pytest.raises(InvalidArgument, match="batch_size"):
        OpenEnvPool(urls[0], 4, batch_size)


@pytest.mark.parametrize("servers", [1, 2])
def test_a_cut_loses_nothing_and_doubles_nothing(urls: list[str], servers: int) -> None:
    with begun(urls[:servers], 4, 1, resume_timeout=20) as pool:
        Turnstile.stop(1, 2, 3, 4)
        for round_ in range(1, 5):
            pool.send(ONES[:4])
            for lane in (2, 0, 3, 1):
                through(lane)
                if (lane + round_) % 3 == 0:
                    for server in pool._servers:
                        assert isinstance(server, EarlyLanes)
                        transport = server._client._transport
                        assert isinstance(transport, SocketTransport)
                        with suppress(OSError):  # it was cut before, and nobody has noticed
                            transport._socket.shutdown(socket.SHUT_RDWR)
                batch = pool.recv()
                assert of(batch) == [lane] and batch[0].tolist() == [[lane + 1, round_]]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_end_of_one_server_is_told_and_the_other_goes_on(urls: list[str], dialect: str) -> None:
    with serve_gym(Turnstile, port=0, block=False) as dying:
        pool = begun([urls[0], dying.url], 4, 1, dialect=dialect)
    with pool:
        pool.send(ONES[:2], [0, 1])
        assert sorted(lane for _ in range(2) for lane in of(pool.recv())) == [0, 1]
        with pytest.raises(OpenEnvGymError) as caught:
            pool.send(ONES[:1], [3])
            pool.recv()
        assert f"from the server at {dying.url}" in caught.value.__notes__
        pool.send(ONES[:1], [0])
        assert of(pool.recv()) == [0]


def test_a_state_is_of_the_lane_that_was_asked_for(urls: list[str]) -> None:
    with begun(urls[0], 3, 1) as pool:
        pool.step([1], [2])
        pool.async_reset([0], seed=[-1])
        with pytest.raises(InvalidArgument, match="a seed is"):
            pool.state(1)  # whose answer is not taken
        assert [pool.state(lane)["step_count"] for lane in (2, 1, 2)] == [1, 0, 1]


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), True, "soon"])
def test_what_is_no_time_is_refused(urls: list[str], timeout: Any) -> None:
    with pytest.raises(InvalidArgument, match="timeout is 0 or more seconds"):
        OpenEnvPool(urls[0], 2, timeout=timeout)
    with OpenEnvPool(urls[0], 2) as pool:
        with pytest.raises(InvalidArgument, match="timeout is 0 or more seconds"):
            pool.recv(timeout=timeout)


@pytest.mark.parametrize("on_failure", ["raise", "restart"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("servers", [1, 2])
def test_another_thread_may_close_it(urls: list[str], servers: int, dialect: str, on_failure: str) -> None:
    pool = begun(urls[:servers], 2, 2, dialect=dialect, on_failure=on_failure)
    Turnstile.stop(1, 2)
    pool.send(ONES[:2])
    caught: list[BaseException] = []

    def receive() -> None:
        try:
            pool.recv()
        except BaseException as error:
            caught.append(error)

    receiving = threading.Thread(target=receive)
    receiving.start()
    assert not eventually(lambda: not receiving.is_alive(), seconds=0.05)
    pool.close()
    receiving.join(10)
    through(0, 1)
    assert [type(error) for error in caught] == [Closed]
    assert eventually(lambda: all(health(url)["sessions"] == 0 for url in urls))


def test_a_closed_pool_says_so(urls: list[str]) -> None:
    pool = OpenEnvPool(urls, 2)
    pool.close()
    pool.close()
    asks: list[Callable[[], Any]] = [
        pool.recv,
        pool.async_reset,
        lambda: pool.send([1, 1]),
        lambda: pool.state(0),
    ]
    for ask in asks:
        with pytest.raises(Closed):
            ask()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda pool: pickle.loads(pickle.dumps(pool))])
def test_a_copy_has_sessions_of_its_own(urls: list[str], copied: Callable[[Any], Any]) -> None:
    with begun(urls, 2, 2) as pool, copied(pool) as other:
        other.reset(seed=5)
        pool.step(ONES[:2])
        assert other.step(ONES[:2])[0][:, 1].tolist() == [1, 1]
        assert other.batch_size == 2


# what a pool is not for ---------------------------------------------------------------------------


def test_the_spaces_of_a_server_that_does_not_say_them_are_inferred_unless_native_is_asked_for() -> None:
    with serve_gym(Counting, port=0, block=False) as server:
        with pytest.warns(UserWarning, match="does not tell its spaces"), OpenEnvPool(server.url, 2) as pool:
            assert pool.single_action_space == Discrete(12, start=-2) and pool.inference is not None
        with pytest.raises(UnsupportedSpace, match="the server wants it; pass hints="):
            OpenEnvPool(server.url, 2, hints={"action.by": "setting"})
        with pytest.raises(ProtocolViolation, match="does not speak the native dialect"):
            OpenEnvPool(server.url, 2, dialect="native")


def test_a_native_vector_environment_is_refused() -> None:
    with serve_gym("CartPole-v1", vectorization="native", port=0, block=False) as server:
        with pytest.raises(InvalidArgument, match="native vector environment"):
            OpenEnvPool(server.url, 2)


# the same as in process -----------------------------------------------------------------------------


class Whole:
    """A pool that gives all its lanes, in order, as a vector environment does."""

    def __init__(self, pool: OpenEnvPool) -> None:
        self._pool = pool

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        self._pool.async_reset(seed=seed, options=options)
        observations, _, _, _, infos = self._ordered(self._pool.recv())
        return observations, infos

    def step(self, actions: Any) -> Any:
        return self._ordered(self._pool.step(actions))

    def _ordered(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        infos = dict(batch[4])
        order = np.argsort(infos.pop("env_id"))
        return (*[taken(part, order) for part in batch[:4]], taken(infos, order))


CARTPOLE = World("CartPole-v1", {"max_episode_steps": 9})
TAXI = World("Taxi-v4", {"max_episode_steps": 7})


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    ("world", "slow", "servers", "dialect"),
    [
        (CARTPOLE, True, 2, "native"),
        (TAXI, True, 2, "native"),
        (TAXI, False, 2, "native"),
        (TAXI, True, 2, "json"),
        (CARTPOLE, False, 1, "json"),
        # In its infos the kind of a value differs from lane to lane, and the first lane of a batch decides.
        (World(Menagerie), False, 1, "native"),
    ],
    ids=lambda case: str(case),
)
def test_play_is_the_same(
    world: World,
    slow: bool,
    servers: int,
    dialect: str,
    mode: AutoresetMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if slow:
        monkeypatch.setattr(source, "_INLINE_STEP_SECONDS", 0.0)
    with (
        world.serve() as server,
        OpenEnvPool([server.url] * servers, 5, autoreset_mode=mode, dialect=dialect) as pool,
        closing(SyncVectorEnv([world.local] * 5, autoreset_mode=mode)) as local,
    ):
        assert assert_same_vector_play(Whole(pool), local, steps=25) >= 1  # type: ignore[arg-type]
