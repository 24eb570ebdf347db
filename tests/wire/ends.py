"""Both ends of the native road, nothing between them, and what "the same" means; shared by these tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from openenv_gym.errors import InvalidMessage, OpenEnvGymError, ProtocolViolation
from openenv_gym.spaces import Kind, layout_of
from openenv_gym.types import Autoreset, Phase, Rows, Signature
from openenv_gym.wire import signature as signatures
from openenv_gym.wire.answers import AnswerBuffer, Encoded
from openenv_gym.wire.blocks import HEADER
from openenv_gym.wire.client import ClientProtocol
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Ack, Answer, Close, Hello, Mcp, Reset, Step, Welcome
from openenv_gym.wire.server import Refused, ServerProtocol
from openenv_gym.wire.window import Verdict, Window

BOX = Box(-1, 1, (4,))
HEADER_FIELDS = ("kind", "flags", "reward", "zero", "count", "tail", "microseconds", "seq", "ack")


def signature_of(
    observation: Space[Any] = BOX,
    action: Space[Any] | None = None,
    *,
    lanes: int = 3,
    agents: tuple[str, ...] = ("agent",),
    autoreset: Autoreset = "SameStep",
) -> Signature:
    """A signature whose leaves come as arrays and NumPy scalars."""
    layout = layout_of(observation)
    leaves = () if layout is None else layout.leaves
    return Signature(
        env_id="Example-v0",
        agents=agents,
        observation_spaces=(observation,) * len(agents),
        action_spaces=(action or Discrete(2),) * len(agents),
        lanes=lanes,
        autoreset=autoreset,
        kinds=tuple("array" if leaf.shape else "scalar" for leaf in leaves),
    )


def codec_of(signature: Signature) -> NativeCodec:
    """A codec that knows the layouts, for either end."""
    codec = NativeCodec()
    codec.agree(signature.lanes, *signatures.layouts_of(signature), agents=len(signature.agents))
    return codec


def buffer_of(signature: Signature, *, exact: bool = True) -> AnswerBuffer:
    observation, _ = signatures.layouts_of(signature)
    return AnswerBuffer(observation, tuple(map(Kind, signature.kinds)), signature.lanes, exact=exact)


def welcome_of(signature: Signature, /, **changes: Any) -> Welcome:
    observation, action = signatures.layouts_of(signature)
    facts: dict[str, Any] = {
        "signature": signatures.to_plain(signature),
        "observation": None if observation is None else observation.describe(),
        "action": None if action is None else action.describe(),
        "limits": {"max_lanes": 64, "max_message_bytes": 2**24},
        "token": "token",
        "server": "example 1",
    }
    return Welcome(**{**facts, **changes})


def open_client(signature: Signature) -> ClientProtocol:
    """A client whose hello was welcomed."""
    codec = NativeCodec()
    client = ClientProtocol(codec)
    client.hello(Hello(lanes=signature.lanes, autoreset=signature.autoreset))
    client.receive(codec.encode(welcome_of(signature)))
    return client


def greeted_server(signature: Signature) -> ServerProtocol:
    """A server that has had its hello."""
    server = ServerProtocol(native=True)
    server.receive(NativeCodec().encode(Hello(lanes=signature.lanes)))
    assert isinstance(server.codec, NativeCodec)
    server.codec.agree(signature.lanes, *signatures.layouts_of(signature), agents=len(signature.agents))
    return server


def patched(data: Any, **fields: int) -> bytes:
    """A message whose header says something else."""
    header = list(HEADER.unpack_from(data))
    for name, value in fields.items():
        header[HEADER_FIELDS.index(name)] = value
    return HEADER.pack(*header) + bytes(data[HEADER.size :])


def header_of(data: Any) -> dict[str, int]:
    return dict(zip(HEADER_FIELDS, HEADER.unpack_from(data), strict=True))


def rows_of(codec: NativeCodec, payload: Any) -> Rows:
    answer, _ = codec.decode(bytes(payload))
    assert isinstance(answer, Answer)
    return answer.rows


def put_lanes(out: AnswerBuffer, lanes: int, *, first: float = 0.0) -> None:
    """An answer's worth of rows that tell the lanes apart."""
    for lane in range(lanes):
        out.put(lane, Phase.STEP, np.full(4, first + lane, np.float32), first + lane)


class Desk:
    """What a server does with what arrives: performs new requests, repeats the answers to old ones."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.server = greeted_server(signature)
        self.out = buffer_of(signature)
        self.window: Window[Encoded] = Window(forget=self.out.release)
        self.performed: list[int] = []

    def receive(self, data: Any) -> bytes | None:
        message, ack = self.server.receive(bytes(data))
        if isinstance(message, Hello | Close | Ack | Mcp):
            raise ProtocolViolation(f"a {type(message).__name__} is not a request")
        try:
            verdict = self.window.admit(message.seq, ack)
        except InvalidMessage as error:
            raise ProtocolViolation(error.message) from error
        if verdict is Verdict.KEPT:
            return bytes(self.window.kept(message.seq).payload)
        try:
            answer = self._perform(message)
        except OpenEnvGymError as error:
            answer = Encoded(self.server.encode_error(message.seq, error))
        self.window.keep(message.seq, answer)
        return bytes(answer.payload)

    def _perform(self, message: Any) -> Encoded:
        if isinstance(message, Refused):
            raise message.error
        self.performed.append(message.seq)
        if not isinstance(message, Step | Reset):
            return Encoded(self.server.encode_value(message.seq, {"of": message.seq}))
        self.out.begin(dense=True)
        put_lanes(self.out, self.signature.lanes, first=100.0 * message.seq)
        return self.out.finish(message.seq)


def exactly(value: Any) -> Any:
    """A value as something that ``==`` compares to the bit: types, order of keys, dtypes, shapes, bytes."""
    if isinstance(value, dict):
        return ["dict", [(exactly(key), exactly(part)) for key, part in value.items()]]
    if isinstance(value, tuple | list):
        return [type(value), [exactly(part) for part in value]]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return ["objects", value.shape, [exactly(item) for item in value.ravel()]]
    if isinstance(value, np.ndarray | np.generic):
        return [type(value), np.asarray(value).dtype.str, value.shape, value.tobytes()]
    return [type(value), repr(value)]
