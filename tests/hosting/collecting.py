"""An ``Out`` that keeps its rows, and signatures to host by: hosting without a server or a codec."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from openenv_gym.errors import OpenEnvGymError
from openenv_gym.types import Autoreset, Phase, Signature

__all__ = ["Collected", "Row", "signature_of"]


@dataclass(frozen=True)
class Row:
    """What was put, in the order of ``Out.put``."""

    lane: int
    phase: int
    observation: Any = None
    reward: Any = 0.0
    terminated: Any = False
    truncated: Any = False
    info: Any = None
    agent: int = 0
    flags: int = 0


@dataclass
class Collected:
    """Every row of one request."""

    rows: list[Row] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[int, OpenEnvGymError] = field(default_factory=dict)

    def put(
        self,
        lane: int,
        phase: int,
        observation: Any,
        reward: Any = 0.0,
        terminated: Any = False,
        truncated: Any = False,
        info: dict[str, Any] | None = None,
        agent: int = 0,
        flags: int = 3,
    ) -> None:
        """One row, copied as the contract says."""
        seen = copy.deepcopy(observation)
        self.rows.append(Row(lane, phase, seen, reward, terminated, truncated, info, agent, flags))

    def put_batch(
        self,
        observation: Any,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        info: dict[str, Any] | None = None,
        phase: Any = Phase.STEP,
    ) -> None:
        """All lanes at once."""
        self.batches.append(
            copy.deepcopy(
                {
                    "observation": observation,
                    "reward": reward,
                    "terminated": terminated,
                    "truncated": truncated,
                    "info": info,
                    "phase": phase,
                }
            )
        )

    def fail(self, lane: int, error: OpenEnvGymError, agent: int = 0, *, final: bool = False) -> None:
        """A lane failed."""
        assert lane not in self.failures, "a lane fails once an answer"
        self.failures[lane] = error

    def flush(self) -> None:
        """Nobody wants rows early."""

    def phases(self) -> list[tuple[int, Phase]]:
        """Lane and phase of each row, in the order in which they were put."""
        return [(row.lane, Phase(row.phase)) for row in self.rows]


def signature_of(space_of: Any, lanes: int, autoreset: Autoreset, calls: tuple[str, ...] = ()) -> Signature:
    """The signature of some lanes of an environment, or of a vector environment."""
    vector = isinstance(space_of, gymnasium.vector.VectorEnv)
    return Signature(
        env_id="test",
        agents=("agent",),
        observation_spaces=(space_of.single_observation_space if vector else space_of.observation_space,),
        action_spaces=(space_of.single_action_space if vector else space_of.action_space,),
        lanes=lanes,
        autoreset=autoreset,
        vector=vector,
        calls=calls,
    )
