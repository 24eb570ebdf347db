"""A PettingZoo AEC game as one lane of many agents: a row for each live agent, the mover's observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pettingzoo import AECEnv

from openenv_gym.errors import InvalidArgument, ResetNeeded
from openenv_gym.hosting.contract import Out, attributed, look_up
from openenv_gym.spaces import kinds_of, layout_of
from openenv_gym.types import Flag, Phase, Signature, Slots

__all__ = ["TurnBased", "signature_of"]


class TurnBased:
    """One ``pettingzoo.AECEnv``; agent ``i`` is ``possible_agents[i]``.

    Every answer holds one row for each agent of ``env.agents``, with what PettingZoo's dicts say
    after the move: its reward since the last move, its flags and its info. Only the agent that
    moves next is ``OBSERVED | TO_MOVE``. An agent that is gone has one last row, flagged ``LEFT``.

    Args:
        factory: builds the game.
        signature: of one lane; ``agents`` are the possible agents.
    """

    def __init__(self, factory: Callable[[], AECEnv[Any, Any, Any]], signature: Signature) -> None:
        if signature.lanes != 1:
            raise InvalidArgument(f"a turn-based game is served one lane a session, not {signature.lanes}")
        self.signature = signature
        self._index = {name: index for index, name in enumerate(signature.agents)}
        self._env = factory()
        self._present: list[str] = []
        self._step_count = 0

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Begin a game."""
        seed = seeds if isinstance(seeds, int) or seeds is None else seeds[0]
        with attributed("reset"):
            self._env.reset(seed=seed, options=options)
            self._present = list(self._env.agents)
            self._step_count = 0
            self._put(Phase.RESET, out)

    def step(self, slots: Slots | None, actions: Sequence[Any], out: Out) -> None:
        """The action of the agent to move; an agent that has ended its game moves with any action."""
        env = self._env
        if not self._present:
            raise ResetNeeded("the game has ended, or was not reset yet; call reset() first")
        if slots is None or len(slots) != 1:
            raise InvalidArgument("in a turn-based game one agent moves at a time; name its slot")
        mover = env.agent_selection
        if slots.agent[0] != self._index[mover]:
            name = self.signature.agents[slots.agent[0]]
            raise InvalidArgument(f"it is {mover}'s turn, not {name}'s", to_move=mover)
        over = env.terminations[mover] or env.truncations[mover]
        with attributed("step"):
            env.step(None if over else actions[0])
            self._step_count += 1
            self._put(Phase.STEP, out)

    def _put(self, phase: Phase, out: Out) -> None:
        env = self._env
        for name in self._present:
            flags, observation = 0, None
            if name not in env.agents:
                flags = Flag.LEFT
            elif name == env.agent_selection:
                flags, observation = Flag.OBSERVED | Flag.TO_MOVE, env.observe(name)
            out.put(
                0,
                phase,
                observation,
                env.rewards.get(name, 0.0),
                env.terminations.get(name, True),
                env.truncations.get(name, False),
                env.infos.get(name),
                self._index[name],
                int(flags),
            )
        self._present = list(env.agents)

    def observe(self, lane: int, agent: int) -> Any:
        """What an agent sees now, on turn or not."""
        with attributed("observe"):
            return self._env.observe(self.signature.agents[agent])

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """The number of moves, and who moves next."""
        to_move = self._env.agent_selection if self._present else None
        return {"step_count": self._step_count, "to_move": to_move}

    def render(self, lane: int | None) -> Any:
        """What the game's ``render`` returns."""
        with attributed("render"):
            frame = self._env.render()
        return [frame] if lane is None else frame

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """What the game's method or attribute says."""
        with attributed(name):
            return look_up(self._env, name, self.signature.calls, args)

    def close(self) -> None:
        """Close the game."""
        with attributed("close"):
            self._env.close()


def signature_of(env: AECEnv[Any, Any, Any], env_id: str, calls: Sequence[str] = ()) -> Signature:
    """The signature of a game, read from an instance that was not reset yet."""
    agents = tuple(env.possible_agents)
    metadata = {
        key: value for key, value in env.metadata.items() if type(value) in (str, int, float, bool, list)
    }
    spaces = tuple(env.observation_space(agent) for agent in agents)
    layout = layout_of(spaces[0])
    return Signature(
        env_id=env_id,
        agents=agents,
        observation_spaces=spaces,
        action_spaces=tuple(env.action_space(agent) for agent in agents),
        lanes=1,
        autoreset="Disabled",
        autoreset_modes=("Disabled",),
        metadata=metadata,
        render_mode=getattr(env, "render_mode", None),
        calls=tuple(calls),
        kinds=() if layout is None else tuple(kinds_of(layout, None)),
        views=("array",),
    )
