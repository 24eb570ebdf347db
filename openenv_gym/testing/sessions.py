"""A session over a bare WebSocket, in OpenEnv's own words: nothing stands between check and server."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from openenv_gym.client.refusals import refused
from openenv_gym.testing.findings import Failed, Skipped, shown

__all__ = ["Full", "Observed", "Session"]

CLOSE_SECONDS = 2.0

# A server may close a connection while a message is still being sent, which websockets logs as its own
# failure; what it means is a finding, and not a line in somebody's terminal.
_log = logging.getLogger("openenv_gym.testing.websocket")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class Full(Skipped):
    """The server has no room for a session; ``evidence`` is what it said."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The answer to a reset or a step."""

    observation: dict[str, Any]
    reward: Any
    done: bool
    metadata: dict[str, Any]
    """The one beside the observation, or the one within it."""

    @property
    def fields(self) -> dict[str, Any]:
        """The observation's fields without their metadata, which may hold times and ids."""
        return {name: value for name, value in self.observation.items() if name != "metadata"}

    @property
    def comparable(self) -> Any:
        """What the same seed and actions should give again."""
        return self.fields, self.reward, self.done

    @classmethod
    def read(cls, message: dict[str, Any]) -> Observed:
        """Read a message of the type ``observation``.

        Raises:
            Failed: if it is no such message.
        """
        match message:
            case {
                "type": "observation",
                "data": {"observation": dict() as observation, "done": bool() as done} as data,
            } if "reward" in data:
                metadata = data.get("metadata") or observation.get("metadata") or {}
                if type(metadata) is dict:
                    return cls(observation, data["reward"], done, metadata)
            case {"type": "error", "data": {"code": str(code), "message": str(why)}}:
                raise Failed(f"an observation was due, {code} came: {why}", message)
        raise Failed(
            "an observation was due: {type, data: {observation: {...}, reward, done}}", shown(message, 500)
        )


class Session:
    """One connection to ``/ws``, a context manager that says goodbye.

    Args:
        address: of ``/ws``.
        headers: to send with the request to connect.
        timeout: seconds to wait for each answer.

    Raises:
        Failed: if no WebSocket comes of it.

    Attributes:
        texts: what the server sent, message by message.
        closed_with: the code with which the server closed the connection, where a message was due.
    """

    def __init__(self, address: str, headers: Mapping[str, str], timeout: float) -> None:
        self._timeout = timeout
        self.texts: list[str] = []
        self.closed_with: int | None = None
        self._stack = ExitStack()
        try:
            self._connection = self._open(address, headers)
        except InvalidStatus as error:
            why = refused(error.response)
            raise Failed(f"no WebSocket at {address}: {why}") from why
        except (OSError, WebSocketException) as error:
            raise Failed(f"no WebSocket at {address}: {error or type(error).__name__}") from error

    def _open(self, address: str, headers: Mapping[str, str]) -> ClientConnection:
        connecting = connect(
            address,
            additional_headers=dict(headers),
            compression=None,
            open_timeout=self._timeout,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,
            max_size=100 * 2**20,
            logger=_log,
        )
        connection = self._stack.enter_context(connecting)
        # A server that does not read must not hold up a large message for ever.
        patience = struct.pack("ll", int(self._timeout) + 1, 0)
        with suppress(OSError):  # a full server may have closed it already
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, message: Any) -> None:
        """Send an object, or a text as it is."""
        text = message if isinstance(message, str) else json.dumps(message)
        with suppress(ConnectionClosed):  # what is left to be received says why
            self._connection.send(text)

    def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            Full: if it says that the server is full.
            Failed: if none comes, or it is no JSON object.
        """
        try:
            text = self._connection.recv(self._timeout)
        except TimeoutError as error:
            raise Failed(f"no answer came within {self._timeout:g} s") from error
        except ConnectionClosed as error:
            self.closed_with = _closing(error)
            raise Failed(
                f"an answer was due, but the server closed the connection ({self.closed_with})"
            ) from error
        if not isinstance(text, str):
            raise Failed("the server sent a binary message; OpenEnv's are texts", shown(text))
        self.texts.append(text)
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Failed("the server's message is no JSON", text[:500]) from error
        match message:
            case {"type": "error", "data": {"code": "CAPACITY_REACHED"}}:
                raise Full("the server has no room for another session", message)
            case {"type": "error", "data": {"code": "FACTORY_ERROR", "message": why}}:
                raise Failed(f"the server cannot build its environment: {why}", message)
            case dict():
                return message
        raise Failed(f"the server sent a JSON {type(message).__name__}; an object was expected", text[:500])

    def ask(self, message: Any) -> dict[str, Any]:
        """Send, and receive the answer."""
        self.send(message)
        return self.receive()

    def reset(self, **data: Any) -> Observed:
        """Begin an episode."""
        return Observed.read(self.ask({"type": "reset", "data": data}))

    def state(self) -> dict[str, Any]:
        """What the state says.

        Raises:
            Failed: if its ``step_count`` is no whole number, or its ``episode_id`` no text.
        """
        answer = self.ask({"type": "state"})
        match answer:
            case {"type": "state", "data": dict() as data}:
                pass
            case _:
                raise Failed(
                    "a state was due: {type, data: {episode_id, step_count, ...}}", shown(answer, 500)
                )
        if type(data.get("step_count")) is not int:
            raise Failed("the state's step_count is no whole number", shown(data, 500))
        if not isinstance(data.get("episode_id"), str | None):
            raise Failed("the state's episode_id is neither a text nor null", shown(data, 500))
        return data

    def refusal(self, message: Any, *codes: str) -> dict[str, Any]:
        """The ``data`` of the error that a message must be answered with.

        Args:
            message: that must be refused.
            *codes: of which the error must have one; none: any.

        Raises:
            Failed: if it is not refused, or with another code.
        """
        answer = self.ask(message)
        match answer:
            case {"type": "error", "data": {"code": str(code), "message": str()} as data}:
                if codes and code not in codes:
                    raise Failed(f"refused with {code}; {' or '.join(codes)} was expected", answer)
                return dict(data)
        raise Failed("an error was due: {type, data: {message, code}}", shown(answer, 500))

    def goes_on(self) -> None:
        """Make sure that the session is still alive.

        Raises:
            Failed: if it is not.
        """
        try:
            self.state()
        except Failed as failed:
            raise Failed(f"the session does not go on after the error: {failed}", failed.evidence) from failed

    def closing_code(self) -> int:
        """The code with which the server closes the connection, without another message.

        Raises:
            Failed: if it does not close it, or sends something first.
        """
        try:
            text = self._connection.recv(self._timeout)
        except TimeoutError as error:
            raise Failed(f"the server did not close the connection within {self._timeout:g} s") from error
        except ConnectionClosed as error:
            return _closing(error)
        raise Failed("the server was to close the connection, and sent a message", shown(text, 500))

    def close(self) -> None:
        """Say goodbye; may be called twice."""
        with suppress(ConnectionClosed):
            self._connection.send('{"type":"close"}')
        self._stack.close()

    def vanish(self) -> None:
        """Break the connection without a goodbye, as a process that is killed does."""
        with suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)


def _closing(error: ConnectionClosed) -> int:
    return 1006 if error.rcvd is None else error.rcvd.code
