"""Claims: whatever is cut, held up or doubled, one client has its session, and nothing is done twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openenv_gym.errors import InvalidArgument, OpenEnvGymError, ServerClosed, UnknownSession
from openenv_gym.wire.client import ClientProtocol, ClientState
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Answer, Hello
from openenv_gym.wire.server import ServerProtocol
from openenv_gym.wire.tenure import Register, Tenure
from tests.wire.ends import Desk, signature_of, welcome_of

SIGNATURE = signature_of(lanes=2)
NONCE, TOKEN = "n" * 24, "name.secret"
LIMITS = {"max_lanes": 64, "max_message_bytes": 2**24, "resume_grace": 60}


def hello(generation: int = 0, *, token: str | None = None, nonce: str = NONCE) -> Hello:
    return Hello(lanes=2, attach=token, nonce=nonce, generation=generation)


def entered() -> tuple[Register[str], Tenure[str]]:
    register: Register[str] = Register()
    tenure = Tenure(hello(), TOKEN, "it")
    register.enter(tenure)
    return register, tenure


def test_a_token_finds_its_tenure_and_nothing_else_does() -> None:
    register, tenure = entered()
    assert register.find(hello(1, token=TOKEN)) is tenure
    for wrong in ("", ".", "name", "name.", "name.secre", "name.secret.", "nobody.secret", "näme.secret"):
        with pytest.raises(UnknownSession) as foreign:
            register.find(hello(1, token=wrong))
        assert "name" not in str(foreign.value)


def test_a_guess_is_told_the_same_whether_there_is_a_session_or_not() -> None:
    register, tenure = entered()
    said = []
    for _ in range(2):
        with pytest.raises(UnknownSession) as guess:
            register.find(hello(1, token="name.guess"))
        said.append((str(guess.value), guess.value.fields))
        register.strike(tenure)
        register.strike(tenure)
    assert said[0] == said[1] and len(register) == 0


def test_a_nonce_finds_a_session_until_a_request_has_come() -> None:
    register, tenure = entered()
    assert register.find(hello(1)) is tenure and register.find(hello(1, nonce="m" * 24)) is None
    tenure.claim(hello(1), received=0)
    with pytest.raises(ServerClosed):
        tenure.claim(hello(2), received=1)
    tenure.claim(hello(2, token=TOKEN), received=1)
    register.strike(tenure)
    assert register.find(hello(3)) is None


def test_no_nonce_finds_nothing() -> None:
    register: Register[str] = Register()
    register.enter(Tenure(hello(nonce=""), TOKEN, "it"))
    assert register.find(hello(1, nonce="")) is None


@pytest.mark.parametrize("nonce", ["1", "n" * 15, "n" * 65])
def test_a_nonce_that_could_be_guessed_is_refused(nonce: str) -> None:
    with pytest.raises(InvalidArgument, match="at random"):
        Register[str]().find(hello(nonce=nonce))


def test_a_stale_and_a_doubled_hello_are_refused() -> None:
    _, tenure = entered()
    tenure.claim(hello(3, token=TOKEN), received=7)
    for generation in (0, 2, 3):
        with pytest.raises(ServerClosed, match="newer"):
            tenure.claim(hello(generation, token=TOKEN), received=7)
    tenure.claim(hello(4, token=TOKEN), received=7)


class Line:
    """A connection: what is under way, each end's own."""

    def __init__(self) -> None:
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.cut = False
        self.refused = False


