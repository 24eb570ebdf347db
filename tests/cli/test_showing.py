"""What a terminal shows of observations."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, Sequence, Text, Tuple
from rich.console import Console

from openenv_gym.cli.showing import harmless, is_picture, picture, show_info, show_observation
from tests.cli.terminal import COLUMNS


def console(colours: str | None = "truecolor") -> Console:
    look: Any = colours
    return Console(file=io.StringIO(), width=COLUMNS, force_terminal=colours is not None, color_system=look)


def shown(space: Space[Any], observation: Any) -> str:
    to = console(None)
    with to.capture() as capture:
        to.print(show_observation(space, observation, to))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_numbers_stand_in_their_ranges() -> None:
    space = Box(np.array([0, -np.inf], np.float32), np.array([1, np.inf], np.float32))
    first, second = shown(space, np.array([1, 7], np.float32)).splitlines()
    assert first.endswith("0 ───────────────────● 1") and second.split() == ["1", "7"]


def test_whole_numbers_are_shown_whole_and_the_last_ones_bound_nothing() -> None:
    limits = np.iinfo(np.int64)
    score = Box(limits.min, limits.max, (1,), np.int64)
    assert shown(score, np.array([336900])).split() == ["0", "336900"]
    assert shown(Box(0, limits.max, (1,), np.int64), np.array([3])).endswith("from 0")
    assert "2048" in shown(Box(0, limits.max, (2, 2), np.int64), np.array([[2048, 2], [0, 0]]))


def test_every_kind_of_space_fits_into_80_columns() -> None:
    spaces = (
        Dict(a=Discrete(3, start=2), b=Tuple([Text(4), MultiBinary(3)])),
        Box(0, 255, (210, 160, 3), np.uint8),
        Box(0, 1, (8, 8, 111), np.int8),
        Box(-1, 1, (40,)),
        Box(0, 9, (4, 4), np.int64),
        Box(-1, 1, ()),
        Sequence(Discrete(3)),
        Graph(Box(-1, 1, (2,)), Discrete(3)),
    )
    for space in spaces:
        space.seed(1)
        lines = shown(space, space.sample()).splitlines()
        assert lines and max(map(len, lines)) <= COLUMNS


def test_an_observation_outside_of_its_space_is_shown_all_the_same() -> None:
    assert shown(Discrete(2), "odd").startswith("odd")
    assert shown(Dict(a=Discrete(2)), [1]) == "[1]"


def test_a_picture_is_half_blocks_of_its_colours_or_letters_without() -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[0] = (255, 0, 0)
    text = picture(frame, console())
    assert text.plain == "▀▀▀▀\n▀▀▀▀"
    assert str(text.spans[0].style) == "#ff0000 on #000000"
    assert set(picture(frame, console(None)).plain) <= set(" .:-=+*#%@\n")


def test_large_pictures_shrink_by_the_mean() -> None:
    frame = np.zeros((400, 600), np.uint8)
    frame[:, 300:] = 200
    lines = picture(frame, console()).plain.splitlines()
    assert len(lines) <= 24 and len(lines[0]) <= COLUMNS - 4


def test_small_boxes_of_bytes_are_no_pictures() -> None:
    assert is_picture(Box(0, 255, (84, 84), np.uint8)) and is_picture(Box(0, 255, (84, 84, 1), np.uint8))
    assert not is_picture(Box(0, 255, (9, 9), np.uint8)) and not is_picture(
        Box(0, 255, (84, 84, 4), np.uint8)
    )


def test_an_info_shows_what_is_short() -> None:
    text = show_info(
        {"prob": 1 / 3, "lives": np.int64(3), "mask": np.ones(9), "odd": (1, [2]), "long": "x" * 99}
    )
    assert text is not None and text.plain == "info: prob 0.3333, lives 3"
    assert show_info({"mask": np.ones(9)}) is None


def test_only_colours_of_a_foreign_text_reach_the_terminal() -> None:
    text = harmless("\x1b[41mS\x1b[0m\x1b[2J\x1b]0;title\x07\x9b2J\r\nnext")
    assert text.plain == "S[2J]0;title2J\nnext" and len(text.spans) == 1
