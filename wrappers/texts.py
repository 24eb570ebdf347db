"""Observations as text that a person or a language model can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, MultiBinary, MultiDiscrete, Text, Tuple
from gymnasium.spaces import Sequence as SequenceSpace
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from openenv_gym.errors import InvalidArgument
from openenv_gym.spaces.open_text import OpenText
from openenv_gym.wrappers.fields import listed

__all__ = ["Symbols", "TextObservation", "rendered"]

Symbols: TypeAlias = Mapping[int, str] | Mapping[float, str]

_MOST_NUMBERS = 256
_WIDEST = 32


class TextObservation(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    r"""Observations are text: fields by name, vectors in a line, matrices as rows, pictures by their size.

    Args:
        env: whose observations are put into words.
        template: the text, with the fields of a Dict observation in braces, ``"FEN: {fen}"``; by default each
            field on a line, or below its name.
        symbols: what a number is shown as, ``{0: ".", 1: "X"}``; or field -> such.
        max_length: in characters; what is longer is cut off, and the text says so.
        charset: the only characters; others are written as escapes, ``\u265e``. By default text is shown as
            it is, whatever its characters.

    Raises:
        InvalidArgument: if the template names what is no field, or cannot be filled in.

    >>> env = gymnasium.wrappers.TimeAwareObservation(gymnasium.make("FrozenLake-v1"), flatten=False)
    >>> print(TextObservation(env).reset(seed=1)[0])
    obs: 0
    time: [0]
    >>> TextObservation(env, template="You are on square {obs}.").reset(seed=1)[0]
    'You are on square 0.'
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        template: str | None = None,
        symbols: Symbols | Mapping[str, Any] | None = None,
        max_length: int = 16384,
        charset: str | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, template=template, symbols=symbols, max_length=max_length, charset=charset
        )
        gymnasium.ObservationWrapper.__init__(self, env)
        self._template = template
        self._symbols: Mapping[Any, Any] = symbols or {}
        self._letters = None if charset is None else frozenset(charset)
        self.observation_space = (
            OpenText(0, max_length) if charset is None else Text(max_length, min_length=0, charset=charset)
        )
        self._most = max_length
        if template is not None:
            _check_template(template, env.observation_space)

    def observation(self, observation: Any) -> str:
        """An observation as text."""
        space = self.env.observation_space
        if self._template is None:
            said = rendered(space, observation, self._symbols)
        else:
            assert isinstance(space, Dict)
            fields = {
                name: rendered(space[name], value, _symbols_of(self._symbols, name))
                for name, value in observation.items()
            }
            said = self._template.format_map(fields)
        return self._fitted(said)

    def _fitted(self, said: str) -> str:
        letters = self._letters
        if letters is not None and not letters.issuperset(said):
            said = "".join(letter if letter in letters else _escaped(letter, letters) for letter in said)
        if len(said) > self._most:
            note = f"... (cut off, {len(said)} characters)"
            kept = max(self._most - len(note), 0)
            shown = note if letters is None else "".join(filter(letters.__contains__, note))
            said = (said[:kept] + shown)[: self._most]
        return said


def _escaped(letter: str, letters: frozenset[str]) -> str:
    escape = letter.encode("unicode_escape").decode()
    return escape if letters.issuperset(escape) else ""


def _check_template(template: str, space: Space[Any]) -> None:
    names = list(space.spaces) if isinstance(space, Dict) else []
    try:
        template.format_map(dict.fromkeys(names, ""))
    except (LookupError, ValueError, AttributeError) as error:
        raise InvalidArgument(
            f"template cannot be filled in ({error!r:.80}); in braces can be fields of the observation: "
            f"{listed(names)}"
        ) from error


def _symbols_of(symbols: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    """Those of a field: its own, or those of all."""
    own = symbols.get(name)
    return own if isinstance(own, Mapping) else symbols


@singledispatch
def rendered(space: Space[Any], value: Any, symbols: Mapping[Any, Any] | None = None) -> str:
    """A value of a space as text.

    >>> print(rendered(Box(-1, 1, (2, 2), np.int8), np.array([[0, 1], [-1, 0]]), {0: ".", 1: "X", -1: "O"}))
    . X
    O .
    """
    return _cell(value, symbols or {})


@rendered.register
def _text(space: Text, value: Any, symbols: Mapping[Any, Any] | None = None) -> str:
    return str(value)


@rendered.register
def _dict(space: Dict, value: Any, symbols: Mapping[Any, Any] | None = None) -> str:
    known = symbols or {}
    return "\n".join(
        _entry(f"{name}:", rendered(space[name], part, _symbols_of(known, name)))
        for name, part in value.items()
    )


@rendered.register(Tuple)
def _tuple(space: Tuple[Any], value: Any, symbols: Mapping[Any, Any] | None = None) -> str:
    return _items([rendered(part, each, symbols) for part, each in zip(space.spaces, value, strict=True)])


@rendered.register(SequenceSpace)
def _sequence(space: SequenceSpace, value: Any, symbols: Mapping[Any, Any] | None = None) -> str:
    if space.stack:
        return rendered(space.stacked_feature_space, value, symbols)
    return _items([rendered(space.feature_space, each, symbols) for each in value])


@rendered.register(Box)
@rendered.register(MultiBinary)
@rendered.register(MultiDiscrete)
def _array(space: Space[Any], value: Any, symbols: Mapping[Any, Any] | None = None) -> str:
    array, known = np.asarray(value), symbols or {}
    if array.ndim == 0:
        return _cell(array[()], known)
    too_many = array.size > _MOST_NUMBERS or (array.ndim > 1 and array.shape[-1] > _WIDEST)
    if too_many or array.ndim > 3:
        return _summary(array)
    if array.ndim == 1:
        return f"[{', '.join(_cell(each, known) for each in array)}]"
    if array.ndim == 2:
        return _rows(array, known)
    return _items([_rows(each, known) for each in array])


def _rows(array: NDArray[Any], symbols: Mapping[Any, Any]) -> str:
    cells = [[_cell(each, symbols) for each in row] for row in array]
    width = max((len(cell) for row in cells for cell in row), default=0)
    return "\n".join(" ".join(cell.rjust(width) for cell in row) for row in cells)


def _summary(array: NDArray[Any]) -> str:
    """Of what nobody would read number by number."""
    shape = " x ".join(map(str, array.shape))
    return (
        f"{shape} numbers from {_cell(array.min(), {})} to {_cell(array.max(), {})}, mean {array.mean():.4g}"
    )


def _cell(value: Any, symbols: Mapping[Any, Any]) -> str:
    if isinstance(value, (float, np.floating)):
        return str(symbols[float(value)]) if float(value) in symbols else f"{value:.4g}"
    plain = value.item() if isinstance(value, np.generic) else value
    return str(symbols[plain]) if isinstance(plain, (bool, int)) and plain in symbols else str(plain)


def _items(parts: Sequence[str]) -> str:
    if any("\n" in part for part in parts):
        return "\n".join(_entry(f"{place}:", part) for place, part in enumerate(parts))
    return f"[{', '.join(parts)}]"


def _entry(name: str, said: str) -> str:
    if "\n" not in said:
        return f"{name} {said}"
    return name + "".join(f"\n  {line}" for line in said.split("\n"))
