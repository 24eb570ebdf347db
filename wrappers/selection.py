"""Some fields of a Dict observation, without the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
from gymnasium.spaces import Dict
from gymnasium.utils import RecordConstructorArgs

from openenv_gym.errors import InvalidArgument
from openenv_gym.wrappers.fields import space_at, value_at

__all__ = ["SelectFields"]


class SelectFields(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Observations are a field of a Dict, or a Dict of some.

    Args:
        env: has Dict observations.
        fields: a name, whose value alone is observed then; or several, as a Dict in that order. Dots lead
            into nested Dicts: ``"player.health"``.

    Raises:
        InvalidArgument: if a field is missing; the message has those that there are.

    >>> env = gymnasium.wrappers.TimeAwareObservation(gymnasium.make("FrozenLake-v1"), flatten=False)
    >>> SelectFields(env, "time").observation_space
    Box(0, 100, (1,), int32)
    >>> SelectFields(env, ["obs"]).reset(seed=1)[0]
    {'obs': 0}
    """

    def __init__(self, env: gymnasium.Env[Any, Any], fields: str | Sequence[str]) -> None:
        RecordConstructorArgs.__init__(self, fields=fields)
        gymnasium.ObservationWrapper.__init__(self, env)
        if not fields:
            raise InvalidArgument("there is nothing to observe; pass fields= a name, or several")
        self._fields = fields if isinstance(fields, str) else tuple(fields)
        space = env.observation_space
        if isinstance(self._fields, str):
            self.observation_space = space_at(space, self._fields)
        else:
            spaces = {field: space_at(space, field) for field in self._fields}
            self.observation_space = Dict(spaces, sort_keys=False)

    def observation(self, observation: Any) -> Any:
        """The field, or the fields, of an observation."""
        if isinstance(self._fields, str):
            return value_at(observation, self._fields)
        return {field: value_at(observation, field) for field in self._fields}
