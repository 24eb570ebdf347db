"""The token that a client shows, from ``OPENENV_TOKEN`` where its headers hold none.

The variable's token goes to whichever server the user names, and nowhere else: it is read when a
connection is made, kept in no attribute, and no redirect is followed. So it stands in no ``repr``,
pickle or ``env.spec``, as one in ``headers`` might. Over ``http`` and ``ws`` whoever listens in on
the network can read it; use ``https`` beyond your own machine.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from openenv_gym.errors import InvalidArgument
from openenv_gym.wire.discretion import DISCREET

__all__ = ["LOG", "authorized"]

_VARIABLE = "OPENENV_TOKEN"
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


LOG = logging.getLogger("openenv_gym.client.websocket")
"""What websockets writes its log to."""
LOG.addFilter(DISCREET)


def authorized(url: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a request, with the environment's token if they and the URL name none.

    Raises:
        InvalidArgument: if the token, or a header, holds what no header can.
    """
    named = _named(headers)
    token = os.environ.get(_VARIABLE, "").strip()
    if not token or urlsplit(url).username is not None or "authorization" in map(str.lower, named):
        return named
    if not _SENDABLE.fullmatch(token):
        raise InvalidArgument(f"{_VARIABLE} holds characters that are not visible ASCII; no server takes it")
    return {**named, "Authorization": f"Bearer {token}"}


def _named(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The caller's headers; what is wrong with one is said without its value, which may be a token."""
    try:
        named = dict(headers or {})
    except (TypeError, ValueError) as error:
        raise InvalidArgument("headers is a dict of names and values, {'X-Team': 'blue'}") from error
    for name, value in named.items():
        if not isinstance(name, str) or not _VALUE.fullmatch(str(value)):
            raise InvalidArgument(
                f"the header {name!r:.80} cannot be sent: a name is a str, and a value holds no line break "
                "and nothing beyond Latin-1; was one read from a file without strip()?"
            )
    return named
