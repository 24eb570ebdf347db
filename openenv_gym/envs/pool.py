"""``OpenEnvPool``: lanes that are stepped as they get ready, EnvPool's way.

Where steps take unequal times, a trainer that waits for all lanes waits for the slowest. A pool gives
those that are ready first: ``send`` says what some lanes shall do, ``recv`` gives the first
``batch_size`` that have done what they were told, and ``infos["env_id"]`` says which they are. Names and
meaning are EnvPool's (https://envpool.readthedocs.io/en/latest/content/python_interface.html).

A lane is idle, busy, or ready, and only an idle one is sent anything: ``send`` makes it busy, its row
makes it ready, ``recv`` makes it idle. So a row can only be the answer to what its lane was last sent,
whatever deadlines passed in between. Where a server steps slow lanes side by side it sends rows as
lanes finish; from any other server of ours they come all at once, and a pool differs in nothing but speed.
Of a stock OpenEnv server each lane is a connection of its own, whose row comes when it comes.
"""

from __future__ import annotations

import os
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from os import PathLike
from types import TracebackType
from typing import Any, NamedTuple, Self

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from msgspec import structs
from numpy.typing import ArrayLike, NDArray

from openenv_gym.client.proxies import ProxyChoice
from openenv_gym.client.resuming import RESUME_SECONDS
from openenv_gym.client.waiting import check_seconds
from openenv_gym.envs.batches import error_of, outcomes
from openenv_gym.envs.copies import MadeAnew
from openenv_gym.envs.early import Early, wait_for
from openenv_gym.envs.early_restarting import early_lanes
from openenv_gym.envs.gathering import Share, gathered
from openenv_gym.envs.infos import vector_infos
from openenv_gym.envs.known import Spaces, tell_assumptions
from openenv_gym.envs.observations import RowReader
from openenv_gym.envs.options import Options, hello_for
from openenv_gym.envs.place import place_of
from openenv_gym.envs.spread import ActionCheck, blocks, joint_signature
from openenv_gym.errors import Closed, DeadlineExceeded, InvalidArgument, OutOfTurn, ResetNeeded
from openenv_gym.spaces import concatenated, layout_of, split
from openenv_gym.types import Phase, Rows, renumbered

__all__ = ["OpenEnvPool"]


class _Lane(IntEnum):
    """What a lane does."""

    IDLE = 0
    BUSY = 1
    READY = 2


class _Arrival(NamedTuple):
    """What has come of one lane: where its row is, and its last one's if it has begun anew."""

    lane: int
    rows: Rows
    row: int
    final: int | None


