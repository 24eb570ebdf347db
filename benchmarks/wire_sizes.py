"""How many bytes does a step put on the wire? Counted by a relay between client and server.

A relay and not a look inside: whatever client and server become, the count stays true.
"""

from __future__ import annotations

import socket
import statistics
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.ours import our_server
from benchmarks.rig import Rig, action_table
from openenv_gym import OpenEnvGym

__all__ = ["MessageSizes", "sizes_of_a_step"]

STEPS = 200
CHUNK = 65_536


@dataclass(frozen=True)
class MessageSizes:
    """Bytes of the message that asks for a step, and of the one that answers."""

    request: int
    answer: int


def sizes_of_a_step(env_id: str, actions: int) -> MessageSizes:
    """Play a few episodes of one native lane through the relay and return the median sizes."""
    requests, answers = [], []
    rig = Rig()
    try:
        with (
            _relay(our_server(env_id)(rig)) as relay,
            closing(OpenEnvGym(relay.url, dialect="native")) as env,
        ):
            env.reset(seed=0)
            for action in action_table(actions, 1)[:STEPS, 0].tolist():
                asked, answered = relay.forward, relay.backward
                _, _, terminated, truncated, _ = env.step(action)
                requests.append(relay.forward - asked)
                answers.append(relay.backward - answered)
                if terminated or truncated:
                    env.reset()
    finally:
        rig.close()
    return MessageSizes(
        request=_payload(int(statistics.median(requests)), mask=4),
        answer=_payload(int(statistics.median(answers)), mask=0),
    )


def _payload(frame: int, mask: int) -> int:
    """Take a frame's header off: 2 bytes, 4 from 126 bytes on, 10 from 64 KiB on (RFC 6455, 5.2)."""
    for header, largest in ((2, 125), (4, 65_535), (10, 2**63)):
        if frame - header - mask <= largest:
            return frame - header - mask
    raise AssertionError("no frame is that long")


class _Relay:
    """Forwards connections to a server and counts the bytes of both directions."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.forward = 0
        self.backward = 0
        self._listener = listener
        self._target = target

    def accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # The listener was shut: the relay is over.
            far = socket.create_connection(self._target)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(near, far, "forward"), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, "backward"), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with source:
            try:
                while chunk := source.recv(CHUNK):
                    # Counted before it is passed on: who has an answer finds it counted.
                    setattr(self, direction, getattr(self, direction) + len(chunk))
                    sink.sendall(chunk)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                return  # Either side hung up, and the pump of the other direction sees it too.


@contextmanager
def _relay(url: str) -> Iterator[_Relay]:
    target = urlsplit(url)
    assert target.hostname is not None
    assert target.port is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = _Relay(listener, (target.hostname, target.port))
        threading.Thread(target=relay.accept, daemon=True).start()
        try:
            yield relay
        finally:
            listener.shutdown(socket.SHUT_RDWR)
