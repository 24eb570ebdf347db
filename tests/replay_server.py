"""A recorded capture played back by a little server with real sockets, which speaks as a stock one does.

It needs no stock package. A reset winds the recording back, and the n-th step after it gets the n-th recorded
answer, if it is the n-th recorded request to the letter.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

__all__ = ["Replay", "replaying"]


@dataclass
class Replay:
    """Where a recording is played.

    Attributes:
        url: where.
        heard: each request so far, of all connections.
        refused: what was asked that is not in the recording; its client was told, too.
    """

    url: str
    heard: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@contextmanager
def replaying(capture: dict[str, Any]) -> Iterator[Replay]:
    """Serve what a file of ``tests/captures`` holds; at the end, nothing else may have been asked.

    Args:
        capture: what the file holds.
    """
    replay = Replay("")

    def handle(connection: ServerConnection) -> None:
        tape = _Tape(capture)
        for text in connection:
            request = json.loads(text)
            replay.heard.append(request)
            if request == {"type": "close"}:
                return
            try:
                answer = tape.answer(request)
            except _NotRecorded as error:
                replay.refused.append(str(error))
                answer = {"type": "error", "data": {"message": str(error), "code": "EXECUTION_ERROR"}}
            connection.send(json.dumps(answer))

    with serve(handle, "127.0.0.1", 0, process_request=_pages(capture)) as server:
        replay.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield replay
        finally:
            server.shutdown()
            thread.join()
    assert not replay.refused, replay.refused


class _NotRecorded(Exception):
    pass


class _Tape:
    """One session's place in the recording."""

    def __init__(self, capture: dict[str, Any]) -> None:
        self._capture = capture
        self._place: int | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What was answered then.

        Raises:
            _NotRecorded: if it was not asked then.
        """
        kind = request["type"]
        if kind == "reset":  # as of stock servers, whose resets drop what they do not know
            self._place = 0
            return self._said(self._capture["reset"])
        if kind == "step" and self._place is not None:
            due = self._capture["steps"][self._place : self._place + 1]
            if due and _text(request) == _text(due[0]["request"]):
                self._place += 1
                return self._said(due[0])
            expected = _text(due[0]["request"]) if due else "nothing more"
            raise _NotRecorded(f"{expected} is recorded, and {_text(request)} came")
        if request == self._capture["state"]["request"]:
            return self._said(self._capture["state"])
        raise _NotRecorded(f"{_text(request)} came, which is not recorded here")

    @staticmethod
    def _said(exchange: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = exchange["response"]
        return answer


def _text(request: dict[str, Any]) -> str:
    """By which 1, 1.0 and true differ."""
    return json.dumps(request, sort_keys=True)


def _pages(capture: dict[str, Any]) -> Callable[[ServerConnection, Request], Response | None]:
    """What is answered to GET; a WebSocket is opened at ``/ws`` alone."""
    pages = {
        "/health": {"status": "healthy"},
        "/schema": capture["schema"],
        "/metadata": capture["metadata"],
    }

    def page(connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/ws":
            return None
        found = path in pages
        status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
        body = json.dumps(pages[path] if found else {"detail": "Not Found"}).encode()
        headers = Headers(
            {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        )
        return Response(status, status.phrase, headers, body)

    return page
