"""Slow lanes step at the same time, and answer as they finish if the client wants it so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openenv_gym import Client, serve_gym
from openenv_gym.client.early import EarlyClient
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import (
    DeadlineExceeded,
    EnvironmentDied,
    EnvironmentRaised,
    FactoryFailed,
    InvalidArgument,
    OpenEnvGymError,
    ProtocolViolation,
    error_from_wire,
)
from openenv_gym.types import Rows, Slots
from openenv_gym.wire.messages import Answer, Hello, Value
from tests.environments import Counter, Meeting, Trouble, Turnstile
from tests.served import eventually, health
from tests.server.troubled import served


@pytest.fixture(scope="module")
def server() -> Iterator[GymServer]:
    with serve_gym(Turnstile, port=0, block=False, calls=["number"]) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_stopped() -> Iterator[None]:
    Turnstile.let.clear()
    yield
    Turnstile.let.clear()
    Turnstile.broken.clear()


def early(url: str, lanes: int, **options: Any) -> EarlyClient:
    return EarlyClient.to(url, Hello(lanes=lanes, early=True), timeout=20, **options)


def slots(*lanes: int) -> Slots:
    return Slots(np.array(lanes, np.int32), np.zeros(len(lanes), np.int16))


def part(client: EarlyClient) -> Answer:
    answer = client.receive_part(wait=True)
    assert isinstance(answer, Answer)
    return answer


def all_parts(client: EarlyClient) -> list[Answer]:
    parts = [part(client)]
    while parts[-1].more:
        parts.append(part(client))
    return parts


def seen(rows: Rows) -> dict[int, list[float]]:
    return dict(zip(rows.lane.tolist(), rows.observation.tolist(), strict=True))


def begun(client: EarlyClient, lanes: int) -> EarlyClient:
    """A session whose lanes have the numbers 1, 2, 3, ..."""
    client.send_reset(None, 1)
    rows = [lane for answer in all_parts(client) for lane in answer.rows.lane.tolist()]
    assert sorted(rows) == list(range(lanes))
    return client


def test_lanes_step_at_the_same_time() -> None:
    with serve_gym(Meeting, port=0, block=False) as server, Client.to(server.url, Hello(lanes=5)) as client:
        client.reset()
        Meeting.room = threading.Barrier(5)
        try:
            rows = client.step(None, [0, 1, 0, 1, 1])
        finally:
            Meeting.room = threading.Barrier(1)
        assert not rows.failures and rows.dense == 5
        assert rows.reward.tolist() == [0, 1, 0, 1, 1]


def test_who_did_not_ask_for_parts_gets_none(server: GymServer) -> None:
    with Client.to(server.url, Hello(lanes=3)) as client:
        client.reset(seeds=1)
        Turnstile.stop(2)
        client.send_step(None, [1, 1, 1])
        client.send_step(slots(0), [1])
        Turnstile.let[2].release()
        assert client.receive_rows().observation.tolist() == [[1, 1], [2, 1], [3, 1]]
        assert client.receive_rows().observation.tolist() == [[1, 2]]


def test_lanes_answer_as_they_finish(server: GymServer) -> None:
    with begun(early(server.url, 4), 4) as client:
        Turnstile.stop(1, 2, 3, 4)
        client.send_step(None, [1, 1, 1, 1])
        for number in (3, 1, 4, 2):
            Turnstile.let[number].release()
            answer = part(client)
            assert (answer.seq, answer.more) == (2, number != 2)
            assert seen(answer.rows) == {number - 1: [number, 1]}


def test_requests_about_different_lanes_overlap(server: GymServer) -> None:
    with begun(early(server.url, 3), 3) as client:
        Turnstile.stop(1)
        client.send_step(slots(0, 1), [1, 1])
        first = part(client)
        assert first.more and seen(first.rows) == {1: [2, 1]}
        client.send_step(slots(2, 1), [1, 1])
        assert [lane for answer in all_parts(client) for lane in seen(answer.rows)] in ([2, 1], [1, 2])
        Turnstile.let[1].release()
        last = part(client)
        assert (last.seq, last.more) == (2, False) and seen(last.rows) == {0: [1, 1]}


def test_a_busy_lane_refuses_and_nothing_is_done(server: GymServer) -> None:
    with begun(early(server.url, 3), 3) as client:
        Turnstile.stop(2)
        client.send_step(slots(1), [1])
        refused: list[Callable[[], None]] = [
            lambda: client.send_step(slots(0, 1), [1, 1]),
            lambda: client.send_reset([1]),
            lambda: client.send_step(None, [1, 1, 1]),
            lambda: client.ask_state(1),
        ]
        for ask in refused:
            ask()
            with pytest.raises(InvalidArgument, match="lane 1 is busy with request 2") as caught:
                part(client)
            assert caught.value.fields == {"lane": 1}
        Turnstile.let[2].release()
        assert seen(part(client).rows) == {1: [2, 1]}
        client.send_step(slots(0), [1])
        assert seen(part(client).rows) == {0: [1, 1]}


def test_questions_are_answered_while_other_lanes_run(server: GymServer) -> None:
    with begun(early(server.url, 3), 3) as client:
        Turnstile.stop(2)
        client.send_step(slots(1), [1])
        client.ask_state(2)
        value = client.receive_part(wait=True)
        assert isinstance(value, Value) and value.value["step_count"] == 0
        assert client.call("number", lane=0) == 1
        Turnstile.let[2].release()
        assert seen(part(client).rows) == {1: [2, 1]}
        assert client.call("number", lane=None) == [1, 2, 3]
        questions: list[Callable[[], Any]] = [
            lambda: client.render(0),
            lambda: client.call("other"),
            lambda: client.observe(0),
        ]
        for wrong in questions:
            with pytest.raises(OpenEnvGymError):
                wrong()


def test_one_lane_fails_and_the_others_do_not(server: GymServer) -> None:
    with begun(early(server.url, 3), 3) as client:
        Turnstile.broken.add(2)
        client.send_step(None, [1, 1, 1])
        rows = [answer.rows for answer in all_parts(client)]
        (failure,) = [failure for each in rows for failure in each.failures.values()]
        assert failure.code == EnvironmentRaised.code
        client.send_step(slots(1), [1])
        (failure,) = part(client).rows.failures.values()
        assert failure.message.startswith("lane 1 cannot step") and failure.fields == {"lane": 1}


def test_what_cannot_be_is_refused_as_a_whole(server: GymServer) -> None:
    with begun(early(server.url, 3), 3) as client:
        for lanes, actions in (((0, 3), [1, 1]), ((0, 0), [1, 1]), ((0, 1), [1, 7])):
            client.send_step(slots(*lanes), actions)
            with pytest.raises(OpenEnvGymError):
                part(client)
        client.send_step(None, [1, 1, 1])
        assert {tuple(row) for answer in all_parts(client) for row in seen(answer.rows).values()} == {
            (1, 1),
            (2, 1),
            (3, 1),
        }


def test_a_repeated_request_gets_its_parts_again(server: GymServer) -> None:
    with begun(early(server.url, 2), 2) as client:
        Turnstile.stop(1, 2)
        transport, request = client._transport, bytes(client.protocol.step(None, [1, 1]))
        transport.send(request)
        Turnstile.let[2].release()
        first = bytes(transport.receive(10))
        transport.send(request)  # it runs
        assert bytes(transport.receive(10)) == first
        Turnstile.let[1].release()
        last = bytes(transport.receive(10))
        transport.send(request)  # it is kept
        assert [bytes(transport.receive(10)) for _ in range(2)] == [first, last]
        transport.send(client.protocol.step(slots(1), [1]))
        client.protocol.receive(first), client.protocol.receive(last)
        Turnstile.let[2].release()
        assert seen(part(client).rows) == {1: [2, 2]}  # so it was stepped once before


def cut(client: Client) -> None:
    """Break the connection, and say nothing."""
    transport = client._transport
    assert isinstance(transport, SocketTransport)
    transport._socket.shutdown(socket.SHUT_RDWR)


def test_parts_go_on_after_a_cut(server: GymServer) -> None:
    with begun(early(server.url, 4), 4) as client:
        Turnstile.stop(1, 2, 3, 4)
        client.send_step(None, [1, 1, 1, 1])
        Turnstile.let[3].release()
        first = part(client)
        cut(client)
        Turnstile.let[1].release()  # while nobody is there
        again = [part(client), part(client)]
        assert seen(again[0].rows) == seen(first.rows) == {2: [3, 1]}
        assert again[1].more and seen(again[1].rows) == {0: [1, 1]}
        Turnstile.let[2].release()
        Turnstile.let[4].release()
        parts = all_parts(client)
        assert {lane for each in parts for lane in seen(each.rows)} == {1, 3}
        client.send_step(None, [1, 1, 1, 1])
        for number in Turnstile.let:
            Turnstile.let[number].release()
        assert all(row[1] == 2 for each in all_parts(client) for row in seen(each.rows).values())


def test_a_whole_answer_is_there_after_a_cut(server: GymServer) -> None:
    with begun(early(server.url, 2), 2) as client:
        Turnstile.stop(1, 2)
        client.send_step(None, [1, 1])
        cut(client)
        assert eventually(lambda: health(server.url)["parked_sessions"] == 1)
        Turnstile.let[1].release()
        Turnstile.let[2].release()
        parts = all_parts(client)
        assert {tuple(row) for each in parts for row in seen(each.rows).values()} == {(1, 1), (2, 1)}


def test_a_request_out_of_order_ends_the_session(server: GymServer) -> None:
    with begun(early(server.url, 2), 2) as client:
        client.protocol.step(None, [1, 1])
        client.send_step(None, [1, 1])
        with pytest.raises(ProtocolViolation, match="out of order"):
            part(client)
    assert eventually(lambda: health(server.url)["active_lanes"] == 0)


@pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "vanished"])
def test_a_client_that_goes_leaves_its_lanes_to_their_step(goodbye: bool) -> None:
    with serve_gym(Turnstile, port=0, block=False, resume_grace=0) as server:
        before = threading.active_count()
        client = begun(early(server.url, 3), 3)
        Turnstile.stop(2)
        client.send_step(None, [1, 1, 1])
        part(client)
        if not goodbye:
            client.abandon()
        client.close()
        assert health(server.url)["active_lanes"] == 3
        Turnstile.let[2].release()
        assert eventually(lambda: health(server.url)["active_lanes"] == 0)
        assert eventually(lambda: threading.active_count() <= before)


def test_a_deadline_passes_while_nobody_is_there() -> None:
    with serve_gym(Turnstile, port=0, block=False, step_timeout=0.5) as server:
        with begun(early(server.url, 2), 2) as client:
            Turnstile.stop(2)
            client.send_step(None, [1, 1])
            seen(part(client).rows)
            cut(client)
            assert eventually(lambda: health(server.url)["active_lanes"] == 0)
            with pytest.raises(OpenEnvGymError):
                all_parts(client)
            Turnstile.let[2].release()
        assert eventually(lambda: health(server.url)["abandoned_threads"] == 0)
        assert server.house.busy == 0


@pytest.mark.parametrize("parts", [True, False], ids=["parts", "whole"])
@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_lane_that_hangs_ends_the_session(isolation: str, parts: bool) -> None:
    with served(slow=True, step_timeout=0.8, isolation=isolation) as server:
        with EarlyClient.to(server.url, Hello(lanes=3, early=parts), timeout=20) as client:
            client.reset([1], options={"step": "hang"})
            for lane in (0, 2):
                client.reset([lane])
            client.send_step(None, [1, 1, 1])
            with pytest.raises(DeadlineExceeded, match="the step took longer than step_timeout"):
                all_parts(client)
            assert eventually(lambda: health(server.url)["active_lanes"] == 1)
            if isolation == "thread":
                assert health(server.url)["abandoned_threads"] == 1
                Trouble.release.set()


@pytest.mark.parametrize("parts", [True, False], ids=["parts", "whole"])
def test_a_lane_whose_process_dies_ends_the_session(parts: bool) -> None:
    with served(slow=True, isolation="process") as server:
        with EarlyClient.to(server.url, Hello(lanes=3, early=parts), timeout=20) as client:
            for lane in range(3):
                client.reset([lane], options={"step": "die"} if lane == 1 else None)
            client.send_step(None, [1, 1, 1])
            with pytest.raises(EnvironmentDied) as caught:
                all_parts(client)
            assert caught.value.fields == {"exit_code": 7, "during": "step"}
            with pytest.raises(OpenEnvGymError):
                client.step(None, [1, 1, 1])


@pytest.mark.parametrize("what", ["panic", "knot"])
def test_what_a_lane_does_wrong_ends_no_session(what: str) -> None:
    with served(slow=True) as server:
        with EarlyClient.to(server.url, Hello(lanes=2, early=True), timeout=20) as client:
            for lane in range(2):
                client.reset([lane], options={"step": what} if lane == 1 else None)
            client.send_step(slots(1), [1])
            with pytest.raises(EnvironmentRaised):
                failure = part(client).rows.failures[0]
                raise error_from_wire(failure.code, failure.message)
            client.reset([1])
            client.send_step(None, [1, 1])
            assert sorted(lane for answer in all_parts(client) for lane in seen(answer.rows)) == [0, 1]


def test_each_lane_has_a_process_of_its_own() -> None:
    config = {"render_mode": "ansi"}
    with served(slow=True, isolation="process") as server:
        with Client.to(server.url, Hello(lanes=3, config=config)) as client:
            pids = {info["pid"] for info in client.reset().infos.dicts().values()}
            assert len(pids) == 3
            client.step(slots(1), [1])
            assert client.render(None) == ["0 steps", "1 steps", "0 steps"]


def test_a_lane_that_cannot_be_built_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with served(note, slow=True) as server:
        before = threading.active_count()
        note.write_text("exit")
        with pytest.raises(FactoryFailed, match="SystemExit"):
            Client.to(server.url, Hello(lanes=3))
        note.unlink()
        assert eventually(lambda: threading.active_count() <= before)
        assert health(server.url)["active_lanes"] == 1


def test_a_cheap_session_gives_whole_answers_all_the_same() -> None:
    with serve_gym(Counter, port=0, block=False) as server, early(server.url, 3) as client:
        client.send_reset()
        (answer,) = all_parts(client)
        assert answer.rows.dense == 3
        client.send_step(slots(2, 0), [1, 1])
        (answer,) = all_parts(client)
        assert answer.rows.lane.tolist() == [2, 0]


def test_a_server_that_closes_ends_what_runs_first() -> None:
    with serve_gym(Turnstile, port=0, block=False) as server:
        with begun(early(server.url, 2), 2) as client:
            Turnstile.stop(1)
            client.send_step(None, [1, 1])
            part(client)
            closing = threading.Thread(target=server.close)
            closing.start()
            assert eventually(lambda: server.house.closing)
            Turnstile.let[1].release()
            assert seen(part(client).rows) == {0: [1, 1]}
            with pytest.raises(OpenEnvGymError):
                part(client)
            closing.join()
