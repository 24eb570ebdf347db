"""A turn-based game of two agents over a socket: the agent column is real from the first day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pettingzoo import AECEnv
from pettingzoo.classic import tictactoe_v3

from openenv_gym import Client, serve_gym
from openenv_gym.errors import InvalidArgument, ResetNeeded
from openenv_gym.hosting.pettingzoo import TurnBased, signature_of
from openenv_gym.spaces import identical
from openenv_gym.types import Flag, Phase, Rows, Slots
from tests.fidelity import assert_identical
from tests.hosting.collecting import Collected

TO_MOVE, UNSEEN = int(Flag.OBSERVED | Flag.TO_MOVE), 0


def game() -> AECEnv[Any, Any, Any]:
    made: AECEnv[Any, Any, Any] = tictactoe_v3.env()
    return made


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_gym(lambda: tictactoe_v3.env(), port=0, block=False) as server:
        yield server.url


def slot(agent: int) -> Slots:
    return Slots(np.array([0], np.int32), np.array([agent], np.int16))


def assert_same_rows(rows: Rows, twin: AECEnv[Any, Any, Any], phase: Phase, present: list[str]) -> None:
    """One row for each agent that was there before the move, with what the game's dicts say now."""
    assert [twin.possible_agents[agent] for agent in rows.agent] == present
    assert rows.lane.tolist() == [0] * len(present) and rows.phase.tolist() == [phase] * len(present)
    assert not rows.failures and rows.reward.dtype == np.float64
    infos = rows.infos.dicts()
    for row, name in enumerate(present):
        if name not in twin.agents:
            assert rows.flags[row] == Flag.LEFT
            continue
        assert rows.flags[row] == (TO_MOVE if name == twin.agent_selection else UNSEEN)
        assert rows.reward[row] == twin.rewards[name]
        assert rows.terminated[row] == twin.terminations[name]
        assert rows.truncated[row] == twin.truncations[name]
        assert_identical(infos.get(row, {}), twin.infos[name], f"info of {name}")
        if rows.flags[row] & Flag.OBSERVED:
            # The agent's own observation, its mask of legal moves inside.
            seen = {key: rows.observation[key][row] for key in rows.observation}
            expected = twin.observe(name)
            assert_identical(
                {key: np.ascontiguousarray(seen[key]) for key in sorted(seen)},
                {key: np.ascontiguousarray(expected[key]) for key in sorted(expected)},
                f"observation of {name}",
            )


# The first player wins; a draw; the second player wins.
GAMES = [[0, 3, 1, 4, 2], [0, 1, 2, 4, 3, 5, 7, 6, 8], [0, 3, 1, 4, 8, 5]]


@pytest.mark.parametrize("moves", GAMES, ids=["won", "drawn", "lost"])
def test_a_game_to_the_end_is_the_same(url: str, moves: list[int]) -> None:
    twin = game()
    with closing(Client.to(url)) as client:
        rows = client.reset(None, [7])
        twin.reset(seed=7)
        assert_same_rows(rows, twin, Phase.RESET, list(twin.agents))
        left = iter(moves)
        while twin.agents:
            present, mover = list(twin.agents), twin.agent_selection
            over = twin.terminations[mover] or twin.truncations[mover]
            # An agent that has ended its game steps out with any action, where PettingZoo wants None.
            move = 0 if over else next(left)
            rows = client.step(slot(twin.possible_agents.index(mover)), [move])
            twin.step(None if over else move)
            assert_same_rows(rows, twin, Phase.STEP, present)
        assert next(left, None) is None
        with pytest.raises(ResetNeeded, match="ended"):
            client.step(slot(0), [0])
        assert_same_rows(client.reset(None, [7]), _after_reset(twin), Phase.RESET, twin.possible_agents)
    twin.close()


def _after_reset(twin: AECEnv[Any, Any, Any]) -> AECEnv[Any, Any, Any]:
    twin.reset(seed=7)
    return twin


def test_the_signature_names_both_agents_and_their_spaces(url: str) -> None:
    twin = game()
    with closing(Client.to(url)) as client:
        signature = client.signature
        assert signature.agents == ("player_1", "player_2") and signature.lanes == 1
        for index, name in enumerate(signature.agents):
            assert identical(signature.observation_spaces[index], twin.observation_space(name))
            assert identical(signature.action_spaces[index], twin.action_space(name))
    twin.close()


def test_the_wrong_agents_turn_is_refused_and_nothing_is_stepped(url: str) -> None:
    with closing(Client.to(url)) as client:
        client.reset()
        with pytest.raises(InvalidArgument, match="it is player_1's turn, not player_2's") as refused:
            client.step(slot(1), [4])
        assert refused.value.fields["to_move"] == "player_1"
        assert client.state()["step_count"] == 0 and client.state()["to_move"] == "player_1"
        client.step(slot(0), [4])
        with pytest.raises(InvalidArgument, match="it is player_2's turn, not player_1's"):
            client.step(slot(0), [3])


@pytest.mark.parametrize("agents", [[0, 1], [0, 0], [2], [-1]], ids=str)
def test_slots_that_are_not_one_mover_are_refused(url: str, agents: list[int]) -> None:
    with closing(Client.to(url)) as client:
        client.reset()
        slots = Slots(np.zeros(len(agents), np.int32), np.array(agents, np.int16))
        with pytest.raises(InvalidArgument):
            client.step(slots, [0] * len(agents))
        client.step(slot(0), [0])


def test_a_step_of_no_slot_is_refused_and_the_game_goes_on(url: str) -> None:
    with closing(Client.to(url)) as client:
        client.reset()
        with pytest.raises(InvalidArgument):
            client.step(Slots(np.zeros(0, np.int32), np.zeros(0, np.int16)), [])
        client.step(slot(0), [0])


def test_a_step_before_the_first_reset_is_refused(url: str) -> None:
    with closing(Client.to(url)) as client, pytest.raises(ResetNeeded, match="reset"):
        client.step(slot(0), [0])


def test_each_agent_can_look_at_any_time(url: str) -> None:
    twin = game()
    with closing(Client.to(url)) as client:
        client.reset(None, [1])
        twin.reset(seed=1)
        client.step(slot(0), [4])
        twin.step(4)
        for index, name in enumerate(twin.possible_agents):
            assert_identical(client.observe(agent=index), twin.observe(name), f"observation of {name}")
    twin.close()


def test_a_game_of_several_lanes_is_refused() -> None:
    twin = game()
    with pytest.raises(InvalidArgument, match="one lane a session"):
        TurnBased(game, replace(signature_of(twin, "tictactoe"), lanes=2))
    twin.close()


def test_only_the_mover_is_observed_without_a_server_too() -> None:
    twin = game()
    hosted = TurnBased(game, signature_of(twin, "tictactoe"))
    out = Collected()
    hosted.reset(None, 3, None, out)
    assert [(row.agent, row.flags, row.observation is None) for row in out.rows] == [
        (0, TO_MOVE, False),
        (1, UNSEEN, True),
    ]
    hosted.close()
    twin.close()
