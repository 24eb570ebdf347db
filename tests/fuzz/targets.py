"""What is fuzzed: each end of each dialect, as a function of the bytes that arrive there.

A target reads a message or refuses it with a typed error; whatever else it raises is a fault. The first
byte of the input chooses the end and its state, so that one run reaches them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from openenv_gym.errors import OpenEnvGymError
from openenv_gym.wire.client import ClientProtocol
from openenv_gym.wire.codecs.json import JsonClientCodec
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Hello
from openenv_gym.wire.server import ServerProtocol
from tests.wire.ends import Desk, open_client
from tests.wire.samples import (
    JSON_ANSWERS,
    JSON_REQUESTS,
    SIGNATURES,
    native_answers,
    native_requests,
)

__all__ = ["TARGETS", "Target", "recorded"]

Target: TypeAlias = Callable[[bytes], object]
End: TypeAlias = Callable[[], Callable[[Any], object]]
"""Makes one end anew; what it gives takes what arrives."""

_ACTIONS: dict[str, Any] = {"columns": [1, 0, 1], "values": [{"text": "a", "n": 1}] * 3}


def _greeting() -> Callable[[Any], object]:
    client = ClientProtocol(NativeCodec())
    client.hello(Hello(lanes=3))
    return client.receive


def _asking(name: str) -> Callable[[], Callable[[Any], object]]:
    def begin() -> Callable[[Any], object]:
        client = open_client(SIGNATURES[name])
        client.reset()
        client.ask_state()
        client.render()
        client.step(None, _ACTIONS[name])
        return client.receive

    return begin


def _serving(name: str) -> Callable[[], Callable[[Any], object]]:
    return lambda: Desk(SIGNATURES[name]).receive


def _asking_json() -> Callable[[Any], object]:
    client = ClientProtocol(JsonClientCodec(), implied_hello=True)
    client.reset()
    client.step_one({"action": 1})
    client.render()
    client.ask_state()
    return client.receive


def _serving_json() -> Callable[[Any], object]:
    return ServerProtocol(native=False, max_json_depth=64).receive


_NATIVE: list[tuple[End, list[bytes]]] = [
    (lambda: ServerProtocol(native=True).receive, [NativeCodec().encode(Hello(lanes=3, nonce="n" * 24))]),
    (_greeting, [native_answers(signature)[2] for signature in SIGNATURES.values()]),
    *((_serving(name), native_requests(signature)) for name, signature in SIGNATURES.items()),
    *((_asking(name), native_answers(signature)) for name, signature in SIGNATURES.items()),
]
_JSON: list[tuple[End, list[bytes]]] = [(_serving_json, JSON_REQUESTS), (_asking_json, JSON_ANSWERS)]


def _read_or_refuse(receive: Callable[[Any], object], data: Any) -> None:
    try:
        receive(data)
    except OpenEnvGymError:
        return


def native(data: bytes) -> None:
    """One binary message, to the end that the first byte chooses."""
    begin, _ = _NATIVE[data[0] % len(_NATIVE)] if data else _NATIVE[0]
    _read_or_refuse(begin(), bytearray(data[1:]))


def json(data: bytes) -> None:
    """The messages of some lines, as text as it is or as bytes, to the end that the first byte chooses."""
    begin, _ = _JSON[data[0] % len(_JSON)] if data else _JSON[0]
    receive, as_text = begin(), not data or data[0] // len(_JSON) % 2 == 0
    for line in data[1:].split(b"\n")[:4]:
        _read_or_refuse(receive, line.decode("utf-8", "surrogateescape") if as_text else line)


TARGETS: dict[str, Target] = {"native": native, "json": json}


def recorded(name: str) -> list[bytes]:
    """Sound inputs of a target: every message that its ends know."""
    ends = _NATIVE if name == "native" else _JSON
    return [bytes([number]) + message for number, (_, messages) in enumerate(ends) for message in messages]
