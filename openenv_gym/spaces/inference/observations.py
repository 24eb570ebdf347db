"""The observation as a whole: which of its fields an agent sees, and one space for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Dict, Discrete

from openenv_gym.errors import LayoutMismatch
from openenv_gym.spaces.inference.conclusions import Conclusion, Confidence
from openenv_gym.spaces.inference.evidence import Evidence
from openenv_gym.spaces.inference.hints import Hint
from openenv_gym.spaces.inference.legal import LegalMoves, form_of
from openenv_gym.spaces.inference.nodes import ANYTHING, Node, NodeReader
from openenv_gym.spaces.inference.readings import (
    Reading,
    Surroundings,
    Unknown,
    node_of,
    reading_of,
    reading_of_hint,
)
from openenv_gym.spaces.inference.roles import UNSEEN, Role, role_of_observation
from openenv_gym.spaces.inference.tools import calls_tools
from openenv_gym.spaces.inference.wholes import spread_observation
from openenv_gym.types import Plain

__all__ = ["Observations", "conclude_observations"]

_ANSWERS = ("result", "error", "tool_result")
"""Where a tool's answer stands."""


@dataclass(frozen=True, slots=True)
class Observations:
    """What was concluded of the observation.

    Attributes:
        fields: a row for each.
        space: of it; ``None`` while a field is open.
        decode: the fields of an answer -> a value of the space.
        readings: what each field that is seen becomes, by its path below ``observation``.
        legal: where the legal moves are.
        unknown: path of each field that is open -> why, and what to pass.
        known: every path that a hint may name.
    """

    fields: tuple[Conclusion, ...]
    space: Space[Any] | None
    decode: Callable[[Mapping[str, Plain]], Any]
    readings: Mapping[str, Reading]
    legal: LegalMoves | None
    unknown: Mapping[str, str]
    known: frozenset[str]

    @property
    def beside(self) -> tuple[str, ...]:
        """Names of fields that are no part of the observation, or hold JSON as text, however deep in them."""
        names = [
            (row.path.removeprefix("observation."), row)
            for row in self.fields
            if row.path not in ("observation", "observation.metadata") and row.role is not Role.OUTCOME
        ]
        return tuple(
            [
                name
                for name, row in names
                if row.space is None
                or (row.role is not Role.TEXT and name in self.readings and self.readings[name].loose)
            ]
        )

    def replaced(self, space: Space[Any], decode: Callable[[Mapping[str, Plain]], Any]) -> Observations:
        """The same legal moves, in observations that somebody else decodes."""
        row = Conclusion("observation", Role.STRUCTURE, space, "observation_space=", Confidence.CERTAIN, "-")
        legal = tuple([each for each in self.fields if each.role is Role.LEGAL])
        return replace(self, fields=(row, *legal), space=space, decode=decode, readings={}, unknown={})


def conclude_observations(evidence: Evidence, hints: Mapping[str, Hint], whole: Hint | None) -> Observations:
    """Conclude from all there is; ``whole`` is what is said of the observation as a whole.

    Raises:
        ProtocolViolation: the schema is malformed or too large.
        InvalidArgument: ``whole`` is a space that does not tell which fields it is of.
    """
    samples = evidence.observations
    spared = {path.removeprefix("observation.") for path, hint in hints.items() if hint.tells_all}
    spared |= {"reward", "done", "metadata"}
    node = NodeReader(evidence.published("observation"), "observation", spared).read()
    children = _children(node, samples, hints)
    if whole is not None and whole.space is not None:
        hints = {**hints, **spread_observation(children, samples, whole)}
        children = _children(node, samples, hints)
    columns = {name: [_at(fields, name) for fields in samples] for name in children}
    calls = calls_tools(evidence)
    rows: dict[str, Conclusion] = {}
    readings: dict[str, Reading] = {}
    unknown: dict[str, str] = {}
    legal: list[LegalMoves] = []
    for name, child in children.items():
        path, hint = f"observation.{name}", hints.get(f"observation.{name}")
        column = columns[name]
        child = _as_seen(child, column)
        role = _role(name, child, column, hint)
        if role is Role.LEGAL:
            rows[name], moves = _legal(name, column, hint)
            legal += [] if moves is None else [moves]
        elif role in UNSEEN:
            rows[name] = _unseen(path, role, column, hint)
        else:
            beside = samples[0] if samples else {}
            answers = name in _ANSWERS and ("tool_name" in children or calls)
            around = Surroundings(name.split(".")[-1], beside, evidence.state, bool(samples), answers=answers)
            if hint is None:
                found = reading_of(child, column, around)
            else:
                found = reading_of_hint(child, column, around, hint)
            if role is Role.TEXT and isinstance(found, Reading) and isinstance(found.space, Discrete):
                role = Role.NUMBERS
            rows[name] = _row(path, role, found)
            if isinstance(found, Reading):
                readings[name] = found
            elif not found.dispensable:
                unknown[path] = (
                    f'{found.why}; pass hints={{"{name}": Box(low, high, shape, dtype)}}, or "bookkeeping"'
                )
    _put_aside(rows, readings, hints)
    legal += _legal_in_metadata(samples, known=[moves.path for moves in legal])
    if not readings and not unknown:
        _see_metadata(rows, readings, unknown, evidence, samples)
    space, decode = _composed(readings)
    if whole is not None and whole.space is not None and readings:
        space = whole.space
        if isinstance(space, Dict) and len(readings) == 1 and set(readings) == set(space.spaces):
            decode = _decode_all([(name, (name,), each.read) for name, each in readings.items()])
    known = frozenset([f"observation.{name}" for name in children]) | {
        f"observation.metadata.{key}" for fields in samples for key in _metadata(fields)
    }
    if unknown:
        space = None
    return Observations(
        tuple(rows.values()),
        space,
        decode,
        readings,
        legal[0] if len(legal) == 1 else None,
        unknown,
        known,
    )


