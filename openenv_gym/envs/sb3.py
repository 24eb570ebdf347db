"""``OpenEnvVecEnv``: the lanes of a server as a Stable-Baselines3 ``VecEnv``, with nothing in between.

Stable-Baselines3 resets a lane in the step that ends its episode, which is Gymnasium's SameStep, and wants
the end in that lane's own info dict. So this face reads the rows of an answer itself: what
``OpenEnvVectorEnv`` would gather into columns is a dict for each lane here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_gym.envs.batches import Batches
from openenv_gym.envs.copies import MadeAnew
from openenv_gym.envs.vector import OpenEnvVectorEnv
from openenv_gym.errors import InvalidArgument, MissingExtra, UnsupportedAutoreset
from openenv_gym.types import Rows

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise MissingExtra(
        f"OpenEnvVecEnv needs Stable-Baselines3 ({error}): pip install 'openenv-gym[trainers]'",
        extra="trainers",
    ) from error

if TYPE_CHECKING:
    from openenv_gym.spaces.inference import Inference

__all__ = ["OpenEnvVecEnv"]

_MASKS = "action_masks"


class OpenEnvVecEnv(MadeAnew, VecEnv):
    """Lanes served somewhere else, equal to ``DummyVecEnv`` to the bit.

    A copy, by ``deepcopy`` or ``pickle``, has a session of its own, which wants a reset.

    Args:
        envs: the URL of a server, or those of several; or lanes, such as
            ``gymnasium.make_vec("openenv/gym", ..., autoreset_mode="SameStep")`` gives them, which are
            closed with this.
        num_envs: how many lanes, of a server that is named by its URL.
        **options: all other arguments of :class:`OpenEnvVectorEnv`, for a server's URL.

    Raises:
        MissingExtra: at import, if Stable-Baselines3 is not installed.
        UnsupportedAutoreset: if the lanes have another mode than SameStep.
        InvalidArgument: if they are a native vector environment, which has no lanes one by one.
        ConnectFailed: if no server answers.
        CapacityReached: if the server has not so many lanes left.

    >>> from openenv_gym import serve_gym
    >>> with serve_gym("CartPole-v1", port=0, block=False) as server:
    ...     envs = OpenEnvVecEnv(server.url, num_envs=3)
    ...     _ = envs.seed(42)
    ...     observations = envs.reset()
    ...     observations, rewards, dones, infos = envs.step(np.array([0, 1, 0]))
    ...     envs.close()
    >>> observations.shape, rewards.dtype, len(infos)
    ((3, 4), dtype('float32'), 3)
    """

    def __init__(
        self, envs: str | Sequence[str] | OpenEnvVectorEnv, num_envs: int = 1, **options: Any
    ) -> None:
        if isinstance(envs, (str, Sequence)):
            envs = OpenEnvVectorEnv(envs, num_envs, autoreset_mode="SameStep", **options)
        elif options or num_envs != 1:
            raise InvalidArgument(
                "num_envs and other arguments go to a server's URL; these lanes have theirs"
            )
        self._envs = envs
        try:
            self._batches = _batches_of(envs.unwrapped)
            super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        except BaseException:  # Ctrl-C, too: nobody else could close them
            envs.close()
            raise
        self._masks: list[Any] = [None] * self.num_envs

    def __repr__(self) -> str:
        if not hasattr(self, "_masks"):
            return object.__repr__(self)
        return f"{type(self).__name__}({self._batches.remote.place}, num_envs={self.num_envs})"

    @property
    def inference(self) -> Inference | None:
        """What was concluded of a server that does not say its spaces, once for all lanes."""
        return self._batches.remote.inference

    def reset(self) -> Any:
        """Begin an episode in every lane, with the seeds and options that were set.

        Returns:
            Observations, batched.
        """
        options = [each or None for each in self._options]
        if all(each == options[0] for each in options):
            rows = self._batches.reset(None, self._seeds, options[0])
            self.reset_infos = self._infos(rows)
            observations = self._batches.read(rows)
        else:
            for lane, each in enumerate(options):
                rows = self._batches.reset([lane], [self._seeds[lane]], each)
                self.reset_infos[lane] = rows.infos.of(0)
                observations = self._batches.read(rows)
        self._reset_seeds()
        self._reset_options()
        self._masks = [info.get("action_mask") for info in self.reset_infos]
        return observations

    def step_async(self, actions: Any) -> None:
        """Send every lane its action, and wait for nothing.

        Args:
            actions: batched, as a policy gives them.

        Raises:
            InvalidAction: if the actions do not fit; no lane was stepped.
            OutOfTurn: if what came of the last ones was not taken yet.
        """
        self._batches.send(actions)

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """What came of the actions.

        Returns:
            Observations, batched; rewards, float32, (num_envs,); dones, bool, (num_envs,); and a dict for
            each lane, with ``TimeLimit.truncated`` and, where an episode ended, ``terminal_observation``.

        Raises:
            OutOfTurn: if no actions were sent.
            ResetNeeded: before the first reset.
            EnvironmentRaised: if a lane's environment raises.
        """
        rows = self._batches.receive()
        count = self.num_envs
        rewards = rows.reward[:count].astype(np.float32)
        dones = rows.terminated[:count] | rows.truncated[:count]
        infos = self._infos(rows)
        for info in infos:
            info["TimeLimit.truncated"] = False
        if len(rows) > count:
            self._end(rows, rewards, dones, infos)
        self._masks = [info.get("action_mask") for info in infos]
        for lane in np.flatnonzero(dones).tolist():
            self._masks[lane] = self.reset_infos[lane].get("action_mask")
        return self._batches.read(rows), rewards, dones, infos

    def _end(self, rows: Rows, rewards: Any, dones: Any, infos: list[dict[str, Any]]) -> None:
        """The lanes whose episodes ended: the rows behind the others hold the end, theirs the reset."""
        said = rows.infos.dicts() if rows.infos else {}
        for row in range(self.num_envs, len(rows)):
            lane = int(rows.lane[row])
            self.reset_infos[lane] = infos[lane]
            self.reset_infos[lane].pop("TimeLimit.truncated")
            truncated = bool(rows.truncated[row]) and not bool(rows.terminated[row])
            infos[lane] = {
                **said.get(row, {}),
                "TimeLimit.truncated": truncated,
                "terminal_observation": self._batches.read_row(rows, row),
            }
            rewards[lane], dones[lane] = rows.reward[row], True

    def _infos(self, rows: Rows) -> list[dict[str, Any]]:
        """The dict of each lane."""
        said = rows.infos.dicts() if rows.infos else {}
        return [said.get(lane, {}) for lane in range(self.num_envs)]

    def close(self) -> None:
        """End the session; may be called twice."""
        self._envs.close()

    def get_images(self) -> Sequence[Any]:
        """The frames of all lanes, if they render as ``rgb_array``; else ``None`` for each."""
        if self.render_mode != "rgb_array":
            warnings.warn(
                f"the render mode is {self.render_mode}; images want render_mode='rgb_array'", stacklevel=2
            )
            return [None] * self.num_envs
        return list(self._envs.render() or [None] * self.num_envs)

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """What an attribute says in some lanes: known here, or one that the server's operator offers.

        Raises:
            AttributeError: if it is neither.
        """
        lanes = list(self._get_indices(indices))
        if attr_name in ("render_mode", "spec"):
            return [getattr(self._envs, attr_name)] * len(lanes)
        if attr_name == "metadata":
            return [self._envs.metadata] * len(lanes)
        if attr_name in ("action_space", "observation_space"):
            return [getattr(self, attr_name)] * len(lanes)
        if attr_name == _MASKS:
            _ = self._batches.action_masks  # of which it raises that there are none
            return [lambda lane=lane: self._mask_of(lane) for lane in lanes]
        self._check_offered(attr_name)
        return [self._batches.idle.call(attr_name, lane=lane) for lane in lanes]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Refused: the environments live in the server.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(
            f"{attr_name} cannot be set: the environments live in the server; give them constructor arguments"
        )

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method in some lanes: ``action_masks``, answered here, or one that the operator offers.

        Raises:
            AttributeError: if it is neither.
        """
        lanes = list(self._get_indices(indices))
        if method_name == _MASKS:
            return [self._mask_of(lane) for lane in lanes]
        self._check_offered(method_name)
        if method_kwargs:
            raise InvalidArgument(f"{method_name} is called in the server by position; name no arguments")
        return [self._batches.idle.call(method_name, *method_args, lane=lane) for lane in lanes]

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """``False`` for each: no Gymnasium wrapper is on this side."""
        return [False for _ in self._get_indices(indices)]

    def _mask_of(self, lane: int) -> Any:
        mask = self._masks[lane]
        if mask is None:
            raise InvalidArgument(
                "the environment said no action_mask in the info of the last reset or step; without masks "
                "train with PPO, not MaskablePPO"
            )
        return np.asarray(mask, np.bool_)

    def _check_offered(self, name: str) -> None:
        """Raise what Stable-Baselines3 takes for an attribute that is not there."""
        offered = self._batches.signature.calls
        if name not in offered:
            raise AttributeError(
                f"the server offers no {name!r:.80}; it offers {', '.join(offered) or 'nothing'}. Its "
                "operator can add it: serve_gym(..., calls=[...])"
            )


def _batches_of(envs: Any) -> Batches:
    """The lanes behind a vector environment, if they can be a ``VecEnv``."""
    if not isinstance(envs, OpenEnvVectorEnv):
        raise InvalidArgument(
            f"OpenEnvVecEnv takes a server's URL, or an OpenEnvVectorEnv, not {envs!r:.80}; "
            "gymnasium.make_vec('openenv/gym', ...) makes one"
        )
    batches = envs._batches
    if batches.signature.autoreset != "SameStep":
        raise UnsupportedAutoreset(
            "Stable-Baselines3 resets in the step that ends an episode, and these lanes are of mode "
            f"{batches.signature.autoreset}; make them with autoreset_mode='SameStep'"
        )
    if batches.signature.vector:
        raise InvalidArgument(
            "a native vector environment has no lanes one by one; serve it with vectorization='lanes'"
        )
    return batches
