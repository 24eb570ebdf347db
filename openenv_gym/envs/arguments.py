"""Which keyword of ``gymnasium.make("openenv/...", ...)`` is the bridge's, and which the environment's.

The rule: a keyword that has the name of one of the bridge's own arguments is the bridge's. Every other
is an argument of the served environment's constructor. One of those that has a bridge argument's
name goes into ``env_kwargs``, which holds the environment's arguments whatever they are called.
A name that looks like a bridge argument's, ``bas_url``, is refused and not handed on, unless it is a
longer one of more words, as Atari's ``full_action_space`` is.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping
from typing import Any

from openenv_gym.envs.registration import SERVERS
from openenv_gym.errors import InvalidArgument

__all__ = ["address_of", "environment_arguments"]

_TOO_ALIKE = 0.8


def environment_arguments(
    others: Mapping[str, Any], env_kwargs: Mapping[str, Any] | None, bridge: Collection[str]
) -> dict[str, Any]:
    """The arguments of the served environment.

    Args:
        others: keywords that are none of the bridge's.
        env_kwargs: the environment's arguments, said to be so.
        bridge: names of the bridge's arguments.

    Raises:
        InvalidArgument: if a name looks like one of the bridge's, or is given twice.
    """
    if not (env_kwargs is None or isinstance(env_kwargs, Mapping)):
        raise InvalidArgument(
            f"env_kwargs are names and values, {{'continuous': True}}, not {env_kwargs!r:.40}"
        )
    arguments = dict(env_kwargs or {})
    for name, value in others.items():
        if name in arguments:
            raise InvalidArgument(f"{name} is given by itself and in env_kwargs; leave one of them out")
        if (meant := _meant(name, bridge)) is not None:
            raise InvalidArgument(
                f"there is no argument {name!r:.80}; was {meant!r} meant? If the environment takes "
                f"{name!r:.80}, say so: env_kwargs={{{name!r:.80}: ...}}"
            )
        arguments[name] = value
    return arguments


def _meant(name: str, bridge: Collection[str]) -> str | None:
    """The bridge's argument that a name looks like a misspelling of."""
    words = set(name.split("_"))
    alike = difflib.get_close_matches(name, bridge, cutoff=_TOO_ALIKE)
    return next((other for other in alike if not words > set(other.split("_"))), None)


def address_of(server: str, base_url: str | None) -> str | None:
    """Where a server runs already: ``base_url``, or what ``OPENENV_<NAME>_URL`` says; else nowhere.

    Raises:
        InvalidArgument: if it must run somewhere and nobody says where, or nobody knows the name.
    """
    if server not in SERVERS:
        raise InvalidArgument(f"there is no openenv/{server:.80}; there are {', '.join(SERVERS)}")
    variable = f"OPENENV_{server.upper().replace('-', '_')}_URL"
    url = base_url or os.environ.get(variable, "").strip() or None
    if url is None and server == "remote":
        raise InvalidArgument(
            "openenv/remote plays a server that runs already: base_url='http://127.0.0.1:8000', "
            f"or the environment variable {variable}"
        )
    return url
