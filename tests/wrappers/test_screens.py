"""Screens that come as lists, or as pictures in base64."""

from __future__ import annotations

import base64
import io
import struct
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Sequence, Text
from PIL import Image

from openenv_gym.errors import InvalidArgument, LayoutMismatch, MissingExtra
from openenv_gym.wrappers import DecodeScreen
from tests.wrappers.showing import Showing, first

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
LIST = Sequence(Discrete(256))
TEXT = Text(100_000, min_length=0)


def encoded(kind: str, pixels: Any = PIXELS) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("shown", [tuple(PIXELS.ravel().tolist()), PIXELS.ravel(), PIXELS.tolist()])
def test_a_flat_list_becomes_an_array(shown: Any) -> None:
    env = DecodeScreen(Showing(LIST, shown), (2, 4, 3))
    assert env.observation_space == Box(0, 255, (2, 4, 3), np.uint8)
    assert (first(env) == PIXELS).all()


def test_a_picture_becomes_an_array() -> None:
    assert (first(DecodeScreen(Showing(TEXT, encoded("PNG")), (2, 4, 3))) == PIXELS).all()
    uri = f"data:image/png;base64,{encoded('PNG')}"
    assert (first(DecodeScreen(Showing(TEXT, uri), (2, 4, 3))) == PIXELS).all()
    jpeg = first(DecodeScreen(Showing(TEXT, encoded("JPEG")), (2, 4, 3)))
    assert np.abs(jpeg.astype(int) - PIXELS).mean() < 60
    assert first(DecodeScreen(Showing(TEXT, encoded("PNG")), (2, 4))).shape == (2, 4)
    assert first(DecodeScreen(Showing(TEXT, encoded("PNG")), (2, 4, 1))).shape == (2, 4, 1)


def test_a_field_of_a_dict_is_exchanged_and_the_others_stay() -> None:
    space = Dict(view=Dict(screen=LIST, lives=Discrete(4)), score=Discrete(9))
    shown = {"view": {"screen": (1, 2, 3, 4), "lives": np.int64(3)}, "score": np.int64(5)}
    env = DecodeScreen(Showing(space, shown), (2, 2), field="view.screen")
    seen = first(env)
    assert seen["view"]["screen"].tolist() == [[1, 2], [3, 4]]
    assert seen["view"]["lives"] == 3 and seen["score"] == 5
    assert shown["view"]["screen"] == (1, 2, 3, 4)  # type: ignore[index]


def test_a_grid_that_is_no_picture_has_a_box_of_its_own() -> None:
    grid = Box(-2, 2, (2, 2), np.int8)
    assert first(DecodeScreen(Showing(LIST, [0, -1, 2, 1]), grid)).tolist() == [[0, -1], [2, 1]]
    assert first(DecodeScreen(Showing(LIST, [0.5, 1]), Box(0, 1, (2,)))).tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ([1, 2, 3], r"has 3 numbers where shape \(2, 2\) wants 4"),
        ([1, 2, 3, 256], "numbers outside Box"),
        ([1, 2, 3, -1], "numbers outside Box"),
        ([1, 2, 3, 0.5], "numbers outside Box"),
        ([1, 2, 3, float("nan")], "numbers outside Box"),
        ([[1, 2], [3]], "no list of numbers"),
        ("no base64!", "no PNG or JPEG in base64"),
        (base64.b64encode(b"no picture").decode(), "no PNG or JPEG in base64"),
        (encoded("GIF", PIXELS[:, :, 0]), "no PNG or JPEG in base64"),
        (encoded("PNG")[:40], "no PNG or JPEG in base64"),
        (encoded("PNG"), r"a picture of \(2, 4\), not of \(2, 2\)"),
        (None, "no list of numbers"),
    ],
)
def test_what_is_no_screen_of_that_shape_is_refused(shown: Any, why: str) -> None:
    with pytest.raises(LayoutMismatch, match=why):
        DecodeScreen(Showing(LIST, shown), (2, 2)).reset()


@pytest.mark.parametrize(("side", "why"), [(5_000, r"a picture of \(5000, 5000\)"), (60_000, "no PNG")])
def test_a_huge_picture_is_refused_by_its_header(side: int, why: str) -> None:
    small = base64.b64decode(encoded("PNG"))
    header = b"IHDR" + struct.pack(">II", side, side) + small[24:29]
    huge = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with pytest.raises(LayoutMismatch, match=why):
        DecodeScreen(Showing(TEXT, base64.b64encode(huge).decode()), (84, 84)).reset()


def test_a_picture_wants_pillow_and_a_list_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtra, match="pip install pillow"):
        DecodeScreen(Showing(TEXT, encoded("PNG")), (2, 4, 3)).reset()
    first(DecodeScreen(Showing(LIST, (1, 2)), (1, 2)))


def test_arguments_that_cannot_be_used_say_what_can() -> None:
    for shape in ((), (2, 0), (2.0, 2), "84x84"):
        with pytest.raises(InvalidArgument, match="shape is a tuple such as"):
            DecodeScreen(Showing(LIST, ()), shape)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="no field 'screen'"):
        DecodeScreen(Showing(LIST, ()), (2, 2), field="screen")
    with pytest.raises(LayoutMismatch, match="not \\(height, width\\)"):
        DecodeScreen(Showing(TEXT, encoded("PNG")), (24,)).reset()
