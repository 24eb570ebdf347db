"""What is known of a server that does not say its spaces: from its caller, its pages and its answers.

What is concluded is concluded once, with the first session, and holds for all lanes and for sessions that
follow. The reset that this takes is not wasted: an episode that is begun without a seed or options is as good
as the one that was asked for so, and lane 0 begins with it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, NamedTuple

from gymnasium import Space

from openenv_gym.catalogue import read_hints, shipped_hints
from openenv_gym.client.blocking import Client
from openenv_gym.errors import Forbidden, InvalidArgument, OpenEnvGymError, SpaceUnknown, Unauthorized
from openenv_gym.spaces.inference import (
    Confidence,
    Evidence,
    Inference,
    Role,
    calls_tools,
    fingerprint,
    infer,
    listing_action,
)
from openenv_gym.spaces.inference.conclusions import described
from openenv_gym.wire.client import ClientState
from openenv_gym.wire.codecs.json import FieldRows

__all__ = ["Found", "Spaces", "gathered", "tell_assumptions"]

_OURS = ("openenv_gym", "gymnasium")


class Spaces:
    """What a caller knows of a server that does not say it: spaces, and how fields map to them.

    Args:
        observation_space: of one lane.
        action_space: of one lane.
        encode_action: action -> the fields of a step; by default as inferred.
        decode_observation: the fields of an answer -> observation; by default as inferred.
        hints: fields and what they are, or the path of a hint file.
        flatten: whether to give what a multilayer perceptron wants.

    Attributes:
        inference: what was concluded of the server, once it was.
    """

    def __init__(
        self,
        observation_space: Space[Any] | None,
        action_space: Space[Any] | None,
        encode_action: Callable[[Any], dict[str, Any]] | None = None,
        decode_observation: Callable[[Any], Any] | None = None,
        hints: Mapping[str, Any] | str | PathLike[str] | None = None,
        flatten: bool = False,
    ) -> None:
        for name, space in (("observation_space", observation_space), ("action_space", action_space)):
            if not (space is None or isinstance(space, Space)):
                raise InvalidArgument(f"{name} is a space of Gymnasium's, not {space!r:.40}")
        for name, function in (("encode_action", encode_action), ("decode_observation", decode_observation)):
            if not (function is None or callable(function)):
                raise InvalidArgument(f"{name} is a function, not {function!r:.40}")
        if type(flatten) is not bool:
            raise InvalidArgument(f"flatten is True or False, not {flatten!r:.40}")
        self.observation_space, self.action_space = observation_space, action_space
        self.encode_action, self.decode_observation = encode_action, decode_observation
        self.hints = read_hints(hints) if isinstance(hints, str | PathLike) else hints
        self.flatten = flatten
        self.inference: Inference | None = None

    @property
    def complete(self) -> bool:
        """Whether both spaces are known."""
        return self.observation_space is not None and self.action_space is not None

    @property
    def told(self) -> bool:
        """Whether the caller says all that there is to say."""
        return (
            self.complete
            and not self.hinted
            and self.encode_action is not None
            and self.decode_observation is not None
        )

    @property
    def hinted(self) -> bool:
        """Whether the caller wants other spaces than a server's own."""
        return self.hints is not None or self.flatten

    def conclude(self, url: str, found: Callable[[], Found], schema: Mapping[str, Any]) -> Found | None:
        """Make sure of :attr:`inference`; gives what was found for it, if that was needed.

        Args:
            url: of the server, for people.
            found: gathers the evidence.
            schema: what the server publishes.

        Raises:
            SpaceUnknown: if a field stays open.
            InvalidArgument: if the server publishes another schema than one of the same lanes, or a hint is
                none.
            ProtocolViolation: if its schema is malformed or too large.
        """
        if self.inference is not None:
            if fingerprint(schema) != self.inference.fingerprint:
                raise InvalidArgument(
                    f"the server at {url} publishes another schema than the one whose spaces were inferred "
                    "first; lanes, and sessions that follow each other, are of servers that serve the same"
                )
            return None
        there = found()
        inference = self.infer(there.evidence)
        try:
            inference.check()
        except SpaceUnknown as error:
            error.add_note(f"from the server at {url}")
            if there.failure is not None:
                error.add_note(f"its first reset failed: {there.failure}")
            raise
        self.inference = inference
        return there

    def infer(self, evidence: Evidence) -> Inference:
        """Conclude from evidence, what the caller says before all else.

        Raises:
            InvalidArgument: if a function comes without the space that it is for, or a hint is none.
            ProtocolViolation: if a schema is malformed or too large.
        """
        for space, function in (
            ("action_space", "encode_action"),
            ("observation_space", "decode_observation"),
        ):
            if getattr(self, function) is not None and getattr(self, space) is None:
                raise InvalidArgument(
                    f"{function} is for a space of your own, which nobody else can tell; pass {space}, too"
                )
        return infer(
            evidence,
            self.hints,
            shipped=shipped_hints(),
            action_space=self.action_space,
            observation_space=self.observation_space,
            encode_action=self.encode_action,
            decode_observation=self.decode_observation,
            flatten=self.flatten,
        )


class Found(NamedTuple):
    """What was found out about a server in a session on it."""

    evidence: Evidence
    begun: FieldRows | None
    """The answer to the first reset, if its episode is as it began."""
    failure: OpenEnvGymError | None
    """Why there is none."""


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
            tools = None if rows is None else rows.values[0].get("tools")
            begun = None
        evidence = replace(evidence, tools=tools if isinstance(tools, list) else None)
    return Found(evidence, begun, failure)


def tell_assumptions(spaces: Spaces, urls: Sequence[str]) -> None:
    """Warn once of what was assumed, if anything was; the line that it names is one of the user's.

    Args:
        spaces: with what was concluded.
        urls: of the servers, for people.
    """
    inference = spaces.inference
    if inference is None:
        return
    used = [
        row
        for row in inference.fields
        if row.space is not None or (row.role is Role.LEGAL and inference.masks)
    ]
    if all(row.confidence is Confidence.CERTAIN for row in used) and not inference.notes:
        return
    sure = f"action_space={described(inference.action_space)}, observation_space=" + described(
        inference.observation_space
    )
    assumed = "; ".join(inference.assumptions) or "nothing beyond its schema"
    said = (
        f"the server at {urls[0]} does not tell its spaces; inferred: {sure:.600}. Assumed: {assumed:.1200}."
    )
    for note in inference.notes:
        said += f" Note: {note}."
    warnings.warn(
        f"{said} print(env.unwrapped.inference) shows all of it, and hints={{...}} overrides it",
        stacklevel=_levels_to_user(),
    )


def _levels_to_user() -> int:
    """How many frames up it is from a caller's to one that is not ours, nor that of ``gymnasium.make``."""
    frame, levels = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).split(".")[0] in _OURS:
        frame, levels = frame.f_back, levels + 1
    return levels


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
