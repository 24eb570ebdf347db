"""``OpenEnvClient``: any OpenEnv server in its own fields, as models or dicts; asynchronous first.

It speaks the JSON dialect alone, as stock peers do, and has the three hooks of upstream's
``EnvClient`` (``_step_payload``, ``_parse_result``, ``_parse_state``), so that a client written for
upstream ports by changing its imports and its base class.
"""

from __future__ import annotations

import asyncio
import copy
import ssl
from types import TracebackType
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from openenv_gym.client.asynchronous import AsyncClient
from openenv_gym.client.blocking import Client
from openenv_gym.client.proxies import ProxyChoice
from openenv_gym.errors import Closed, InvalidAction, LayoutMismatch
from openenv_gym.types import Rows, StepResult
from openenv_gym.wire import plain
from openenv_gym.wire.codecs.json import FieldRows

__all__ = ["OpenEnvClient", "SyncOpenEnvClient"]

ActT = TypeVar("ActT", default=Any)
ObsT = TypeVar("ObsT", default=dict[str, Any])
StateT = TypeVar("StateT", default=dict[str, Any])


class OpenEnvClient(Generic[ActT, ObsT, StateT]):
    """A session on an OpenEnv server, ours or a stock one; its calls are awaited.

    It connects with ``async with``, :meth:`connect` or the first call, and only once: when the
    connection is lost, the session is over, and so is the client. :meth:`sync` gives the blocking
    twin.

    Args:
        base_url: of the server.
        action: the model of an action; a dict that does not fit it is not sent.
        observation: the model that observations are parsed into; without it they are dicts. Its
            fields ``reward`` and ``done``, if it has them, are filled in.
        state: the model that states are parsed into; without it they are dicts.
        headers: to send with the handshake.
        ssl_context: how to speak TLS to an ``https`` address; by default as OpenSSL is set up.
        proxy: a proxy's address, ``True`` for what the environment says, ``None`` for none.
        connect_timeout: seconds for the connection and the handshake.
        wait_timeout: seconds to wait for a server that is starting; 0 makes one attempt, ``None``
            waits for as long as it takes.
        timeout: seconds to wait for an answer; ``None`` waits for as long as it takes.

    >>> from openenv_gym import serve_gym
    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     with OpenEnvClient(server.url).sync() as client:
    ...         result = client.reset(seed=42)
    ...         result = client.step({"action": 1})
    >>> result.reward, result.done, len(result.observation["observation"])
    (1.0, False, 4)
    """

    def __init__(
        self,
        base_url: str,  # upstream's name, by which ported code gives it
        *,
        action: type[ActT] | None = None,
        observation: type[ObsT] | None = None,
        state: type[StateT] | None = None,
        headers: dict[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: ProxyChoice = True,
        connect_timeout: float | None = 10.0,
        wait_timeout: float | None = 10.0,
        timeout: float | None = None,
    ) -> None:
        self.base_url = base_url
        self._action_model: Any = action
        self._observation_model: Any = observation
        self._state_model: Any = state
        self._connecting: dict[str, Any] = {
            "dialect": "json",
            "headers": headers,
            "ssl_context": ssl_context,
            "proxy": proxy,
            "connect_timeout": connect_timeout,
            "wait_timeout": wait_timeout,
            "timeout": timeout,
        }
        self._begin()

    def _begin(self) -> None:
        self._client: AsyncClient | None = None
        self._sessions: list[Self] = []
        self._closed = False
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> Self:
        """Begin the session, if it has not begun.

        Raises:
            ConnectFailed: if there is no server, or none comes in time.
            Closed: after :meth:`close`.
        """
        await self._connected()
        return self

    async def _connected(self) -> AsyncClient:
        async with self._turn:
            if self._closed:
                raise _closed()
            if self._client is None:
                self._client = await AsyncClient.to(self.base_url, **self._connecting)
            return self._client

    async def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        episode_id: str | None = None,
        **custom: Any,
    ) -> StepResult[ObsT]:
        """Begin an episode.

        Args:
            seed: for the served environment.
            options: for a lifted Gymnasium environment.
            episode_id: a name for the episode.
            **custom: whatever else the environment's reset takes; a server drops names that it does
                not know.
        """
        client = await self._connected()
        return self._result(await client.reset(**_reset_arguments(seed, options, episode_id, custom)))

    async def step(self, action: ActT | dict[str, Any]) -> StepResult[ObsT]:
        """Take an action: a model, or a dict of its fields.

        Raises:
            InvalidAction: if it does not fit the environment; nothing was stepped.
            ResetNeeded: before the first reset, and after the end of an episode, if the server says so.
            EnvironmentRaised: if the environment raises.
            LayoutMismatch: if the observation does not fit its model.
            ServerClosed: if the server ended the session.
            ConnectionLost: if the connection broke.
        """
        payload = self._step_payload(action)  # type: ignore[arg-type]  # models are optional
        client = await self._connected()
        return self._result(await client.step_one(payload))

    async def state(self) -> StateT:
        """``episode_id``, ``step_count``, and whatever the environment adds."""
        client = await self._connected()
        return self._parse_state(await client.state())

    async def new_session(self) -> Self:
        """Another client of the same server, connected; closing this one closes it too."""
        session = await self._copy().connect()
        self._sessions.append(session)
        return session

    def _copy(self) -> Self:
        session = copy.copy(self)
        session._begin()
        return session

    async def close(self) -> None:
        """End the session; may be called twice."""
        self._closed = True
        for session in self._sessions:
            await session.close()
        if self._client is not None:
            await self._client.close()

    def sync(self) -> SyncOpenEnvClient[ActT, ObsT, StateT]:
        """The blocking twin, with a session of its own."""
        return SyncOpenEnvClient(self)

    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """The fields of an action; a subclass may have its own way, as upstream's do."""
        model = self._action_model
        if model is not None and isinstance(action, dict):
            try:
                action = model.model_validate(action)
            except ValueError as error:  # pydantic's own is one
                raise InvalidAction(f"the action is no {model.__name__}: {error}") from error
        fields, types = plain.describe(_dumped(action))
        strange = [path for path, (tag, *_) in types.items() if tag in ("opaque", "pairs")]
        if strange or type(fields) is not dict:
            raise InvalidAction(
                f"an action is a model, or a dict of JSON values; {type(action).__name__} came"
                + (f", with something else at {strange[0]}" if strange else "")
            )
        return fields

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        """The ``data`` of an answer; what only a server of ours says is filled in afterwards."""
        fields, reward, done = payload["observation"], payload.get("reward"), bool(payload.get("done"))
        model = self._observation_model
        if model is not None:
            known = model.model_fields
            beside = {"reward": reward, "done": done}
            fields = {name: value for name, value in fields.items() if name != "metadata" or name in known}
            fields |= {name: value for name, value in beside.items() if name in known}
        return StepResult(
            observation=_parsed(model, fields, "observation"),
            reward=None if reward is None else float(reward),
            done=done,
            metadata=payload.get("metadata"),
        )

    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """The ``data`` of an answer to a question for the state."""
        state: StateT = _parsed(self._state_model, payload, "state")
        return state

    def _result(self, rows: Rows) -> StepResult[ObsT]:
        assert isinstance(rows, FieldRows)  # the JSON dialect gives no others
        result = self._parse_result(rows.body)
        result.terminated, result.truncated = bool(rows.terminated[0]), bool(rows.truncated[0])
        if rows.ours:
            result.info = rows.infos.of(0) if rows.infos else {}
            if "reward_type" in (result.metadata or {}):  # one that JSON cannot say: NaN, infinity
                result.reward = float(rows.reward[0])
        return result


