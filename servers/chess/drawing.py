"""The board as text, and as a picture with the pieces that PettingZoo ships."""

from __future__ import annotations

import functools
from importlib import import_module, resources
from typing import Any

import chess
import numpy as np
from numpy.typing import NDArray

from openenv_gym.errors import MissingExtra

__all__ = ["draw", "write"]

_SQUARE = 60
_LIGHT, _DARK = (240, 217, 181), (181, 136, 99)
_MOVED = {_LIGHT: (206, 210, 107), _DARK: (170, 162, 58)}
_CHECK = (220, 90, 74)


def write(board: chess.Board, below: chess.Color) -> str:
    """The board in letters, capitals for White, with coordinates, and a line that says who is to move.

    >>> print(write(chess.Board("7k/8/5KQ1/8/8/8/8/8 w - - 0 1"), chess.WHITE))
    8 | . . . . . . . k
    7 | . . . . . . . .
    6 | . . . . . K Q .
    5 | . . . . . . . .
    4 | . . . . . . . .
    3 | . . . . . . . .
    2 | . . . . . . . .
    1 | . . . . . . . .
      +----------------
        a b c d e f g h
    White to move
    """
    rows, columns = _rows_and_columns(below)
    lines = []
    for row in rows:
        pieces = [board.piece_at(chess.square(column, row)) for column in columns]
        letters = " ".join(piece.symbol() if piece else "." for piece in pieces)
        lines.append(f"{chess.RANK_NAMES[row]} | {letters}")
    names = " ".join(chess.FILE_NAMES[column] for column in columns)
    return "\n".join([*lines, "  +" + "-" * 16, f"    {names}", _caption(board)])


def _rows_and_columns(below: chess.Color) -> tuple[list[int], list[int]]:
    """In the order in which they are shown, from the top and from the left."""
    upwards = list(range(8))
    return (upwards[::-1], upwards) if below else (upwards, upwards[::-1])


def _caption(board: chess.Board) -> str:
    outcome = board.outcome()
    said = [f"{'White' if board.turn else 'Black'} to move" if outcome is None else outcome.result()]
    if board.is_checkmate():
        said.append("checkmate")
    elif board.is_check():
        said.append("check")
    if board.move_stack:
        said.append(f"last move {board.peek()}")
    return ", ".join(said)


def draw(board: chess.Board, below: chess.Color) -> NDArray[np.uint8]:
    """A picture, uint8, (480, 480, 3); the last move is marked, and a king in check.

    Raises:
        MissingExtra: if Pillow is not installed.
    """
    image, pencil = _blank()
    rows, columns = _rows_and_columns(below)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            square = chess.square(column, row)
            left, top = x * _SQUARE, y * _SQUARE
            paper, ink = _paper(board, square)
            pencil.rectangle((left, top, left + _SQUARE - 1, top + _SQUARE - 1), fill=paper)
            piece = board.piece_at(square)
            if piece is not None:
                sprite = _sprite(piece.piece_type, piece.color)
                image.paste(sprite, (left, top), sprite)
            if x == 0:
                pencil.text((left + 3, top + 2), chess.RANK_NAMES[row], fill=ink)
            if y == 7:
                corner = (left + _SQUARE - 3, top + _SQUARE - 1)
                pencil.text(corner, chess.FILE_NAMES[column], fill=ink, anchor="rb")
    return np.array(image)


def _paper(board: chess.Board, square: chess.Square) -> tuple[Any, Any]:
    """The color of a square, and of what is written on it."""
    light = bool(chess.BB_LIGHT_SQUARES & chess.BB_SQUARES[square])
    paper, ink = (_LIGHT, _DARK) if light else (_DARK, _LIGHT)
    if board.move_stack and square in (board.peek().from_square, board.peek().to_square):
        return _MOVED[paper], ink
    if board.is_check() and square == board.king(board.turn):
        return _CHECK, ink
    return paper, ink


def _blank() -> tuple[Any, Any]:
    """An image and what draws on it."""
    image = _pillow("Image").new("RGB", (8 * _SQUARE, 8 * _SQUARE))
    pencil = _pillow("ImageDraw").Draw(image)
    pencil.font = _pillow("ImageFont").load_default(size=11)
    return image, pencil


@functools.cache
def _sprite(kind: chess.PieceType, color: chess.Color) -> Any:
    """A piece, enlarged by whole pixels, so that it stays sharp."""
    name = f"{chess.piece_name(kind)}_{chess.COLOR_NAMES[color]}.png"
    file = resources.files("pettingzoo.classic.chess").joinpath("img", name)
    with file.open("rb") as stream, _pillow("Image").open(stream) as small:
        return small.convert("RGBA").resize((_SQUARE, _SQUARE), _pillow("Image").Resampling.NEAREST)


def _pillow(module: str) -> Any:
    try:
        return import_module(f"PIL.{module}")
    except ImportError as error:
        raise MissingExtra(
            "a picture of a chess board needs Pillow: pip install 'openenv-gym[chess]'", extra="chess"
        ) from error
