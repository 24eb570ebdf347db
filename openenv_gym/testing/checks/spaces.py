"""Exact spaces, published schemas, and observations held up against both."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from gymnasium import Space

from openenv_gym.errors import OpenEnvGymError
from openenv_gym.spaces import deviations, from_plain
from openenv_gym.testing.findings import Failed, Lacking, Skipped, shown
from openenv_gym.testing.playing import FEW, play
from openenv_gym.testing.registry import check
from openenv_gym.testing.sessions import Observed
from openenv_gym.testing.target import Spaces, Target
from openenv_gym.wire import plain

MOST = 5
"""How many complaints one finding shows."""


@check
def exact(target: Target) -> str:
    """``/schema`` publishes the exact Gymnasium spaces."""
    if target.spaces is None:
        raise Lacking(
            "/schema has no 'gymnasium' block: clients must be told action_space and observation_space"
        )
    return f"{shown(target.spaces.action)}, {shown(target.spaces.observation)}"


@check
def observations_inside(target: Target) -> str:
    """Every observation lies in the published observation space."""
    spaces = target.exact_spaces()
    observed = _two_episodes(target)
    complaints = _outside(spaces, observed)
    if complaints:
        raise Failed("observations lie outside their space: " + "; ".join(complaints.values()))
    return f"{len(observed)} observations"


@check
def schemas(target: Target) -> str:
    """The schemas are valid JSON Schemas (2020-12), and whole in themselves."""
    jsonschema = _jsonschema()
    names = [name for name in _PUBLISHED if type(target.schema.get(name)) is dict]
    for name in names:
        if (elsewhere := _elsewhere(target.schema[name])) is not None:
            raise Failed(f"the schema of {name} refers to another document, {shown(elsewhere)}")
        try:
            jsonschema.Draft202012Validator.check_schema(target.schema[name])
        except jsonschema.SchemaError as error:
            raise Failed(
                f"the schema of {name} is no JSON Schema: {error.json_path}: {error.message:.300}"
            ) from error
    return ", ".join(names)


@check
def observations_valid(target: Target) -> str:
    """Every observation is valid under the published observation schema."""
    if target.view is not None:
        raise Skipped(f"the schema is of the typed view; the view {target.view} is checked")
    jsonschema = _jsonschema()
    observed = _two_episodes(target)
    outside = {} if target.spaces is None else _outside(target.spaces, observed)
    begun = _validator(jsonschema, target, "reset_observation", "observation")
    stepped = _validator(jsonschema, target, "observation")
    complaints: dict[str, str] = {}
    for each in observed:
        # Upstream's models keep reward and done within the observation, its messages beside it.
        whole = {**each.observation, "reward": each.reward, "done": each.done}
        for error in (begun if each is observed[0] else stepped).iter_errors(whole):
            if outside and error.absolute_path and error.absolute_path[0] == "observation":
                continue  # spaces-observations-inside says it, and once is enough
            complaints.setdefault(error.json_path, f"{error.json_path}: {error.message:.200}")
    if complaints:
        raise Failed("observations break their schema: " + "; ".join(list(complaints.values())[:MOST]))
    return f"{len(observed)} observations"


_PUBLISHED = ("action", "observation", "state", "reset_observation")


def _two_episodes(target: Target) -> list[Observed]:
    with target.session() as session:
        first = play(target, session, seed=1, acts=1)
        return first + play(target, session, seed=2, acts=2, steps=FEW)


def _outside(spaces: Spaces, observed: list[Observed]) -> dict[str, str]:
    """For each field that ever left its space: how, when it did so first."""
    found: dict[str, str] = {}
    for at, each in enumerate(observed):
        for path, why in deviations(spaces.observation, _value(spaces.observation, each)):
            found.setdefault(path, f"{path} {why} (first in answer {at})")
    return dict(list(found.items())[:MOST])


def _value(space: Space[Any], observed: Observed) -> Any:
    """The observation as the environment gave it; what cannot be read is left as plain data."""
    value = observed.observation.get("observation")
    types = observed.metadata.get("observation_types")
    try:
        return from_plain(space, value) if types is None else plain.restore(value, types)
    except (OpenEnvGymError, ValueError, TypeError):
        return value


def _jsonschema() -> ModuleType:
    try:
        import jsonschema
    except ImportError as error:
        raise Skipped("this needs jsonschema: pip install 'openenv-gym[testing]'") from error
    module: ModuleType = jsonschema
    return module


def _validator(jsonschema: ModuleType, target: Target, *names: str) -> Any:
    """A validator of the first schema that is published under one of some names."""
    from referencing import Registry

    published = (target.schema.get(name) for name in names)
    schema: dict[str, Any] = next((each for each in published if type(each) is dict), {})
    if _elsewhere(schema) is not None:
        raise Skipped("the schema refers to another document; see spaces-schemas")
    # An empty registry: nothing is fetched because a server says so.
    return jsonschema.Draft202012Validator(schema, registry=Registry())


def _elsewhere(schema: Any) -> str | None:
    """The first reference out of the document."""
    if isinstance(schema, dict):
        for key, child in schema.items():
            if key in ("$ref", "$dynamicRef") and not (isinstance(child, str) and child.startswith("#")):
                return str(child)
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return next((found for child in children if (found := _elsewhere(child)) is not None), None)
