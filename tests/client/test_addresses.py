"""What is no server's address is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from openenv_gym.client.addresses import http_url, websocket_url
from openenv_gym.errors import InvalidArgument

NONE = [
    None,
    5,
    b"http://host",
    "",
    "ftp://host",
    "http://",
    "http://host:x",
    "http://host:99999",
    "http://[::1",
]


@pytest.mark.parametrize("url", NONE)
def test_what_is_no_address(url: Any) -> None:
    with pytest.raises(InvalidArgument, match="is no server address"):
        websocket_url(url)
    with pytest.raises(InvalidArgument, match="is no server address"):
        http_url(url, "/schema")
