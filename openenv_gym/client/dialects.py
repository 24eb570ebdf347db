"""Which dialect a connection speaks: what to offer, and what the server's choice means."""

from __future__ import annotations

import secrets

from msgspec.structs import replace

from openenv_gym.errors import ProtocolViolation
from openenv_gym.types import Signature
from openenv_gym.version import __version__
from openenv_gym.wire.client import ClientProtocol
from openenv_gym.wire.codecs.json import JsonClientCodec
from openenv_gym.wire.codecs.native import SUBPROTOCOL, NativeCodec
from openenv_gym.wire.messages import Hello

__all__ = ["agreed", "default_hello", "is_native", "offered", "signature_of", "with_nonce"]


def offered(dialect: str | None) -> tuple[str, ...]:
    """The subprotocols to offer to a server."""
    return () if dialect == "json" else (SUBPROTOCOL,)


def is_native(subprotocol: str | None) -> bool:
    """Whether the server's choice is the native dialect."""
    return subprotocol == SUBPROTOCOL


def agreed(subprotocol: str | None, dialect: str | None) -> ClientProtocol:
    """The machine for the dialect that the server chose; a native one has its hello still to say.

    Look before the first frame: a binary message ends a stock server's session.

    Raises:
        ProtocolViolation: if the native dialect was demanded and the server does not speak it.
    """
    if is_native(subprotocol):
        return ClientProtocol(NativeCodec())
    if dialect == "native":
        raise ProtocolViolation("the server does not speak the native dialect; it may speak dialect='json'")
    return ClientProtocol(JsonClientCodec(), implied_hello=True)


def default_hello() -> Hello:
    """One lane, as arrays."""
    return Hello(client=f"openenv-gym {__version__}")


def with_nonce(hello: Hello) -> Hello:
    """A hello by which its sender, and nobody else, can claim the session again."""
    return replace(hello, nonce=secrets.token_urlsafe(24))


def signature_of(protocol: ClientProtocol) -> Signature:
    """What the welcome said of the environment.

    Raises:
        ProtocolViolation: in the JSON dialect, which has no welcome.
    """
    if protocol.signature is None:
        raise ProtocolViolation("the JSON dialect says nothing of the environment; see /schema")
    return protocol.signature