class World(RuleBasedStateMachine):
    """A client, a server with one session, and connections that break, linger and say things twice.

    What was sent on a connection before it broke may still arrive, at any time, or never.
    """

    def __init__(self) -> None:
        super().__init__()
        self.client = ClientProtocol(NativeCodec())
        self.register: Register[Desk] = Register()
        self.holder: Line | None = None
        self.lines: list[Line] = []
        self.line = self.connect(self.client.hello(hello()))
        self.tokens = 0
        self.begun: list[Desk] = []
        self.asked = 0
        self.answered: list[int] = []

    def connect(self, data: Any) -> Line:
        line = Line()
        line.up.append(bytes(data))
        self.lines.append(line)
        return line

    @precondition(lambda self: self.client.state is ClientState.OPEN and self.client.waiting < 3)
    @rule(which=st.integers(0, 2))
    def the_client_asks(self, which: int) -> None:
        if which == 0:
            data = self.client.step(None, np.zeros(2, int))
        else:
            data = self.client.reset() if which == 1 else self.client.ask_state()
        self.asked += 1
        self.line.up.append(bytes(data))

    @precondition(lambda self: self.client.resumable)
    @rule()
    def the_connection_breaks_and_the_client_says_hello_again(self) -> None:
        self.line.cut = True
        self.line = self.connect(self.client.resume_hello())

    @precondition(lambda self: any(line.up for line in self.lines))
    @rule(data=st.data())
    def something_arrives_at_the_server(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from([line for line in self.lines if line.up]))
        self.serve(line, line.up.pop(0))

    def serve(self, line: Line, data: bytes) -> None:
        if line.refused:
            return
        message, _ = ServerProtocol(native=True).receive(data) if data[0] == 1 else (None, 0)
        if isinstance(message, Hello):
            self.greet(line, message)
        elif self.holder is line:  # a connection that was displaced is not read any more
            answer = self.desk.receive(data)
            assert answer is not None
            line.down.append(answer)

    def greet(self, line: Line, said: Hello) -> None:
        try:
            tenure = self.register.find(said)
            if tenure is None:
                self.tokens += 1
                desk = Desk(SIGNATURE)
                self.begun.append(desk)
                tenure, resumed = Tenure(said, f"{self.tokens}.secret", desk), False
                self.register.enter(tenure)
            else:
                tenure.claim(said, tenure.of.window.newest)
                resumed = True
        except (ServerClosed, UnknownSession):
            line.refused = True
            return
        if self.holder is not None:
            self.holder.refused = True
        self.holder = line
        self.desk = tenure.of
        welcome = welcome_of(
            SIGNATURE,
            token=tenure.token,
            resumed=resumed,
            received=self.desk.window.newest,
            limits=LIMITS,
        )
        line.down.append(NativeCodec().encode(welcome))

    @precondition(lambda self: self.line.down)
    @rule()
    def something_arrives_at_the_client(self) -> None:
        greeting = self.client.state is not ClientState.OPEN
        message = self.client.receive(self.line.down.pop(0))
        if greeting:
            assert self.client.state is ClientState.OPEN
            self.line.up += [bytes(data) for _, data in self.client.unanswered()]
            return
        if isinstance(message, Answer):
            assert message.rows.observation[0, 0] == 100.0 * message.seq
        else:
            assert message.value == {"of": message.seq}  # type: ignore[union-attr]
        self.answered.append(message.seq)  # type: ignore[union-attr]

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def a_hello_arrives_once_more(self, data: st.DataObject) -> None:
        generation = data.draw(st.integers(0, len(self.lines) - 1))
        token = data.draw(st.sampled_from([None, "1.secret"]))
        newest = max(tenure.generation for tenure in self.register.all())
        holder, echo = self.holder, Line()
        self.greet(echo, hello(generation, token=token))
        if generation <= newest or (token is None and self.desk.window.newest):
            assert echo.refused and self.holder is holder

    @invariant()
    def there_is_one_session_and_nothing_is_done_twice(self) -> None:
        assert len(self.begun) <= 1
        for desk in self.begun:
            assert desk.performed == list(range(1, len(desk.performed) + 1))
            assert len(desk.performed) <= self.asked

    @invariant()
    def each_request_is_answered_once_and_in_order(self) -> None:
        assert self.answered == list(range(1, len(self.answered) + 1))

    def teardown(self) -> None:
        """At last a connection that holds: everything that was asked for is answered."""
        try:
            while not self.client.resumable:
                self.something_arrives_at_the_client()
            self.the_connection_breaks_and_the_client_says_hello_again()
            while self.line.up or self.line.down:
                if self.line.up:
                    self.serve(self.line, self.line.up.pop(0))
                else:
                    self.something_arrives_at_the_client()
        except OpenEnvGymError as error:
            raise AssertionError("the client is locked out") from error
        assert self.client.waiting == 0 and len(self.answered) == self.asked


TestWorld: Any = World.TestCase
TestWorld.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
