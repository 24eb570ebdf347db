"""An environment sees one and the same thread from construction to close; slow ones do not hold up others."""

from __future__ import annotations

import threading

import pytest

from openenv_gym import Client, serve_gym
from openenv_gym.wire.messages import Hello
from tests.environments import Counter, Diary, Sleeper, SlowDiary, Turnstile
from tests.served import eventually, health


@pytest.mark.parametrize(
    ("env", "render_mode", "threads"),
    [(Diary, None, 1), (SlowDiary, None, 4), (Diary, "ansi", 2), (SlowDiary, "ansi", 2)],
    ids=["cheap", "slow", "rendering", "slow-rendering"],
)
@pytest.mark.parametrize("vanish", [False, True], ids=["goodbye", "vanished"])
def test_one_thread_from_construction_to_close(
    env: type[Diary], render_mode: str | None, threads: int, vanish: bool
) -> None:
    with serve_gym(env, port=0, block=False, resume_grace=0.1) as server:
        probes = len(Diary.visits)
        config = {} if render_mode is None else {"render_mode": render_mode}
        clients = [Client.to(server.url, Hello(lanes=2, config=config)) for _ in range(2)]
        for client in clients:
            client.reset(seeds=1)
            for _ in range(3):
                client.step(None, [0, 1])
            if render_mode:
                client.render(1)
            client.reset([1], options={})
        for client in clients:
            if vanish:
                client.abandon()
            client.close()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        lives = Diary.visits[probes:]
        assert len(lives) == 4
        for life in lives:
            assert (life[0][0], life[-1][0]) == ("construct", "close")
            assert [what for what, _ in life].count("close") == 1
        idents = [{thread for _, thread in life} for life in lives]
        assert all(len(seen) == 1 for seen in idents)
        assert len(set.union(*idents)) == threads  # GL wants the lanes that it draws on one thread
        if threads == 2:
            assert sorted(map(idents.count, idents)) == [2, 2, 2, 2]


def test_a_session_of_its_own_thread_ends_the_thread() -> None:
    with serve_gym(Sleeper, port=0, block=False) as server:
        before = threading.active_count()
        with Client.to(server.url) as client:
            client.reset()
            assert threading.active_count() == before + 1
        assert eventually(lambda: threading.active_count() == before)


def test_a_slow_session_holds_up_nobody() -> None:
    Turnstile.stop(1)
    with serve_gym(Turnstile, port=0, block=False) as server:
        with Client.to(server.url) as slow, Client.to(server.url) as quick:
            slow.reset(seeds=1)
            quick.reset(seeds=2)
            slow.send_step(None, [1])
            for _ in range(20):
                quick.step_one(1)
            assert health(server.url)["sessions"] == 2
            Turnstile.let.pop(1).release()
            assert slow.receive_rows().observation[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dialect", ["native", "json"])
def test_messages_that_wait_behind_a_slow_step_do_not_end_the_connection(dialect: str) -> None:
    with serve_gym(Sleeper, port=0, block=False) as server:
        with Client.to(server.url, dialect=dialect) as client:
            client.reset(options={"seconds": 0.3})
            action = 1 if dialect == "native" else {"action": 1}
            for _ in range(4):
                client.send_step(None, [action])
            counts = []
            for _ in range(4):
                rows = client.receive_rows()
                row = rows.observation[0] if dialect == "native" else rows.values[0]["observation"]
                counts.append(float(row[0]))
            assert counts == [1.0, 2.0, 3.0, 4.0]


def test_many_requests_may_wait_in_a_cheap_session() -> None:
    with serve_gym(Counter, port=0, block=False) as server:
        with Client.to(server.url) as client:
            client.send_reset()
            for _ in range(500):
                client.send_step(None, [1])
            client.receive_rows()
            counts = [float(client.receive_rows().observation[0][0]) for _ in range(500)]
            assert counts == [float(step) for step in range(1, 501)]
