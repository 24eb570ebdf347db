"""``httpx`` for plain HTTP: without the certificates that it would read for each client, in 20 ms."""

from __future__ import annotations

from functools import partial

import httpx

__all__ = ["Client", "get", "post"]

Client = partial(httpx.Client, verify=False)
get = partial(httpx.get, verify=False)
post = partial(httpx.post, verify=False)
