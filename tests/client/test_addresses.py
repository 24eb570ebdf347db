"""What is no server's address is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from openenv_gym.client.addresses import http_url, websocket_url, without_user
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


@pytest.mark.parametrize("env_id", ["CartPole-v1", "ALE/Pong-v5"])
def test_an_id_is_told_from_an_address(env_id: str) -> None:
    with pytest.raises(InvalidArgument, match="is an id and no server address"):
        websocket_url(env_id)
    assert websocket_url(f"http://{env_id}:8000/") and websocket_url("lab.example/app-v2")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://name:sesame@host:8000/path", "http://host:8000/path"),
        ("name:sesame@host:8000", "host:8000"),
        ("http://host/@there", "http://host/@there"),
    ],
)
def test_an_address_is_shown_without_its_user(url: str, shown: str) -> None:
    assert without_user(url) == shown
