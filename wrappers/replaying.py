"""Logged episodes played again, and where they first go another way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.spaces import Discrete

from openenv_gym.errors import InvalidArgument
from openenv_gym.wrappers.episodes import FORMAT
from openenv_gym.wrappers.records import digest, read_lines, restored, told

__all__ = ["Difference", "Replay", "replay"]

_COMPARED = ("observation", "reward", "terminated", "truncated")
_FIELDS = {
    "open": {"format"},
    "reset": {"episode", "seed", "options", "digest", "info"},
    "step": {"episode", "step", "action", "reward", "terminated", "truncated", "digest", "info"},
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay left its log."""

    line: int
    """Of the file, from 1."""
    episode: int
    step: int
    """In the episode; 0 is its reset."""
    field: str
    """``observation``, ``reward``, ``terminated``, ``truncated`` or ``info``."""
    logged: Any
    """As it is in the log; of an observation its digest, unless the log has it in full."""
    replayed: Any
    seeded: bool
    """Whether there was a seed, in this reset or one before it. Without one nothing promises the same."""

    def __str__(self) -> str:
        where = f"episode {self.episode}, {f'step {self.step}' if self.step else 'reset'} (line {self.line})"
        why = "" if self.seeded else "; no reset of the log up to there had a seed"
        values = f"logged {self.logged!r:.200}, replayed {self.replayed!r:.200}"
        return f"{self.field} differs at {where}: {values}{why}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of playing a log again; true if it was the same to the end."""

    episodes: int
    steps: int
    difference: Difference | None = None

    def __bool__(self) -> bool:
        return self.difference is None

    def __str__(self) -> str:
        counted = f"{_counted(self.episodes, 'episode')}, {_counted(self.steps, 'step')}"
        return f"{counted}: {'the same' if self.difference is None else self.difference}"


def replay(path: str | Path, env: gymnasium.Env[Any, Any], *, compare: Sequence[str] = _COMPARED) -> Replay:
    """Reset and step as a log of :class:`~openenv_gym.wrappers.EpisodeLog` says, until something differs.

    Args:
        path: of the log. A last line that broke off is left out.
        env: made as the logged one was, wrappers included. It stays open.
        compare: what has to be the same; ``info`` can be named, too.

    Raises:
        InvalidArgument: if the log cannot be read, or holds an action of which it has no more than the name.
    """
    unknown = set(compare) - {*_COMPARED, "info"}
    if unknown:
        known = ", ".join(map(repr, (*_COMPARED, "info")))
        raise InvalidArgument(f"compare= names what is to be the same, of {known}; not {min(unknown)!r:.40}")
    episodes, steps, seeded = 0, 0, False
    for number, line in read_lines(path):
        _check_line(path, number, line)
        if line["event"] == "open":
            seeded = False
            continue
        seeded = seeded or line.get("seed") is not None
        episodes += line["event"] == "reset"
        steps += line["event"] == "step"
        parted = _parted(line, _again(env, line), compare)
        if parted is not None:
            place = (number, line["episode"], line.get("step", 0))
            return Replay(episodes, steps, Difference(*place, *parted, seeded))
    return Replay(episodes, steps)


def _check_line(path: str | Path, number: int, line: dict[str, Any]) -> None:
    fields = _FIELDS.get(str(line.get("event")))
    if fields is None or not line.keys() >= fields:
        raise InvalidArgument(f"line {number} of {path} is none of a log of episodes; give the path of one")
    if line.get("format", FORMAT) != FORMAT:
        raise InvalidArgument(
            f"{path} has format {line['format']!r:.20}, and this reads {FORMAT}; replay it with the version "
            "that wrote it"
        )


def _again(env: gymnasium.Env[Any, Any], line: dict[str, Any]) -> dict[str, Any]:
    """Do what a line says was done, and have what came of it."""
    if line["event"] == "reset":
        observation, info = env.reset(seed=line["seed"], options=restored(line["options"]))
        return {"observation": observation, "info": info}
    observation, reward, terminated, truncated, info = env.step(_action(env, line["action"]))
    ended = {"terminated": bool(terminated), "truncated": bool(truncated)}
    return {"observation": observation, "reward": reward, **ended, "info": info}


def _action(env: gymnasium.Env[Any, Any], plain: Any) -> Any:
    """A logged action; the log writes the number of a Discrete without its dtype."""
    action, space = restored(plain), env.action_space
    return space.dtype.type(action) if isinstance(space, Discrete) and type(action) is int else action


def _parted(line: dict[str, Any], got: dict[str, Any], compare: Sequence[str]) -> tuple[str, Any, Any] | None:
    """The first field that is not as it was logged, with both values."""
    for field in compare:
        if field not in got:
            continue
        replayed = told(got[field])
        if field != "observation":
            logged = line[field]
        elif "observation" in line:
            logged = line["observation"]
        else:
            logged, replayed = line["digest"], digest(replayed)
        if digest(logged) != digest(replayed):
            return field, logged, replayed
    return None


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
