"""What ``/docs`` shows of actions and observations: the models of the environment that is served."""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic.json_schema import models_json_schema

from openenv_gym.hosting.models import Models
from openenv_gym.hosting.source import Source
from openenv_gym.spaces import to_plain

__all__ = ["describe_bodies"]

_REFERENCE = "#/components/schemas/{model}"
_EXAMPLE_CHARACTERS = 400


def describe_bodies(document: dict[str, Any], source: Source) -> None:
    """Put the models of the environment into an OpenAPI document, in the place of mere objects."""
    schemas = document.get("components", {}).get("schemas", {})
    if "StepBody" not in schemas or "typed" not in source.signature.views:
        return
    models = source.seen_as("typed").models()
    references = _define(schemas, models)
    step, observed = schemas["StepBody"], schemas["Observed"]
    step["properties"]["action"] = references[models.action]
    if models.reset_observation is None:
        observed["properties"]["observation"] = references[models.observation]
    example = _example(source)
    step.pop("examples", None)
    if example is not None:
        step["examples"] = [{"action": {"action": example}}]


def _define(schemas: dict[str, Any], models: Models) -> dict[Any, Any]:
    """Add the models, whatever is nested in them included, and give the reference to each."""
    inputs: Any = [(models.action, "validation"), (models.observation, "validation")]
    references, defined = models_json_schema(inputs, ref_template=_REFERENCE)
    for name, schema in defined.get("$defs", {}).items():
        schemas.setdefault(name, schema)
    return {model: reference for (model, _), reference in references.items()}


def _example(source: Source) -> Any:
    """An action of a lifted environment, if it is small enough to be read."""
    if source.typed is not None or not source.signature.action_spaces:
        return None
    space = copy.deepcopy(source.signature.action_spaces[0])
    space.seed(0)
    plain = to_plain(space, space.sample())
    return plain if len(json.dumps(plain)) <= _EXAMPLE_CHARACTERS else None
