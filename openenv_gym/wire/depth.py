"""How deep JSON text is nested, known before it is parsed."""

from __future__ import annotations

import re
from json import detect_encoding

import numpy as np

from openenv_gym.errors import InvalidMessage

__all__ = ["check_depth"]

_STRING = re.compile(rb'"[^"]*"?')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1


def check_depth(text: str | bytes, limit: int) -> None:
    """Refuse text that is nested deeper than a limit; what is no JSON at all is for the parser to refuse.

    Costs next to nothing for a text that has no more than ``limit`` brackets.

    Raises:
        InvalidMessage: if lists and objects are nested deeper.
    """
    if isinstance(text, str):
        opened = text.count("[") + text.count("{")
    else:
        opened = text.count(b"[") + text.count(b"{")
    if opened > limit and _depth(text) > limit:
        raise InvalidMessage(
            f"the JSON is nested deeper than {limit} levels; send it flatter, or have the operator raise "
            "max_json_depth (--max-json-depth)",
            max_json_depth=limit,
        )


def _depth(text: str | bytes) -> int:
    if not isinstance(text, str):
        text = text.decode(detect_encoding(text), "replace")
    data = text.encode("utf-8", "replace")
    if b"\\" in data:  # backslashes stand in strings only, and hide quotes
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    if not brackets:
        return 0
    return int(np.cumsum(_STEP[np.frombuffer(brackets, np.uint8)], dtype=np.int32).max())
