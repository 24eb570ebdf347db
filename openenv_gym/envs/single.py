"""``OpenEnvGym``: a server's environment as a ``gymnasium.Env``; one lane of the same road."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from openenv_gym.client.proxies import ProxyChoice
from openenv_gym.client.resuming import RESUME_SECONDS
from openenv_gym.envs import masks
from openenv_gym.envs.atari import AtariManners
from openenv_gym.envs.batches import error_of
from openenv_gym.envs.copies import MadeAnew
from openenv_gym.envs.known import Spaces
from openenv_gym.envs.observations import RowReader
from openenv_gym.envs.options import Options
from openenv_gym.envs.remote import Remote
from openenv_gym.envs.stats import Stats
from openenv_gym.errors import InvalidArgument
from openenv_gym.types import Rows
from openenv_gym.wire.infos import NO_INFOS

if TYPE_CHECKING:
    from openenv_gym.spaces.inference import Inference

__all__ = ["OpenEnvGym"]


class OpenEnvGym(MadeAnew, AtariManners, gymnasium.Env[Any, Any]):
    """An environment served somewhere else, equal to the local one to the bit.

    Random state lives with the served environment, which ``reset(seed=...)`` seeds. ``np_random`` is not
    that state but a generator on this side, for wrappers that draw from it, such as ``NoopResetEnv``. The
    same seed seeds it, as ``gymnasium.Env`` does, or, for an Atari environment, as ale-py does; so what a
    wrapper draws is what it would draw over a local environment that draws nothing itself. Setting it
    changes nothing on the server.

    A stock OpenEnv server does not tell its spaces. They are inferred from what it publishes and from its
    first reset; one warning says what was assumed, and :attr:`inference` is a table of it. What cannot be
    known is a ``SpaceUnknown`` that names the hint for it. Where the server says what is legal and the
    actions are one Discrete, ``info["action_mask"]`` has the mask. ``info`` has every field that the
    observation leaves out, or holds as text only, such as the structure of a tool's answer. A field that
    later is not as inferred is never changed: a number that is written as text is read, with a warning;
    anything else is a ``LayoutMismatch``.

    Over a stock OpenEnv server an episode ends once, whatever the server does afterwards: as its metadata
    say (``terminated``, ``truncated``), or else by ``done``. One that is over at its reset has
    ``info["done_at_reset"]``, and its first step, which is not sent, is its end. A step whose reward is null
    is worth 0.0. A warning says so, once for each thing.

    A copy, by ``deepcopy`` or ``pickle``, has a session of its own, which wants a reset.

    Args:
        url: of the server.
        render_mode: ``rgb_array`` or ``ansi``, if frames are wanted.
        env_id: another environment than the server's first, if its operator offers it.
        env_kwargs: constructor arguments, plain JSON, of which the operator lets you choose some.
        observation_space: if the server does not say it.
        action_space: if the server does not say it.
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
        on_failure: ``raise``, or ``restart``: when the environment raises in a step or dies, or its session
            is lost, the episode is truncated instead, with the cause as ``info["failure"]``, and the next
            reset goes on, in a new environment if need be (:mod:`openenv_gym.envs.recovery`).

    Raises:
        ConnectFailed: if no server answers.
        Unauthorized: if the server wants a token.
        SpaceUnknown: if neither the server nor the caller tells what a field may hold.
        InvalidArgument: if the server's operator does not allow what is asked for, or serves a game of
            several agents.
        CapacityReached: if the server is full.

    >>> from openenv_gym import serve_gym
    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     env = OpenEnvGym(server.url)
    ...     observation, info = env.reset(seed=42)
    ...     observation, reward, terminated, truncated, info = env.step(1)
    ...     env.close()
    >>> reward, terminated, truncated
    (1.0, False, False)
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "ansi"]}  # type: ignore[misc]

    def __init__(
        self,
        url: str,
        *,
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
        self._remote = Remote(
            url,
            lanes=1,
            autoreset="Disabled",
            exact=True,
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
        signature = self._remote.signature
        if len(signature.agents) > 1:
            self._remote.close()
            raise InvalidArgument(
                f"{signature.env_id} is a game of {len(signature.agents)} agents, and OpenEnvGym plays "
                "one; play it with Client or AsyncClient of openenv-gym"
            )
        self.observation_space = signature.observation_spaces[0]
        self.action_space = signature.action_spaces[0]
        self.render_mode = signature.render_mode
        self.metadata = self._describe(signature.metadata)  # type: ignore[misc]
        self._reader = RowReader(signature)
        self._offered, self._constants = frozenset(signature.calls), signature.constants
        self._infos = NO_INFOS

    def __repr__(self) -> str:
        if not hasattr(self, "_remote"):
            return object.__repr__(self)
        return f"<{type(self).__name__}<{self._remote.place}>>"

    __str__ = __repr__  # which gymnasium's wrappers show

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: for the served environment.
            options: for the served environment.

        Returns:
            The first observation, and its info.
        """
        seed = None if seed is None else int(seed)
        rows = self._remote.reset(None, None if seed is None else [seed], options)
        self._infos = rows.infos
        observation = self._observation(rows)
        super().reset(seed=seed)
        self._seed_like_atari()
        return observation, self._infos.of(0)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action.

        Returns:
            Observation, reward, terminated, truncated, info.

        Raises:
            InvalidAction: if the action does not fit the action space; nothing was stepped.
            ResetNeeded: before the first reset, and after the end of an episode.
            EnvironmentRaised: if the environment raises; reset it to go on.
            ServerClosed: if the server ended the session.
            ConnectionLost: if the connection broke, and the session could not be taken up again.
        """
        rows = self._remote.step_one(action)
        infos = self._infos = rows.infos
        return (
            self._observation(rows),
            float(rows.reward[0]),
            bool(rows.terminated[0]),
            bool(rows.truncated[0]),
            infos.of(0) if infos else {},
        )

    def render(self) -> Any:
        """A frame in ``render_mode``."""
        return self._remote.lanes.render(0)

    def state(self) -> dict[str, Any]:
        """``episode_id``, ``step_count``, and whatever the environment adds."""
        return self._remote.lanes.state(0)

    def call(self, name: str, *args: Any) -> Any:
        """What a method or attribute of the served environment says, if its operator offers it.

        Raises:
            CallRefused: if not.
        """
        return self._remote.call(name, args, 0)

    @property
    def action_masks(self) -> Callable[[], NDArray[np.bool_]]:
        """Gives which actions are legal, bool, (n,): what sb3-contrib's MaskablePPO asks for.

        That is ``info["action_mask"]`` of the last reset or step; without one, what the served environment's
        own ``action_masks`` says, if its operator offers that. The parts of a ``MultiDiscrete`` follow
        each other.

        Raises:
            CallRefused: if the environment is not known to have masks; ``hasattr`` is false then.
            ResetNeeded: if they are asked for before the first reset.
        """
        signature = self._remote.signature
        if signature.masks or masks.CALL in self._offered or masks.KEY in self._infos.of(0):
            return self._action_masks
        masks.missing(signature, begun=self.stats.resets > 0)

    def _action_masks(self) -> NDArray[np.bool_]:
        info = self._infos.of(0)
        if masks.KEY in info:
            return masks.flat(info[masks.KEY])
        if masks.CALL in self._offered:
            return masks.flat(self.call(masks.CALL))
        masks.missing(self._remote.signature, begun=self.stats.resets > 0)

    @property
    def episode_id(self) -> str | None:
        """What the episode of the last reset is called, as in :meth:`state`; ``None`` before.

        This side names it; in the JSON dialect the server does, and is asked once.
        """
        return self._remote.episode_id

    @property
    def inference(self) -> Inference | None:
        """What was concluded of a server that does not say its spaces; ``print`` shows it as a table.

        ``None`` where the server or the caller says it all.
        """
        return self._remote.inference

    @property
    def get_action_meanings(self) -> Callable[[], list[str]]:
        """Gives the name of each action of a Discrete space, ``["NOOP", "FIRE", ...]``.

        Raises:
            CallRefused: if neither the server's schema nor the server tells them; ``hasattr`` is false then.
        """
        meanings = () if self.inference is None else self.inference.meanings
        return (lambda: list(meanings)) if meanings else super().get_action_meanings

    @property
    def tools(self) -> tuple[Mapping[str, Any], ...]:
        """The tools that a stock server lists whose actions are calls of them, as it describes them."""
        return () if self.inference is None else self.inference.tools

    @property
    def stats(self) -> Stats:
        """What resets and steps have taken so far, and how much of that the served environment."""
        return self._remote.stats

    def close(self) -> None:
        """End the session; may be called twice."""
        if hasattr(self, "_remote"):
            self._remote.close()

    def _describe(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What this class can render, of what the environment can if it says so."""
        modes = self.metadata["render_modes"]
        if isinstance(known := said.get("render_modes"), (list, tuple)):
            modes = [mode for mode in modes if mode in known]
        fps = {"render_fps": said["render_fps"]} if said.get("render_fps") is not None else {}
        return {**self.metadata, "render_modes": modes, **fps}

    def _observation(self, rows: Rows) -> Any:
        if rows.failures:
            raise error_of(rows.failures[0], 0, 1)
        return self._reader.read(rows, 0)
