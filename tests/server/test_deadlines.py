"""What does not end in time is over; its thread is counted, its child killed, and nobody else waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from openenv_gym import Client, OpenEnvGym
from openenv_gym.errors import Closed, DeadlineExceeded, EnvironmentRaised, FactoryFailed, UnknownSession
from openenv_gym.server import house
from openenv_gym.wire.messages import Hello
from tests.environments import Trouble
from tests.served import eventually, health
from tests.server.troubled import ROADS, HttpPlayer, play, refused, served

ISOLATIONS = ("thread", "process")
SECONDS = 0.8


@pytest.mark.parametrize("during", ["reset", "step"])
@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("road", ROADS)
def test_what_hangs_ends_its_session_and_no_other(road: str, isolation: str, during: str) -> None:
    with served(step_timeout=SECONDS, isolation=isolation) as server:
        with play(server.url, road) as player:
            error = refused(player, DeadlineExceeded, **{during: "hang"})
            assert error.fields["step_timeout"] == SECONDS
            assert f"the {during} took longer" in str(error)
            assert "--step-timeout" in str(error)
            said = health(server.url)
            assert (said["sessions"], said["active_lanes"]) == (1, 1)
            if isolation == "thread":
                assert said["abandoned_threads"] == 1
                Trouble.release.set()
            assert eventually(lambda: health(server.url)["abandoned_threads"] == 0)
            if road != "http":
                with pytest.raises(Closed):
                    player.step()
            elif during == "step":
                with pytest.raises(UnknownSession):
                    player.step()
        with play(server.url, road) as next_one:
            next_one.reset()
            next_one.step()


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_render_that_hangs(isolation: str) -> None:
    with served(step_timeout=SECONDS, isolation=isolation) as server:
        env = OpenEnvGym(server.url, render_mode="ansi")
        env.reset(options={"render": "hang"})
        with pytest.raises(DeadlineExceeded, match="the render took longer"):
            env.render()
        env.close()


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("road", ROADS)
def test_a_constructor_that_hangs(
    road: str, isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "note"
    with served(note, step_timeout=SECONDS, isolation=isolation) as server:
        monkeypatch.setattr(house, "BUILD_SECONDS", SECONDS)
        note.write_text("hang")
        with pytest.raises(DeadlineExceeded, match="was not built") as caught:
            with play(server.url, road) as player:
                player.reset()
        assert caught.value.fields["step_timeout"] == SECONDS
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)
        assert health(server.url)["abandoned_threads"] == (isolation == "thread") or isolation == "process"
        note.unlink()
        monkeypatch.undo()
        with play(server.url, road) as player:
            player.reset()


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("road", ROADS)
def test_a_close_that_hangs_frees_its_lanes(
    road: str, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "CLOSE_SECONDS", 0.2)
    with served(isolation=isolation, slow=True) as server:
        with play(server.url, road) as player:
            player.reset(close="hang")
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)


def test_what_a_client_asks_for_holds_where_it_is_less() -> None:
    with served(step_timeout=10.0) as server, play(server.url, "http") as player:
        assert isinstance(player, HttpPlayer)
        player.reset(step="hang")
        with pytest.raises(DeadlineExceeded, match=r"timeout_s=0\.1") as caught:
            player.step(timeout_s=0.1)
        assert caught.value.fields["timeout_s"] == 0.1


def test_what_the_server_allows_holds_where_it_is_less() -> None:
    with served(step_timeout=0.5) as server, play(server.url, "http") as player:
        assert isinstance(player, HttpPlayer)
        player.reset(step="hang")
        with pytest.raises(DeadlineExceeded, match=r"step_timeout=0\.5"):
            player.step(timeout_s=10)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_client_s_deadline_holds_for_a_cheap_environment_of_a_server_without_one(isolation: str) -> None:
    with served(isolation=isolation) as server, play(server.url, "http") as player:
        assert isinstance(player, HttpPlayer)
        player.reset(step="hang")
        with pytest.raises(DeadlineExceeded):
            player.step(timeout_s=0.1)


def test_an_abandoned_thread_cannot_touch_a_later_session() -> None:
    with served(step_timeout=0.5, max_lanes=2) as server:
        with play(server.url, "native") as player:
            refused(player, DeadlineExceeded, step="hang")
        with Client.to(server.url) as client:
            client.reset()
            assert client.step_one(1).observation[0].tolist() == [1.0]
            Trouble.release.set()
            assert eventually(lambda: health(server.url)["abandoned_threads"] == 0)
            assert client.step_one(1).observation[0].tolist() == [2.0]
            assert health(server.url)["active_lanes"] == 2


def test_others_go_on_while_one_takes_its_time() -> None:
    with served(step_timeout=25.0) as server, Client.to(server.url) as client, Client.to(server.url) as other:
        client.reset(options={"step": "hang"})
        client.send_step(None, [1])
        other.reset()
        for _ in range(20):
            other.step_one(1)
        assert health(server.url)["sessions"] == 3
        Trouble.release.set()
        assert client.receive_rows().observation[0].tolist() == [1.0]


def test_requests_that_wait_behind_one_that_hangs_end_with_its_session() -> None:
    with served(step_timeout=0.5) as server, Client.to(server.url) as client:
        client.reset(options={"step": "hang"})
        for _ in range(3):
            client.send_step(None, [1])
        with pytest.raises(DeadlineExceeded):
            client.receive_rows()
        with pytest.raises(Closed):
            client.step_one(1)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_lanes_share_a_deadline(isolation: str) -> None:
    with served(step_timeout=SECONDS, isolation=isolation) as server:
        with Client.to(server.url, Hello(lanes=3)) as client:
            client.reset()
            client.reset([1], options={"step": "hang"})
            with pytest.raises(DeadlineExceeded):
                client.step(None, [1, 1, 1])
            assert eventually(lambda: health(server.url)["active_lanes"] == 1)


# what looks like the end of a process ----------------------------------------------------------------


@pytest.mark.parametrize("what", ["exit", "interrupt"])
@pytest.mark.parametrize("during", ["reset", "step", "close"])
@pytest.mark.parametrize("slow", [False, True], ids=["inline", "own-thread"])
@pytest.mark.parametrize("road", ROADS)
def test_an_environment_that_exits_has_raised(road: str, slow: bool, during: str, what: str) -> None:
    with served(slow=slow) as server:
        with play(server.url, road) as player:
            if during == "close":
                player.reset(close=what)
            else:
                name = {"exit": "SystemExit", "interrupt": "KeyboardInterrupt"}[what]
                error = refused(player, EnvironmentRaised, **{during: what})
                assert error.fields["exception"] == name
                player.reset()
                player.step()
        assert eventually(lambda: health(server.url)["active_lanes"] == 1)


@pytest.mark.parametrize("slow", [False, True], ids=["inline", "own-thread"])
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_is_no_exception_is_no_more_than_one(isolation: str, slow: bool) -> None:
    with served(slow=slow, isolation=isolation) as server, play(server.url, "native") as player:
        for during in ("reset", "step"):
            error = refused(player, EnvironmentRaised, **{during: "panic"})
            assert error.fields["exception"] == "Panic"
        player.reset()
        player.step()


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("road", ROADS)
def test_a_constructor_that_exits(road: str, isolation: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with served(note, isolation=isolation) as server:
        note.write_text("exit")
        with pytest.raises(FactoryFailed, match="SystemExit"):
            with play(server.url, road) as player:
                player.reset()
