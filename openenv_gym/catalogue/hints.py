"""Hints in files: those that ship with the package, and those that a user wrote or ``inspect`` did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

from openenv_gym.errors import InvalidArgument
from openenv_gym.types import Plain

__all__ = ["read_hints", "shipped_hints"]

SIZE_LIMIT = 2**24
"""The most bytes of a hint file."""


@cache
def shipped_hints() -> tuple[Mapping[str, Plain], ...]:
    """What the package's own hint files hold; read once, and not to be changed.

    >>> sorted(entry["name"] for entry in shipped_hints())[:2]
    ['AtariEnvironment', 'ChessEnvironment']
    """
    found = [each for each in files(__package__).joinpath("shipped").iterdir() if each.name.endswith(".json")]
    return tuple([json.loads(each.read_text("utf-8")) for each in sorted(found, key=lambda each: each.name)])


def read_hints(path: str | PathLike[str]) -> dict[str, Any]:
    """What a hint file holds, as ``hints=`` takes it.

    Raises:
        InvalidArgument: there is no such file, or it is no JSON object.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(SIZE_LIMIT + 1)
        found = json.loads(text) if len(text) <= SIZE_LIMIT else None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"the hint file {str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgument(
            f"the hint file {str(path)!r} holds no JSON object of at most {SIZE_LIMIT} bytes"
        )
    return found
