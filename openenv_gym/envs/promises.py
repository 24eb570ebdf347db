"""What a server that is not ours promises and does not keep: said once as a warning, or raised.

A trainer cannot see what such a server does. So where its answers are read otherwise than they are, or
cannot be what they seem, it is said, once for each thing and server; under ``strict`` it is an error. What is
held against an answer: the schema that the server publishes, and OpenEnv's own rules, by which a step has
a reward, a reset begins an episode, and a seed decides how.
"""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from openenv_gym.errors import ContractViolation, OpenEnvGymError
from openenv_gym.spaces import breaches_of_answer
from openenv_gym.types import Phase

__all__ = ["Promises"]

_MOST_FIELDS = 12
"""So many fields are said to break a schema; a server can name as many as it likes."""
_MOST_SEEDS = 256


class Promises:
    """Of one server, for all lanes that it serves.

    Args:
        url: of the server, for people.
        schema: what it publishes; nothing is held against what is not there.
        strict: whether to raise what would be warned about.
        name_episode: makes a name for an episode.
    """

    def __init__(
        self,
        url: str,
        schema: Mapping[str, Any],
        *,
        strict: bool,
        name_episode: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._url, self._strict, self._name_episode = url, strict, name_episode
        self._stepped = schema.get("observation")
        self._begun = schema.get("reset_observation") or self._stepped
        self._said: set[str] = set()
        self._untold: list[str] = []
        self._asked = False
        self._beginnings: dict[int, dict[str, int]] = {}

    def check(self, body: Mapping[str, Any], phase: Phase) -> None:
        """Hold an answer against the schema that is published for it.

        Raises:
            ContractViolation: under ``strict``, if it breaks it; nothing is lost with it but this row.
        """
        schema = self._begun if phase is Phase.RESET else self._stepped
        during = "reset" if phase is Phase.RESET else "step"
        for field, said in breaches_of_answer(schema, body):
            if len(self._said) < _MOST_FIELDS or self._strict:
                where = f"field {field!r}" if field else "the observation"
                self._say(
                    f"schema {field}",
                    f"breaks the schema that it publishes: in the answer to a {during}, {where} {said}",
                    field=field,
                )

    def number_in_text(self, field: str, text: str) -> None:
        """A number came as text, where numbers are observed.

        Raises:
            ContractViolation: under ``strict``.
        """
        self._say(
            f"schema {field}",
            f"sent {text!r:.40} in field {field!r}, a number written as text, which is read as that number",
            field=field,
        )

    def no_mask(self, misfit: OpenEnvGymError) -> None:
        """What is called legal does not fit the actions.

        Raises:
            ContractViolation: under ``strict``.
        """
        self._say("mask", f"says what is legal in a way that gives no mask: {misfit.message}")

    def reward_of_nothing(self) -> float:
        """What a step is worth whose reward is null.

        Raises:
            ContractViolation: under ``strict``.
        """
        self._say(
            "reward",
            "gave a step no reward (null), which is taken as 0.0; in JSON, NaN and infinity are null as well",
        )
        return 0.0

    def over_at_reset(self) -> None:
        """An episode was over when it began.

        Raises:
            ContractViolation: under ``strict``.
        """
        self._say(
            "done",
            "answered a reset with done: true; info['done_at_reset'] says so, and the next step is not sent "
            "but tells the end of that episode",
        )

    def episode_to_name(self, seed: int | None) -> str | None:
        """What to call the first episode that has a seed: does the server take what goes with a reset?"""
        if seed is None or self._asked:
            return None
        self._asked = True
        return self._name_episode()

    def check_named(self, name: str, seed: int, state: Any) -> None:
        """Say what the state of an episode that was named tells of its seed."""
        if type(state) is dict and state.get("episode_id") != name:
            self._say(
                "seed",
                f"dropped the episode_id that was sent along with seed={seed}, as does one whose reset takes "
                "no arguments; it may drop the seed as well, and then no episode can be had a second time",
                certain=False,
            )

    def check_begun(self, seed: int, fields: Mapping[str, Any]) -> None:
        """Hold the first observation of an episode against that of another with the same seed.

        Raises:
            ContractViolation: under ``strict``, if they differ.
        """
        seen = {
            name: hash(json.dumps(value, sort_keys=True))
            for name, value in fields.items()
            if name != "metadata"
        }
        before = self._beginnings.setdefault(seed, seen)
        if len(self._beginnings) > _MOST_SEEDS:
            del self._beginnings[next(iter(self._beginnings))]
        if before != seen:
            differ = sorted(name for name in {*before, *seen} if before.get(name) != seen.get(name))
            self._say(
                "seed",
                f"does not keep to seeds: two episodes with seed={seed} began with different "
                f"{', '.join(differ):.80}",
            )

    def tell(self) -> None:
        """Warn of what was found since the last time; in the middle of a batch it could be lost."""
        while self._untold:
            warnings.warn(self._untold.pop(0), stacklevel=2)

    def _say(self, what: str, text: str, *, certain: bool = True, **fields: Any) -> None:
        text = f"the server at {self._url} {text}"
        if self._strict and certain:
            raise ContractViolation(f"{text}; without strict=True this is a warning", **fields)
        if what not in self._said:
            self._said.add(what)
            self._untold.append(text)
