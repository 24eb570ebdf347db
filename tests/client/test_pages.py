"""Pages beside the WebSocket: how much of one is read, and of what."""

from __future__ import annotations

import gzip
from contextlib import nullcontext

import pytest

from openenv_gym.client.pages import PAGE_BYTES, fetch_json
from openenv_gym.errors import ConnectFailed, InvalidArgument, ProtocolViolation, Unauthorized
from tests.client.test_tokens import stranger


@pytest.mark.parametrize("status", [200, 401])
def test_a_page_is_read_up_to_a_limit(status: int) -> None:
    with stranger(status, body=b'{"a": 1}' + b" " * 2000) as (url, _):
        with pytest.raises(ProtocolViolation, match=r"more than 2007 bytes.* pub\w+ less") as caught:
            fetch_json(url, "/schema", max_bytes=2007)
        assert caught.value.fields == {"max_bytes": 2007}
        with nullcontext() if status == 200 else pytest.raises(Unauthorized):
            assert fetch_json(url, "/schema", max_bytes=2008) == {"a": 1}


def test_a_packed_page_is_as_long_as_it_becomes() -> None:
    body = gzip.compress(b" " * (PAGE_BYTES + 1))
    with stranger(200, {"Content-Encoding": "gzip"}, body) as (url, _):
        with pytest.raises(ProtocolViolation, match=f"more than {PAGE_BYTES} bytes"):
            fetch_json(url, "/schema")


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_told_of_a_page_has_no_password_in_it(status: int) -> None:
    with stranger(status, body=b"nothing") as (url, _), pytest.raises(ConnectFailed) as caught:
        fetch_json(url.replace("//", "//me:secret@"), "/schema")
    assert "secret" not in str(caught.value) and "/schema" in str(caught.value)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"\xff"])
def test_a_page_without_json_is_told(body: bytes) -> None:
    with stranger(200, body=body) as (url, _):
        with pytest.raises(ConnectFailed, match="does not answer with a JSON object"):
            fetch_json(url, "/schema")


@pytest.mark.parametrize("host", ["exa\x01mple.org", "\u2028x", "xn--"])
def test_an_address_that_cannot_be_one_is_refused(host: str) -> None:
    with pytest.raises(InvalidArgument, match="is no server address"):
        fetch_json(f"http://{host}/", "/schema", proxy=None)