class SyncOpenEnvClient(Generic[ActT, ObsT, StateT]):
    """:class:`OpenEnvClient` with calls that block; made with its ``sync()``. No thread, no event loop.

    Args:
        typed: whose server, models and hooks it uses; its session is its own.
    """

    def __init__(self, typed: OpenEnvClient[ActT, ObsT, StateT]) -> None:
        self._typed = typed
        self._client: Client | None = None
        self._sessions: list[SyncOpenEnvClient[ActT, ObsT, StateT]] = []
        self._closed = False

    @property
    def base_url(self) -> str:
        """Of the server."""
        return self._typed.base_url

    def __repr__(self) -> str:
        return f"{self._typed!r}.sync()"

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> Self:
        """Begin the session, if it has not begun.

        Raises:
            ConnectFailed: if there is no server, or none comes in time.
            Closed: after :meth:`close`.
        """
        self._connected()
        return self

    def _connected(self) -> Client:
        if self._closed:
            raise _closed()
        if self._client is None:
            self._client = Client.to(self.base_url, **self._typed._connecting)
        return self._client

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        episode_id: str | None = None,
        **custom: Any,
    ) -> StepResult[ObsT]:
        """Begin an episode; see :meth:`OpenEnvClient.reset`."""
        client = self._connected()
        return self._typed._result(client.reset(**_reset_arguments(seed, options, episode_id, custom)))

    def step(self, action: ActT | dict[str, Any]) -> StepResult[ObsT]:
        """Take an action; see :meth:`OpenEnvClient.step`."""
        payload = self._typed._step_payload(action)  # type: ignore[arg-type]  # models are optional
        return self._typed._result(self._connected().step_one(payload))

    def state(self) -> StateT:
        """``episode_id``, ``step_count``, and whatever the environment adds."""
        return self._typed._parse_state(self._connected().state())

    def new_session(self) -> SyncOpenEnvClient[ActT, ObsT, StateT]:
        """Another client of the same server, connected; closing this one closes it too."""
        session = self._typed.sync().connect()
        self._sessions.append(session)
        return session

    def close(self) -> None:
        """End the session; may be called twice."""
        self._closed = True
        for session in self._sessions:
            session.close()
        if self._client is not None:
            self._client.close()


def _closed() -> Closed:
    return Closed("this client was closed; make a new one")


def _reset_arguments(
    seed: int | None, options: dict[str, Any] | None, episode_id: str | None, custom: dict[str, Any]
) -> dict[str, Any]:
    return {
        "seeds": None if seed is None else [int(seed)],
        "options": options,
        "episode_ids": None if episode_id is None else [episode_id],
        "data": {name: _dumped(value) for name, value in custom.items()} or None,
    }


def _dumped(value: Any) -> Any:
    """The fields of a model; anything else as it is."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _parsed(model: Any, fields: Any, what: str) -> Any:
    """The fields as an instance of the model, if there is one."""
    if model is None:
        return fields
    try:
        return model.model_validate(fields)
    except ValueError as error:  # pydantic's own is one
        raise LayoutMismatch(
            f"the server's {what} is no {model.__name__}: {error}; its /schema says what it sends"
        ) from error
