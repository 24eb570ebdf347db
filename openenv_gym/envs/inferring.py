"""What is inferred of a server that does not say its spaces: from its caller, its pages and its answers.

What is concluded is concluded once, with the first session, and holds for all lanes and for sessions that
follow. The reset that this takes is not wasted: an episode that is begun without a seed or options is as good
as the one that was asked for so, and lane 0 begins with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from openenv_gym.catalogue import shipped_hints
from openenv_gym.client.blocking import Client
from openenv_gym.envs.known import Spaces
from openenv_gym.errors import Forbidden, InvalidArgument, OpenEnvGymError, SpaceUnknown, Unauthorized
from openenv_gym.spaces.inference import (
    Evidence,
    Inference,
    calls_tools,
    fingerprint,
    infer,
    listing_action,
    named_tools,
)
from openenv_gym.wire.client import ClientState
from openenv_gym.wire.codecs.json import FieldRows

__all__ = ["Found", "conclude", "gathered", "inferred"]


class Found(NamedTuple):
    """What was found out about a server in a session on it."""

    evidence: Evidence
    begun: FieldRows | None
    """The answer to the first reset, if its episode is as it began."""
    failure: OpenEnvGymError | None
    """Why there is none."""


def conclude(spaces: Spaces, url: str, found: Callable[[], Found], schema: Mapping[str, Any]) -> Found | None:
    """Make sure of ``spaces.inference``; gives what was found for it, if that was needed.

    Args:
        spaces: what the caller knows.
        url: of the server, for people.
        found: gathers the evidence.
        schema: what the server publishes.

    Raises:
        SpaceUnknown: if a field stays open.
        InvalidArgument: if the server publishes another schema than one of the same lanes, or a hint is
            none.
        ProtocolViolation: if its schema is malformed or too large.
    """
    if spaces.inference is not None:
        if fingerprint(schema) != spaces.inference.fingerprint:
            raise InvalidArgument(
                f"the server at {url} publishes another schema than the one whose spaces were inferred "
                "first; lanes, and sessions that follow each other, are of servers that serve the same"
            )
        return None
    there = found()
    inference = inferred(spaces, there.evidence)
    try:
        inference.check()
    except SpaceUnknown as error:
        error.add_note(f"from the server at {url}")
        if there.failure is not None:
            error.add_note(f"its first reset failed: {there.failure}")
        raise
    spaces.inference = inference
    return there


def inferred(spaces: Spaces, evidence: Evidence) -> Inference:
    """Conclude from evidence, what the caller says before all else.

    Raises:
        InvalidArgument: if a function comes without the space that it is for, or a hint is none.
        ProtocolViolation: if a schema is malformed or too large.
    """
    for space, function in (
        ("action_space", "encode_action"),
        ("observation_space", "decode_observation"),
    ):
        if getattr(spaces, function) is not None and getattr(spaces, space) is None:
            raise InvalidArgument(
                f"{function} is for a space of your own, which nobody else can tell; pass {space}, too"
            )
    return infer(
        evidence,
        spaces.hints,
        shipped=shipped_hints(),
        action_space=spaces.action_space,
        observation_space=spaces.observation_space,
        encode_action=spaces.encode_action,
        decode_observation=spaces.decode_observation,
        flatten=spaces.flatten,
    )


def gathered(client: Client, schema: Mapping[str, Any], fetch: Callable[[str], dict[str, Any]]) -> Found:
    """Find out what there is to know of a server.

    Args:
        client: of a session in the JSON dialect, which may be used further.
        schema: what the server publishes.
        fetch: gets one of its pages.

    Raises:
        CapacityReached, ServerClosed, ConnectionLost: if the session ends with it.
    """
    page = _page(fetch, "/metadata")
    name, version = page.get("name"), page.get("version")
    begun: FieldRows | None = None
    failure = None
    try:
        rows = client.reset()
        begun = rows if isinstance(rows, FieldRows) else None
    except OpenEnvGymError as error:
        _check_goes_on(client, error)
        failure = error
    evidence = Evidence(
        schema=schema,
        name=name if isinstance(name, str) else None,
        version=version if isinstance(version, str) else None,
        reset=None if begun is None else begun.body,
        state=_or_nothing(client, client.state),
    )
    if calls_tools(evidence):
        listed = _or_nothing(client, lambda: client.call("tools/list"))
        tools = listed.get("tools") if isinstance(listed, dict) else None
        listing = listing_action(evidence)
        if not isinstance(tools, list) and listing is not None:
            rows = _or_nothing(client, lambda: client.step(None, [listing]))
            tools = None if rows is None else named_tools(rows.values[0])
            begun = None
        evidence = replace(evidence, tools=tools if isinstance(tools, list) else None)
    return Found(evidence, begun, failure)


def _page(fetch: Callable[[str], dict[str, Any]], path: str) -> dict[str, Any]:
    try:
        return fetch(path)
    except (Unauthorized, Forbidden):
        raise
    except OpenEnvGymError:
        return {}


def _or_nothing(client: Client, ask: Callable[[], Any]) -> Any:
    """What the server says, or ``None`` if it does not; nobody but us asked."""
    try:
        return ask()
    except OpenEnvGymError as error:
        _check_goes_on(client, error)
        return None


def _check_goes_on(client: Client, error: OpenEnvGymError) -> None:
    """Raise the error if the session is over with it."""
    if client.protocol.state is ClientState.CLOSED:
        raise error
