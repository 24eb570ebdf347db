"""``openenv-gym play``, driven through a real terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from openenv_gym import serve_gym
from tests.cli.terminal import COLUMNS, COMMAND, Terminal, screen
from tests.cli.worlds import Doors


@pytest.fixture(scope="module")
def doors() -> Iterator[str]:
    """A server that tells what its actions are called."""
    with serve_gym(Doors, port=0, block=False, calls=["get_action_meanings"]) as server:
        yield server.url


def play(*arguments: str) -> Terminal:
    return Terminal([*COMMAND, "play", *arguments])


def test_an_episode_by_name_by_number_and_at_random(doors: str) -> None:
    with play(doors) as terminal:
        terminal.expect("door 0")
        terminal.expect('sign "door0"')
        terminal.expect("info: mood calm")
        terminal.expect("Type one of 1: RED")
        terminal.type("blue\r")
        terminal.expect("2 BLUE is not legal now; type one of 1: RED")
        terminal.type("purple\r")
        terminal.expect("'purple' is no action; type one of 1: RED")
        terminal.type("red\r")
        terminal.expect("step 1 · action 0 RED · reward 1 · return 1")
        terminal.type("1\r")
        terminal.expect("step 2 · action 1 GREEN · reward 1 · return 2")
        terminal.type("n\r")
        terminal.expect("The episode is over (terminated): return 3 in 3 steps.")
        terminal.type("2\r")
        terminal.expect("r begins another")
        terminal.type("r\r")
        terminal.expect("step 0")
        terminal.type("?\r")
        terminal.expect("q quit")
        terminal.expect("> ")
        terminal.type("q\r")
        assert terminal.end() == 0


@pytest.mark.parametrize("keys", ["\x04", "\x03"])
def test_ctrl_d_and_ctrl_c_leave_politely(doors: str, keys: str) -> None:
    with play(doors) as terminal:
        terminal.expect("> ")
        terminal.type("0\r")
        terminal.expect("step 1")
        terminal.expect("> ")
        assert terminal.leave(keys) == 0
        shown = screen(terminal.raw)
    assert "Left after 1 step, return 1." in shown and "Traceback" not in shown


def test_a_seed_and_arguments_on_a_private_server_that_draws_in_text() -> None:
    with play("FrozenLake-v1", "--env-kwargs", '{"is_slippery": false}', "--seed", "1") as terminal:
        terminal.expect("SFFF FHFH")
        terminal.type("2\r")
        terminal.expect("(Right)")
        terminal.expect("> ")
        terminal.type("q\r")
        assert terminal.end() == 0
        lines = screen(terminal.raw).splitlines()
    assert any("\x1b[41mF" in line for line in lines)  # where the player stands, in its own colour


def test_chess_takes_moves_in_uci() -> None:
    with play("openenv/chess", "--env-kwargs", '{"opponent": "none"}') as terminal:
        terminal.expect("Type one of 20:")
        terminal.type("e2e5\r")
        terminal.expect("'e2e5' is no action; ? says what may be typed")
        terminal.type("e2e4\r")
        terminal.expect("Black to move, last move e2e4")
        terminal.type("e7e5\r")
        terminal.expect("White to move, last move e7e5")
        terminal.expect("> ")
        terminal.type("q\r")
        assert terminal.end() == 0


def test_an_environment_that_raises_is_said_so_and_can_be_reset() -> None:
    with play("tests.cli.worlds:Grumpy") as terminal:
        terminal.expect("> ")
        terminal.type("1\r")
        terminal.expect("not today")
        terminal.expect("r begins another")
        terminal.type("r\r")
        terminal.expect("step 0")
        terminal.expect("> ")
        terminal.type("q\r")
        assert terminal.end() == 0


def test_where_texts_are_actions_commands_have_a_colon() -> None:
    with play("tests.cli.worlds:Parrot") as terminal:
        terminal.expect(":q quit")
        terminal.expect("> ")
        terminal.type("q\r")
        terminal.expect('"q"')
        terminal.expect("> ")
        terminal.type(":q\r")
        assert terminal.end() == 0


def test_without_a_terminal_it_names_what_needs_none() -> None:
    ended = subprocess.run(
        [*COMMAND, "play", "CartPole-v1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1 and "openenv-gym rollout" in ended.stderr


def test_a_wrong_id_and_a_wrong_mode_are_said_in_a_terminal_too() -> None:
    for arguments, said in (
        (["FrozenLake"], "was FrozenLake-v1"),
        (["CartPole-v1", "--render", "ansi"], "renders as rgb_array, not as 'ansi'"),
        (["CartPole-v1", "--render", "film"], "--render is ansi, rgb_array or none"),
    ):
        with play(*arguments) as terminal:
            assert terminal.end() == 1
            shown = terminal.raw
        assert said in " ".join(shown.split()) and "Traceback" not in shown
        assert max(map(len, screen(shown).splitlines())) <= COLUMNS + len("\x1b[31m\x1b[0m")
