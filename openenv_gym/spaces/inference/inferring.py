"""From what is known of a server to its spaces, and to what translates between them and its JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from openenv_gym.errors import ProtocolViolation, SpaceUnknown
from openenv_gym.spaces.breaches import breaches_of_answer
from openenv_gym.spaces.inference.actions import Actions, conclude_actions
from openenv_gym.spaces.inference.conclusions import Conclusion, Confidence, described, table
from openenv_gym.spaces.inference.evidence import Evidence
from openenv_gym.spaces.inference.fingerprints import fingerprint
from openenv_gym.spaces.inference.flattening import flat_action, flat_observation, is_flat
from openenv_gym.spaces.inference.hints import EXACT, Hint, hint_file, hints_of, refuse_unknown
from openenv_gym.spaces.inference.legal import LegalMoves, Mask, mask_reader
from openenv_gym.spaces.inference.observations import Observations, conclude_observations
from openenv_gym.spaces.inference.roles import Role
from openenv_gym.spaces.inference.shipped import matching_hints
from openenv_gym.spaces.inference.tools import calls_tools, listed_tools
from openenv_gym.spaces.inference.writings import Writing
from openenv_gym.spaces.schema import from_schema
from openenv_gym.types import Plain

__all__ = ["Inference", "infer"]


@dataclass(frozen=True, kw_only=True)
class Inference:
    """What was concluded of a server: its spaces, and how to translate between them and its JSON.

    ``print(inference)`` shows the table. While fields are open there are no spaces, and what needs them
    raises :class:`~openenv_gym.errors.SpaceUnknown`, which names each hint that would close one.

    Attributes:
        fields: a row for each field of the action and the observation.
        open: path of each field that is open -> why, and what to pass.
        notes: what to know besides.
        breaches: how the first answer breaks the schema that its server publishes.
        tools: those that the server lists, if actions are calls of tools: name, description, input schema.
        beside: names of fields that are no part of the observation, or in it as text only.
        name: what the server calls itself.
        fingerprint: of its schemas.
    """

    fields: tuple[Conclusion, ...]
    open: Mapping[str, str]
    notes: tuple[str, ...]
    breaches: tuple[str, ...]
    tools: tuple[Mapping[str, Plain], ...]
    beside: tuple[str, ...]
    name: str | None
    fingerprint: str
    _action: Writing | None = field(repr=False)
    _observation: Space[Any] | None = field(repr=False)
    _decode: Callable[[Mapping[str, Plain]], Any] = field(repr=False)
    _moves: LegalMoves | None = field(repr=False)
    _legal: Callable[[Mapping[str, Plain]], Mask | None] | None = field(repr=False)

    def check(self) -> None:
        """Make sure that nothing is open.

        Raises:
            SpaceUnknown: something is.
        """
        if self.open:
            said = "\n".join(f"{path}: {why}" for path, why in self.open.items())
            raise SpaceUnknown(f"the server does not tell its spaces.\n{said}", open=dict(self.open))

    @property
    def action_space(self) -> Space[Any]:
        """The space of actions.

        Raises:
            SpaceUnknown: a field is open.
        """
        return self._writing.space

    @property
    def meanings(self) -> tuple[str, ...]:
        """What the actions are called, in the order of their numbers; none where they have no names.

        Raises:
            SpaceUnknown: a field is open.
        """
        space, labels = self._writing.space, self._writing.labels
        named = isinstance(space, Discrete) and labels is not None and len(labels) == int(space.n)
        return tuple(map(str, labels or ())) if named else ()

    @property
    def observation_space(self) -> Space[Any]:
        """The space of observations.

        Raises:
            SpaceUnknown: a field is open.
        """
        self.check()
        assert self._observation is not None
        return self._observation

    @property
    def encode_action(self) -> Callable[[Any], dict[str, Plain]]:
        """Action -> the fields of a step; settings are left to the server.

        Raises:
            SpaceUnknown: a field is open. The function itself raises ``InvalidAction``.
        """
        return self._writing.write

    @property
    def decode_observation(self) -> Callable[[Mapping[str, Plain]], Any]:
        """The fields of an answer's ``observation`` -> a value of the observation space.

        Raises:
            SpaceUnknown: a field is open. The function itself raises ``LayoutMismatch`` where a field is not
                what was inferred.
        """
        self.check()
        return self._decode

    @property
    def masks(self) -> bool:
        """Whether there can be masks: the server says what is legal, and the actions are one Discrete."""
        return self._legal is not None

    def legal(self, fields: Mapping[str, Plain]) -> Mask | None:
        """Which actions an answer's ``observation`` calls legal: int8, (n,), or ``None`` if it does not say.

        Raises:
            LayoutMismatch: it calls one legal that the action space does not have.
        """
        return None if self._legal is None else self._legal(fields)

    @property
    def names_moves(self) -> bool:
        """Whether the legal actions are told, and are texts."""
        return self._moves is not None and self._moves.named

    def legal_moves(self, fields: Mapping[str, Plain]) -> list[Any] | None:
        """The same in the server's own words, whatever the action space is."""
        return None if self._moves is None else self._moves.read(fields)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is not sure, in a line for each field: for one warning that says all of it."""
        unsure = [row for row in self.fields if row.confidence.rank >= Confidence.MEDIUM.rank]
        return tuple(f"{row.path}: {row.evidence}" for row in unsure if row.path not in self.open)

    @property
    def summary(self) -> str | None:
        """What was inferred and assumed, for one warning; ``None`` if the caller has said all of it."""
        used = [
            row
            for row in self.fields
            if row.space is not None or (row.role is Role.LEGAL and self._legal is not None)
        ]
        if all(row.confidence is Confidence.CERTAIN for row in used) and not self.notes:
            return None
        action, observation = described(self.action_space), described(self.observation_space)
        assumed = "; ".join(self.assumptions) or "nothing beyond its schema"
        spaces = f"action_space={action:.300}, observation_space={observation:.600}"
        notes = [f"Note: {note}." for note in self.notes]
        return " ".join([f"inferred: {spaces}. Assumed: {assumed:.1200}.", *notes])

    def to_hints(self) -> dict[str, Plain]:
        """All of it as a hint file, JSON, which ``hints=`` accepts; what is open is listed under ``open``."""
        facts = {"name": self.name, "fingerprint": self.fingerprint}
        return hint_file(self.fields, facts, self.open)

    def table(self, width: int = 100) -> str:
        """The table, at most ``width`` columns wide, 80 or more."""
        unknown = [f"{path}: {why}" for path, why in self.open.items()]
        broken = [f"the server breaks its own schema: {breach}" for breach in self.breaches]
        return table(self.fields, [*unknown, *self.notes, *broken], width=width)

    def __str__(self) -> str:
        return self.table()

    @property
    def _writing(self) -> Writing:
        self.check()
        assert self._action is not None
        return self._action


def infer(
    evidence: Evidence,
    hints: Mapping[str, Any] | None = None,
    *,
    shipped: Iterable[Mapping[str, Plain]] = (),
    action_space: Space[Any] | None = None,
    observation_space: Space[Any] | None = None,
    encode_action: Callable[[Any], dict[str, Plain]] | None = None,
    decode_observation: Callable[[Mapping[str, Plain]], Any] | None = None,
    flatten: bool = False,
) -> Inference:
    """Conclude the spaces of a server from what is known of it.

    What the caller passes comes first, then the caller's hints, the server's own exact spaces, hints that
    ship, the schemas, and what was answered so far. What cannot be known stays open.

    >>> from gymnasium.spaces import Discrete
    >>> evidence = Evidence(
    ...     schema={"action": {"properties": {"go": {"type": "integer"}}, "required": ["go"]}},
    ...     reset={"observation": {"at": [0.5, 1.0], "legal_actions": [0, 2]}},
    ... )
    >>> print(infer(evidence).open["action.go"])
    number of actions unknown; saw legal actions up to 2; pass hints={"action.go": Discrete(n)}
    >>> inference = infer(evidence, {"action.go": Discrete(4)})
    >>> inference.observation_space, inference.encode_action(2)
    (Box(-inf, inf, (2,), float64), {'go': 2})
    >>> inference.legal({"legal_actions": [0, 2]}).tolist()
    [1, 0, 1, 0]

    Args:
        evidence: what is known.
        hints: fields and what they are, or what a hint file holds.
        shipped: hints that come with the package.
        action_space: of it.
        observation_space: of it.
        encode_action: action -> the fields of a step; with it, ``action_space`` says all of it.
        decode_observation: fields -> observation; the same.
        flatten: give what a multilayer perceptron wants: a Box of all numbers for the observation, and
            Discrete, MultiDiscrete or Box for the action where it can be one of them.

    Raises:
        ProtocolViolation: a schema is malformed, refers to itself or elsewhere, or is too large.
        InvalidArgument: a hint is none, names no field, or allows what the action's schema does not.
    """
    said = hints_of(hints)
    notes = _foreign(hints, evidence)
    for path, space in (("action", action_space), ("observation", observation_space)):
        if space is not None and not (path == "observation" and decode_observation is not None):
            said[path] = Hint(f"{path}_space=", space=space)
    exact = _exact(evidence)
    used, more = ({}, []) if exact else matching_hints(shipped, evidence)
    merged = {**used, **exact, **said}
    observations = conclude_observations(evidence, merged, merged.get("observation"))
    if observation_space is not None and decode_observation is not None:
        observations = observations.replaced(observation_space, decode_observation)
    if action_space is not None and encode_action is not None:
        row = Conclusion("action", Role.DECISION, action_space, "action_space=", Confidence.CERTAIN, "-")
        given = Writing(action_space, encode_action, row.evidence, row.confidence)
        actions = Actions((row,), given, {}, frozenset(merged))
    else:
        actions = conclude_actions(evidence, merged, observations.legal, merged.get("action"))
    refuse_unknown(merged, {"action", "observation"} | actions.known | observations.known)
    return _inference(evidence, actions, observations, [*notes, *more], flatten)


def _inference(
    evidence: Evidence, actions: Actions, observations: Observations, notes: list[str], flatten: bool
) -> Inference:
    writing, space, decode = actions.writing, observations.space, observations.decode
    legal = mask_reader(observations.legal, *_decided(writing))
    unknown = {**actions.unknown, **observations.unknown}
    beside = observations.beside
    rows = (*actions.fields, *observations.fields)
    if flatten and writing is not None:
        writing = flat_action(writing)
        if not isinstance(writing.space, Box | Discrete | MultiDiscrete):
            kept = f"{described(writing.space):.200}, neither one choice nor one vector"
            notes = [*notes, f"flatten leaves the action as it is: {kept}"]
    if flatten and space is not None:
        found = flat_observation(space)
        if found is None:
            unknown["observation"] = (
                "there are no numbers to flatten; leave out flatten, or pass hints for them"
            )
            space = None
        else:
            space, decode = found[0], _then(found[1], decode)
            left = [name for name, each in observations.readings.items() if not is_flat(each.space)]
            if left:
                said = f"flatten leaves out {', '.join(left)}: texts, and lists whose length changes"
                notes = [*notes, said]
                beside = (*beside, *[name for name in left if name not in beside])
    return Inference(
        fields=rows,
        open=unknown,
        notes=tuple(notes),
        breaches=tuple(_breaches(evidence)),
        tools=tuple(listed_tools(evidence) or ()) if calls_tools(evidence) else (),
        beside=beside,
        name=evidence.name,
        fingerprint=fingerprint(evidence.schema),
        _action=writing,
        _observation=space,
        _decode=decode,
        _moves=observations.legal,
        _legal=legal,
    )


def _breaches(evidence: Evidence) -> list[str]:
    """How the first answer breaks the schema, field by field."""
    schema = evidence.published("reset_observation") or evidence.published("observation")
    if evidence.reset is None or not isinstance(evidence.reset.get("observation"), dict):
        return []
    return [f"{field or 'it'} {said}" for field, said in breaches_of_answer(schema, evidence.reset)]


def _decided(writing: Writing | None) -> tuple[Space[Any] | None, tuple[Any, ...] | None]:
    return (None, None) if writing is None else (writing.space, writing.labels)


def _then(
    lay_out: Callable[[Any], Any], decode: Callable[[Mapping[str, Plain]], Any]
) -> Callable[[Mapping[str, Plain]], Any]:
    return lambda fields: lay_out(decode(fields))


def _exact(evidence: Evidence) -> dict[str, Hint]:
    """The spaces that a server of ours says to the bit, if it does, and of the fields that it shows."""
    block = evidence.published("gymnasium")
    if not isinstance(block, Mapping) or not block or block.get("json_view") is not None:
        return {}
    try:
        spaces = {part: from_schema(block[f"{part}_spaces"][0]) for part in ("action", "observation")}
    except (KeyError, IndexError, TypeError) as error:
        raise ProtocolViolation(
            f"the server's /schema has a 'gymnasium' block that cannot be read: {error!r}"
        ) from error
    return {f"{part}.{part}": Hint(EXACT, space=space) for part, space in spaces.items()}


def _foreign(hints: Mapping[str, Any] | None, evidence: Evidence) -> list[str]:
    """A note, if hints come from a file that was written about other schemas."""
    made_for = hints.get("fingerprint") if isinstance(hints, Mapping) and "format" in hints else None
    if made_for is None or evidence.schema is None or made_for == fingerprint(evidence.schema):
        return []
    return [
        "the hint file was written for another schema than this server publishes; it is used all the same"
    ]
