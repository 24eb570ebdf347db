"""Between spaces and the fields of JSON: by the spaces, the caller's functions, or an inference."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium

from openenv_gym.envs import masks
from openenv_gym.envs.promises import Promises
from openenv_gym.errors import InvalidArgument, LayoutMismatch, OpenEnvGymError
from openenv_gym.hosting.views import reader_of
from openenv_gym.spaces import from_plain, to_plain
from openenv_gym.types import Plain, Signature
from openenv_gym.wire import plain
from openenv_gym.wire.codecs.json import FieldRows

if TYPE_CHECKING:
    from openenv_gym.spaces.inference import Inference

__all__ = ["AS_SENT", "Inferred", "Translation", "Translator"]

AS_SENT = f"{masks.KEY}_as_sent"
"""What an info calls a mask that cannot be told to be one: nobody is to take indices for flags."""


_MOVES = "legal_moves"
"""Where legal actions are told that are texts and have no number, whatever the server calls the field."""


class Translator(Protocol):
    """What a lane needs to know of spaces and fields."""

    encode_action: Callable[[Any], dict[str, Any]]

    def read(self, rows: FieldRows) -> tuple[Any, dict[str, Any]]:
        """The observation of an answer, and its info."""


class Translation:
    """Actions to fields and fields to observations, by the spaces or by the caller's functions.

    Args:
        signature: with the spaces.
        encode_action: action -> fields, or ``None``.
        decode_observation: fields -> observation, or ``None``.
        lifted: whether the server lifts a Gymnasium environment, and says its exact spaces.
    """

    def __init__(
        self,
        signature: Signature,
        encode_action: Callable[[Any], dict[str, Any]] | None,
        decode_observation: Callable[[dict[str, Any]], Any] | None,
        *,
        lifted: bool,
    ) -> None:
        self._action_space = signature.action_spaces[0]
        self._observation_space = signature.observation_spaces[0]
        self._lifted = lifted
        self._restore = reader_of(signature) if self._lifted else None
        self.encode_action = encode_action or self._encode_action
        self._decode = decode_observation

    def _encode_action(self, action: Any) -> dict[str, Any]:
        fields = to_plain(self._action_space, action)
        if isinstance(self._action_space, gymnasium.spaces.Dict) and not self._lifted:
            return dict(fields)
        return {"action": fields}

    def read(self, rows: FieldRows) -> tuple[Any, dict[str, Any]]:
        """The observation of an answer, and its info."""
        return self.decode_observation(rows.values[0]), rows.infos.of(0)

    def decode_observation(self, fields: dict[str, Any]) -> Any:
        """The observation in the fields of an answer."""
        if self._decode is not None:
            return decoded(self._decode, fields)
        space = self._observation_space
        if isinstance(space, gymnasium.spaces.Dict) and not self._lifted:
            return from_plain(space, {key: fields.get(key) for key in space.spaces}, error=LayoutMismatch)
        metadata = fields.get("metadata") or {}
        value = fields.get("observation")
        if "observation_types" in metadata:
            return plain.restore(value, metadata["observation_types"])
        if self._restore is not None:
            return self._restore(value)
        return from_plain(space, value, error=LayoutMismatch)


class Inferred:
    """The same by what was inferred of a server; ``info`` has what the observation leaves out.

    A field in which the inference does not hold is made to fit where that changes nothing: a number that is
    written as text is read, and said to be, once. Otherwise it is a ``LayoutMismatch`` that names the hint.

    Args:
        inference: about the server, with nothing open.
        decode_observation: the caller's function, whose failures are the caller's; ``None`` for the
            inference's.
        promises: says, once, what does not hold.
        lanes: how many there are. Of several, an object in ``info`` is JSON text: Gymnasium's rule for vector
            infos spreads dicts over lanes, and fails where they differ.
    """

    def __init__(
        self,
        inference: Inference,
        decode_observation: Callable[[dict[str, Any]], Any] | None,
        promises: Promises,
        lanes: int,
    ) -> None:
        self._alone = lanes == 1
        self._inference, self._promises = inference, promises
        self.encode_action = inference.encode_action
        self._given = decode_observation
        self._decode = inference.decode_observation
        self._beside = inference.beside

    def read(self, rows: FieldRows) -> tuple[Any, dict[str, Any]]:
        """The observation of an answer, and its info."""
        fields, metadata = rows.values[0], rows.body.get("metadata")
        if isinstance(metadata, dict) and not fields.get("metadata"):
            fields = {**fields, "metadata": metadata}
        if self._given is not None:
            observation = decoded(self._given, fields)
        else:
            observation = self._fitting(fields)
        beside = {name: fields[name] for name in self._beside if fields.get(name) is not None}
        if not self._alone:
            beside = {name: _spreadable(value) for name, value in beside.items()}
        info = {**beside, **rows.infos.of(0)}
        mask = self._mask(fields)
        if mask is not None:
            info[masks.KEY] = mask
        elif masks.KEY in info and not self._flags(info[masks.KEY]):
            info[AS_SENT] = info.pop(masks.KEY)
        moves = self._inference.legal_moves(fields) if self._inference.names_moves else None
        if mask is None and moves is not None:
            info.setdefault(_MOVES, moves)
        return observation, info

    def _flags(self, sent: Plain) -> bool:
        """Whether what a server calls a mask is one of several choices, a flag for each value of each."""
        space = self._inference.action_space
        return (
            isinstance(space, gymnasium.spaces.MultiDiscrete)
            and isinstance(sent, list)
            and len(sent) == space.nvec.sum()
            and all(isinstance(flag, int) and flag in (0, 1) for flag in sent)
        )

    def _fitting(self, fields: Mapping[str, Plain]) -> Any:
        """The observation; numbers that came as text are read, for the loss of nothing."""
        while True:
            try:
                return self._decode(fields)
            except LayoutMismatch as misfit:
                name = str(misfit.fields.get("field"))
                if type(fields.get(name)) is not str:
                    raise
                try:
                    number = json.loads(fields[name])
                except (ValueError, RecursionError):
                    raise misfit from None
                if type(number) not in (int, float):
                    raise
                self._promises.number_in_text(name, fields[name])
                fields = {**fields, name: number}

    def _mask(self, fields: Mapping[str, Plain]) -> Any:
        if not self._inference.masks:
            return None
        try:
            return self._inference.legal(fields)
        except LayoutMismatch as misfit:
            self._promises.no_mask(misfit)
            return None


def _spreadable(plain: Plain) -> Plain:
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, dict) else plain


def decoded(decode: Callable[[dict[str, Any]], Any], fields: dict[str, Any]) -> Any:
    """What the caller's function makes of the fields; what it raises is about one lane of many."""
    try:
        return decode(fields)
    except OpenEnvGymError:
        raise
    except Exception as error:  # the boundary to the caller's function
        refused = InvalidArgument(
            f"decode_observation raised {type(error).__name__}: {error}; it was given the fields "
            f"{', '.join(fields):.200}"
        )
        refused.add_note("".join(traceback.format_exception(error)).rstrip())
        raise refused from error
