"""Who may come back to a session, who may not, and what is left when nobody comes."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from openenv_gym import Client, serve_gym
from openenv_gym.client.transports import SocketTransport
from openenv_gym.envs.serving import GymServer
from openenv_gym.errors import CapacityReached, InvalidArgument, OpenEnvGymError, ServerClosed, UnknownSession
from openenv_gym.hosting.source import open_source
from openenv_gym.server.attachments import Attachments
from openenv_gym.server.house import House
from openenv_gym.server.limits import Limits
from openenv_gym.wire.client import ClientProtocol
from openenv_gym.wire.codecs.native import SUBPROTOCOL, NativeCodec
from openenv_gym.wire.messages import Close, Hello, Welcome
from openenv_gym.wire.server import ServerProtocol
from tests.environments import Counter, Sleeper
from tests.served import eventually, health
from tests.server.test_vanishing import open_files

NONCE = "n" * 24


@pytest.fixture(scope="module", params=[Counter, Sleeper])
def server(request: pytest.FixtureRequest) -> Iterator[GymServer]:
    """A session on the event loop, or on a thread of its own."""
    with serve_gym(request.param, port=0, block=False, max_lanes=4, resume_grace=30) as server:
        yield server


class Wire:
    """A connection, and a hello on it."""

    def __init__(self, server: GymServer, hello: Hello) -> None:
        address = server.url.replace("http", "ws") + "/ws"
        self.transport = SocketTransport(address, subprotocols=(SUBPROTOCOL,))
        self.machine = ClientProtocol(NativeCodec())
        self.transport.send(self.machine.hello(hello))

    def receive(self) -> Any:
        return self.machine.receive(self.transport.receive(10))

    def welcome(self) -> Welcome:
        message = self.receive()
        assert isinstance(message, Welcome)
        return message

    def refusal(self) -> OpenEnvGymError:
        with pytest.raises(OpenEnvGymError) as refusal:
            self.receive()
        with pytest.raises(ServerClosed):  # and closed
            self.transport.receive(10)
        return refusal.value

    def reset(self) -> None:
        self.transport.send(self.machine.reset())
        self.receive()

    def cut(self) -> None:
        self.transport.abandon()

    def close(self) -> None:
        self.transport.close()


@pytest.fixture
def wire(server: GymServer) -> Iterator[Callable[[Hello], Wire]]:
    """Opens connections; afterwards the server has no session."""
    opened: list[Wire] = []

    def open_one(hello: Hello) -> Wire:
        opened.append(Wire(server, hello))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
    assert eventually(lambda: server.house.active_lanes == 0)
    assert not server.house.sessions and server.house.parked == 0


HELLO = Hello(lanes=2, nonce=NONCE)


def test_the_newest_connection_wins_and_the_old_one_is_told(wire: Callable[[Hello], Wire]) -> None:
    first = wire(HELLO)
    token = first.welcome().token
    first.reset()
    second = wire(replace(HELLO, attach=token, generation=1))
    welcome = second.welcome()
    assert welcome.resumed and welcome.received == 1 and welcome.token == token
    assert isinstance(first.refusal(), ServerClosed)
    third = wire(replace(HELLO, attach=token, generation=2))
    assert third.welcome().resumed
    assert "newer" in str(second.refusal())


def test_a_stale_a_doubled_and_a_foreign_resume_are_refused(wire: Callable[[Hello], Wire]) -> None:
    first = wire(HELLO)
    token = first.welcome().token
    first.reset()
    second = wire(replace(HELLO, attach=token, generation=5))
    second.welcome()
    first.refusal()
    for hello in (
        replace(HELLO, attach=token, generation=5),
        replace(HELLO, attach=token, generation=1),
        replace(HELLO, attach=token),
        replace(HELLO, generation=9),  # no token, and requests have come
    ):
        assert isinstance(wire(hello).refusal(), ServerClosed)
    name, _, secret = token.partition(".")
    for guess in (f"{name}.{secret[:-1]}", f"{name}.", secret, f"x{token}", "", "é"):
        assert isinstance(wire(replace(HELLO, attach=guess, generation=9)).refusal(), UnknownSession)
    assert isinstance(wire(replace(HELLO, nonce="short")).refusal(), InvalidArgument)
    second.reset()


def test_a_lost_welcome_is_claimed_again_by_the_nonce(
    server: GymServer, wire: Callable[[Hello], Wire]
) -> None:
    for generation in range(3):
        wire(replace(HELLO, generation=generation)).cut()
    last = wire(replace(HELLO, generation=3))
    last.welcome()
    assert server.house.active_lanes == 2
    last.reset()


def test_lanes_stay_taken_while_their_client_is_gone(
    server: GymServer, wire: Callable[[Hello], Wire]
) -> None:
    first = wire(replace(HELLO, lanes=3))
    token = first.welcome().token
    first.reset()
    first.cut()
    assert eventually(lambda: health(server.url)["parked_sessions"] == 1)
    assert isinstance(wire(Hello(lanes=2)).refusal(), CapacityReached)
    again = wire(replace(HELLO, lanes=3, attach=token, generation=1))
    assert again.welcome().resumed and server.house.parked == 0


def test_a_goodbye_ends_the_session_at_once(server: GymServer, wire: Callable[[Hello], Wire]) -> None:
    first = wire(HELLO)
    token = first.welcome().token
    first.close()
    assert eventually(lambda: not server.house.sessions)
    assert isinstance(wire(replace(HELLO, attach=token, generation=1)).refusal(), UnknownSession)


def test_who_breaks_the_rules_does_not_come_back(server: GymServer, wire: Callable[[Hello], Wire]) -> None:
    first = wire(HELLO)
    token = first.welcome().token
    first.transport.send(b"\xff" * 40)
    with pytest.raises(OpenEnvGymError):
        first.receive()
    assert eventually(lambda: not server.house.sessions)
    assert isinstance(wire(replace(HELLO, attach=token, generation=1)).refusal(), UnknownSession)


def test_a_server_that_ends_does_not_wait_for_those_who_are_gone() -> None:
    threads = threading.active_count()
    for env in (Counter, Sleeper):
        with serve_gym(env, port=0, block=False) as server:
            wire = Wire(server, HELLO)
            wire.welcome()
            wire.cut()
            assert eventually(lambda server=server: server.house.parked == 1)  # type: ignore[misc]
            assert not server.busy
        assert not server.house.sessions and server.house.active_lanes == server.house.parked == 0
    assert eventually(lambda: threading.active_count() <= threads)


@pytest.mark.slow
@pytest.mark.parametrize("env", [Counter, Sleeper])
def test_a_thousand_clients_that_vanish_leave_nothing(env: type[Counter]) -> None:
    with serve_gym(env, port=0, block=False, resume_grace=0.2) as server:
        vanish(server, 50)
        with nothing_left_of(1000):
            vanish(server, 1000)
        house = server.house  # a session is gone before the last of it is closed, and its lanes free
        assert eventually(lambda: house.active_lanes == house.active_sessions == house.parked == 0)


@pytest.mark.slow
@pytest.mark.parametrize("env", [Counter, Sleeper])
def test_a_session_that_is_claimed_a_thousand_times_leaves_nothing_of_the_connections(
    env: type[Counter],
) -> None:
    with serve_gym(env, port=0, block=False) as server:
        first = Wire(server, HELLO)
        hello = replace(HELLO, attach=first.welcome().token)
        first.reset()

        def claim(generations: range) -> None:
            for generation in generations:
                wire = Wire(server, replace(hello, generation=generation))
                welcome = wire.welcome()
                assert welcome.resumed and welcome.received == 1
                wire.cut()

        claim(range(1, 201))
        first.close()
        with nothing_left_of(1000):
            claim(range(201, 1201))
            assert eventually(lambda: server.house.parked == 1)
        assert server.house.active_sessions == 1
        last = Wire(server, replace(hello, generation=1201))
        assert last.welcome().received == 1
        last.transport.send(NativeCodec().encode(Close()))
        assert eventually(lambda: server.house.active_sessions == 0)
        last.close()


@contextmanager
def nothing_left_of(cycles: int) -> Iterator[None]:
    """Threads and descriptors are as many as before, and not one object of each cycle is still there."""
    gc.collect()
    threads, files, blocks = threading.active_count(), open_files(), sys.getallocatedblocks()
    yield
    assert eventually(lambda: threading.active_count() <= threads)
    assert eventually(lambda: open_files() <= files)

    def grown() -> int:
        gc.collect()
        return sys.getallocatedblocks() - blocks

    assert eventually(lambda: grown() < cycles // 2)


def vanish(server: GymServer, count: int) -> None:
    for number in range(count):
        client = Client.to(server.url, Hello(lanes=2))
        client.send_reset()
        if number % 2:
            client.receive_rows()
        client.abandon()
    assert eventually(lambda: not server.house.sessions, seconds=10)


# in virtual time ----------------------------------------------------------------------------------


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        await self._settle()
        self.now += seconds
        for due, woken in self._sleepers:
            if due <= self.now:
                woken.set()
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


class Hand:
    """Holds an attachment."""

    displaced = False

    def displace(self) -> None:
        self.displaced = True


def in_virtual_time(play: Callable[[House, Attachments, Clock], Any]) -> None:
    async def run() -> None:
        clock = Clock()
        house = House(open_source(Counter), Limits(max_lanes=4))
        attachments = Attachments(house, sleep=clock.sleep)
        await play(house, attachments, clock)
        await attachments.close()
        assert not house.sessions and house.active_lanes == house.parked == 0

    asyncio.run(run())


def protocol() -> ServerProtocol:
    return ServerProtocol(native=True)


def test_ten_idle_minutes_end_nothing_and_ten_lost_ones_do() -> None:
    async def play(house: House, attachments: Attachments, clock: Clock) -> None:
        idle, gone = Hand(), Hand()
        kept, _, _ = await attachments.claim(HELLO, protocol(), idle)
        left, _, _ = await attachments.claim(replace(HELLO, nonce="m" * 24), protocol(), gone)
        await attachments.part(left, gone, over=False)
        await clock.advance(59)
        assert house.active_lanes == 4 and house.parked == 1
        await clock.advance(600 - 59)
        assert house.active_lanes == 2 and house.parked == 0 and not idle.displaced
        with pytest.raises(UnknownSession):
            await attachments.claim(Hello(attach=left.token, generation=1), protocol(), gone)
        await attachments.part(kept, idle, over=True)
        assert house.active_lanes == 0

    in_virtual_time(play)


def test_the_grace_begins_anew_with_each_cut() -> None:
    async def play(house: House, attachments: Attachments, clock: Clock) -> None:
        hand = Hand()
        tenure, first, resumed = await attachments.claim(HELLO, protocol(), hand)
        assert not resumed
        for generation in range(1, 10):
            await attachments.part(tenure, hand, over=False)
            await clock.advance(50)
            hand = Hand()
            again = replace(HELLO, attach=tenure.token, generation=generation)
            found, attachment, resumed = await attachments.claim(again, protocol(), hand)
            assert found is tenure and attachment is first and resumed
        await attachments.part(tenure, hand, over=False)
        await clock.advance(61)
        assert house.active_lanes == 0

    in_virtual_time(play)


def test_who_was_displaced_has_no_say() -> None:
    async def play(house: House, attachments: Attachments, clock: Clock) -> None:
        old, new = Hand(), Hand()
        tenure, _, _ = await attachments.claim(HELLO, protocol(), old)
        await attachments.claim(replace(HELLO, attach=tenure.token, generation=1), protocol(), new)
        assert old.displaced and not new.displaced
        await attachments.part(tenure, old, over=True)
        await clock.advance(100)
        assert house.active_lanes == 2 and house.parked == 0
        await attachments.part(tenure, new, over=True)

    in_virtual_time(play)


def test_hellos_while_a_session_is_built_mean_the_same_one() -> None:
    async def play(house: House, attachments: Attachments, clock: Clock) -> None:
        hands = [Hand() for _ in range(3)]
        found = await asyncio.gather(
            *(
                attachments.claim(replace(HELLO, generation=number), protocol(), hand)
                for number, hand in enumerate(hands)
            )
        )
        assert len({id(attachment) for _, attachment, _ in found}) == 1
        assert house.active_lanes == 2 and [hand.displaced for hand in hands] == [True, True, False]
        await attachments.part(found[2][0], hands[2], over=True)

    in_virtual_time(play)


def test_a_session_that_could_not_be_built_is_forgotten() -> None:
    async def play(house: House, attachments: Attachments, clock: Clock) -> None:
        for _ in range(2):
            with pytest.raises(CapacityReached):
                await attachments.claim(replace(HELLO, lanes=5), protocol(), Hand())
        hand = Hand()
        tenure, _, resumed = await attachments.claim(HELLO, protocol(), hand)
        assert not resumed
        await attachments.part(tenure, hand, over=True)

    in_virtual_time(play)


class Nobody:
    """A connection that is never taken over."""

    def displace(self) -> None:
        raise AssertionError("there is no newer one")


LATE = 8
"""Until there is a session, of which whoever asked for it has not heard."""


@pytest.mark.parametrize("env", [Counter, Sleeper])
def test_a_claim_leaves_no_session_whenever_it_is_cancelled(env: type[Counter]) -> None:
    source = open_source(env)

    async def cancel_after(turns: int) -> None:
        house = House(source, Limits())
        attachments, holder = Attachments(house), Nobody()
        claim = attachments.claim(Hello(nonce=NONCE), ServerProtocol(native=True), holder)
        task = asyncio.create_task(claim)
        for _ in range(turns):
            await asyncio.sleep(0)
        while turns == LATE and not house.sessions:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            tenure, _, _ = await task
            await attachments.part(tenure, holder, over=True)
        async with asyncio.timeout(10):
            while house.active_lanes:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert not house.sessions

    for turns in range(LATE + 1):
        asyncio.run(cancel_after(turns))