class OpenEnvPool(MadeAnew):
    """Lanes served somewhere else, of which each batch holds those that are ready first.

    In ``NextStep`` mode, which is EnvPool's, the step after the end of an episode resets the lane, with
    its action ignored; in the others as :class:`OpenEnvVectorEnv` does it. A copy, by ``deepcopy`` or
    ``pickle``, has sessions of its own, which want a reset. A context manager that closes them. It is for
    one thread at a time; another may close it.

    Args:
        url: of the server; or those of several that serve the same, over which the lanes are spread in
            blocks.
        num_envs: how many lanes.
        batch_size: how many :meth:`recv` gives; by default all.
        autoreset_mode: ``NextStep``, ``SameStep`` or ``Disabled``.
        env_id: another environment than the server's first, if its operator offers it.
        env_kwargs: constructor arguments, plain JSON, of which the operator lets you choose some.
        observation_space: of one lane, if the server does not say it.
        action_space: of one lane, if the server does not say it.
        encode_action: action -> fields, for a stock server.
        decode_observation: fields -> observation, for a stock server.
        hints: what fields are, of a server that does not say it, or the path of a hint file
            (:mod:`openenv_gym.spaces.inference.hints`); the server is spoken to in JSON then.
        flatten: whether to have what a multilayer perceptron wants: all numbers as one Box, and actions as
            Discrete, MultiDiscrete or Box where they can be; the server is spoken to in JSON then.
        strict: whether a stock server that breaks its own schema, or a rule of OpenEnv's, raises
            ``ContractViolation``; otherwise it is warned about, once for each thing.
        dialect: ``native``, ``json``, or ``None`` for the best that the server has.
        headers: to send with each request; without ``Authorization``, the environment variable
            ``OPENENV_TOKEN`` gives the token.
        ssl_context: how to speak TLS to an ``https`` address; by default as OpenSSL is set up.
        proxy: an ``http`` proxy's address, ``True`` for what the environment says, ``None`` for none.
        timeout: seconds that :meth:`recv` waits; ``None`` waits for as long as it takes.
        connect_timeout: seconds to wait for a connection.
        wait_timeout: seconds to wait for a server that is starting; 0 makes one attempt, ``None`` waits
            for as long as it takes.
        resume_timeout: seconds to try to go on with a session when its connection breaks; 0 does not try,
            ``None`` tries for as long as it takes. In the JSON dialect a session ends with its connection.
        on_failure: ``raise``, or ``restart``: a lane whose environment raises in a step or dies, or whose
            session is lost, ends its episode instead, truncated, with the cause as ``failure`` in its info,
            and begins another as ever, without a seed (:mod:`openenv_gym.envs.recovery`).

    Attributes:
        num_envs: how many lanes.
        batch_size: how many :meth:`recv` gives.
        single_observation_space: of one lane.
        single_action_space: of one lane.
        observation_space: of a batch.
        action_space: of a batch.
        metadata: the environment's, with the autoreset mode.
        inference: what was concluded of a server that does not say its spaces; ``None`` if it does.

    Raises:
        ConnectFailed: if a server does not answer.
        Unauthorized: if a server wants a token.
        InvalidArgument: if the servers do not serve the same, or what has no lanes one by one.
        CapacityReached: if a server has not so many lanes left.
        UnsupportedAutoreset: if the environment does not have the mode.
        SpaceUnknown: if neither the servers nor the caller tell what a field may hold.

    >>> from openenv_gym import serve_gym
    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     with OpenEnvPool(server.url, num_envs=8, batch_size=4) as pool:
    ...         pool.async_reset(seed=42)
    ...         for _ in range(10):
    ...             observations, rewards, terminated, truncated, infos = pool.recv()
    ...             pool.send(np.zeros(4, np.int64), infos["env_id"])
    >>> observations.shape, infos["env_id"].dtype
    ((4, 4), dtype('int32'))
    """

    def __init__(
        self,
        url: str | Sequence[str],
        num_envs: int,
        batch_size: int | None = None,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        env_id: str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        observation_space: gymnasium.Space[Any] | None = None,
        action_space: gymnasium.Space[Any] | None = None,
        encode_action: Callable[[Any], dict[str, Any]] | None = None,
        decode_observation: Callable[[dict[str, Any]], Any] | None = None,
        hints: Mapping[str, Any] | str | PathLike[str] | None = None,
        flatten: bool = False,
        strict: bool = False,
        dialect: str | None = None,
        headers: dict[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: ProxyChoice = True,
        timeout: float | None = None,
        connect_timeout: float | None = 10.0,
        wait_timeout: float | None = 10.0,
        resume_timeout: float | None = RESUME_SECONDS,
        on_failure: str = "raise",
    ) -> None:
        mode = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        spaces = Spaces(observation_space, action_space, encode_action, decode_observation, hints, flatten)
        options = Options(
            strict=strict,
            dialect=dialect,
            env_id=env_id,
            env_kwargs=env_kwargs,
            headers=headers,
            ssl_context=ssl_context,
            proxy=proxy,
            connect_timeout=connect_timeout,
            wait_timeout=wait_timeout,
            resume_timeout=resume_timeout,
            on_failure=on_failure,
        )
        hello = hello_for(num_envs, mode, exact=False, options=options, early=True)
        check_seconds("timeout", timeout, or_none_at_all=True)
        size = num_envs if batch_size is None else batch_size
        if type(size) is not int or not 1 <= size <= num_envs:
            raise InvalidArgument(f"batch_size is a whole number from 1 to {num_envs}, not {size!r:.40}")
        self._servers: list[Early] = []
        self._closed = False
        self._pid = os.getpid()
        urls = [url] if isinstance(url, str) else list(url)
        try:
            for each, block in zip(urls, blocks(num_envs, len(urls)), strict=True):
                own = structs.replace(hello, lanes=len(block))
                self._servers.append(early_lanes(each, own, block.start, spaces, options))
            signature = joint_signature(urls, [server.signature for server in self._servers])
            tell_assumptions(spaces, urls)  # raises where warnings are errors
        except BaseException:  # Ctrl-C, too: nobody else could close them
            self.close()
            raise
        self.inference = spaces.inference
        self._place = place_of(signature, urls)
        self.num_envs, self.batch_size = num_envs, size
        self.metadata = {**signature.metadata, "autoreset_mode": AutoresetMode(signature.autoreset)}
        self.single_observation_space = signature.observation_spaces[0]
        self.single_action_space = signature.action_spaces[0]
        self.observation_space = batch_space(self.single_observation_space, size)
        self.action_space = batch_space(self.single_action_space, size)
        self._timeout = timeout
        self._layout = layout_of(self.single_observation_space)
        self._acts_in_columns = layout_of(self.single_action_space) is not None
        self._actions = ActionCheck(signature)
        self._read_row = RowReader(replace(signature, lanes=size)).read
        self._lanes = np.full(num_envs, _Lane.IDLE, np.uint8)
        self._ready: deque[_Arrival] = deque()
        self._failures: deque[Exception] = deque()

    def __repr__(self) -> str:
        if not hasattr(self, "_place"):
            return object.__repr__(self)
        return f"{type(self).__name__}({self._place}, num_envs={self.num_envs}, batch_size={self.batch_size})"

    def async_reset(
        self,
        env_ids: ArrayLike | None = None,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Begin an episode in some lanes, or in all, and wait for nothing; :meth:`recv` gives them.

        Args:
            env_ids: which lanes; by default all.
            seed: an int, of which lane ``i`` takes ``seed + i``; or one for each named lane.
            options: for every named lane's environment.

        Raises:
            OutOfTurn: if one of them is not idle; none was reset.
        """
        lanes = self._idle(env_ids)
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds = None if seed is None else [int(seed) + lane for lane in lanes.tolist()]
        else:
            seeds = [None if each is None else int(each) for each in seed]
        if seeds is not None and len(seeds) != len(lanes):
            raise InvalidArgument(
                f"{len(seeds)} seeds for {len(lanes)} lanes; give one for each, or a number"
            )
        for server, places in self._parted(lanes):
            own = None if seeds is None else [seeds[place] for place in places.tolist()]
            server.send_reset(lanes[places].tolist(), own, options)
            self._lanes[lanes[places]] = _Lane.BUSY

    def send(self, actions: Any, env_ids: ArrayLike | None = None) -> None:
        """Say what some lanes shall do, or all, and wait for nothing.

        Args:
            actions: one for each lane, batched.
            env_ids: which lanes, as ``infos["env_id"]`` says it; by default all in order.

        Raises:
            InvalidAction: if the actions do not fit; no lane was stepped.
            OutOfTurn: if one of the lanes is not idle; no lane was stepped.
        """
        lanes = self._idle(env_ids)
        if not self._acts_in_columns:
            actions = split(batch_space(self.single_action_space, len(lanes)), actions, len(lanes))
        checked = self._actions.checked(actions, len(lanes))
        for server, places in self._parted(lanes):
            server.send_step(lanes[places], self._actions.some(checked, places))
            self._lanes[lanes[places]] = _Lane.BUSY

    def recv(self, timeout: float | None = None) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """What came of the first ``batch_size`` lanes that are ready.

        Args:
            timeout: seconds to wait; by default those that the pool was made with.

        Returns:
            Observations, batched in the order in which lanes got ready; rewards, float64,
            (batch_size,); terminations and truncations, bool, (batch_size,); infos by Gymnasium's rule,
            whose ``env_id``, int32, (batch_size,), says which lanes they are.

        Raises:
            OutOfTurn: if not so many lanes were sent anything: it would wait for ever.
            DeadlineExceeded: if they are not ready in time; nothing is lost.
            EnvironmentRaised: if a lane's environment raises. The lane, ``fields["lane"]``, is idle and
                wants a reset; what came of others is there for the next call.
            ResetNeeded: if a lane was stepped that is not in an episode.
            ServerClosed: if a server has ended its session.
            ConnectionLost: if a connection broke.
        """
        check_seconds("timeout", timeout, or_none_at_all=True)
        timeout = self._timeout if timeout is None else timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._check_open()  # another thread may close it meanwhile
            if self._failures:
                raise self._failures.popleft()
            if len(self._ready) >= self.batch_size:
                return self._batch()
            if (under_way := np.count_nonzero(self._lanes)) < self.batch_size:
                raise OutOfTurn(
                    f"recv() gives {self.batch_size} lanes and {under_way} are under way; send() or "
                    "async_reset() others first"
                )
            left = None if deadline is None else deadline - time.monotonic()
            if not self._receive(left) and left is not None and left <= 0:
                raise DeadlineExceeded(
                    f"{len(self._ready)} of {self.batch_size} lanes were ready in {timeout:g} seconds; a "
                    "later recv() gives what comes later",
                    timeout=timeout,
                )

    def step(
        self, actions: Any, env_ids: ArrayLike | None = None
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """:meth:`send`, and then :meth:`recv`, which may give other lanes."""
        self.send(actions, env_ids)
        return self.recv()

    def reset(
        self,
        env_ids: ArrayLike | None = None,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """:meth:`async_reset`, and then the observations and infos of a :meth:`recv`."""
        self.async_reset(env_ids, seed=seed, options=options)
        observations, _, _, _, infos = self.recv()
        return observations, infos

    def state(self, env_id: int) -> dict[str, Any]:
        """A lane's ``episode_id`` and ``step_count``.

        Raises:
            OutOfTurn: if it is busy.
        """
        self._check_open()
        lane = int(self._checked([env_id])[0])
        if self._lanes[lane] == _Lane.BUSY:
            raise OutOfTurn(f"lane {lane} is busy; recv() what comes of it first", lane=lane)
        server = next(server for server in self._servers if lane in server.lanes)
        server.ask_state(lane)
        while server.value is None:
            self._take(server, wait=True)
        state: dict[str, Any] = server.value.value
        return state

    def close(self) -> None:
        """End the sessions; may be called twice."""
        self._closed = True
        for server in getattr(self, "_servers", ()):
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this pool was closed; make a new one")
        if os.getpid() != self._pid:
            raise ResetNeeded("this pool belongs to the process that made it; a forked child makes its own")

    def _checked(self, env_ids: ArrayLike | None) -> NDArray[np.int32]:
        if env_ids is None:
            return np.arange(self.num_envs, dtype=np.int32)
        try:
            lanes = np.asarray(env_ids)
        except ValueError:  # lists of unequal lengths
            lanes = np.empty(0)
        sound = lanes.ndim == 1 and len(lanes) and np.issubdtype(lanes.dtype, np.integer)
        if not sound or lanes.min() < 0 or lanes.max() >= self.num_envs or len(np.unique(lanes)) < len(lanes):
            raise InvalidArgument(
                f"env_ids are different whole numbers from 0 to {self.num_envs - 1}, not {env_ids!r:.80}"
            )
        return lanes.astype(np.int32)

    def _idle(self, env_ids: ArrayLike | None) -> NDArray[np.int32]:
        """The lanes that are named, if all of them are idle."""
        self._check_open()
        lanes = self._checked(env_ids)
        others = np.flatnonzero(self._lanes[lanes])
        if len(others):
            lane = int(lanes[others[0]])
            raise OutOfTurn(
                f"lane {lane} is {_Lane(self._lanes[lane]).name.lower()}, and {len(others) - 1} more of "
                f"{len(lanes)} are not idle; recv() what comes of them first",
                lane=lane,
            )
        return lanes

    def _parted(self, lanes: NDArray[np.int32]) -> Iterator[tuple[Early, NDArray[np.intp]]]:
        """Each server with the places of its lanes among those that are named."""
        for server in self._servers:
            places = np.flatnonzero((lanes >= server.lanes.start) & (lanes < server.lanes.stop))
            if len(places):
                yield server, places

    def _receive(self, timeout: float | None) -> bool:
        """Take what is there, and wait if there is nothing; whether there was something."""
        busy = [server for server in self._servers if server.is_busy]
        if len(busy) == 1 and timeout is None:
            self._take(busy[0], wait=True)
            return True
        taken = [self._take(server, wait=False) for server in busy]
        if not any(taken) and (timeout is None or timeout > 0):
            wait_for(busy, timeout)
        return any(taken)

    def _take(self, server: Early, *, wait: bool) -> bool:
        """Take one message, if there is one."""
        try:
            rows = server.receive(wait=wait)
        except BaseException:  # Ctrl-C, too, which ends the session
            self._lanes[list(server.given_up())] = _Lane.IDLE
            self._check_open()  # that another thread has closed it explains the rest
            raise
        if rows is None:
            return False
        first = server.lanes.start
        finals = {int(rows.lane[row]): int(row) for row in np.flatnonzero(rows.phase == Phase.FINAL)}
        failed = {int(rows.lane[row]) for row in rows.failures}
        for row in np.flatnonzero(rows.phase != Phase.FINAL).tolist():
            lane = first + int(rows.lane[row])
            if row in rows.failures:
                self._lanes[lane] = _Lane.IDLE
                self._failures.append(error_of(renumbered(rows.failures[row], lane), lane, self.num_envs))
            elif lane - first not in failed:
                self._lanes[lane] = _Lane.READY
                self._ready.append(_Arrival(lane, rows, row, finals.get(lane - first)))
        return True

    def _batch(self) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """The first lanes that are ready, as a batch; each lane's row has its place as its lane."""
        chosen = [self._ready.popleft() for _ in range(self.batch_size)]
        lanes = np.array([arrival.lane for arrival in chosen], np.int32)
        self._lanes[lanes] = _Lane.IDLE
        rows = gathered(self._layout, list(_shares(chosen)), dense=True)
        infos = vector_infos(rows, self.batch_size, lambda row: self._read_row(rows, row))
        infos["env_id"] = lanes
        return (self._observations(rows), *outcomes(rows, self.batch_size), infos)

    def _observations(self, rows: Rows) -> Any:
        if self._layout is not None:
            return rows.observation
        return concatenated(
            self.single_observation_space, [self._read_row(rows, row) for row in range(self.batch_size)]
        )


def _shares(arrivals: Sequence[_Arrival]) -> Iterator[Share]:
    """The arrivals as shares of the answers in which they came."""
    start = 0
    while start < len(arrivals):
        rows, end = arrivals[start].rows, start
        while end < len(arrivals) and arrivals[end].rows is rows:
            end += 1
        same = arrivals[start:end]
        yield Share(rows, np.array([each.row for each in same]), np.arange(start, end, dtype=np.int32))
        ended = [(each.final, start + place) for place, each in enumerate(same) if each.final is not None]
        if ended:
            finals, places = np.array(ended).T
            yield Share(rows, finals, places.astype(np.int32), tail=True)
        start = end
