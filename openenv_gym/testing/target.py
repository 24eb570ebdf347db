"""The server on trial, as a check sees it: its pages, its sessions, its spaces, and how to act on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from types import TracebackType
from typing import Any, Self

import gymnasium
import httpx
from gymnasium import Space

from openenv_gym.client.addresses import http_url, websocket_url
from openenv_gym.client.tokens import authorized
from openenv_gym.errors import (
    CapacityReached,
    ConnectFailed,
    Forbidden,
    InvalidArgument,
    ProtocolViolation,
    Unauthorized,
)
from openenv_gym.spaces import from_schema
from openenv_gym.testing.actions import Actions, Actor
from openenv_gym.testing.findings import Failed, Skipped, shown
from openenv_gym.testing.sessions import Full, Session
from openenv_gym.types import AUTORESET_MODES, Autoreset

__all__ = ["Spaces", "Target"]

FREEING_SECONDS = 3.0
"""A server may take this long to free the place of the session that was closed last."""


class Spaces:
    """The exact spaces of a server's ``gymnasium`` block; of its first agent.

    Attributes:
        env_id: what is served.
        action: the action space.
        observation: the observation space.
        vector: whether a native vector environment is served.
        alone: whether it has one agent.
        autoreset: a mode that the environment has.
    """

    def __init__(self, block: Mapping[str, Any]) -> None:
        self.env_id = str(block["env_id"])
        self.action: Space[Any] = from_schema(block["action_spaces"][0])
        self.observation: Space[Any] = from_schema(block["observation_spaces"][0])
        self.vector = bool(block.get("vector"))
        self.alone = len(block["agents"]) == 1
        self.autoreset: Autoreset = next(mode for mode in AUTORESET_MODES if mode in block["autoreset_modes"])


class Target:
    """A server on trial; a context manager that closes its HTTP connections.

    Args:
        url: of the server.
        headers: to send with each request.
        action: how to act: a function from the observation's fields to an action's fields, or a list of
            actions' fields that is played over and over; else actions are drawn from the server's
            space or schema.
        local: a Gymnasium id or a factory of the environment that the server should equal.
        timeout: seconds to wait for one answer.
        deadline: seconds from the arrival for all checks together; ``None``: no limit.
        clock: monotonic seconds.

    Attributes:
        refusal: how the server failed to begin an episode when it was arrived at, if it did.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        action: Actions | None = None,
        local: Any = None,
        timeout: float = 10.0,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, self.timeout = url, timeout
        self.local = _factory(local)
        self._websocket = websocket_url(url)
        self.headers = authorized(url, headers)
        self._action = action
        self.clock, self._seconds = clock, deadline
        self._end: float | None = None
        self.refusal: Failed | None = None
        self._http = httpx.Client(headers=self.headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def check_deadline(self) -> None:
        """End a check for which no time is left.

        Raises:
            Skipped: if the deadline has passed.
        """
        if self._end is not None and self.clock() >= self._end:
            raise Skipped(f"the deadline of {self._seconds:g} s has passed; allow more with deadline=...")

    def arrive(self) -> None:
        """Make sure that there is a server, with room for a session; the deadline begins to count.

        Raises:
            ConnectFailed: if no server answers.
            Unauthorized: if it wants a token, and Forbidden: if it lets nobody in from here.
            CapacityReached: if it is full.
        """
        try:
            with self.session() as session:
                self._try_to_reset(session)
        except Full as full:
            raise CapacityReached(f"the server at {self.url} is full; wait, or raise its capacity") from full
        except Failed as failed:
            if isinstance(failed.__cause__, (Unauthorized, Forbidden)):
                raise failed.__cause__ from None
            raise ConnectFailed(f"no OpenEnv server answers at {self.url}: {failed}") from failed
        if self._seconds is not None:
            self._end = self.clock() + self._seconds

    def _try_to_reset(self, session: Session) -> None:
        try:
            session.reset()
        except Failed:
            with self.connect() as another:  # what it says first, says why
                try:
                    another.reset()
                except Failed as failed:
                    self.refusal = failed

    def must_be_playable(self) -> None:
        """End a check for which an episode must be begun.

        Raises:
            Skipped: if none can be.
        """
        if self.refusal is not None:
            raise Skipped("no episode can be begun in OpenEnv's JSON; see protocol-reset")

    # pages ------------------------------------------------------------------------------------

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """An HTTP answer, whatever its status.

        Raises:
            Failed: if none comes.
        """
        self.check_deadline()
        if path == "/reset" and self.view is not None:
            arguments["params"] = {"view": self.view}
        try:
            return self._http.request(method, http_url(self.url, path), **arguments)
        except httpx.HTTPError as error:
            raise Failed(f"{method} {path} got no answer: {type(error).__name__}: {error}") from error

    def page(self, path: str, method: str = "GET", **arguments: Any) -> dict[str, Any]:
        """The JSON object that a route answers with status 200.

        Raises:
            Failed: if it answers anything else.
        """
        answer = self.request(method, path, **arguments)
        if answer.status_code != 200:
            raise Failed(f"{method} {path} answers {answer.status_code}; 200 was expected", answer.text[:500])
        return object_of(answer, f"{method} {path}")

    @cached_property
    def schema(self) -> dict[str, Any]:
        """What ``/schema`` publishes."""
        return self.page("/schema")

    @cached_property
    def paths(self) -> frozenset[str]:
        """The routes that ``/openapi.json`` names."""
        paths = self.page("/openapi.json").get("paths")
        if type(paths) is not dict:
            raise Failed("/openapi.json names no paths")
        return frozenset(paths)

    @cached_property
    def view(self) -> str | None:
        """What to ask JSON for, where the exact spaces are not those of what it speaks unasked."""
        try:
            block = self.schema.get("gymnasium")
        except Failed:
            return None
        view = block.get("json_view") if type(block) is dict else None
        return view if type(view) is str else None

    @cached_property
    def spaces(self) -> Spaces | None:
        """The exact spaces; ``None`` if the server publishes none.

        Raises:
            Failed: if it publishes some that cannot be read.
        """
        block = self.schema.get("gymnasium")
        if block is None:
            return None
        try:
            return Spaces(block)
        except (ProtocolViolation, KeyError, IndexError, StopIteration, TypeError, ValueError) as error:
            raise Failed(f"the 'gymnasium' block of /schema cannot be read: {error!r}") from error

    def exact_spaces(self) -> Spaces:
        """The exact spaces, for a check that cannot do without."""
        if self.spaces is None:
            raise Skipped("the server publishes no exact spaces")
        return self.spaces

    # sessions ---------------------------------------------------------------------------------

    def connect(self) -> Session:
        """A WebSocket on which nothing has been said; the caller closes it."""
        self.check_deadline()
        address = self._websocket if self.view is None else websocket_url(self.url, view=self.view)
        return Session(address, self.headers, self.timeout)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that the server has room for.

        Raises:
            Full: if it has none, even after the time that a closed session may take to go.
        """
        self.must_be_playable()
        patience = self.clock() + FREEING_SECONDS
        with ExitStack() as stack:
            while True:
                session = stack.enter_context(self.connect())
                try:
                    session.ask({"type": "state"})
                    break
                except Full:
                    if self.clock() >= patience:
                        raise
                    session.close()
                    time.sleep(0.05)
            yield session

    @contextmanager
    def two_sessions(self) -> Iterator[tuple[Session, Session]]:
        """Two sessions at once, for checks that need them."""
        with ExitStack() as stack:
            first = stack.enter_context(self.session())
            try:
                second = stack.enter_context(self.session())
            except Full as full:
                raise Skipped("this needs two sessions at once, and the server has room for one") from full
            yield first, second

    # actions ----------------------------------------------------------------------------------

    def actor(self, seed: int = 0) -> Actor:
        """One who acts; the same seed and observations give the same actions.

        Raises:
            Skipped: if nobody knows what an action looks like.
        """
        spaces = self.spaces
        if self._action is None and spaces is not None:
            return Actor.of_space(spaces.action, seed)
        if self._action is not None:
            return Actor.of_caller(self._action)
        return Actor.of_schema(self.schema.get("action"), seed)


def _factory(local: Any) -> Callable[[], gymnasium.Env[Any, Any]] | None:
    """What builds the local environment.

    Raises:
        InvalidArgument: if it is an id that Gymnasium does not know.
    """
    if not isinstance(local, str):
        return local  # type: ignore[no-any-return]
    try:
        gymnasium.spec(local)
    except (gymnasium.error.Error, ImportError) as error:
        raise InvalidArgument(f"the local environment cannot be made: {error}") from error
    return partial(gymnasium.make, local)


def object_of(answer: httpx.Response, where: str) -> dict[str, Any]:
    """The JSON object in the body of an answer."""
    try:
        said = answer.json()
    except ValueError as error:
        raise Failed(f"{where} does not answer with JSON", answer.text[:500]) from error
    if type(said) is not dict:
        raise Failed(
            f"{where} answers with a JSON {type(said).__name__}; an object was expected", shown(said)
        )
    return said
