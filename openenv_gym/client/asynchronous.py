"""The asynchronous client: the blocking one's names, awaited, over the same machine."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

from openenv_gym.client.addresses import Destination
from openenv_gym.client.async_transports import AsyncSocketTransport, AsyncTransport
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
from openenv_gym.client.waiting import Patience, check_seconds, keep_trying_async
from openenv_gym.errors import (
    Closed,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    OpenEnvGymError,
    ProtocolViolation,
    ServerClosed,
    UnknownSession,
)
from openenv_gym.types import Rows, Signature, Slots
from openenv_gym.wire.messages import Answer, Hello, Value

__all__ = ["AsyncClient", "AsyncConnect"]

AsyncConnect: TypeAlias = Callable[[tuple[str, ...]], Awaitable[AsyncTransport]]
"""Opens a transport that offers some subprotocols; makes one attempt."""

_WELCOME_SECONDS = 5.0
"""What a welcome to a session that is there may take before another connection is tried."""


class AsyncClient:
    """A session on a server, in whichever dialect both speak; made with :meth:`to`.

    The names are those of :class:`~openenv_gym.client.blocking.Client`. Requests of several tasks
    wait for each other, except that whoever uses ``send_*`` must :meth:`receive_rows` in order
    before another task asks for something.

    When the connection breaks, the native dialect goes on over another, inside of the call that waits,
    and no request is done twice.

    A request that is cancelled, or whose time is up, ends the session: its answer would arrive in
    the place of another's. A forked child cannot use the session (``Closed``), which goes on in the
    process that began it.

    Attributes:
        native: whether the native dialect is spoken.
        protocol: the machine behind it.

    >>> from openenv_gym import serve_gym
    >>> async def play(url):
    ...     async with await AsyncClient.to(url) as client:
    ...         await client.reset(seeds=42)
    ...         rows = await client.step_one(1)
    ...         return float(rows.reward[0])
    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     asyncio.run(play(server.url))
    1.0
    """

    def __init__(
        self,
        transport: AsyncTransport,
        *,
        dialect: str | None = None,
        timeout: float | None = None,
        connect: AsyncConnect | None = None,
        resume_timeout: float | None = RESUME_SECONDS,
    ) -> None:
        self._transport = transport
        self._connect = connect
        self._timeout = timeout
        self._resume_timeout = resume_timeout
        self._resuming = False
        self._turn = asyncio.Lock()
        self.native = is_native(transport.subprotocol)
        self.protocol = agreed(transport.subprotocol, dialect)

    @classmethod
    async def over(
        cls,
        connect: AsyncConnect,
        hello: Hello | None = None,
        *,
        dialect: str | None = None,
        timeout: float | None = None,
        wait_timeout: float | None = 0.0,
        resume_timeout: float | None = RESUME_SECONDS,
    ) -> Self:
        """A client over a transport of your own.

        Args:
            connect: opens the transport.
            hello: the session to ask for.
            dialect: ``native``, ``json``, or ``None`` to take the native one where the server has it.
            timeout: seconds to wait for an answer; ``None`` waits for as long as it takes.
            wait_timeout: seconds to wait for a server that is starting; 0 makes one attempt, ``None``
                waits for as long as it takes.
            resume_timeout: seconds, but no more than ``timeout``, to try to go on when the connection
                breaks; 0 does not try, ``None`` tries for as long as it takes.

        Raises:
            CapacityReached: if the server is full.
            ProtocolViolation: if the server does not speak the dialect.
        """
        check_seconds("timeout", timeout)
        check_seconds("resume_timeout", resume_timeout, or_none_at_all=True)

        async def attempt() -> AsyncTransport:
            return await connect(offered(dialect))

        transport = await keep_trying_async(attempt, Patience(wait_timeout))
        try:
            client = cls(
                transport, dialect=dialect, timeout=timeout, connect=connect, resume_timeout=resume_timeout
            )
        except OpenEnvGymError:
            await transport.close()
            raise
        try:
            if client.native:
                await client._send(client.protocol.hello(with_nonce(hello or default_hello())))
                await client._receive()
        except OpenEnvGymError:
            await client._transport.close()
            raise
        except BaseException:  # cancelled: the session ends, and nobody waits for it
            client._transport.leave()
            raise
        let_go_in_children(client)
        return client

    @classmethod
    async def to(
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
    ) -> Self:
        """A client of the server at a URL.

        Args:
            url: of the server.
            hello: the session to ask for; by default one lane, as arrays.
            dialect: ``native``, ``json``, or ``None`` to take the native one where the server has it.
            view: the view to ask for in JSON, ``typed`` or ``array``; by default the server's, typed.
            headers: to send with the handshake.
            ssl_context: how to speak TLS to an ``https`` address; by default as OpenSSL is set up.
            proxy: a proxy's address, ``True`` for what the environment says, ``None`` for none.
            connect_timeout: seconds for the connection and the handshake.
            wait_timeout: seconds to wait for a server that is starting; 0 makes one attempt, ``None``
                waits for as long as it takes.
            timeout: seconds to wait for an answer; ``None`` waits for as long as it takes.
            resume_timeout: seconds, but no more than ``timeout``, to try to go on when the connection
                breaks; 0 does not try, ``None`` tries for as long as it takes.

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

        async def connect(subprotocols: tuple[str, ...]) -> AsyncTransport:
            transport = await AsyncSocketTransport.to(
                destination.address,
                subprotocols=subprotocols,
                headers=headers,
                timeout=connect_timeout,
                ssl_context=ssl_context,
                proxy=proxy,
            )
            destination.arrived(transport.worker)
            return transport

        return await cls.over(
            connect,
            hello,
            dialect=dialect,
            timeout=timeout,
            wait_timeout=wait_timeout,
            resume_timeout=resume_timeout,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def signature(self) -> Signature:
        """What the server said of the environment; only in the native dialect.

        Raises:
            ProtocolViolation: in the JSON dialect, which has no welcome.
        """
        return signature_of(self.protocol)

    async def reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
        episode_ids: list[str] | None = None,
        data: dict[str, Any] | None = None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all; ``data`` is whatever else the environment takes."""
        async with self._turn:
            await self._send(self.protocol.reset(lanes, seeds, options, episode_ids, data))
            return await self._receive_rows()

    async def step(self, slots: Slots | None, actions: Any) -> Rows:
        """A batch of actions: one for each slot; ``None`` is agent 0 of every lane.

        Raises:
            InvalidAction: if the actions do not fit the action space; nothing was sent.
        """
        async with self._turn:
            await self._send(self.protocol.step(slots, actions))
            return await self._receive_rows()

    async def step_one(self, action: Any) -> Rows:
        """One action, in a session of one lane.

        Raises:
            InvalidAction: if the action does not fit the action space; nothing was sent.
        """
        async with self._turn:
            await self._send(self.protocol.step_one(action))
            return await self._receive_rows()

    async def state(self, lane: int = 0, agent: int = 0) -> dict[str, Any]:
        """``episode_id``, ``step_count`` and whatever the environment adds."""
        state: dict[str, Any] = await self._ask(lambda: self.protocol.ask_state(lane, agent))
        return state

    async def observe(self, lane: int = 0, agent: int = 0) -> Any:
        """What a slot sees now."""
        return await self._ask(lambda: self.protocol.observe(lane, agent))

    async def render(self, lane: int | None = 0) -> Any:
        """A frame of one lane; a list of all lanes' for ``None``."""
        return await self._ask(lambda: self.protocol.render(lane))

    async def call(self, name: str, *args: Any, lane: int | None = 0) -> Any:
        """A method or attribute that the server's operator offers."""
        return await self._ask(lambda: self.protocol.call(name, list(args), lane))

    async def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
        episode_ids: list[str] | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Ask for a reset; the rows come with :meth:`receive_rows`."""
        await self._send(self.protocol.reset(lanes, seeds, options, episode_ids, data))

    async def send_step(self, slots: Slots | None, actions: Any) -> None:
        """Ask for a step; the rows come with :meth:`receive_rows`."""
        await self._send(self.protocol.step(slots, actions))

    async def receive_rows(self) -> Rows:
        """The rows of the oldest reset or step that was sent."""
        async with self._turn:
            return await self._receive_rows()

    async def close(self) -> None:
        """End the session; may be called twice."""
        try:
            goodbye = self.protocol.close()
            if goodbye is not None:
                await self._transport.send(goodbye)
        except OpenEnvGymError:
            pass  # the other end is gone; so is the session
        finally:
            await self._transport.close()

    def abandon(self) -> None:
        """Let go of a session that belongs to the parent of this process."""
        self.protocol.lost()
        self._transport.abandon()

    async def _ask(self, question: Callable[[], Any]) -> Any:
        async with self._turn:  # numbered and sent in the order of the turns
            await self._send(question())
            answer = await self._receive()
        if type(answer) is not Value:
            raise ProtocolViolation(f"a value was due, a {type(answer).__name__} came")
        return answer.value

    async def _receive_rows(self) -> Rows:
        answer = await self._receive()
        if type(answer) is not Answer:
            raise ProtocolViolation(f"rows were due, a {type(answer).__name__} came")
        return answer.rows

    async def _send(self, data: Any) -> None:
        if self._resuming:
            return  # it is sent with all that has no answer
        transport = self._transport
        try:
            try:
                await transport.send(data)
            except (Closed, ServerClosed, ConnectionLost) as error:
                if transport is not self._transport or self._resuming:
                    return  # lost meanwhile, and noticed by another task
                if isinstance(error, ConnectionLost) and self._resumes:
                    return  # whoever awaits the answer finds the same and goes on
                if isinstance(error, Closed):
                    raise
                if self.protocol.waiting > 1:
                    raise  # whoever awaits the earlier answers hears what came before the end
                while True:  # first what it said, unasked: that it is full, for one
                    self.protocol.receive(await transport.receive())
        except BaseException:  # cancelled in the middle of a message, too
            self._fail()
            raise

    async def _receive(self) -> Any:
        try:
            try:
                data = await self._transport.receive(self._timeout)
            except ConnectionLost as loss:
                return await self._receive_resumed(loss)
            return self.protocol.receive(data)
        except SESSION_OVER:
            self._fail()
            raise
        except OpenEnvGymError:
            raise  # about one request
        except BaseException:  # cancelled: the answer that is still to come must not be the next one's
            self._fail()
            raise

    @property
    def _resumes(self) -> bool:
        return self._resume_timeout != 0 and self._connect is not None and self.protocol.resumable

    async def _receive_resumed(self, loss: ConnectionLost) -> Any:
        """What was awaited when the connection was lost, over another."""
        if not self._resumes:
            raise loss
        resumption = Resumption(loss, shorter(self._resume_timeout, self._timeout))
        greeting = self.protocol.signature is None
        self._resuming = True
        try:
            while True:
                try:
                    welcome = await self._resume()
                    if greeting:
                        return welcome
                    self._resuming = False
                    data = await self._transport.receive(self._timeout)
                except (ConnectFailed, ConnectionLost, UnknownSession) as error:
                    self._resuming = True
                    pause = resumption.pause_after(error)
                except BaseException:  # cancelled, too: there is nothing to go on with
                    self._fail()
                    raise
                else:
                    return self.protocol.receive(data)
                await asyncio.sleep(pause)
        finally:
            self._resuming = False

    async def _resume(self) -> Any:
        """Claim the session over a new connection, and repeat what has no answer; the welcome."""
        assert self._connect is not None
        patience = self._timeout if self.protocol.signature is None else _WELCOME_SECONDS
        self._transport.drop()
        self._transport = await self._connect(offered("native"))
        if not is_native(self._transport.subprotocol):
            raise ProtocolViolation("who answers now in the server's place does not speak the native dialect")
        await self._transport.send(self.protocol.resume_hello())
        try:
            data = await self._transport.receive(patience)
        except DeadlineExceeded as error:
            raise ConnectionLost("no welcome came over the new connection") from error
        welcome = self.protocol.receive(data)
        sent = 0
        while requests := self.protocol.unanswered(sent):  # other tasks may ask for more meanwhile
            sent, request = requests[0]
            await self._transport.send(request)
        return welcome

    def _fail(self) -> None:
        """After a broken connection or protocol there is nothing to go on with."""
        self.protocol.lost()
        self._transport.leave()
