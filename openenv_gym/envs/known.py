"""What a caller knows of a server that does not say it, and what was concluded of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from gymnasium import Space

from openenv_gym.catalogue import read_hints
from openenv_gym.errors import InvalidArgument

if TYPE_CHECKING:
    from openenv_gym.spaces.inference import Inference

__all__ = ["Spaces", "tell_assumptions"]

_OURS = ("openenv_gym", "gymnasium")


class Spaces:
    """What a caller knows of a server that does not say it: spaces, and how fields map to them.

    Args:
        observation_space: of one lane.
        action_space: of one lane.
        encode_action: action -> the fields of a step; by default as inferred.
        decode_observation: the fields of an answer -> observation; by default as inferred.
        hints: fields and what they are, or the path of a hint file.
        flatten: whether to give what a multilayer perceptron wants.

    Attributes:
        inference: what was concluded of the server, once it was.
    """

    def __init__(
        self,
        observation_space: Space[Any] | None,
        action_space: Space[Any] | None,
        encode_action: Callable[[Any], dict[str, Any]] | None = None,
        decode_observation: Callable[[Any], Any] | None = None,
        hints: Mapping[str, Any] | str | PathLike[str] | None = None,
        flatten: bool = False,
    ) -> None:
        for name, space in (("observation_space", observation_space), ("action_space", action_space)):
            if not (space is None or isinstance(space, Space)):
                raise InvalidArgument(f"{name} is a space of Gymnasium's, not {space!r:.40}")
        for name, function in (("encode_action", encode_action), ("decode_observation", decode_observation)):
            if not (function is None or callable(function)):
                raise InvalidArgument(f"{name} is a function, not {function!r:.40}")
        if type(flatten) is not bool:
            raise InvalidArgument(f"flatten is True or False, not {flatten!r:.40}")
        self.observation_space, self.action_space = observation_space, action_space
        self.encode_action, self.decode_observation = encode_action, decode_observation
        self.hints = read_hints(hints) if isinstance(hints, str | PathLike) else hints
        self.flatten = flatten
        self.inference: Inference | None = None

    @property
    def complete(self) -> bool:
        """Whether both spaces are known."""
        return self.observation_space is not None and self.action_space is not None

    @property
    def told(self) -> bool:
        """Whether the caller says all that there is to say."""
        return (
            self.complete
            and not self.hinted
            and self.encode_action is not None
            and self.decode_observation is not None
        )

    @property
    def hinted(self) -> bool:
        """Whether the caller wants other spaces than a server's own."""
        return self.hints is not None or self.flatten


def tell_assumptions(spaces: Spaces, urls: Sequence[str]) -> None:
    """Warn once of what was assumed, if anything was; the line that it names is one of the user's.

    Args:
        spaces: with what was concluded.
        urls: of the servers, for people.
    """
    said = None if spaces.inference is None else spaces.inference.summary
    if said is not None:
        warnings.warn(
            f"the server at {urls[0]} does not tell its spaces; {said} print(env.unwrapped.inference) shows "
            "all of it, and hints={...} overrides it",
            stacklevel=_levels_to_user(),
        )


def _levels_to_user() -> int:
    """How many frames up it is from a caller's to one that is not ours, nor that of ``gymnasium.make``."""
    frame, levels = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).split(".")[0] in _OURS:
        frame, levels = frame.f_back, levels + 1
    return levels
