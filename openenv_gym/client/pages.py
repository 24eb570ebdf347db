"""The pages that a server shows over HTTP beside its WebSocket."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Response

from openenv_gym.client.addresses import http_url
from openenv_gym.client.proxies import ProxyChoice, proxy_for
from openenv_gym.client.refusals import refused
from openenv_gym.client.sockets import tls_for
from openenv_gym.client.tokens import authorized
from openenv_gym.errors import ConnectFailed, InvalidArgument, ProtocolViolation

__all__ = ["PAGE_BYTES", "fetch_json"]

PAGE_BYTES = 2**24
"""The longest page that is read; servers publish some kilobytes."""


def fetch_json(
    url: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy: ProxyChoice = True,
    timeout: float | None = 10.0,
    max_bytes: int = PAGE_BYTES,
) -> dict[str, Any]:
    """The JSON object on a page, fetched in the way in which the WebSocket was connected.

    Args:
        url: of the server.
        path: of the page.
        headers: to send.
        ssl_context: how to speak TLS.
        proxy: what to go through.
        timeout: seconds to wait for the connection, and for each piece of the page.
        max_bytes: of the page; what is longer is not read to its end.

    Raises:
        ConnectFailed: if the page cannot be had.
        Unauthorized: if the server wants a token.
        Forbidden: if it refuses for a reason of its own.
        ProtocolViolation: if there is something else on it, or more.
        InvalidArgument: if the URL is none.
    """
    # It takes as long to import as the rest of a client, and no session in the native dialect needs a page.
    import httpx

    try:
        address = httpx.URL(http_url(url, path))
        host = address.host
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidArgument(f"{url!r:.200} is no server address: {error}") from error
    page = str(address.copy_with(userinfo=b""))  # what people are shown: there may be a password in it
    secure = address.scheme == "https"
    port = address.port or (443 if secure else 80)
    through = proxy_for(host, port, secure=secure, choice=proxy)
    tls = tls_for(secure=secure, context=ssl_context)
    try:
        with httpx.stream(
            "GET",
            address,
            # Packed, a few bytes may become as many as they like before they can be counted.
            headers={"Accept-Encoding": "identity", **authorized(url, headers)},
            follow_redirects=False,
            timeout=timeout,
            # In the clear there is nothing to verify, and to read the certificates takes 20 ms.
            verify=tls or False,
            proxy=None if through is None else through.url,
            trust_env=False,  # which proxy and which certificates was decided above
        ) as answer:
            if answer.status_code in (401, 403):
                body = _bounded(answer.iter_bytes(), max_bytes, page)
                raise refused(Response(answer.status_code, answer.reason_phrase, Headers(), body))
            if not answer.is_success:
                said = f"{answer.status_code} {answer.reason_phrase}"
                raise ConnectFailed(f"{page} answers with status {said}", status=answer.status_code)
            found = json.loads(_bounded(answer.iter_bytes(), max_bytes, page))
    except (httpx.HTTPError, ValueError, RecursionError) as error:
        raise ConnectFailed(f"{page} does not answer with a JSON object: {error}") from error
    if type(found) is not dict:
        raise ProtocolViolation(f"{page} answers with {type(found).__name__}; an object was expected")
    return found


def _bounded(pieces: Iterator[bytes], most: int, page: str) -> bytes:
    """A body, whole."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > most:
            raise ProtocolViolation(
                f"{page} holds more than {most} bytes, which no OpenEnv server needs; is the URL right? If "
                "it is, its operator has to publish less",
                max_bytes=most,
            )
    return bytes(body)
