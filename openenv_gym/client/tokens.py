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

__all__ = ["LOG", "authorized"]

_VARIABLE = "OPENENV_TOKEN"
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})


class _Discreet(logging.Filter):
    """Takes the secrets out of the headers of a handshake, which websockets logs when it debugs."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args
        if isinstance(args, tuple) and len(args) == 2 and str(args[0]).lower() in _SECRETS:
            record.args = (args[0], "(not logged)")
        return True


LOG = logging.getLogger("openenv_gym.client.websocket")
"""What websockets writes its log to."""
LOG.addFilter(_Discreet())


def authorized(url: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a request, with the environment's token if they and the URL name none.

    Raises:
        InvalidArgument: if the token holds what no header can.
    """
    named = dict(headers or {})
    token = os.environ.get(_VARIABLE, "").strip()
    if not token or urlsplit(url).username is not None or "authorization" in map(str.lower, named):
        return named
    if not _SENDABLE.fullmatch(token):
        raise InvalidArgument(f"{_VARIABLE} holds characters that are not visible ASCII; no server takes it")
    return {**named, "Authorization": f"Bearer {token}"}
