"""Screens that came as a list of numbers or as an encoded picture, made arrays again."""

from __future__ import annotations

import base64
import io
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from openenv_gym.errors import InvalidArgument, LayoutMismatch, MissingExtra
from openenv_gym.wrappers.fields import replaced, space_at, value_at

__all__ = ["DecodeScreen"]

_COLORS = {1: "L", 3: "RGB", 4: "RGBA"}


class DecodeScreen(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Observes a screen as an array, though the environment sends a flat list, or a PNG or JPEG in base64.

    Args:
        env: has such observations, or a Dict with such a field.
        shape: the shape of the array, uint8 from 0 to 255, (height, width) or (height, width, colors); or the
            Box that it is in, for a list that is no picture.
        field: the field that is the screen, with dots if it is nested; by default all of the observation.

    Raises:
        InvalidArgument: if there is no such field, or ``shape`` is neither.

    >>> from gymnasium.wrappers import TransformObservation
    >>> six = gymnasium.spaces.MultiDiscrete([256] * 6)
    >>> flat = TransformObservation(gymnasium.make("CartPole-v1"), lambda _: list(range(6)), six)
    >>> env = DecodeScreen(flat, (2, 3))
    >>> env.observation_space
    Box(0, 255, (2, 3), uint8)
    >>> env.reset()[0]
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint8)
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], shape: tuple[int, ...] | Box, *, field: str | None = None
    ) -> None:
        RecordConstructorArgs.__init__(self, shape=shape, field=field)
        gymnasium.ObservationWrapper.__init__(self, env)
        self._screen = shape if isinstance(shape, Box) else _picture(shape)
        self._field = field
        if field is None:
            self.observation_space = self._screen
        else:
            space_at(env.observation_space, field)
            self.observation_space = _exchanged(env.observation_space, field, self._screen)

    def observation(self, observation: Any) -> Any:
        """The observation, with its screen as an array.

        Raises:
            LayoutMismatch: if the screen is none, or of another shape.
            MissingExtra: if it is an encoded picture, and Pillow is not installed.
        """
        if self._field is None:
            return self._decoded(observation)
        return replaced(observation, self._field, self._decoded(value_at(observation, self._field)))

    def _decoded(self, screen: Any) -> NDArray[Any]:
        space = self._screen
        values = _opened(screen, space.shape) if isinstance(screen, (str, bytes)) else _numbers(screen)
        if values.size != int(np.prod(space.shape)):
            raise LayoutMismatch(
                f"the screen has {values.size} numbers where shape {space.shape} wants "
                f"{int(np.prod(space.shape))}; pass the shape that it has"
            )
        values = values.reshape(space.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            array = values.astype(space.dtype)
        exact = array.dtype.kind == "f" or bool((array == values).all())
        if not exact or not space.contains(array):
            raise LayoutMismatch(
                f"the screen has numbers outside {space}; pass shape= the Box that they are in"
            )
        return array


def _picture(shape: Any) -> Box:
    sizes = isinstance(shape, (tuple, list)) and all(type(size) is int and size > 0 for size in shape)
    if not sizes or not shape:
        raise InvalidArgument(f"shape is a tuple such as (210, 160, 3), or a Box, not {shape!r:.40}")
    return Box(0, 255, tuple(shape), np.uint8)


def _exchanged(space: Space[Any], path: str, part: Space[Any]) -> Dict:
    """A Dict space with another part at a path that it has."""
    assert isinstance(space, Dict)
    if path in space.spaces:
        return Dict({**space.spaces, path: part}, sort_keys=False)
    head, _, rest = path.partition(".")
    return Dict({**space.spaces, head: _exchanged(space[head], rest, part)}, sort_keys=False)


def _numbers(screen: Any) -> NDArray[Any]:
    try:
        values = np.asarray(screen)
    except ValueError:  # rows of unequal length
        values = np.empty(0, object)
    if values.dtype.kind not in "biuf":
        raise LayoutMismatch(
            f"the screen is {screen!r:.40}, and no list of numbers; pass field= the one that is"
        )
    return values


def _opened(screen: str | bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels of a picture in base64; one of another size is refused before it is unpacked."""
    image = _pillow("Image")
    mode = _COLORS.get(shape[2] if len(shape) == 3 else 1) if len(shape) in (2, 3) else None
    if mode is None:
        raise LayoutMismatch(
            f"the screen is a picture, and {shape} not (height, width) or (height, width, colors); pass that"
        )
    text = screen.encode() if isinstance(screen, str) else screen
    if text.startswith(b"data:"):
        text = text.partition(b",")[2]
    try:
        with image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG", "JPEG")) as found:
            size = (found.height, found.width)
            pixels = np.asarray(found.convert(mode)) if size == shape[:2] else None
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise LayoutMismatch(
            "the screen is a text, and no PNG or JPEG in base64; pass field= the one that is"
        ) from error
    if pixels is None:
        raise LayoutMismatch(f"the screen is a picture of {size}, not of {shape[:2]}; pass the shape it has")
    return pixels


def _pillow(module: str) -> Any:
    try:
        return import_module(f"PIL.{module}")
    except ImportError as error:
        raise MissingExtra("an encoded screen needs Pillow: pip install pillow", extra="pillow") from error
