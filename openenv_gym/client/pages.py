"""The pages that a server shows over HTTP beside its WebSocket."""

from __future__ import annotations

import ssl
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Response

from openenv_gym.client.addresses import http_url
from openenv_gym.client.proxies import ProxyChoice, proxy_for
from openenv_gym.client.refusals import refused
from openenv_gym.client.sockets import tls_for
from openenv_gym.client.tokens import authorized
from openenv_gym.errors import ConnectFailed, ProtocolViolation

__all__ = ["fetch_json"]


def fetch_json(
    url: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy: ProxyChoice = True,
    timeout: float | None = 10.0,
) -> dict[str, Any]:
    """The JSON object on a page, fetched in the way in which the WebSocket was connected.

    Raises:
        ConnectFailed: if the page cannot be had.
        Unauthorized: if the server wants a token.
        Forbidden: if it refuses for a reason of its own.
        ProtocolViolation: if there is something else on it.
    """
    # It takes as long to import as the rest of a client, and no session in the native dialect needs a page.
    import httpx

    address = httpx.URL(http_url(url, path))
    secure = address.scheme == "https"
    port = address.port or (443 if secure else 80)
    through = proxy_for(address.host, port, secure=secure, choice=proxy)
    tls = tls_for(secure=secure, context=ssl_context)
    try:
        answer = httpx.get(
            address,
            headers=authorized(url, headers),
            follow_redirects=False,
            timeout=timeout,
            # In the clear there is nothing to verify, and to read the certificates takes 20 ms.
            verify=tls or False,
            proxy=None if through is None else through.url,
            trust_env=False,  # which proxy and which certificates was decided above
        )
        if answer.status_code in (401, 403):
            response = Response(answer.status_code, answer.reason_phrase, Headers(), answer.content)
            raise refused(response)
        answer.raise_for_status()
        found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise ConnectFailed(f"{address} does not answer with a JSON object: {error}") from error
    if type(found) is not dict:
        raise ProtocolViolation(f"{address} answers with {type(found).__name__}; an object was expected")
    return found
