"""Connections straight into an ASGI application's ``/ws``, for tests without a port.

:class:`AsyncAsgiTransport` runs the application as a task of the running loop;
:class:`AsgiTransport` gives it a private loop that turns only while a call waits, so that the order
of everything is the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Self, TypeAlias

from openenv_gym.client.endings import ended_by_close, lost
from openenv_gym.errors import Closed, ConnectFailed, DeadlineExceeded, OpenEnvGymError

__all__ = ["Application", "AsgiTransport", "AsyncAsgiTransport"]

Application: TypeAlias = Callable[..., Awaitable[None]]

_GOODBYE_SECONDS = 5.0
_NO_GOODBYE = 1006


class AsyncAsgiTransport:
    """One connection to an application, made with :meth:`to`.

    Attributes:
        subprotocol: what the application chose of the offered subprotocols, or ``None``.
    """

    def __init__(self) -> None:
        self.subprotocol: str | None = None
        self._inbox: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._outbox: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._goodbye = False
        self._task: asyncio.Task[None] | None = None
        self._ending: OpenEnvGymError | None = None
        self._failure: Exception | None = None

    @classmethod
    async def to(
        cls, application: Application, *, subprotocols: tuple[str, ...] = (), path: str = "/ws"
    ) -> Self:
        """Connect.

        Raises:
            ConnectFailed: if the application refuses.
        """
        transport = cls()
        scope = {
            "type": "websocket",
            "path": path,
            "subprotocols": list(subprotocols),
            "headers": [],
            "query_string": b"",
        }
        transport._inbox.put_nowait({"type": "websocket.connect"})
        transport._task = asyncio.create_task(transport._serve(application, scope))
        accepted = await transport._outbox.get()
        if accepted["type"] != "websocket.accept":
            await transport.close()
            raise ConnectFailed("the application refused the connection; is there a WebSocket at this path?")
        transport.subprotocol = accepted.get("subprotocol")
        return transport

    async def _serve(self, application: Application, scope: dict[str, Any]) -> None:
        try:
            await application(scope, self._inbox.get, self._sent)
        except Exception as error:  # recorded: whoever receives next has it as the cause
            self._failure = error
        finally:
            self._outbox.put_nowait({"type": "websocket.close", "code": _NO_GOODBYE})

    async def _sent(self, event: MutableMapping[str, Any]) -> None:
        if event.get("bytes") is not None:  # the application may reuse its buffer once this returns
            event["bytes"] = bytes(event["bytes"])
        self._outbox.put_nowait(event)

    async def send(self, message: Any) -> None:
        """Hand text or bytes to the application; the buffer may be reused on return."""
        self.post(message)

    def post(self, message: Any) -> None:
        """:meth:`send`, for it never waits."""
        if self._goodbye:
            raise Closed("the connection was closed by you")
        if self._ending is not None:
            raise self._ending
        text = isinstance(message, str)
        self._inbox.put_nowait(
            {"type": "websocket.receive", "text" if text else "bytes": message if text else bytes(message)}
        )

    async def receive(self, timeout: float | None = None) -> Any:
        """The application's next message."""
        if self._goodbye:
            raise Closed("the connection was closed by you")
        if self._ending is not None:
            raise self._ending
        try:
            async with asyncio.timeout(timeout):
                event = await self._outbox.get()
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer in {timeout:g} seconds", timeout=timeout) from error
        if event["type"] == "websocket.close":
            code = event.get("code", 1000)
            self._ending = lost() if code == _NO_GOODBYE else ended_by_close(code, event.get("reason") or "")
            raise self._ending from self._failure
        data = event.get("bytes")
        return event["text"] if data is None else data

    async def close(self) -> None:
        """Disconnect, and let the application finish; may be called twice."""
        if self._goodbye:
            return
        self._hang_up()
        if self._task is not None:
            _, unfinished = await asyncio.wait([self._task], timeout=_GOODBYE_SECONDS)
            for task in unfinished:
                task.cancel()

    def leave(self) -> None:
        """Say goodbye without waiting for the application."""
        if not self._goodbye:
            self._hang_up()

    def drop(self) -> None:
        """Disconnect without a goodbye."""
        if not self._goodbye:
            self._hang_up(_NO_GOODBYE)

    def _hang_up(self, code: int = 1000) -> None:
        self._goodbye = True
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": code})

    def abandon(self) -> None:
        """The loop belongs to the parent; there is nothing to let go of."""
        self._goodbye = True


class AsgiTransport:
    """The blocking twin of :class:`AsyncAsgiTransport`, driven by the calling thread.

    Args:
        application: to connect to.
        subprotocols: what to offer.
        path: of the WebSocket.

    Raises:
        ConnectFailed: if the application refuses.
    """

    def __init__(
        self, application: Application, *, subprotocols: tuple[str, ...] = (), path: str = "/ws"
    ) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            self._connection = self._loop.run_until_complete(
                AsyncAsgiTransport.to(application, subprotocols=subprotocols, path=path)
            )
        except BaseException:  # Ctrl-C, too: nobody else could close it
            self._loop.close()
            raise
        self.subprotocol = self._connection.subprotocol

    def send(self, message: Any) -> None:
        """Hand text or bytes to the application; the buffer may be reused on return."""
        self._connection.post(message)

    def receive(self, timeout: float | None = None) -> Any:
        """The application's next message."""
        if self._loop.is_closed():
            raise Closed("the connection was closed by you")
        return self._loop.run_until_complete(self._connection.receive(timeout))

    def close(self, last: Any = None) -> None:
        """Disconnect, let the application finish, and close the loop; may be called twice."""
        if self._loop.is_closed():
            return
        try:
            if last is not None:
                with suppress(OpenEnvGymError):  # it has ended already
                    self._connection.post(last)
            self._loop.run_until_complete(self._connection.close())
        finally:
            self._loop.close()

    def abandon(self) -> None:
        """The loop belongs to the parent; there is nothing to let go of."""
        self._connection.abandon()
