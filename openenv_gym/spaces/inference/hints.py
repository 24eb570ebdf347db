"""What a caller, a file or the package says of fields that their server does not explain.

A hint is a space, a word for a role, a list of the values to choose from, or the same as JSON: an object
with any of ``role``, ``schema`` (a JSON Schema, with the exact space under ``gymnasium`` or without) and
``value`` (what a setting is sent as).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gymnasium import Space

from openenv_gym.errors import InvalidArgument, ProtocolViolation
from openenv_gym.spaces.casting import shortened, shown
from openenv_gym.spaces.inference.conclusions import Conclusion, Confidence
from openenv_gym.spaces.inference.nodes import CHOICE_LIMIT, MISSING, Node, NodeReader
from openenv_gym.spaces.inference.roles import SPOKEN, Role
from openenv_gym.spaces.schema import from_schema, to_schema
from openenv_gym.spaces.schema_reader import KEY
from openenv_gym.types import Plain

__all__ = ["EXACT", "FORMAT", "Hint", "hint_file", "hint_of", "hints_of", "path_of", "refuse_unknown"]

EXACT: Final = "the server's exact space"
"""The source of what the server itself says, to the bit."""
FORMAT: Final = "openenv-gym hints 1"
"""What a hint file calls itself under ``format``."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What is said of one field.

    Attributes:
        source: who says it, for the table.
        confidence: how sure they are.
        role: what the field is for, if that is said.
        word: the very word, where words share a role.
        space: its space, if that is said.
        node: what may stand there, from a JSON Schema without an exact space.
        value: what a setting is sent as, or ``MISSING``: its default.
    """

    source: str
    confidence: Confidence = Confidence.CERTAIN
    role: Role | None = None
    word: str | None = None
    space: Space[Any] | None = None
    node: Node | None = None
    value: Any = MISSING

    @property
    def of_caller(self) -> bool:
        """Whether the caller says it, and nobody else."""
        return self.confidence is Confidence.CERTAIN and self.source != EXACT

    @property
    def tells_all(self) -> bool:
        """Whether the schema need not be asked."""
        return self.space is not None or self.node is not None


def hints_of(
    given: Mapping[str, Any] | None, source: str = "your hint", confidence: Confidence = Confidence.CERTAIN
) -> dict[str, Hint]:
    """Read hints: a mapping of paths, or what a hint file holds.

    A path is ``action.<field>``, ``observation.<field>`` or the name of a field of the observation alone;
    ``action`` and ``observation`` are all of it.

    >>> from gymnasium.spaces import Discrete
    >>> {path: hint.role for path, hint in hints_of({"action.column": Discrete(7), "legal": "legal"}).items()}
    {'action.column': None, 'observation.legal': <Role.LEGAL: 'legal moves'>}

    Raises:
        InvalidArgument: a hint is none of what a hint may be.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"hints are fields and what they are, or a hint file, not {shown(given)}")
    if "format" in given and not isinstance(given["format"], Space):
        if given["format"] != FORMAT or not isinstance(given.get("hints"), Mapping):
            raise InvalidArgument(f"this is no hint file of format {FORMAT!r}: {shown(given['format'])}")
        given = given["hints"]
    return {path_of(name): hint_of(name, each, source, confidence) for name, each in given.items()}


def hint_of(name: str, given: Any, source: str, confidence: Confidence) -> Hint:
    """Read one hint.

    Raises:
        InvalidArgument: it is none of what a hint may be.
    """
    hint = Hint(source, confidence)
    if isinstance(given, Space):
        return replace(hint, space=given)
    if isinstance(given, str):
        return replace(hint, role=_role(name, given), word=given)
    if isinstance(given, list | tuple):
        return replace(hint, node=_choice(name, given))
    if isinstance(given, Mapping) and given and given.keys() <= {"role", "schema", "value"}:
        word = given.get("role")
        hint = replace(hint, value=given.get("value", MISSING))
        if word is not None:
            hint = replace(hint, role=_role(name, word), word=str(word))
        return hint if "schema" not in given else _with_schema(name, hint, given["schema"])
    raise InvalidArgument(
        f"hints[{name!r:.60}] is a space of Gymnasium's, a word ({', '.join(sorted(SPOKEN))}), a list of "
        f"values or an object with role, schema or value; got {shown(given)}"
    )


def hint_file(
    fields: tuple[Conclusion, ...], facts: Mapping[str, Plain], open_fields: Mapping[str, str]
) -> dict[str, Plain]:
    """What a hint file holds: all that was concluded, in a form that :func:`hints_of` reads.

    Raises:
        UnsupportedSpace: a space has no schema.
    """
    hints = {}
    for each in fields:
        if each.path not in open_fields and each.confidence is not Confidence.OPEN:
            seen = each.role not in (Role.LEGAL, Role.OUTCOME, Role.SETTING)
            role = Role.BOOKKEEPING if seen and each.space is None else each.role
            said: dict[str, Plain] = {"role": str(role)}
            if each.labels is not None:
                said["schema"] = {"enum": list(each.labels)}
            elif each.space is not None:
                said["schema"] = to_schema(each.space)
            if each.value is not MISSING:
                said["value"] = each.value
            hints[each.path] = said
    return {"format": FORMAT, **facts, "hints": hints, "open": dict(open_fields)}


def path_of(name: Any) -> str:
    """A path with its side: what names neither is of the observation."""
    if not isinstance(name, str) or not name:
        raise InvalidArgument(f"hints name fields, 'action.column' or 'board', not {shown(name)}")
    return name if name.split(".")[0] in ("action", "observation") else f"observation.{name}"


def _role(name: str, word: Any) -> Role:
    if word not in SPOKEN:
        raise InvalidArgument(
            f"hints[{name!r:.60}] is {shown(word)}; the words for a role are {', '.join(sorted(SPOKEN))}"
        )
    return SPOKEN[word]


def _choice(name: str, values: list[Any] | tuple[Any, ...]) -> Node:
    if not values or not all(isinstance(value, str | int | float | bool | None) for value in values):
        raise InvalidArgument(f"hints[{name!r:.60}] lists the texts or numbers to choose from, at least one")
    if len(values) > CHOICE_LIMIT or len(set(values)) < len(values):
        raise InvalidArgument(f"hints[{name!r:.60}] lists each value once, at most {CHOICE_LIMIT} of them")
    return Node("choice", choices=tuple(values))


def _with_schema(name: str, hint: Hint, schema: Plain) -> Hint:
    if not isinstance(schema, dict):
        raise InvalidArgument(f"hints[{name!r:.60}] has no JSON Schema under 'schema': {shown(schema)}")
    try:
        if KEY in schema:
            return replace(hint, space=from_schema(schema))
        if isinstance(schema.get("enum"), list):
            return replace(hint, node=_choice(name, schema["enum"]))
        return replace(hint, node=NodeReader(schema, f"hints[{name!r:.60}]").read())
    except ProtocolViolation as error:
        raise InvalidArgument(f"hints[{name!r:.60}] has a schema that cannot be read: {error}") from error


def refuse_unknown(hints: Mapping[str, Hint], known: set[str]) -> None:
    """Refuse a hint of the caller's that names no field.

    Raises:
        InvalidArgument: there is one; the message lists the fields.
    """
    for path, hint in hints.items():
        if path not in known and hint.confidence is Confidence.CERTAIN:
            action = path.replace("observation.", "action.", 1)
            meant = f"; is {action!r:.80} meant? Else" if action in known else ""
            raise InvalidArgument(
                f"hints[{path!r:.80}] names no field of this server{meant or ';'} they are "
                f"{shortened(sorted(known), 40)}"
            )
