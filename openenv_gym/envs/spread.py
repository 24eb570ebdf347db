"""Lanes spread over several servers, in blocks, as the lanes of one.

A request goes to every server before the first answer is awaited, and all answers are awaited before
anything is raised: an answer that stayed behind would be the next request's. So that no lane is stepped
when one action does not fit, the whole batch is checked before any of it is sent. Servers must say
the same of their environment, to the bit; what differs is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np

from openenv_gym.client.endings import SESSION_OVER
from openenv_gym.envs.gathering import Share, gathered, taken
from openenv_gym.envs.lanes import Lanes
from openenv_gym.envs.several import Several
from openenv_gym.errors import InvalidArgument, OpenEnvGymError
from openenv_gym.spaces import assign_rows, coerce, compile_range_check, compile_restorer, layout_of
from openenv_gym.types import Rows, Signature, Slots
from openenv_gym.wire import signature as signatures
from openenv_gym.wire import values

__all__ = ["ActionCheck", "Spread", "blocks", "joint_signature", "naming"]

_OWN = ("lanes",)


def blocks(lanes: int, servers: int) -> list[range]:
    """The lanes of each server: as many for each, and one more for the first ones.

    >>> blocks(7, 3)
    [range(0, 3), range(3, 5), range(5, 7)]

    Raises:
        InvalidArgument: if there are more servers than lanes, or none.
    """
    if not 1 <= servers <= lanes:
        raise InvalidArgument(
            f"{lanes} lanes cannot be spread over {servers} servers; each takes one or more"
        )
    each, more = divmod(lanes, servers)
    ends = [each * (index + 1) + min(index + 1, more) for index in range(servers)]
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def joint_signature(urls: Sequence[str], found: Sequence[Signature]) -> Signature:
    """The signature of all lanes, if the servers agree.

    Raises:
        InvalidArgument: if one says another thing of its environment than the first, or if it runs a
            native vector environment, whose infos are of one batch.
    """
    first, facts = found[0], signatures.to_plain(found[0])
    for url, other in zip(urls, found, strict=True):
        if other.vector:
            raise InvalidArgument(
                f"the server at {url} runs a native vector environment, whose lanes are one batch; name one "
                "server, or serve it with vectorization='lanes'"
            )
        # What does not say what it serves is called by its address.
        own = (*_OWN, "env_id") if (first.env_id, other.env_id) == (urls[0], url) else _OWN
        for name, fact in signatures.to_plain(other).items():
            if name not in own and values.encode(fact) != values.encode(facts[name]):
                raise InvalidArgument(
                    f"the servers at {urls[0]} and {url} do not serve the same: {name} is "
                    f"{facts[name]!r:.300} at the first and {fact!r:.300} at the other"
                )
    return replace(first, lanes=sum(signature.lanes for signature in found))


class ActionCheck:
    """Refuses a batch of actions of which one does not fit, before any of them is sent.

    Args:
        signature: with the action space.
    """

    def __init__(self, signature: Signature) -> None:
        space = signature.action_spaces[0]
        self._layout = layout_of(space)
        self._check = compile_range_check(space)
        self._restore = compile_restorer(space)
        self._count = -1
        self._columns: Any = None

    def checked(self, actions: Any, count: int) -> Any:
        """The same actions: columns, which the next call overwrites, or a list of values.

        Raises:
            InvalidAction: if one does not fit.
        """
        if self._layout is None:
            each = [self._restore(action) for action in actions]
            if self._check is not None:
                for action in each:
                    self._check(action)
            return each
        if count != self._count:
            self._columns, self._count = self._layout.columns(count), count
        coerce(self._layout, self._columns, actions)
        if self._check is not None:
            self._check(self._columns)
        return self._columns

    def some(self, actions: Any, index: Any) -> Any:
        """Those of some lanes, out of what :meth:`checked` gave."""
        if self._layout is not None:
            return taken(actions, index)
        return [actions[place] for place in np.arange(len(actions))[index].tolist()]


class Spread(Several[Lanes]):
    """The lanes of several servers.

    Args:
        urls: of the servers, for people; one may be named several times.
        parts: the lanes at each, in that order; closed with this.

    Raises:
        InvalidArgument: if the servers do not serve the same.
    """

    def __init__(self, urls: Sequence[str], parts: Sequence[Lanes]) -> None:
        self.signature = joint_signature(urls, [part.signature for part in parts])
        super().__init__(parts)
        self._urls = urls
        self._blocks: list[range] = []
        for part in parts:
            start = self._blocks[-1].stop if self._blocks else 0
            self._blocks.append(range(start, start + part.signature.lanes))
        self._layout = layout_of(self.signature.observation_spaces[0])
        self._actions = ActionCheck(self.signature)
        self._awaited: list[int] = []

    @property
    def microseconds(self) -> int | None:
        """What the environments took so far, of the servers that work at the same time."""
        said = [part.microseconds for part in self._parts]
        return None if None in said else max(each for each in said if each is not None)

    def send_reset(
        self,
        lanes: list[int] | None = None,
        seeds: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Ask for it, and wait for nothing."""
        named = list(range(self.signature.lanes)) if lanes is None else lanes
        if isinstance(seeds, list) and len(seeds) != len(named):
            raise InvalidArgument(
                f"{len(seeds)} seeds for {len(named)} lanes; give one for each, or one number"
            )

        def ask(number: int, block: range) -> Callable[[], None] | None:
            places = [place for place, lane in enumerate(named) if lane in block]
            if not places:
                return None
            local = None if lanes is None else [named[place] - block.start for place in places]
            own: int | list[int | None] | None = seeds
            if isinstance(seeds, int):
                own = seeds + block.start
            elif seeds is not None:
                own = [seeds[place] for place in places]
            return lambda: self._parts[number].send_reset(local, own, options)

        self._send(ask)

    def send_step(self, slots: Slots | None, actions: Any) -> None:
        """Send a batch of actions for all lanes, and wait for nothing.

        Raises:
            InvalidAction: if one does not fit; no lane was stepped.
        """
        checked = self._actions.checked(actions, self.signature.lanes)

        def ask(number: int, block: range) -> Callable[[], None]:
            own = self._actions.some(checked, slice(block.start, block.stop))
            return lambda: self._parts[number].send_step(None, own)

        self._send(ask)

    def _send(self, ask: Callable[[int, range], Callable[[], None] | None]) -> None:
        asks = [(number, ask(number, block)) for number, block in enumerate(self._blocks)]
        self._awaited = []
        for number, send in asks:
            if send is None:
                continue
            try:
                with naming(self._urls[number]):
                    send()
            except BaseException:  # Ctrl-C, too: some servers step and others do not
                self.close()
                raise
            self._awaited.append(number)

    def receive_rows(self) -> Rows:
        """The rows of the request that was sent, in the order of lanes.

        Raises:
            OpenEnvGymError: what a server said in the place of its rows; the others' are lost.
        """
        found: list[tuple[range, Rows]] = []
        failures: list[OpenEnvGymError] = []
        columns = None if self._layout is None else self._layout.columns(self.signature.lanes)
        for number in self._awaited:
            block = self._blocks[number]
            try:
                with naming(self._urls[number]):
                    rows = self._parts[number].receive_rows()
                found.append((block, rows))
                if rows.dense and columns is not None:
                    # Now, for other servers may be at work still.
                    assign_rows(
                        columns, slice(block.start, block.stop), rows.observation, slice(0, rows.dense)
                    )
            except OpenEnvGymError as error:
                failures.append(error)
            except BaseException:  # Ctrl-C, say: what is still to come must not be the next one's
                self.close()
                raise
        if failures:
            if any(isinstance(error, SESSION_OVER) for error in failures):
                self.close()
            raise failures[0]
        dense = all(rows.dense for _, rows in found)
        return gathered(
            self._layout, list(_shares(found)), dense=dense, observation=columns if dense else None
        )

    def step_one(self, action: Any) -> Rows:
        """The action of the only lane; there are several."""
        raise InvalidArgument(f"one action for {self.signature.lanes} lanes; give one for each")

    def state(self, lane: int = 0, agent: int = 0) -> dict[str, Any]:
        """What OpenEnv calls state."""
        part, local = self._part_of(lane)
        return part.state(local, agent)

    def render(self, lane: int | None = 0) -> Any:
        """A frame of one lane, or of all."""
        if lane is None:
            return [frame for part in self._parts for frame in part.render(None)]
        part, local = self._part_of(lane)
        return part.render(local)

    def call(self, name: str, *args: Any, lane: int | None = 0) -> Any:
        """A method or attribute that the operator offers."""
        if lane is None:
            return [said for part in self._parts for said in part.call(name, *args, lane=None)]
        part, local = self._part_of(lane)
        return part.call(name, *args, lane=local)

    def _part_of(self, lane: int) -> tuple[Lanes, int]:
        for part, block in zip(self._parts, self._blocks, strict=True):
            if lane in block:
                return part, lane - block.start
        raise InvalidArgument(f"there is no lane {lane!r:.40}; there are {self.signature.lanes}")


def _shares(found: Sequence[tuple[range, Rows]]) -> Iterator[Share]:
    for block, rows in found:
        count = rows.dense or len(rows)
        lane = (rows.lane + block.start).astype(np.int32)
        yield Share(rows, slice(0, count), lane[:count])
        if count < len(rows):
            yield Share(rows, np.arange(count, len(rows)), lane[count:], tail=True)


class naming:
    """Say of an error which server it is from."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OpenEnvGymError):
            error.add_note(f"from the server at {self._url}")
