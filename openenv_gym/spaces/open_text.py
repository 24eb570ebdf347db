"""A space of texts of any characters, as servers that are not ours send them.

Gymnasium's ``Text`` lists its characters, and there are more than a million of them. Internal to
``spaces``, which exports the class, and to ``wrappers``.
"""

from __future__ import annotations

import string
import sys
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Text
from gymnasium.spaces.utils import flatten, flatten_space, unflatten
from numpy.typing import NDArray

from openenv_gym.errors import InvalidArgument

__all__ = ["LENGTH_LIMIT", "OpenText"]

LENGTH_LIMIT = 2**63 - 2
"""The longest text, by which Gymnasium can still draw a length."""
SAMPLE_LENGTH = 64
"""The longest text that is drawn, unless the least length is greater."""


class OpenText(Text):
    r"""A text of any characters, of any length unless there are bounds.

    Every ``str`` within the bounds is in it. What is drawn is printable ASCII, at most 64 characters.
    ``character_set`` names only what is drawn. Flat, a character is its code point.

    >>> "naïve\n" in OpenText(), "ab" in OpenText(max_length=1)
    (True, False)
    """

    def __init__(
        self,
        min_length: int = 0,
        max_length: int = LENGTH_LIMIT,
        *,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__(max_length, min_length=min_length, charset=_DRAWN, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draw a text; ``mask`` and ``probability`` are Gymnasium's, over the characters that are drawn."""
        if mask is not None or probability is not None:
            return super().sample(mask, probability)
        most = min(self.max_length, max(SAMPLE_LENGTH, self.min_length))
        length = self.np_random.integers(self.min_length, most + 1)
        return "".join(self.np_random.choice(self.character_list, size=length))

    def contains(self, x: Any) -> bool:
        """Say whether it is a ``str`` within the bounds."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length

    def __eq__(self, other: object, /) -> bool:
        bounds = (self.min_length, self.max_length)
        return isinstance(other, OpenText) and bounds == (other.min_length, other.max_length)

    def __repr__(self) -> str:
        shown = [f"min_length={self.min_length}"] if self.min_length else []
        shown += [f"max_length={self.max_length}"] if self.max_length < LENGTH_LIMIT else []
        return f"OpenText({', '.join(shown)})"


_DRAWN = string.ascii_letters + string.digits + string.punctuation + " "
_NONE = sys.maxunicode + 1
"""What stands behind the end of a flat text."""
_FLAT_LIMIT = 2**20


@flatten_space.register(OpenText)
def _flat_space(space: OpenText) -> Box:
    if space.max_length > _FLAT_LIMIT:
        raise InvalidArgument(
            f"a flat text has a number a character, {_FLAT_LIMIT} at most; {space!r} may be longer: "
            "openenv_gym.wrappers.TextObservation(env, max_length=...) bounds it"
        )
    return Box(0, _NONE, (space.max_length,), np.int32)


@flatten.register(OpenText)
def _flat(space: OpenText, x: str) -> NDArray[np.int32]:  # type: ignore[misc]  # it is a Space of str
    flat = np.full(space.max_length, _NONE, np.int32)
    flat[: len(x)] = [ord(character) for character in x]
    return flat


@unflatten.register(OpenText)
def _unflat(space: OpenText, x: NDArray[np.int32]) -> str:  # type: ignore[misc]  # the same
    return "".join([chr(code) for code in x if code < _NONE])