def _children(node: Node, samples: list[dict[str, Any]], hints: Mapping[str, Hint]) -> dict[str, Node]:
    """What may stand in each field: of the schema, of what came, and of the metadata if a hint names it."""
    children = dict(node.fields)
    for fields in samples:
        for name, value in fields.items():
            if name not in children:
                children[name] = node_of(value)
    for path, hint in hints.items():
        root, _, name = path.partition(".")
        if root != "observation" or not name or name in children:
            continue
        stood = [value for fields in samples if (value := _at(fields, name)) is not None]
        if _is_deep(name) and (hint.tells_all or stood):
            children[name] = node_of(stood[0] if stood else None)
        elif hint.tells_all and not node.fields and not samples:  # what hints name is all there is
            children[name] = ANYTHING
    return children


def _as_seen(child: Node, column: list[Any]) -> Node:
    """What may stand in a field; what stood there, if the schema is not true."""
    untrue = [value for value in column if value is not None and not child.may_be(value)]
    return node_of(untrue[0]) if untrue else child


def _is_deep(name: str) -> bool:
    """Whether a field is one of the metadata's."""
    return name.startswith("metadata.") and name.count(".") == 1


def _at(fields: Mapping[str, Plain], name: str) -> Plain:
    if name in fields or not _is_deep(name):
        return fields.get(name)
    return _metadata(fields).get(name.partition(".")[2])


def _keys(name: str) -> tuple[str, ...]:
    return tuple(name.split(".")) if _is_deep(name) else (name,)


def _metadata(fields: Mapping[str, Plain]) -> dict[str, Any]:
    found = fields.get("metadata")
    return found if isinstance(found, dict) else {}


def _role(name: str, child: Node, column: list[Any], hint: Hint | None) -> Role:
    natural = role_of_observation(name.split(".")[-1], child, column)
    if hint is None:
        return natural
    if hint.role is not None:
        return hint.role
    return Role.NUMBERS if natural in UNSEEN else natural


def _row(path: str, role: Role, found: Reading | Unknown) -> Conclusion:
    if isinstance(found, Unknown):
        sure = Confidence.LOW if found.dispensable else Confidence.OPEN
        evidence = f"left out: {found.why}" if found.dispensable else found.why
        return Conclusion(path, role, None, evidence, sure, "Box")
    override = '"bookkeeping"' if role in (Role.TEXT, Role.STRUCTURE) else type(found.space).__name__
    return Conclusion(path, role, found.space, found.evidence, found.confidence, override, found.labels)


def _unseen(path: str, role: Role, column: list[Any], hint: Hint | None) -> Conclusion:
    if hint is not None:
        return Conclusion(path, role, None, hint.source, hint.confidence, '"numbers"')
    if role is Role.OUTCOME:
        return Conclusion(path, role, None, "comes with each step", Confidence.HIGH, '"numbers"')
    keys = [key for value in column if isinstance(value, dict) for key in value]
    evidence = f"by its name; holds {', '.join(dict.fromkeys(keys))}"[:120] if keys else "by its name"
    confidence = Confidence.HIGH if path == "observation.metadata" else Confidence.LOW
    return Conclusion(path, role, None, evidence, confidence, '"numbers"')


