"""``OpenEnvVectorEnv``: the lanes of a server as a ``gymnasium.vector.VectorEnv``."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from openenv_gym.client.proxies import ProxyChoice
from openenv_gym.client.resuming import RESUME_SECONDS
from openenv_gym.envs.batches import Batches, outcomes
from openenv_gym.envs.copies import MadeAnew
from openenv_gym.envs.infos import vector_infos
from openenv_gym.envs.known import Spaces
from openenv_gym.envs.options import Options
from openenv_gym.envs.remote import Remote
from openenv_gym.envs.stats import Stats
from openenv_gym.errors import InvalidArgument
from openenv_gym.types import Rows

if TYPE_CHECKING:
    from openenv_gym.spaces.inference import Inference

__all__ = ["OpenEnvVectorEnv"]


class OpenEnvVectorEnv(MadeAnew, VectorEnv[Any, Any, Any]):
    """Lanes served somewhere else, equal to ``SyncVectorEnv`` to the bit.

    A server that runs a native vector environment gives that environment's own arrays, dtypes and infos
    instead. Against a stock OpenEnv server each lane is a connection of its own, whose episodes mean what
    :class:`OpenEnvGym`'s do, and whose spaces are inferred once for all. A copy, by ``deepcopy`` or
    ``pickle``, has a session of its own, which wants a reset.

    Args:
        url: of the server; or those of several that serve the same, over which the lanes are spread in
            blocks. One may be named twice, for a connection to each of two of its workers.
        num_envs: how many lanes.
        autoreset_mode: ``NextStep``, ``SameStep`` or ``Disabled``.
        render_mode: ``rgb_array`` or ``ansi``, if frames are wanted.
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
        timeout: seconds to wait for an answer; ``None`` waits for as long as it takes.
        connect_timeout: seconds to wait for a connection.
        wait_timeout: seconds to wait for a server that is starting; 0 makes one attempt, ``None`` waits
            for as long as it takes.
        resume_timeout: seconds, but no more than ``timeout``, to try to go on with the session when the
            connection breaks; 0 does not try, ``None`` tries for as long as it takes. In the JSON dialect
            a session ends with its connection.
        on_failure: ``raise``, or ``restart``: a lane whose environment raises in a step or dies, or whose
            session is lost, ends its episode instead, truncated, with the cause as ``failure`` in its info,
            and begins another as ever, without a seed (:mod:`openenv_gym.envs.recovery`).

    Raises:
        ConnectFailed: if a server does not answer.
        Unauthorized: if the server wants a token.
        SpaceUnknown: if neither the servers nor the caller tell what a field may hold.
        InvalidArgument: if the server's operator does not allow what is asked for.
        CapacityReached: if the server has not so many lanes left.
        UnsupportedAutoreset: if the environment does not have the mode.

    >>> from openenv_gym import serve_gym
    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     envs = OpenEnvVectorEnv(server.url, num_envs=3)
    ...     observations, infos = envs.reset(seed=42)
    ...     envs.close()
    >>> observations.shape, observations.dtype
    ((3, 4), dtype('float32'))
    """

    def __init__(
        self,
        url: str | Sequence[str],
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
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
        remote = Remote(
            url,
            lanes=num_envs,
            autoreset=mode,
            exact=False,
            spaces=Spaces(observation_space, action_space, encode_action, decode_observation, hints, flatten),
            options=Options(
                strict=strict,
                dialect=dialect,
                render_mode=render_mode,
                env_id=env_id,
                env_kwargs=env_kwargs,
                headers=headers,
                ssl_context=ssl_context,
                proxy=proxy,
                timeout=timeout,
                connect_timeout=connect_timeout,
                wait_timeout=wait_timeout,
                resume_timeout=resume_timeout,
                on_failure=on_failure,
            ),
        )
        self._batches = Batches(remote)
        signature = remote.signature
        self.num_envs = num_envs
        self.render_mode = signature.render_mode
        self.autoreset_mode = AutoresetMode(signature.autoreset)  # as SyncVectorEnv has it; TorchRL asks
        self.metadata = {**signature.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = signature.observation_spaces[0]
        self.single_action_space = signature.action_spaces[0]
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._vector = signature.vector

    def __repr__(self) -> str:
        if not hasattr(self, "_vector"):
            return object.__repr__(self)
        return f"{type(self).__name__}({self._batches.remote.place}, num_envs={self.num_envs})"

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every lane, or in those of ``options["reset_mask"]``.

        Args:
            seed: an int, of which lane ``i`` takes ``seed + i``; or one for each lane.
            options: for every lane's environment. ``reset_mask``, bool, (num_envs,), is taken out:
                lanes where it is False stay as they are.

        Returns:
            Observations of all lanes, batched, and the infos of the lanes that were reset.
        """
        seeds = self._seeds(seed)
        if self._vector or options is None or "reset_mask" not in options:
            rows = self._batches.reset(None, seeds, options)
        else:
            mask = _checked_mask(options["reset_mask"], self.num_envs)
            chosen = np.flatnonzero(mask).tolist()
            if isinstance(seeds, int):
                seeds = [seeds + lane for lane in range(self.num_envs)]
            if seeds is not None:
                seeds = [seeds[lane] for lane in chosen]
            others = {key: value for key, value in options.items() if key != "reset_mask"}
            rows = self._batches.reset(chosen, seeds, others)
        return self._batches.read(rows), self._infos(rows)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every lane with its action.

        Args:
            actions: batched, as ``action_space.sample()`` gives them.

        Returns:
            Observations, batched; rewards, float64, (num_envs,); terminations and truncations, bool,
            (num_envs,); infos.

        Raises:
            InvalidAction: if the actions do not fit; no lane was stepped.
            ResetNeeded: if a lane's episode has ended and nothing resets it.
            EnvironmentRaised: if a lane's environment raises.
        """
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: Any) -> None:
        """Send every lane its action, and wait for nothing; :meth:`step_wait` takes what comes of it.

        Raises:
            InvalidAction: if the actions do not fit; no lane was stepped.
            OutOfTurn: if what came of the last ones was not taken yet.
        """
        self._batches.send(actions)

    def step_wait(self) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """What came of the actions that were sent, as :meth:`step` gives it.

        Raises:
            OutOfTurn: if none were sent.
            ResetNeeded: if a lane's episode has ended and nothing resets it.
            EnvironmentRaised: if a lane's environment raises.
        """
        rows = self._batches.receive()
        reward, terminated, truncated = outcomes(rows, self.num_envs)
        return self._batches.read(rows), reward, terminated, truncated, self._infos(rows)

    def render(self) -> tuple[Any, ...] | None:
        """The frames of all lanes."""
        frames = self._batches.idle.render(None)
        return None if frames is None else tuple(frames)

    def call(self, name: str, *args: Any) -> tuple[Any, ...]:
        """What a method or attribute of every lane says, if the server's operator offers it."""
        return tuple(self._batches.call(name, args, None))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """What an attribute of every lane says, if the server's operator offers it."""
        return self.call(name)

    def state(self, lane: int = 0) -> dict[str, Any]:
        """A lane's ``episode_id`` and ``step_count``."""
        return self._batches.idle.state(lane)

    @property
    def action_masks(self) -> Callable[[], NDArray[np.bool_]]:
        """Gives which actions are legal in each lane: bool, (num_envs, n); rows as of ``OpenEnvGym``'s.

        Raises:
            CallRefused: if the environment is not known to have masks; ``hasattr`` is false then.
            ResetNeeded: if they are asked for before the first reset.
        """
        return self._batches.action_masks

    @property
    def inference(self) -> Inference | None:
        """What was concluded of a server that does not say its spaces, once for all lanes."""
        return self._batches.remote.inference

    @property
    def stats(self) -> Stats:
        """What resets and steps have taken so far, and how much of that the served environments."""
        return self._batches.remote.stats

    def close_extras(self, **kwargs: Any) -> None:
        """End the session; its lanes are free again."""
        if hasattr(self, "_batches"):
            self._batches.remote.close()

    def _seeds(self, seed: Any) -> int | list[int | None] | None:
        if seed is None:
            return None
        if isinstance(seed, (int, np.integer)):
            return int(seed)
        seeds = [None if each is None else int(each) for each in seed]
        if len(seeds) != self.num_envs and not self._vector:
            raise InvalidArgument(
                f"{len(seeds)} seeds for num_envs={self.num_envs}; give one for each, or one number"
            )
        return seeds

    def _infos(self, rows: Rows) -> dict[str, Any]:
        return vector_infos(rows, self.num_envs, lambda row: self._batches.read_row(rows, row))


def _checked_mask(mask: Any, num_envs: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if (
        not isinstance(mask, np.ndarray)
        or mask.dtype != np.bool_
        or mask.shape != (num_envs,)
        or not mask.any()
    ):
        raise InvalidArgument(
            f"options['reset_mask'] is a bool array of shape ({num_envs},) with at least one True, "
            f"not {mask!r:.80}"
        )
    return mask
