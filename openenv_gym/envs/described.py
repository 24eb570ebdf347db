"""What a session in the JSON dialect is like, of which its messages say nothing.

The caller may say all of it, a server of ours publishes it in its ``/schema``, and otherwise it is inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium

from openenv_gym.client.early import EarlyClient
from openenv_gym.envs.known import Spaces
from openenv_gym.envs.options import Options
from openenv_gym.envs.promises import Promises
from openenv_gym.envs.translation import Inferred, Translation, Translator
from openenv_gym.errors import InvalidArgument, OpenEnvGymError, ProtocolViolation
from openenv_gym.spaces import Kind, kinds_of, layout_of
from openenv_gym.types import AUTORESET_MODES, ON_FAILURE, Autoreset, Signature
from openenv_gym.wire.codecs.json import FieldRows
from openenv_gym.wire.messages import Hello
from openenv_gym.wire.signature import spaces_of

__all__ = ["Described", "described"]


class Described(NamedTuple):
    """A session in the JSON dialect."""

    signature: Signature
    translation: Translator
    """Between its spaces and fields."""
    promises: Promises
    """What to hold the server's answers against."""
    view: str | None = None
    """The view that its spaces are of; ``None`` for the server's own."""
    begun: FieldRows | None = None
    """The answer to the first reset, if it took one to find out."""


def described(url: str, client: EarlyClient, hello: Hello, spaces: Spaces, options: Options) -> Described:
    """Find out what a session is like.

    Args:
        url: of the server.
        client: of the session.
        hello: what it was asked for.
        spaces: what the caller knows of the server.
        options: what the caller asks of it.

    Raises:
        InvalidArgument: if the JSON dialect cannot give what is asked for.
        SpaceUnknown: if neither the server nor the caller tell what a field may hold.
        ProtocolViolation: if what the server publishes is malformed.
    """
    if options.env_id is not None or options.env_kwargs:
        raise InvalidArgument(
            "the JSON dialect cannot choose what a session hosts; leave out env_id and env_kwargs, "
            "or dialect='json'"
        )
    schema = _fetch_schema(url, options, needed=options.render_mode is not None or not spaces.complete)
    block = schema.get("gymnasium")
    exact: dict[str, Any] | None = block if type(block) is dict else None
    if options.render_mode is not None:
        _check_renders(url, exact, options.render_mode)
    promises = Promises(url, schema, strict=options.strict)
    mode = next(mode for mode in AUTORESET_MODES if mode == hello.autoreset)
    begun = None
    if spaces.hinted or (exact is None and not spaces.told):
        begun = _conclude(url, client, spaces, options, schema)
        found = _inferred(url, spaces, promises, hello.lanes, mode)
    elif exact is None or spaces.complete:
        found = _told(url, spaces, promises, hello.lanes, mode)
    else:
        found = _published(exact, spaces, promises, hello.lanes, mode)
    signature = replace(
        found.signature,
        render_mode=options.render_mode,
        on_failure=next(known for known in ON_FAILURE if known == options.on_failure),
    )
    return found._replace(signature=signature, begun=begun)


def _told(url: str, spaces: Spaces, promises: Promises, lanes: int, autoreset: Autoreset) -> Described:
    """As the caller tells it."""
    assert spaces.observation_space is not None, "the caller says both"
    assert spaces.action_space is not None
    signature = _signature(url, spaces.observation_space, spaces.action_space, lanes, autoreset)
    translation = Translation(signature, spaces.encode_action, spaces.decode_observation, lifted=False)
    return Described(signature, translation, promises)


def _published(
    exact: Mapping[str, Any], spaces: Spaces, promises: Promises, lanes: int, autoreset: Autoreset
) -> Described:
    """As the server publishes it, in the exact block of its schema."""
    try:
        signature = Signature(
            env_id=str(exact["env_id"]),
            agents=("agent",),
            observation_spaces=spaces_of([exact["observation_spaces"][0]], lanes),
            action_spaces=spaces_of([exact["action_spaces"][0]], lanes),
            lanes=lanes,
            autoreset=autoreset,
            metadata=dict(exact["metadata"]),
            kinds=tuple(Kind(kind) for kind in exact["kinds"]),
            spec=dict(exact["spec"]),
            masks=bool(exact.get("masks", False)),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ProtocolViolation(
            f"the server's /schema has a 'gymnasium' block that cannot be read: {error!r}"
        ) from error
    translation = Translation(signature, spaces.encode_action, spaces.decode_observation, lifted=True)
    view = exact.get("json_view")
    return Described(signature, translation, promises, None if view is None else str(view))


def _conclude(
    url: str, client: EarlyClient, spaces: Spaces, options: Options, schema: Mapping[str, Any]
) -> FieldRows | None:
    """Make sure of ``spaces.inference``; gives the answer to the reset that it took, if it took one."""
    # A sixth of what a client takes to import, and no session in the native dialect infers anything.
    from openenv_gym.envs.inferring import conclude, gathered

    there = conclude(spaces, url, lambda: gathered(client, schema, options.fetcher(url)), schema)
    return None if there is None else there.begun


def _inferred(url: str, spaces: Spaces, promises: Promises, lanes: int, autoreset: Autoreset) -> Described:
    """As it was concluded of the server."""
    inference = spaces.inference
    assert inference is not None, "conclude has seen to it"
    signature = replace(
        _signature(url, inference.observation_space, inference.action_space, lanes, autoreset),
        metadata={"render_modes": []},
        masks=inference.masks,
    )
    return Described(signature, Inferred(inference, spaces.decode_observation, promises, lanes), promises)


def _signature(
    url: str,
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    lanes: int,
    autoreset: Autoreset,
) -> Signature:
    """The signature of what does not say what it serves, and is called by its address."""
    layout = layout_of(observation_space)
    return Signature(
        env_id=url,
        agents=("agent",),
        observation_spaces=(observation_space,),
        action_spaces=(action_space,),
        lanes=lanes,
        autoreset=autoreset,
        kinds=() if layout is None else tuple(kinds_of(layout, None)),
    )


def _check_renders(url: str, exact: dict[str, Any] | None, render_mode: str) -> None:
    """Refuse a render mode of which the server's exact block says nothing: its answer would be silence."""
    modes = None if exact is None else exact.get("render_modes")
    if type(modes) is not list or render_mode not in modes:
        said = ", ".join(map(str, modes)) if type(modes) is list else ""
        raise InvalidArgument(
            f"the server at {url} renders as {said or 'nothing'} in the JSON dialect, not as "
            f"{render_mode!r:.40}; leave out render_mode"
        )


def _fetch_schema(url: str, options: Options, *, needed: bool) -> dict[str, Any]:
    """What the server publishes as its ``/schema``; nothing, if it cannot be had and is not needed."""
    try:
        return options.fetcher(url)("/schema")
    except OpenEnvGymError:
        if needed:
            raise
        return {}
