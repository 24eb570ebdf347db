"""The array view: a good Gymnasium environment, masks, illegal moves, pictures."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from openenv_gym.errors import InvalidAction, InvalidArgument, ResetNeeded
from openenv_gym.servers.chess.array import ChessEnv
from openenv_gym.servers.chess.planes import legal_actions
from tests.fidelity import assert_identical
from tests.servers.chess.games import chosen

PROMOTION = "8/P6k/8/8/8/8/8/K7 w - - 0 1"


@pytest.fixture
def env_id() -> Any:
    """The id under which the environment is registered while a test runs."""
    gymnasium.register("ChessForTests-v0", lambda **arguments: ChessEnv(**arguments))
    yield "ChessForTests-v0"
    del gymnasium.registry["ChessForTests-v0"]


@pytest.mark.parametrize("opponent", ["random", "greedy", "none"])
def test_gymnasiums_checker_is_content(env_id: str, opponent: str) -> None:
    check_env(gymnasium.make(env_id, opponent=opponent).unwrapped)


def test_the_same_seed_and_moves_give_the_same_game() -> None:
    envs, rng = (ChessEnv(color="random"), ChessEnv(color="random")), np.random.default_rng(0)
    one, other = envs
    for seed in (4, None, None):
        result = one.reset(seed=seed)
        assert_identical(result, other.reset(seed=seed), "reset")
        mask, over = result[1]["action_mask"], False
        while not over:
            action = np.int64(chosen(mask, rng))
            step = one.step(action)
            assert_identical(step, other.step(action), "step")
            mask, over = step[4]["action_mask"], step[2]


def test_both_masks_say_the_same() -> None:
    env = ChessEnv()
    _, info = env.reset(seed=0)
    mask = env.action_masks()
    assert mask.dtype == np.bool_
    assert info["action_mask"].dtype == np.int8
    assert mask.shape == (4672,)
    assert mask.tolist() == info["action_mask"].tolist()
    assert env.action_space.contains(env.action_space.sample(mask=info["action_mask"]))


def test_an_illegal_move_loses_the_game() -> None:
    env = ChessEnv()
    observation, info = env.reset(seed=0)
    illegal = np.int64(np.flatnonzero(info["action_mask"] == 0)[0])
    after, reward, terminated, truncated, info = env.step(illegal)
    assert (reward, terminated, truncated) == (-1.0, True, False)
    assert (info["result"], info["termination"]) == ("0-1", "illegal_move")
    assert_identical(after, observation, "observation")
    with pytest.raises(ResetNeeded):
        env.step(illegal)


def test_an_illegal_move_is_refused_where_that_was_asked_for() -> None:
    env = ChessEnv(illegal="error")
    _, info = env.reset(seed=0)
    illegal = np.int64(np.flatnonzero(info["action_mask"] == 0)[0])
    before = env.game.board.fen()
    with pytest.raises(InvalidAction, match=r"g1h3.*20 legal moves.*action_mask"):
        env.step(illegal)
    assert env.game.board.fen() == before
    _, reward, terminated, *_ = env.step(np.int64(chosen(info["action_mask"], np.random.default_rng(0))))
    assert (reward, terminated) == (0.0, False)


@pytest.mark.parametrize("action", [-1, 4672, 1.5, "e2e4"])
def test_what_is_no_action_is_refused_in_either_way(action: Any) -> None:
    env = ChessEnv()
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="4672"):
        env.step(action)


def test_a_step_before_the_first_reset_is_refused() -> None:
    with pytest.raises(ResetNeeded):
        ChessEnv().step(np.int64(0))


def test_a_reset_takes_a_position() -> None:
    env = ChessEnv(opponent="none")
    env.reset(options={"fen": PROMOTION})
    assert env.game.board.fen() == PROMOTION
    env.reset()
    assert env.game.board.fen() != PROMOTION
    with pytest.raises(InvalidArgument):
        env.reset(options={"fen": "nonsense"})


def test_a_game_that_is_cut_short_is_truncated_with_its_mask() -> None:
    env = ChessEnv(max_plies=2)
    _, info = env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(
        np.int64(chosen(info["action_mask"], np.random.default_rng(0)))
    )
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert (info["result"], info["termination"]) == ("*", "max_plies")
    assert info["action_mask"].any()


@pytest.mark.parametrize("arguments", [{"render_mode": "human"}, {"illegal": "ignore"}])
def test_what_cannot_be_used_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        ChessEnv(**arguments)


def test_the_text_is_drawn_from_the_learners_side() -> None:
    env = ChessEnv("ansi", color="black", opponent="none")
    env.reset()
    assert env.render().splitlines() == [
        "1 | R N B K Q B N R",
        "2 | P P P P P P P P",
        *(f"{row} | . . . . . . . ." for row in range(3, 7)),
        "7 | p p p p p p p p",
        "8 | r n b k q b n r",
        "  +----------------",
        "    h g f e d c b a",
        "White to move",
    ]


def test_the_picture_shows_the_pieces_the_last_move_and_check() -> None:
    env = ChessEnv("rgb_array", opponent="none")
    env.reset()
    before = env.render()
    assert (before.shape, before.dtype) == ((480, 480, 3), np.uint8)
    for name in ("e2e4", "f7f6", "d1h5"):
        numbers = {move.uci(): action for action, move in legal_actions(env.game.board).items()}
        env.step(np.int64(numbers[name]))
    after = env.render()
    differs = (before != after).reshape(8, 60, 8, 180).any(axis=(1, 3))
    changed = {f"{'abcdefgh'[column]}{8 - row}" for row, column in np.argwhere(differs)}
    assert changed == {"e2", "e4", "f7", "f6", "d1", "h5", "e8"}
