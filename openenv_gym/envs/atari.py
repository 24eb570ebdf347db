"""Atari's manners: what ``AtariPreprocessing`` and SB3's Atari wrappers touch beside ``reset`` and ``step``.

They reach for ``unwrapped.ale``, ``get_action_meanings``, ``_frameskip`` and ``np_random``. A face has the
first three exactly if the server offers them, so that ``hasattr`` tells the truth. What never changes
came with the welcome, the lives come with each info; only a screen is a round trip of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from openenv_gym.errors import CallRefused, InvalidArgument
from openenv_gym.wire.infos import Infos

__all__ = ["Ale", "AtariManners"]

_EMULATOR = "ale."


class AtariManners:
    """What a face of one Atari environment has beside those of others; without them on any other.

    Its ``call`` is the only way to the server, and its operator's list the only measure.
    """

    _offered: frozenset[str]
    _constants: Mapping[str, Any]
    _infos: Infos
    _np_random: np.random.Generator | None
    call: Callable[..., Any]

    @property
    def ale(self) -> Ale:
        """The served emulator, as far as its server's operator offers calls of it.

        Raises:
            CallRefused: if none is offered; ``hasattr`` is false then.
        """
        if not any(name.startswith(_EMULATOR) for name in self._offered):
            raise _refused("ale")
        return Ale(self.call, self._offered, self._infos)

    @property
    def get_action_meanings(self) -> Callable[[], list[str]]:
        """Gives the name of each action, ``["NOOP", "FIRE", ...]``.

        Raises:
            CallRefused: if the server does not offer it; ``hasattr`` is false then.
        """
        if "get_action_meanings" not in self._offered:
            raise _refused("get_action_meanings")
        return lambda: list(self.call("get_action_meanings"))

    @property
    def _frameskip(self) -> Any:
        """How many frames a step plays; ``AtariPreprocessing`` wants to see a 1."""
        if "frameskip" not in self._constants:
            raise _refused("_frameskip")
        return self._constants["frameskip"]

    def _seed_like_atari(self) -> None:
        """Seed ``np_random`` as an Atari environment does: with what the info of a seeded reset names."""
        match self._infos.of(0).get("seeds") if "frameskip" in self._constants else None:
            case (int() | np.integer() as seed, _):
                self._np_random, _ = seeding.np_random(int(seed))


class Ale:
    """The emulator behind a session; it has the methods that the server's operator offers, no others."""

    def __init__(self, call: Callable[..., Any], offered: frozenset[str], infos: Infos) -> None:
        self._call, self._offered, self._infos = call, offered, infos

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or _EMULATOR + name not in self._offered:
            raise _refused(_EMULATOR + name)

        def ask(*args: Any) -> Any:
            # The emulator would write into a caller's buffer; over the wire the array comes back.
            if len(args) == 1 and isinstance(args[0], np.ndarray):
                return _fill(args[0], self._call(_EMULATOR + name), name)
            return self._call(_EMULATOR + name, *args)

        return ask

    def lives(self) -> int:
        """How many lives are left; of the last info, where that says it."""
        lives = self._infos.of(0).get("lives")
        return lives if isinstance(lives, int) else int(self.__getattr__("lives")())


def _fill(buffer: np.ndarray[Any, Any], answer: Any, name: str) -> None:
    if not isinstance(answer, np.ndarray) or (buffer.shape, buffer.dtype) != (answer.shape, answer.dtype):
        raise InvalidArgument(
            f"ale.{name} gives {getattr(answer, 'dtype', type(answer).__name__)}, "
            f"{getattr(answer, 'shape', '')}, which the buffer of {buffer.dtype}, {buffer.shape}, cannot take"
        )
    buffer[...] = answer


def _refused(name: str) -> CallRefused:
    return CallRefused(
        f"the server does not offer {name!r:.80}: what it serves is no Atari environment, or the session "
        "speaks JSON, which has no calls; its operator can offer calls: serve_gym(..., calls=[...])",
        name=name,
    )
