"""Where a hosted environment puts its row in the typed view: fields, reward, done and metadata."""

from __future__ import annotations

import math
from typing import Any

import pydantic_core

from openenv_gym.errors import LayoutMismatch, OpenEnvGymError
from openenv_gym.hosting.views import FieldsView
from openenv_gym.types import Phase
from openenv_gym.wire import plain
from openenv_gym.wire.answers import Encoded
from openenv_gym.wire.codecs.json import encode_observation, metadata_of

__all__ = ["FieldsAnswer"]


class FieldsAnswer:
    """The ``Out`` of a session in the typed view: one lane, one row, one JSON text."""

    def __init__(self, view: FieldsView) -> None:
        self._view = view
        self._text: str | None = None
        self._error: OpenEnvGymError | None = None

    def begin(self, *, dense: bool) -> None:
        """Start an answer."""
        self._text, self._error = None, None

    def put(
        self,
        lane: int,
        phase: int,
        observation: Any,
        reward: Any = 0.0,
        terminated: Any = False,
        truncated: Any = False,
        info: dict[str, Any] | None = None,
        /,
        *whose: int,
    ) -> None:
        """The row."""
        fields, exact = self._view.observation_out(observation)
        types: dict[str, Any] | None = None
        if not exact:
            described, types = plain.describe(observation)
            fields = {"observation": described}
        try:
            value = float(reward)
        except TypeError as error:
            raise LayoutMismatch(f"the reward is {reward!r:.80}; a number was expected") from error
        metadata = metadata_of(bool(terminated), bool(truncated), info or {}, value, types)
        done = bool(terminated or truncated)
        sayable = value if math.isfinite(value) else None
        self._text = encode_observation(fields, sayable, done, metadata)

    def put_batch(
        self,
        observation: Any,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        info: dict[str, Any] | None = None,
        phase: Any = Phase.STEP,
    ) -> None:
        """A native vector environment has no typed view."""
        raise LayoutMismatch("a native vector environment is served in the array view only")

    def fail(self, lane: int, error: OpenEnvGymError, agent: int = 0, *, final: bool = False) -> None:
        """The lane failed; so does the request."""
        self._error = error

    def flush(self) -> None:
        """There is one row; it goes with ``finish``."""

    def finish(self, seq: int, microseconds: int = 0) -> Encoded:
        """The text.

        Raises:
            OpenEnvGymError: the failure of the lane.
        """
        if self._error is not None:
            raise self._error
        assert self._text is not None, "a hosted environment answers with a row or a failure"
        return Encoded(self._text)

    def release(self, encoded: Encoded) -> None:
        """Texts are not kept."""


class ModelAnswer(FieldsAnswer):
    """The ``Out`` of a typed environment, whose observation is fields already.

    The text is what OpenEnv's own server sends, to the key.
    """

    def __init__(self) -> None:
        self._text: str | None = None
        self._error: OpenEnvGymError | None = None

    def put(
        self,
        lane: int,
        phase: int,
        observation: Any,
        reward: Any = 0.0,
        terminated: Any = False,
        /,
        *rest: Any,
    ) -> None:
        """The row."""
        data = {"observation": observation, "reward": reward, "done": terminated}
        if observation.get("metadata"):
            data["metadata"] = observation["metadata"]
        self._text = pydantic_core.to_json(
            {"type": "observation", "data": data}, inf_nan_mode="null"
        ).decode()
