"""Lanes over the JSON dialect: one connection a lane, and autoreset done on this side.

A stock server has one environment a connection and no batches, so each lane is a session of its
own; all requests of a batch are sent before the first answer is awaited. The rows are gathered
into the same message that a server of ours would send, and read from it, so that a face cannot
tell the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import gymnasium

from openenv_gym.client.blocking import Client
from openenv_gym.errors import InvalidAction, InvalidArgument, OpenEnvGymError, ResetNeeded
from openenv_gym.hosting.views import reader_of
from openenv_gym.spaces import Kind, coerce, compile_iterator, from_plain, layout_of, to_plain
from openenv_gym.types import Phase, Rows, Signature, Slots
from openenv_gym.wire import plain
from openenv_gym.wire.answers import AnswerBuffer
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Answer

__all__ = ["FieldsLanes", "Translation"]


class Translation:
    """Actions to fields and fields to observations, by the spaces or by the caller's functions.

    Args:
        signature: with the spaces.
        encode_action: action -> fields, or ``None``.
        decode_observation: fields -> observation, or ``None``.
        lifted: whether the server lifts a Gymnasium environment, and says its exact spaces.
    """

    def __init__(
        self,
        signature: Signature,
        encode_action: Callable[[Any], dict[str, Any]] | None,
        decode_observation: Callable[[dict[str, Any]], Any] | None,
        *,
        lifted: bool,
    ) -> None:
        self._action_space = signature.action_spaces[0]
        self._observation_space = signature.observation_spaces[0]
        self._lifted = lifted
        self._restore = reader_of(signature) if self._lifted else None
        self.encode_action = encode_action or self._encode_action
        self._decode = decode_observation

    def _encode_action(self, action: Any) -> dict[str, Any]:
        fields = to_plain(self._action_space, action)
        if isinstance(self._action_space, gymnasium.spaces.Dict) and not self._lifted:
            return dict(fields)
        return {"action": fields}

    def decode_observation(self, fields: dict[str, Any]) -> Any:
        """The observation in the fields of an answer."""
        if self._decode is not None:
            return self._decode(fields)
        space = self._observation_space
        if isinstance(space, gymnasium.spaces.Dict) and not self._lifted:
            return from_plain(space, {key: fields.get(key) for key in space.spaces}, error=InvalidAction)
        metadata = fields.get("metadata") or {}
        value = fields.get("observation")
        if "observation_types" in metadata:
            return plain.restore(value, metadata["observation_types"])
        return self._restore(value) if self._restore is not None else from_plain(space, value)


class FieldsLanes:
    """Sessions of the JSON dialect as the lanes of one.

    Args:
        first: the connection that is open already.
        connect: opens another.
        signature: with the number of lanes and the autoreset mode.
        translation: between spaces and fields.
    """

    microseconds = None
    """What the environments took: JSON does not say it."""

    def __init__(
        self, first: Client, connect: Callable[[], Client], signature: Signature, translation: Translation
    ) -> None:
        self.signature = signature
        self._translation = translation
        self._clients = [first]
        try:
            while len(self._clients) < signature.lanes:
                self._clients.append(connect())
        except BaseException:
            self.close()
            raise
        observation = layout_of(signature.observation_spaces[0])
        self._action = layout_of(signature.action_spaces[0])
        self._iterate = None if self._action is None else compile_iterator(self._action)
        kinds = tuple(map(Kind, signature.kinds))
        self._out = AnswerBuffer(observation, kinds, signature.lanes, exact=True)
        self._codec = NativeCodec()
        self._codec.agree(signature.lanes, observation, self._action)
        self._awaited: dict[int, Phase] = {}
        self._begun = [False] * signature.lanes
        self._ended = [False] * signature.lanes

    @property
    def sent(self) -> int:
        """Characters of all messages that were sent."""
        return sum(client.sent for client in self._clients)

    @property
    def received(self) -> int:
        """Characters of all messages that came."""
        return sum(client.received for client in self._clients)

    def reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Rows:
        """Begin an episode in some lanes, or in all; lane ``i`` takes ``seeds + i``."""
        self.send_reset(lanes, seeds, options)
        return self.receive_rows()

    def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Ask for it, on the connection of each lane."""
        named = list(range(len(self._clients))) if lanes is None else lanes
        each = [seeds + lane for lane in named] if isinstance(seeds, int) else seeds or [None] * len(named)
        for lane, seed in zip(named, each, strict=True):
            self._clients[lane].send_reset(None, [seed], options)
        self._out.begin(dense=lanes is None)
        self._awaited = dict.fromkeys(named, Phase.RESET)

    def send_step(self, slots: Slots | None, actions: Any) -> None:
        """Send a batch of actions for all lanes, each on its own connection."""
        if self._iterate is None or self._action is None:
            each = list(actions)
        else:
            _, columns = self._action.allocate(len(self._clients))
            coerce(self._action, columns, actions)
            each = self._iterate(columns)
        self._send(each)

    def step_one(self, action: Any) -> Rows:
        """The action of the only lane."""
        self._send([action])
        return self.receive_rows()

    def _send(self, actions: Iterable[Any]) -> None:
        # All are encoded before the first is sent: what does not fit must leave no answer behind.
        fields = [
            self._translation.encode_action(action) if self._steps(lane) else None
            for lane, action in enumerate(actions)
        ]
        self._awaited = {}
        self._out.begin(dense=True)
        for lane, (client, action) in enumerate(zip(self._clients, fields, strict=True)):
            if action is not None:
                client.send_step(None, [action])
                self._awaited[lane] = Phase.STEP
            elif self._ended[lane] and self.signature.autoreset == "NextStep":
                client.send_reset()
                self._awaited[lane] = Phase.RESET
            else:
                why = "its episode has ended" if self._ended[lane] else "it was not reset yet"
                self._out.fail(
                    lane, ResetNeeded(f"lane {lane} cannot step: {why}; call reset() first", lane=lane)
                )

    def _steps(self, lane: int) -> bool:
        """Whether a lane is in an episode."""
        return self._begun[lane] and not self._ended[lane]

    def receive_rows(self) -> Rows:
        """The rows of what was sent; SameStep resets what has ended meanwhile."""
        again = [lane for lane, phase in self._awaited.items() if self._receive(lane, phase)]
        for lane in again:
            self._clients[lane].send_reset()
        for lane in again:
            self._receive(lane, Phase.RESET)
        return self._rows()

    def _receive(self, lane: int, phase: Phase) -> bool:
        """Put the row of one lane; whether SameStep wants it reset at once."""
        try:
            rows = self._clients[lane].receive_rows()
        except OpenEnvGymError as error:
            self._out.fail(lane, error)
            return False
        terminated, truncated = bool(rows.terminated[0]), bool(rows.truncated[0])
        self._begun[lane] = True
        self._ended[lane] = terminated or truncated
        again = phase is Phase.STEP and self._ended[lane] and self.signature.autoreset == "SameStep"
        observation = self._translation.decode_observation(rows.values[0])
        shown = Phase.FINAL if again else phase
        self._out.put(lane, shown, observation, rows.reward[0], terminated, truncated, rows.infos.of(0))
        return again

    def _rows(self) -> Rows:
        encoded = self._out.finish(1)
        message, _ = self._codec.decode(bytearray(encoded.payload))
        self._out.release(encoded)
        assert isinstance(message, Answer)
        return message.rows

    def state(self, lane: int = 0, agent: int = 0) -> dict[str, Any]:
        """The lane's own state."""
        return self._clients[lane].state()

    def render(self, lane: int | None = 0) -> Any:
        """A frame of one lane, or of all.

        Raises:
            InvalidArgument: if the sessions do not render.
        """
        if self.signature.render_mode is None:
            raise InvalidArgument(
                "this session does not render; ask for it when it begins, as in "
                "OpenEnvGym(url, render_mode='rgb_array')"
            )
        if lane is None:
            return [client.render() for client in self._clients]
        return self._clients[lane].render()

    def call(self, name: str, *args: Any, lane: int | None = 0) -> Any:
        """The JSON dialect has no calls; the client says so."""
        return self._clients[lane or 0].call(name, *args)

    def close(self) -> None:
        """End every session."""
        for client in self._clients:
            client.close()

    def abandon(self) -> None:
        """Let go of every session."""
        for client in self._clients:
            client.abandon()