def _legal(name: str, column: list[Any], hint: Hint | None) -> tuple[Conclusion, LegalMoves | None]:
    path = f"observation.{name}"
    lists = [value for value in column if isinstance(value, list)]
    form = form_of(name.split(".")[-1], lists, None if hint is None else hint.word)
    if form is None:
        plain = all(isinstance(item, str | int) for sample in lists for item in sample)
        rows = all(isinstance(item, list) for sample in lists for item in sample)
        why = "flags or indices? not used" if plain else "neither numbers nor names; not used"
        why = "a list for each move; wrappers.LegalActions takes them" if rows and not plain else why
        override = '"mask", "indices"' if plain else '"bookkeeping"'
        return Conclusion(path, Role.LEGAL, None, why, Confidence.LOW, override), None
    moves = LegalMoves(_keys(name), form, lists)
    said = "a mask" if form == "mask" else "names of actions" if moves.named else "numbers of actions"
    source = "by its name" if hint is None else hint.source
    confidence = Confidence.MEDIUM if hint is None else hint.confidence
    override = '"indices"' if form == "mask" else '"mask"'
    return Conclusion(path, Role.LEGAL, None, f"{source}; {said}", confidence, override), moves


def _legal_in_metadata(samples: list[dict[str, Any]], known: list[tuple[str, ...]]) -> list[LegalMoves]:
    """The legal moves that the metadata name, if no field does."""
    if known:
        return []
    keys = dict.fromkeys(key for fields in samples for key in _metadata(fields))
    found = []
    for key in keys:
        column = [_metadata(fields).get(key) for fields in samples]
        if role_of_observation(key, ANYTHING, column) is Role.LEGAL:
            lists = [value for value in column if isinstance(value, list)]
            form = form_of(key, lists)
            if form is not None:
                found.append(LegalMoves(("metadata", key), form, lists))
    return found


def _put_aside(rows: dict[str, Conclusion], readings: dict[str, Reading], hints: Mapping[str, Hint]) -> None:
    """Leave out what only tells the shape of something else."""
    uses = {use: name for name, each in readings.items() for use in each.uses}
    for use, name in uses.items():
        hidden = use in rows and rows[use].role is Role.BOOKKEEPING
        if hidden or (use in readings and f"observation.{use}" not in hints):
            readings.pop(use, None)
            said = f"tells the shape of {name}"
            rows[use] = replace(
                rows[use], role=Role.BOOKKEEPING, space=None, evidence=said, confidence=Confidence.HIGH
            )


def _see_metadata(
    rows: dict[str, Conclusion],
    readings: dict[str, Reading],
    unknown: dict[str, str],
    evidence: Evidence,
    samples: list[dict[str, Any]],
) -> None:
    """Where nothing else is to be seen, show the metadata."""
    if any(_metadata(fields) for fields in samples):
        around = Surroundings("metadata", {}, None, True)
        found = reading_of(Node("anything"), [], around)
        assert isinstance(found, Reading)
        readings["metadata"] = found
        why = "nothing else is to be seen; JSON as text"
        rows["metadata"] = Conclusion(
            "observation.metadata", Role.STRUCTURE, found.space, why, Confidence.LOW, "a space"
        )
    else:
        said = "nothing to observe" if evidence.published("observation") else "no observation schema"
        unknown["observation"] = (
            f'the server publishes {said}; pass hints={{"<field>": space}} or observation_space=...'
        )


def _composed(
    readings: Mapping[str, Reading],
) -> tuple[Space[Any] | None, Callable[[Mapping[str, Plain]], Any]]:
    """One field as it is, several as a Dict."""
    names = {name: _keys(name) for name in readings}
    shorts = {name: path[-1] for name, path in names.items()}
    if len(set(shorts.values())) < len(shorts):
        shorts = {name: name for name in names}
    parts = [(shorts[name], names[name], each.read) for name, each in readings.items()]
    if not readings:
        return None, _decode_all([])
    if len(readings) == 1:
        ((_, path, read),) = parts
        (only,) = readings.values()
        return only.space, _decode_one(path, read)
    spaces = [(shorts[name], each.space) for name, each in readings.items()]
    return Dict(spaces, sort_keys=False), _decode_all(parts)


def _decode_one(path: tuple[str, ...], read: Callable[[Plain], Any]) -> Callable[[Mapping[str, Plain]], Any]:
    (*outer, name) = path

    def decode(fields: Mapping[str, Plain]) -> Any:
        held = _metadata(fields) if outer else fields
        try:
            return read(held.get(name))
        except (LayoutMismatch, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _misfit(path, error) from error

    return decode


def _decode_all(
    parts: list[tuple[str, tuple[str, ...], Callable[[Plain], Any]]],
) -> Callable[[Mapping[str, Plain]], Any]:
    decoders = [(key, _decode_one(path, read)) for key, path, read in parts]

    def decode(fields: Mapping[str, Plain]) -> Any:
        return {key: decode_part(fields) for key, decode_part in decoders}

    return decode


def _misfit(path: tuple[str, ...], error: Exception) -> LayoutMismatch:
    name = ".".join(path)
    return LayoutMismatch(
        f"the server's observation.{name} {str(error)[:200].removeprefix('observation ')}; what was inferred "
        f'does not hold: pass hints={{"{name}": ...}} with a space, or "sequence" if its length changes',
        field=name,
    )
