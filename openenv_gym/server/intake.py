"""HTTP bodies, read within the limits before anybody looks at them; plain ASGI."""

from __future__ import annotations

from openenv_gym.errors import MessageTooLarge
from openenv_gym.server.connection import Event, Receive
from openenv_gym.wire.depth import check_depth

__all__ = ["read_body"]


async def read_body(
    scope: Event, receive: Receive, *, max_bytes: int, max_depth: int | None
) -> tuple[bytes, Receive]:
    """Read a request's body; give it, and what an application receives in its place.

    Nothing beyond ``max_bytes`` is kept, whatever the request says of its length.

    Raises:
        MessageTooLarge: if the body is longer; the rest of it was not read.
        InvalidMessage: if it is JSON that is nested deeper than ``max_depth``.
    """
    headers = dict(scope["headers"])
    length = headers.get(b"content-length")
    framed = scope.get("http_version", "1.1") not in ("1.0", "1.1")  # as HTTP/2 is: it need not say a length
    if length is None and not framed and b"transfer-encoding" not in headers:
        return b"", receive
    if length is not None and int(length) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return b"", _first(event, receive)
        body += event.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        if not event.get("more_body", False):
            break
    data = bytes(body)
    if max_depth is not None:
        check_depth(data, max_depth)
    return data, _first({"type": "http.request", "body": data, "more_body": False}, receive)


def _first(event: Event, receive: Receive) -> Receive:
    """Give an event, and then what comes."""
    events = [event]

    async def replay() -> Event:
        return events.pop() if events else await receive()

    return replay


def _too_large(max_bytes: int) -> MessageTooLarge:
    return MessageTooLarge(
        f"the body has more than {max_bytes} bytes; send less, or have the operator raise max_message_bytes "
        "(--max-message-bytes)",
        max_message_bytes=max_bytes,
    )
