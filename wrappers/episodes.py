"""Episodes written down as they are played, so that they can be played again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any, Literal, SupportsFloat, TypeAlias, get_args

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from openenv_gym.errors import InvalidArgument
from openenv_gym.wrappers.records import digest, told

__all__ = ["FORMAT", "EpisodeLog", "Observations"]

FORMAT = 1
"""Of the lines; it goes up when a reader of the old ones would misread the new."""

Observations: TypeAlias = Literal["digest", "full"]


class EpisodeLog(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Appends each reset and step to a file of JSON lines; :func:`~openenv_gym.wrappers.replay` replays it.

    A line has ``event`` (``open``, ``reset``, ``step``) and ``episode``; a reset its ``seed`` and
    ``options``, a step its ``step``, ``action``, ``reward``, ``terminated`` and ``truncated``. Both have
    ``info`` and ``digest``, that of the observation, or also the ``observation``. Lines reach the file at the
    end of an episode, at each reset, and at :meth:`close`: a process that dies loses no episode that is over.

    An episode can be played again if its reset had a seed, or one before it in the file had.

    Args:
        env: whose episodes are written.
        path: of the file; its folder is made if it is missing. What is there stays.
        observations: ``digest``: enough to see whether a replay is the same; ``full``: themselves as well.

    Raises:
        InvalidArgument: if ``observations`` is neither.

    >>> import tempfile
    >>> from openenv_gym.wrappers import replay
    >>> folder = tempfile.TemporaryDirectory()
    >>> env = EpisodeLog(gymnasium.make("FrozenLake-v1"), f"{folder.name}/episodes.jsonl")
    >>> _ = env.reset(seed=1), env.step(2), env.step(1)
    >>> env.close()
    >>> print(Path(f"{folder.name}/episodes.jsonl").read_text().splitlines()[2])  # doctest: +ELLIPSIS
    {"event":"step","episode":0,"step":1,"action":2,"reward":0,"terminated":false,"truncated":false,"digest":"...
    >>> print(replay(f"{folder.name}/episodes.jsonl", gymnasium.make("FrozenLake-v1")))
    1 episode, 2 steps: the same
    >>> folder.cleanup()
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], path: str | Path, *, observations: Observations = "digest"
    ) -> None:
        RecordConstructorArgs.__init__(self, path=str(path), observations=observations)
        gymnasium.Wrapper.__init__(self, env)
        if observations not in get_args(Observations):
            raise InvalidArgument(f"observations is 'digest' or 'full', not {observations!r:.40}")
        self.path = Path(path)
        self._full = observations == "full"
        self._file: IO[str] | None = None
        self._episode, self._step = -1, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and a new line."""
        # First, for the environment may change what it is given; so in step.
        asked = {"seed": None if seed is None else int(seed), "options": told(options)}
        observation, info = self.env.reset(seed=seed, options=options)
        self._episode, self._step = self._episode + 1, 0
        self._write({"event": "reset", "episode": self._episode, **asked, **self._seen(observation, info)})
        self._flush()
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and write it down."""
        said = told(action)
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._step += 1
        self._write(
            {
                "event": "step",
                "episode": self._episode,
                "step": self._step,
                "action": said,
                "reward": told(reward),
                "terminated": bool(terminated),
                "truncated": bool(truncated),
                **self._seen(observation, info),
            }
        )
        if terminated or truncated:
            self._flush()
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Close the file and the environment."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        self.env.close()

    def _seen(self, observation: Any, info: dict[str, Any]) -> dict[str, Any]:
        plain = told(observation)
        full = {"observation": plain} if self._full else {}
        return {"digest": digest(plain), **full, "info": told(info)}

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self._opened()
        self._file.write(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n")

    def _opened(self) -> IO[str]:
        """The file, behind what is there; a line that broke off stays alone on its line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        broken = False
        if self.path.exists() and self.path.stat().st_size:
            with self.path.open("rb") as before:
                before.seek(-1, 2)
                broken = before.read(1) != b"\n"
        file = self.path.open("a", encoding="utf-8")
        spec = self.env.spec
        about = {"event": "open", "format": FORMAT, "env_id": None if spec is None else spec.id}
        file.write("\n" * broken + json.dumps(about, separators=(",", ":")) + "\n")
        return file

    def _flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def __getstate__(self) -> dict[str, Any]:
        """All but the open file: a copy opens it anew when it has something to write."""
        self._flush()
        return {**self.__dict__, "_file": None}
