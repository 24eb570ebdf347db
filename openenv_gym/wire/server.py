"""The server's end of the road as a machine without input or output.

One :class:`ServerProtocol` serves one connection: it decodes, demands the hello before anything
else, and turns a request that cannot be understood into one that is refused under its own number,
so that the exactly-once window counts it like any other. Both dialects drive the same machine: in
JSON the hello is implied.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from openenv_gym.errors import OpenEnvGymError, ProtocolViolation
from openenv_gym.wire.blocks import HEADER
from openenv_gym.wire.codecs.json import JsonServerCodec, describe_frame, encode_error, encode_frame
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Ack, Close, Error, Hello, Mcp, Request, Step, Value

__all__ = ["Incoming", "Refused", "ServerProtocol", "error_message"]


class Refused(Struct, frozen=True):
    """A request that could not be understood; it is answered with ``error`` and changes nothing."""

    seq: int
    error: OpenEnvGymError


Incoming: TypeAlias = Hello | Request | Refused | Ack | Close | Mcp

_INCOMING = (Hello, *Request.__args__, Ack, Close, Mcp)


class ServerProtocol:
    """One connection, seen from the server.

    Args:
        native: whether the connection speaks the native dialect; else it speaks JSON.
        max_json_depth: how deep JSON may be nested; ``None``: as deep as can be parsed.

    Attributes:
        codec: the dialect; the attachment tells a native one the layouts.
    """

    def __init__(self, *, native: bool, max_json_depth: int | None = None) -> None:
        self.native = native
        self.codec: NativeCodec | JsonServerCodec
        self.codec = NativeCodec() if native else JsonServerCodec(max_depth=max_json_depth)
        self._greeted = not native

    def receive(self, data: Any) -> tuple[Incoming, int]:
        """The message that arrived, and up to which number the client has its answers.

        Raises:
            ProtocolViolation: if the connection cannot go on.
        """
        try:
            message, ack = self.codec.decode(data)
        except ProtocolViolation:
            raise
        except OpenEnvGymError as error:
            return self._refused(data, error)
        if self._greeted and type(message) is Step:
            return message, ack
        if not isinstance(message, _INCOMING):
            raise ProtocolViolation(f"a client does not send a {type(message).__name__}")
        if isinstance(message, Hello) is self._greeted and not isinstance(message, Close):
            raise ProtocolViolation(
                "a session says hello once, and first; this connection "
                + ("said it before" if self._greeted else f"began with a {type(message).__name__}")
            )
        self._greeted = True
        return message, ack

    def _refused(self, data: Any, error: OpenEnvGymError) -> tuple[Refused, int]:
        if not self._greeted:
            raise ProtocolViolation(f"the hello cannot be understood: {error.message}") from error
        if isinstance(self.codec, JsonServerCodec):
            seq = self.codec.skip()
            return Refused(seq, error), seq - 1
        header = HEADER.unpack_from(data)
        return Refused(header[7], error), header[8]

    def encode_value(self, seq: int, value: Any) -> Any:
        """The answer to a question."""
        return self.codec.encode(Value(seq, value))

    def encode_frame(self, seq: int, frame: Any, render_mode: str) -> Any:
        """The answer to a question for a frame."""
        if isinstance(self.codec, JsonServerCodec):
            return encode_frame(describe_frame(frame, render_mode))
        return self.codec.encode(Value(seq, frame))

    def encode_error(self, seq: int, error: OpenEnvGymError) -> Any:
        """The answer to a request that failed as a whole, or (``seq`` 0) the end of the session."""
        if isinstance(self.codec, JsonServerCodec):
            return encode_error(error, over=seq == 0)
        return self.codec.encode(error_message(seq, error))


def error_message(seq: int, error: OpenEnvGymError) -> Error:
    """The message that makes the client raise the same error."""
    cause = "\n".join(getattr(error, "__notes__", ())) or None
    return Error(seq, error.code, str(error.side), error.message, error.fields, cause)
