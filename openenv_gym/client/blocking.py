"""The blocking client: one machine, one transport at a time, and nothing that runs between calls."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from openenv_gym.client.addresses import Destination
from openenv_gym.client.dialects import (
    agreed,
    default_hello,
    is_native,
    offered,
    signature_of,
    with_nonce,
)
from openenv_gym.client.endings import SESSION_OVER
from openenv_gym.client.forks import let_go_in_children
from openenv_gym.client.proxies import ProxyChoice
from openenv_gym.client.resuming import RESUME_SECONDS, Resumption, shorter
from openenv_gym.client.transports import SocketTransport, Transport
from openenv_gym.client.waiting import Patience, check_seconds, keep_trying
from openenv_gym.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    OpenEnvGymError,
    ProtocolViolation,
    UnknownSession,
)
from openenv_gym.types import Rows, Signature, Slots
from openenv_gym.wire.messages import Answer, Hello, Value

__all__ = ["Client", "Connect"]

Connect = Callable[[tuple[str, ...]], Transport]
"""Opens a transport that offers some subprotocols; makes one attempt."""

_WELCOME_SECONDS = 5.0
"""What a welcome to a session that is there may take before another connection is tried."""


class Client:
    """A session on a server, in whichever dialect both speak.

    ``send_*`` methods only send; each is followed, in order, by one :meth:`receive_rows`. The plain
    names (:meth:`reset`, :meth:`step`, ...) do both. A context manager that closes the session.

    When the connection breaks, the native dialect goes on over another, inside of the call that waits,
    and no request is done twice.

    A forked child cannot use it (``Closed``), and whatever the child does, the session of the
    process that began it goes on.

    Args:
        connect: opens the transport; :meth:`to` makes one for a URL.
        hello: the session to ask for.
        dialect: ``native``, ``json``, or ``None`` to take the native one where the server has it.
        timeout: seconds to wait for an answer; ``None`` waits for as long as it takes.
        wait_timeout: seconds to wait for a server that is starting; 0 makes one attempt, ``None`` waits
            for as long as it takes.
        resume_timeout: seconds, but no more than ``timeout``, to try to go on when the connection breaks;
            0 does not try, ``None`` tries for as long as it takes.

    Attributes:
        native: whether the native dialect is spoken.
        protocol: the machine behind it.
        microseconds: what the served environment took for all that was answered; 0 in JSON.
        sent: bytes of all messages that were sent, without their frames; characters in JSON.
        received: likewise of those that came.

    Raises:
        ConnectFailed: if there is no server.
        CapacityReached: if the server is full.
    """

    def __init__(
        self,
        connect: Connect,
        hello: Hello,
        *,
        dialect: str | None = None,
        timeout: float | None = None,
        wait_timeout: float | None = 0.0,
        resume_timeout: float | None = RESUME_SECONDS,
    ) -> None:
        check_seconds("timeout", timeout)
        check_seconds("resume_timeout", resume_timeout, or_none_at_all=True)
        self._connect = connect
        self._timeout = timeout
        self._resume_timeout = resume_timeout
        self.microseconds = self.sent = self.received = 0
        self._transport = keep_trying(lambda: connect(offered(dialect)), Patience(wait_timeout))
        try:
            self.native = is_native(self._transport.subprotocol)
            self.protocol = agreed(self._transport.subprotocol, dialect)
            if self.native:
                self._send(self.protocol.hello(with_nonce(hello)))
                self._receive()
        except BaseException:  # Ctrl-C, too: nobody else could close it
            self._transport.close()
            raise
        let_go_in_children(self)

    @classmethod
    def to(
        cls,
        url: str,
        hello: Hello | None = None,
        *,
        dialect: str | None = None,
        view: str | None = None,
        headers: dict[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: ProxyChoice = True,
        connect_timeout: float | None = 10.0,
        wait_timeout: float | None = 10.0,
        timeout: float | None = None,
        resume_timeout: float | None = RESUME_SECONDS,
        beside: int = 0,
    ) -> Self:
        """A client of the server at a URL.

        Args:
            url: of the server.
            hello: the session to ask for; by default one lane, as arrays.
            dialect: ``native``, ``json``, or ``None`` to take the native one where the server has it.
            view: the view to ask for in JSON, ``typed`` or ``array``; by default the server's, typed.
            headers: to send with the handshake.
            ssl_context: how to speak TLS to an ``https`` address; by default as OpenSSL is set up.
            proxy: an ``http`` proxy's address, ``True`` for what the environment says, ``None`` for none.
            connect_timeout: seconds for the connection and the handshake.
            wait_timeout: seconds to wait for a server that is starting; 0 makes one attempt, ``None``
                waits for as long as it takes.
            timeout: seconds to wait for an answer; ``None`` waits for as long as it takes.
            resume_timeout: seconds, but no more than ``timeout``, to try to go on when the connection
                breaks; 0 does not try, ``None`` tries for as long as it takes.
            beside: how many other connections are awaited at the same time; where there is no core for
                each of them, and one more, this one sleeps until its answer is there.

        Raises:
            ConnectFailed: if there is no server, or none comes in time.
            CapacityReached: if the server is full.
            ProtocolViolation: if the server does not speak the dialect.
        """
        check_seconds("connect_timeout", connect_timeout)
        check_seconds("wait_timeout", wait_timeout, or_none_at_all=True)
        hello = hello or default_hello()
        # JSON has no hello; there the query says what can be said of it.
        destination = Destination(url, render_mode=hello.config.get("render_mode"), view=view)

        def connect(subprotocols: tuple[str, ...]) -> Transport:
            transport = SocketTransport(
                destination.address,
                subprotocols=subprotocols,
                headers=headers,
                timeout=connect_timeout,
                ssl_context=ssl_context,
                proxy=proxy,
                beside=beside,
            )
            destination.arrived(transport.worker)
            return transport

        return cls(
            connect,
            hello,
            dialect=dialect,
            timeout=timeout,
            wait_timeout=wait_timeout,
            resume_timeout=resume_timeout,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def signature(self) -> Signature:
        """What the server said of the environment; only in the native dialect.

        Raises:
            ProtocolViolation: in the JSON dialect, which has no welcome.
        """
        return signature_of(self.protocol)

    def reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
        episode_ids: list[str] | None = None,
        data: dict[str, Any] | None = None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all; ``data`` is whatever else the environment takes."""
        self.send_reset(lanes, seeds, options, episode_ids, data)
        return self.receive_rows()

    def step(self, slots: Slots | None, actions: Any) -> Rows:
        """A batch of actions: one for each slot; ``None`` is agent 0 of every lane.

        Raises:
            InvalidAction: if the actions do not fit the action space; nothing was sent.
        """
        self.send_step(slots, actions)
        return self.receive_rows()

    def step_one(self, action: Any) -> Rows:
        """One action, in a session of one lane.

        Raises:
            InvalidAction: if the action does not fit the action space; nothing was sent.
        """
        self._send(self.protocol.step_one(action))
        return self.receive_rows()

    def state(self, lane: int = 0, agent: int = 0) -> dict[str, Any]:
        """``episode_id``, ``step_count`` and whatever the environment adds."""
        state: dict[str, Any] = self._ask(self.protocol.ask_state(lane, agent))
        return state

    def observe(self, lane: int = 0, agent: int = 0) -> Any:
        """What a slot sees now."""
        return self._ask(self.protocol.observe(lane, agent))

    def render(self, lane: int | None = 0) -> Any:
        """A frame of one lane; a list of all lanes' for ``None``."""
        return self._ask(self.protocol.render(lane))

    def call(self, name: str, *args: Any, lane: int | None = 0) -> Any:
        """A method or attribute that the server's operator offers."""
        return self._ask(self.protocol.call(name, list(args), lane))

    def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
        episode_ids: list[str] | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Ask for a reset; the rows come with :meth:`receive_rows`."""
        self._send(self.protocol.reset(lanes, seeds, options, episode_ids, data))

    def send_step(self, slots: Slots | None, actions: Any) -> None:
        """Ask for a step; the rows come with :meth:`receive_rows`."""
        self._send(self.protocol.step(slots, actions))

    def receive_rows(self) -> Rows:
        """The rows of the oldest reset or step that was sent."""
        answer = self._receive()
        if type(answer) is not Answer:
            raise ProtocolViolation(f"rows were due, a {type(answer).__name__} came")
        self.microseconds += answer.microseconds
        return answer.rows

    def close(self) -> None:
        """End the session; may be called twice."""
        self._transport.close(self.protocol.close())

    def abandon(self) -> None:
        """Let go of a session that belongs to the parent of this process."""
        self.protocol.lost()
        self._transport.abandon()

    def _ask(self, data: Any) -> Any:
        self._send(data)
        answer = self._receive()
        if type(answer) is not Value:
            raise ProtocolViolation(f"a value was due, a {type(answer).__name__} came")
        return answer.value

    def _send(self, data: Any) -> None:
        try:
            self._transport.send(data)
        except ConnectionLost:
            if not self._resumes:
                self._fail()
                raise
            # Whoever awaits the answer finds the same and goes on; until then nothing is missed.
        except BaseException:  # Ctrl-C in the middle of a message, too
            self._fail()
            raise
        self.sent += len(data)

    def _receive(self, take: Callable[[], Any] | None = None) -> Any:
        """What comes next; ``None`` if it is to be taken in another way, which finds nothing."""
        try:
            try:
                data = self._transport.receive(self._timeout) if take is None else take()
            except ConnectionLost as loss:
                return self._receive_resumed(loss, take)
            if data is None:
                return None
            self.received += len(data)
            return self.protocol.receive(data)
        except SESSION_OVER:
            self._fail()
            raise
        except OpenEnvGymError:
            raise  # about one request
        except BaseException:  # Ctrl-C, say: the answer that is still to come must not be the next one's
            self._fail()
            raise

    @property
    def _resumes(self) -> bool:
        return self._resume_timeout != 0 and self.protocol.resumable

    def _receive_resumed(self, loss: ConnectionLost, take: Callable[[], Any] | None) -> Any:
        """What was awaited when the connection was lost, over another."""
        if not self._resumes:
            raise loss
        resumption = Resumption(loss, shorter(self._resume_timeout, self._timeout))
        greeting = self.protocol.signature is None
        while True:
            try:
                welcome = self._resume()
                if greeting:
                    return welcome
                data = self._transport.receive(self._timeout) if take is None else take()
            except (ConnectFailed, ConnectionLost, UnknownSession) as error:
                pause = resumption.pause_after(error)
            except BaseException:  # Ctrl-C, too: there is nothing to go on with
                self._fail()
                raise
            else:
                return None if data is None else self.protocol.receive(data)
            time.sleep(pause)

    def _resume(self) -> Any:
        """Claim the session over a new connection, and repeat what has no answer; the welcome."""
        patience = self._timeout if self.protocol.signature is None else _WELCOME_SECONDS
        self._transport.abandon()
        self._transport = self._connect(offered("native"))
        if not is_native(self._transport.subprotocol):
            raise ProtocolViolation("who answers now in the server's place does not speak the native dialect")
        self._transport.send(self.protocol.resume_hello())
        try:
            data = self._transport.receive(patience)
        except DeadlineExceeded as error:
            raise ConnectionLost("no welcome came over the new connection") from error
        welcome = self.protocol.receive(data)
        for _, request in self.protocol.unanswered():
            self._transport.send(request)
        return welcome

    def _fail(self) -> None:
        """After a broken connection or protocol there is nothing to go on with."""
        self.protocol.lost()
        self._transport.close()
