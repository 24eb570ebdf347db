"""Actions out of the answers of language models, and what to tell a model whose answer holds none."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete, Text
from gymnasium.utils import RecordConstructorArgs

from openenv_gym.errors import InvalidAction, InvalidArgument
from openenv_gym.wrappers.answers import Names, describe, names_of, read_action

__all__ = ["ALPHABET", "ParseTextAction"]

ALPHABET = string.digits + string.ascii_letters + string.punctuation + " \n\t"
"""What Text spaces of these wrappers are made of unless they are told otherwise."""

_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}")
_LINE = re.compile(r"^[ \t*_#>-]*(?:final )?(?:action|answer|move)[*_]*[ \t]*[:=][*_ \t]*", re.I | re.M)
_DECORATION = " \t\r\n`'\"*.$"
_METHODS = ("get_action_meanings", "legal_moves")


class ParseTextAction(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    r"""Actions are what a language model has answered; the action is found in it and read.

    It is looked for after any ``</think>``: in the last ``<action>...</action>``, else in the last
    ``\boxed{...}``, in the last line ``Action: ...`` (``Move:``, ``Answer:``), in the last fenced block; and
    where there is none of these, the whole answer or its last line is the action. It has the form of its
    space: a number or a name for Discrete, numbers for Box, MultiDiscrete and MultiBinary, JSON for Dict and
    Tuple, a text for Text.

    Where an answer holds no action, the error's ``message`` is a sentence for the model: append it to the
    conversation and ask again. The environment was not stepped.

    Args:
        env: to play.
        names: what the actions of a Discrete space are called, in the order of their numbers, or name ->
            number. By default what the environment's ``get_action_meanings`` says, or its ``legal_moves``,
            which :class:`~openenv_gym.wrappers.LegalActions` has.
        pattern: a regular expression instead of those places; the last match counts, its group 1 if it has
            one.
        max_length: of an answer, in characters.
        charset: the characters of an answer.

    Raises:
        InvalidArgument: if ``names`` are of no Discrete, or ``pattern`` is no regular expression.

    >>> env = ParseTextAction(gymnasium.make("FrozenLake-v1"), names=["left", "down", "right", "up"])
    >>> _ = env.reset(seed=1)
    >>> env.ask()
    'answer with a number or a name: 0 left, 1 down, 2 right, 3 up'
    >>> env.parse("The goal is below.\n\nAction: Down.")
    np.int64(1)
    >>> try:
    ...     env.step("I shall swim.")
    ... except InvalidAction as error:
    ...     for part in error.message.split("; "):
    ...         print(part)
    'I shall swim.' is no action
    answer with a number or a name: 0 left, 1 down, 2 right, 3 up
    put it alone on the last line, as in 'Action: ...'
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        names: Sequence[str] | Mapping[str, int] | None = None,
        pattern: str | None = None,
        max_length: int = 65536,
        charset: str = ALPHABET,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, names=names, pattern=pattern, max_length=max_length, charset=charset
        )
        gymnasium.Wrapper.__init__(self, env)
        self._meanings: dict[int, str] | None = None
        if names is not None:
            if not isinstance(env.action_space, Discrete):
                raise InvalidArgument(f"names are for a Discrete space, not for {env.action_space!r:.60}")
            self._meanings = names_of(names, int(env.action_space.start))
        try:
            self._pattern = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise InvalidArgument(f"pattern={pattern!r:.60} is no regular expression: {error}") from error
        self.action_space = Text(max_length, min_length=0, charset=charset)
        self._info: Mapping[str, Any] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._info = info
        return observation, info

    def step(self, action: str) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take the action that an answer holds.

        Raises:
            InvalidAction: if it holds none, or one that is not legal; the environment was not stepped.
        """
        observation, reward, terminated, truncated, info = self.env.step(self.parse(action))
        self._info = info
        return observation, reward, terminated, truncated, info

    def parse(self, answer: str) -> Any:
        """The action that an answer holds, of the environment's own space; nothing is stepped.

        Raises:
            InvalidAction: if it holds none, with a sentence for whoever answered.
        """
        if not isinstance(answer, str):
            raise InvalidAction(f"an answer is a text, not {answer!r:.40}; {self.ask()}")
        names = self._names()
        problem: InvalidAction | None = None
        for said in self._places(answer.rpartition("</think>")[2].strip()):
            for form in dict.fromkeys((said, said.strip(_DECORATION))):
                try:
                    return read_action(self.env.action_space, form, names)
                except InvalidAction as error:
                    problem = problem or error
        why = "there is no action in it" if problem is None else problem.message
        if self._pattern is not None:
            raise InvalidAction(f"{why}; it is looked for by {self._pattern.pattern!r:.120}")
        raise InvalidAction(f"{why}; put it alone on the last line, as in 'Action: ...'") from problem

    def ask(self) -> str:
        """What to answer now, for the prompt: ``answer with a number from 0 to 6``."""
        return describe(self.env.action_space, self._names())

    def _places(self, answer: str) -> Iterator[str]:
        """Where the action may be; a second place only where no sign says which it is."""
        if self._pattern is not None:
            matches = list(self._pattern.finditer(answer))
            yield from (matches[-1].group(min(self._pattern.groups, 1)) or "" for _ in matches[:1])
            return
        marked = list(_marked(answer))
        yield from marked or (answer, answer.rpartition("\n")[2].strip())

    def _names(self) -> Names:
        space = self.env.action_space
        if not isinstance(space, Discrete):
            return Names(verb="answer with")
        mask = self._info.get("action_mask")
        fits = isinstance(mask, np.ndarray) and mask.shape == (int(space.n),)
        return Names(self._called(space), mask if fits else None, verb="answer with")

    def _called(self, space: Discrete) -> dict[int, str]:
        if self._meanings is not None:
            return self._meanings
        for method in _METHODS:
            if self.env.has_wrapper_attr(method):
                return names_of(self.env.get_wrapper_attr(method)(), int(space.start))
        return {}


def _marked(answer: str) -> Iterator[str]:
    """What stands at the strongest sign of an action, the last one of its kind; nothing without a sign."""
    _, tag, tail = answer.rpartition("<action>")
    if tag:
        yield tail.partition("</action>")[0].strip()  # which a stop sequence may have taken away
        return
    boxed = _BOXED.findall(answer)
    if boxed:
        yield boxed[-1].strip()
        return
    lines = list(_LINE.finditer(answer))
    if lines:
        tail = answer[lines[-1].end() :].strip()
        yield from (tail.partition("\n")[0].strip(), *_fenced(tail), tail)
        return
    yield from _fenced(answer)


def _fenced(answer: str) -> Iterator[str]:
    """The last block in fences, without the name of its language."""
    parts = answer.split("```")
    if len(parts) >= 3:
        block = parts[-2 if len(parts) % 2 else -3]
        language, newline, rest = block.partition("\n")
        yield (rest if newline and re.fullmatch(r"\w*", language.strip()) else block).strip()
