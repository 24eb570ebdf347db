"""What the head of a first request tells."""

from __future__ import annotations

import pytest

from openenv_gym.server.workers.heads import MAX_BYTES, Head, prefix_of, read_head, worker_of

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nupgrade: WebSocket\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (b"", None),
        (b"GET /health HTTP/1.1\r\nHost: a\r\n", None),
        (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", Head(False, None)),
        (UPGRADE, Head(True, None)),
        (UPGRADE.replace(b"/ws", b"/ws?view=array&session_id=w3-ab"), Head(True, 3)),
        (UPGRADE.replace(b"/ws", b"/ws?session_id=ab"), Head(True, None)),
        (UPGRADE.replace(b"/ws", b"/ws?worker=w2"), Head(True, 2)),
        (b"GET /state?session_id=w1-ab HTTP/1.1\r\n\r\n", Head(False, 1)),
        (b"POST /step HTTP/1.1\r\nX-Session-Id: w12-ab\r\n\r\n", Head(False, 12)),
        (b'POST /step HTTP/1.1\r\n\r\n{"action": 1, "session_id": "w0-ab"}', Head(False, 0)),
        (b"POST /step HTTP/1.1\r\n\r\nupgrade: websocket", Head(False, None)),
        (b"\x16\x03\x01\x02", Head(False, None)),
        (b"G" * MAX_BYTES, Head(False, None)),
    ],
)
def test_a_head(data: bytes, head: Head | None) -> None:
    assert read_head(data) == head


def test_an_id_names_its_worker() -> None:
    assert worker_of(f"{prefix_of(7)}ab") == worker_of("w7") == 7
    assert worker_of("7-ab") is worker_of("") is worker_of("w-ab") is worker_of(" w1-ab") is None
