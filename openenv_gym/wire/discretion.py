"""What must not be read in a log: the secrets in the headers of a handshake."""

from __future__ import annotations

import logging

__all__ = ["DISCREET"]

_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})


class _Discreet(logging.Filter):
    """Takes the secrets out of the headers of a handshake, which websockets logs when it debugs."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args
        if isinstance(args, tuple) and len(args) == 2 and str(args[0]).lower() in _SECRETS:
            record.args = (args[0], "(not logged)")
        return True


DISCREET = _Discreet()
"""A filter for whatever logger websockets is given."""
