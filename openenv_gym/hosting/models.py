"""The pydantic models of what is served: a typed environment's own, or such as are made from spaces.

They describe, for ``/schema`` and ``/docs``, and for clients who like models; a lifted environment's
steps never pass through one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from gymnasium import Space
from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, WithJsonSchema, create_model

from openenv_gym.errors import InvalidAction
from openenv_gym.models import Action, Observation, State
from openenv_gym.spaces import from_plain, to_plain, to_schema
from openenv_gym.types import Plain

__all__ = ["Models", "lifted_models"]


@dataclass(frozen=True, slots=True)
class Models:
    """The pydantic models of an environment."""

    action: type[BaseModel]
    observation: type[BaseModel]
    state: type[BaseModel] = State
    reset_observation: type[BaseModel] | None = None

    def schemas(self) -> dict[str, Plain]:
        """The JSON Schemas that ``/schema`` publishes."""
        return {
            "action": self.action.model_json_schema(),
            "observation": self.observation.model_json_schema(),
            "reset_observation": (self.reset_observation or self.observation).model_json_schema(),
            "state": self.state.model_json_schema(),
        }


def lifted_models(action_space: Space[Any], observation_space: Space[Any]) -> Models:
    """The models of a lifted environment, with exactly one field each way, whatever the spaces are.

    The field takes plain JSON and holds the space's own value; dumped, it is plain again.

    >>> from gymnasium.spaces import Box, Discrete
    >>> models = lifted_models(Discrete(2), Box(-1, 1, (2,)))
    >>> models.action(action=1).action
    np.int64(1)
    >>> models.observation(observation=[0.5, 1]).model_dump()["observation"]
    [0.5, 1.0]
    """
    action: Any = (_field_type(action_space), Field(description="The action, as its space lays it out."))
    seen: Any = (
        _field_type(observation_space),
        Field(description="The observation, as its space lays it out."),
    )
    return Models(
        create_model("Action", __base__=Action, action=action),
        create_model("Observation", __base__=Observation, observation=seen),
    )


def _field_type(space: Space[Any]) -> Any:
    return Annotated[
        Any,
        BeforeValidator(partial(from_plain, space, error=InvalidAction)),
        PlainSerializer(partial(to_plain, space)),
        WithJsonSchema(to_schema(space, exact=False)),
    ]
