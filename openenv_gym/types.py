"""The vocabulary of the bridge: rows, and what a hosted environment says of itself.

One currency flows from every environment to every face: **rows**, any subset of
``(lane, agent)`` in any order. A single environment is one lane with one agent; nothing is a
special case. This page imports only NumPy, msgspec, typing_extensions and Gymnasium's ``Space``, and may
be imported from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Any, Generic, Literal, TypeAlias

import numpy as np
from gymnasium import Space
from msgspec import Struct
from numpy.typing import NDArray
from typing_extensions import TypeVar

__all__ = [
    "AUTORESET_MODES",
    "ON_FAILURE",
    "Autoreset",
    "Columns",
    "Failure",
    "Flag",
    "OnFailure",
    "Phase",
    "Plain",
    "Rows",
    "Signature",
    "Slots",
    "StepResult",
    "renumbered",
]

Plain: TypeAlias = Any
"""JSON-able data: ``None``, bool, int, float, str, and lists and string-keyed dicts of them."""

Columns: TypeAlias = Any
"""A batch as Gymnasium lays it out: an array with the batch axis first, or a dict or tuple of such."""

Autoreset: TypeAlias = Literal["NextStep", "SameStep", "Disabled"]
AUTORESET_MODES: tuple[Autoreset, ...] = ("NextStep", "SameStep", "Disabled")

OnFailure: TypeAlias = Literal["raise", "restart"]
ON_FAILURE: tuple[OnFailure, ...] = ("raise", "restart")


ObsT = TypeVar("ObsT", default=dict[str, Any])


class Phase(IntEnum):
    """Where in its life the lane of a row is."""

    RESET = 0
    """The first observation of an episode."""
    STEP = 1
    """The answer to an action, the last one of an episode included."""
    FINAL = 2
    """The last row of an episode whose lane has already begun the next (SameStep)."""
    FAILED = 3
    """The lane's environment failed; see ``Rows.failures``."""


class Flag(IntFlag):
    """What a row says of its agent in a turn-based or many-agent game."""

    TO_MOVE = 1
    """The agent is the one to move next."""
    OBSERVED = 2
    """The row carries an observation; without it the observation column is not meaningful."""
    LEFT = 4
    """The agent has left the game; this is its last row."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row is ``FAILED``: the wire form of an error."""

    code: str
    message: str
    fields: dict[str, Any] = field(default_factory=dict)
    cause: str | None = None


def renumbered(failure: Failure, lane: int) -> Failure:
    """The failure of a lane that has another number where it is told.

    >>> renumbered(Failure("RESET_NEEDED", "lane 0 cannot step", {"lane": 0}), 7)
    Failure(code='RESET_NEEDED', message='lane 7 cannot step', fields={'lane': 7}, cause=None)
    """
    if "lane" not in failure.fields:
        return failure
    told = failure.message.replace(f"lane {failure.fields['lane']} ", f"lane {lane} ", 1)
    return replace(failure, message=told, fields={**failure.fields, "lane": lane})


@dataclass(frozen=True, slots=True)
class Slots:
    """Which (lane, agent) pairs a request is about; ``lane`` int32 and ``agent`` int16, both (k,)."""

    lane: NDArray[np.int32]
    agent: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.lane)

    @classmethod
    def dense(cls, lanes: int) -> Slots:
        """Agent 0 of every lane, in order."""
        return cls(np.arange(lanes, dtype=np.int32), np.zeros(lanes, dtype=np.int16))


class Rows(Struct):
    """``k`` rows of an answer, as arrays with the row axis first.

    Attributes:
        lane: int32, (k,).
        agent: int16, (k,).
        phase: uint8, (k,), of :class:`Phase`.
        flags: uint8, (k,), of :class:`Flag`.
        reward: (k,), float64; a native vector environment's own dtype where it has one.
        terminated: bool, (k,).
        truncated: bool, (k,).
        observation: columns of the first rows, those before the tail, or ``None`` when every
            observation is in ``values``.
        tail_observation: columns of the rows from ``dense`` on, behind a dense first part.
        values: row -> the exact observation of a row that its column cannot hold to the bit; -1
            stands for the whole batch of a native vector environment.
        infos: the rows' infos, as columns (:class:`openenv_gym.wire.infos.Infos`).
        batch_info: a native vector environment's own info dict, as it is; else ``None``.
        failures: row -> why it failed.
        dense: the first ``dense`` rows are agent 0 of lanes 0, 1, 2, ...; 0 if rows come in any order.
        again: gathers ``observation`` anew, where it was gathered of several answers.
    """

    lane: NDArray[np.int32]
    agent: NDArray[np.int16]
    phase: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    reward: NDArray[Any]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    observation: Columns
    tail_observation: Columns
    values: Mapping[int, Any]
    infos: Any
    batch_info: dict[str, Any] | None
    failures: Mapping[int, Failure]
    dense: int
    again: Callable[[], Columns] | None = None

    def __len__(self) -> int:
        return len(self.phase)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a hosted environment says of itself before the first reset.

    Attributes:
        env_id: the name under which it is served.
        agents: agent names; ``("agent",)`` for a single-agent environment.
        observation_spaces: one for each agent, in that order.
        action_spaces: one for each agent, in that order.
        lanes: how many lanes this session has.
        autoreset: the mode in force.
        autoreset_modes: the modes that the environment can do.
        on_failure: what a lane does whose environment fails: wait for a reset, or end its episode.
        vector: whether a native vector environment runs the lanes.
        metadata: the environment's ``metadata``, plain.
        render_mode: the mode that ``render`` answers in, or ``None``.
        calls: the allow-list: names of methods and attributes that ``call`` answers.
        constants: calls whose answer never changes, with that answer.
        kinds: for each leaf of the observation, how its values come (see ``spaces.Kind``).
        spec: Gymnasium's ``EnvSpec`` facts that a face shows (``max_episode_steps``, ...), plain.
        masks: whether the info of a reset says by ``action_mask`` which actions are legal.
        views: how a session may see it: ``array``, ``typed``. Without ``array`` it has no spaces.
    """

    env_id: str
    agents: tuple[str, ...]
    observation_spaces: tuple[Space[Any], ...]
    action_spaces: tuple[Space[Any], ...]
    lanes: int
    autoreset: Autoreset
    autoreset_modes: tuple[Autoreset, ...] = AUTORESET_MODES
    on_failure: OnFailure = "raise"
    vector: bool = False
    metadata: Mapping[str, Plain] = field(default_factory=dict)
    render_mode: str | None = None
    calls: Sequence[str] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    spec: Mapping[str, Plain] = field(default_factory=dict)
    masks: bool = False
    views: tuple[str, ...] = ("array", "typed")


@dataclass
class StepResult(Generic[ObsT]):
    """The answer to a reset or step in OpenEnv's fields.

    Attributes:
        observation: a model, or a dict of fields.
        reward: ``None`` if the server gave none, as at a reset.
        done: whether the episode is over.
        metadata: what the server sent beside the observation.
        terminated: whether it ended by its own rules; ``done``, from a server that does not say.
        truncated: whether it was cut off.
        info: Gymnasium's, from a server that has it.
    """

    observation: ObsT
    reward: float | None = None
    done: bool = False
    metadata: dict[str, Any] | None = None
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = field(default_factory=dict)
