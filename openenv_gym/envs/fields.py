"""Lanes over the JSON dialect: one connection a lane, all of them under way at the same time.

A stock server has one environment a connection and no batches, so each lane is a session of its
own (:mod:`openenv_gym.envs.lane`); all requests of a batch are sent before the first answer is awaited.
The rows are gathered into the same message that a server of ours would send, and read from it, so that
a face cannot tell the difference.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from openenv_gym.client.early import EarlyClient
from openenv_gym.envs.lane import Failed, FieldsLane
from openenv_gym.envs.promises import Promises
from openenv_gym.envs.several import Several
from openenv_gym.envs.translation import Translator
from openenv_gym.errors import Closed, InvalidArgument, OpenEnvGymError
from openenv_gym.spaces import Kind, coerce, compile_iterator, layout_of
from openenv_gym.types import Rows, Signature, Slots
from openenv_gym.wire.answers import AnswerBuffer
from openenv_gym.wire.codecs.json import FieldRows
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Answer

__all__ = ["FieldsLanes", "Selector"]

Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.DefaultSelector)
"""Waits on several connections; epoll would sleep on when another thread closes one of them."""


class FieldsLanes(Several[FieldsLane]):
    """Sessions of the JSON dialect as the lanes of one.

    Args:
        url: of the server, for people.
        first: the connection that is open already.
        connect: opens another.
        signature: with the number of lanes and the autoreset mode.
        translation: between spaces and fields.
        promises: what to hold the server's answers against.
        begun: the answer to a reset that was asked for on ``first``, without a seed or options.
    """

    microseconds = None
    """What the environments took: JSON does not say it."""

    def __init__(
        self,
        url: str,
        first: EarlyClient,
        connect: Callable[[], EarlyClient],
        signature: Signature,
        translation: Translator,
        promises: Promises,
        begun: FieldRows | None = None,
    ) -> None:
        self.signature = signature
        self._translation, self._promises = translation, promises
        again = connect if signature.on_failure == "restart" else None
        self._lanes: list[FieldsLane] = []
        super().__init__(self._lanes)
        try:
            for number in range(signature.lanes):
                client = connect() if number else first
                own = None if number else begun
                lane = FieldsLane(
                    client, number, url, signature.autoreset, translation.read, promises, again, own
                )
                self._lanes.append(lane)
        except BaseException:  # Ctrl-C, too: nobody else could close them
            self.close()
            raise
        observation = layout_of(signature.observation_spaces[0])
        self._action = layout_of(signature.action_spaces[0])
        self._iterate = None if self._action is None else compile_iterator(self._action)
        kinds = tuple(map(Kind, signature.kinds))
        self._out = AnswerBuffer(observation, kinds, signature.lanes, exact=True)
        self._codec = NativeCodec()
        self._codec.agree(signature.lanes, observation, self._action)
        self._dense, self._broken = True, False

    def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Ask for it, on the connection of each lane."""
        named = list(range(len(self._lanes))) if lanes is None else lanes
        each = [seeds + lane for lane in named] if isinstance(seeds, int) else seeds or [None] * len(named)
        if len(each) != len(named):
            raise InvalidArgument(
                f"{len(each)} seeds for {len(named)} lanes; give one for each, or one number"
            )
        self._dense = lanes is None
        with self._whole():
            for lane, seed in zip(named, each, strict=True):
                self._lanes[lane].reset(seed, options)

    def send_step(self, slots: Slots | None, actions: Any) -> None:
        """Send a batch of actions for all lanes, or for some, each on its own connection."""
        lanes = self._lanes if slots is None else [self._lanes[lane] for lane in slots.lane.tolist()]
        if self._iterate is None or self._action is None:
            each = list(actions)
        else:
            _, columns = self._action.allocate(len(lanes))
            coerce(self._action, columns, actions)
            each = list(self._iterate(columns))
        self._dense = slots is None
        self._send(lanes, each)

    def step_one(self, action: Any) -> Rows:
        """The action of the only lane."""
        self._dense = True
        self._send(self._lanes, [action])
        return self.receive_rows()

    def _send(self, lanes: Sequence[FieldsLane], actions: Sequence[Any]) -> None:
        # All are encoded before the first is sent: what does not fit must leave no answer behind.
        fields = [
            self._translation.encode_action(action) if lane.steps else None
            for lane, action in zip(lanes, actions, strict=True)
        ]
        with self._whole():
            for lane, action in zip(lanes, fields, strict=True):
                lane.step(action)

    def receive_rows(self) -> Rows:
        """The rows of what was sent; all requests are under way at the same time."""
        due = [lane for lane in self._lanes if lane.is_due]
        with self._whole():
            while waiting := [lane for lane in due if lane.waits]:  # again, for what SameStep resets
                for lane in waiting:
                    lane.receive(wait=True)
        return self._rows(due, dense=self._dense)

    @property
    def is_due(self) -> bool:
        """Whether rows are to come."""
        return any(lane.is_due for lane in self._lanes)

    def receive_ready(self, *, wait: bool) -> Rows | None:
        """The rows of those lanes that are ready first.

        Args:
            wait: for the first of them; otherwise ``None`` if there is none yet.
        """
        due = [lane for lane in self._lanes if lane.is_due]
        ready = [lane for lane in due if lane.client.holds]
        with self._whole():
            while True:
                for lane in ready:
                    lane.receive(wait=False)
                if whole := [lane for lane in due if not lane.waits]:
                    break
                readable = self._readable(due, None if wait else 0.0)
                if not readable:
                    return None
                ready = [lane for lane in due if lane.client.fileno() in readable or lane.client.holds]
        return self._rows(whole, dense=False)

    @staticmethod
    def _readable(lanes: Sequence[FieldsLane], timeout: float | None) -> set[int]:
        """The descriptors of the lanes for which something has come, or that another thread has closed."""
        with Selector() as selector:
            for lane in lanes:
                selector.register(lane.client.fileno(), selectors.EVENT_READ)
            return {key.fd for key, _ in selector.select(timeout)}

    def filenos(self) -> list[int]:
        """What to wait on for lanes that are not ready, once nothing is ready now."""
        return [lane.client.fileno() for lane in self._lanes if lane.waits]

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Close all if it is interrupted: an answer that is still to come must not be the next one's."""
        if self._broken:
            raise Closed("a request that was interrupted has closed these sessions; make a new environment")
        try:
            yield
        except BaseException:  # Ctrl-C, say
            self._broken = True
            self.close()
            raise

    def _rows(self, lanes: Sequence[FieldsLane], *, dense: bool) -> Rows:
        self._out.begin(dense=dense)
        for lane in lanes:
            for row in lane.take():
                try:
                    if isinstance(row, Failed):
                        self._out.fail(lane.number, row.error, final=row.final)
                    else:
                        self._out.put(lane.number, *row)
                except OpenEnvGymError as error:
                    self._out.fail(lane.number, error)
        encoded = self._out.finish(1)
        message, _ = self._codec.decode(bytearray(encoded.payload))
        self._out.release(encoded)
        assert isinstance(message, Answer)
        self._promises.tell()
        return message.rows

    def state(self, lane: int = 0, agent: int = 0) -> dict[str, Any]:
        """The lane's own state."""
        return self._lanes[lane].there().state()

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
            return [each.there().render() for each in self._lanes]
        return self._lanes[lane].there().render()

    def call(self, name: str, *args: Any, lane: int | None = 0) -> Any:
        """The JSON dialect has no calls; the client says so."""
        return self._lanes[lane or 0].there().call(name, *args)
