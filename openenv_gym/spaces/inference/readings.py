"""What a field of the observation becomes: a space, and how its values are read from JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text, Tuple
from gymnasium.spaces import Sequence as SequenceSpace

from openenv_gym.spaces.identity import identical
from openenv_gym.spaces.inference.conclusions import Confidence
from openenv_gym.spaces.inference.hints import Hint
from openenv_gym.spaces.inference.nodes import ANYTHING, Node
from openenv_gym.spaces.inference.readers import (
    Reader,
    answer_text,
    choice_reader,
    dict_reader,
    each_reader,
    reader_for,
    text_of,
)
from openenv_gym.spaces.inference.roles import is_growing, is_picture
from openenv_gym.spaces.inference.shapes import common_shape, flat_items, shape_beside
from openenv_gym.spaces.open_text import OpenText
from openenv_gym.spaces.schema_reader import DEPTH_LIMIT
from openenv_gym.types import Plain

__all__ = ["Reading", "Surroundings", "Unknown", "node_of", "reading_of", "reading_of_hint"]

FIELD_LIMIT = 1024
"""The most fields of an object whose keys only its values tell."""
SIZE_LIMIT = 2**20
"""The most numbers of an array that only a schema declares."""
INTEGERS = np.iinfo(np.int64)
_HOLDERS = (Text, Dict, Tuple, SequenceSpace)
"""Spaces of which text may be a part."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A space, how its values are read, and why.

    Attributes:
        space: of the values.
        read: reads one.
        evidence: why.
        confidence: how sure that is.
        labels: of a choice among named values, the value of each number.
        uses: fields that tell the shape.
        loose: whether text in it, however deep, is JSON that stands for more.
    """

    space: Space[Any]
    read: Reader
    evidence: str
    confidence: Confidence
    labels: tuple[Any, ...] | None = None
    uses: tuple[str, ...] = ()
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """That a field's space cannot be known; ``dispensable`` if an observation does without it."""

    why: str
    dispensable: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies around a field: its name, the fields beside it, the state, whether anything was seen."""

    name: str
    fields: Mapping[str, Plain]
    state: Mapping[str, Plain] | None
    seen: bool
    depth: int = 0
    """How many lists and objects it is in."""
    answers: bool = False
    """Whether it is what a tool answered."""

    @property
    def picture(self) -> bool:
        """Whether the field is called as pictures are."""
        return is_picture(self.name)


def reading_of(node: Node, samples: Sequence[Plain], around: Surroundings) -> Reading | Unknown:
    """Conclude from what may stand in a field, and what stood there (``None``: null or nothing)."""
    known = [sample for sample in samples if sample is not None]
    sometimes = len(known) < len(samples)
    if node.kind == "array" or (node.kind == "anything" and known and all(map(_is_numbers, known))):
        return _array(node if node.kind == "array" else node_of(known[0]), known, sometimes, around)
    if node.kind == "object" and not (node.nullable or sometimes or around.answers):
        return _object(node, known, around)
    if around.answers and node.kind in ("object", "union", "anything", "null"):
        return _loose("text of the tool's answer", answer_text)
    if node.kind in ("object", "union", "anything", "null"):
        return _loose("free-form; JSON as text")
    if node.kind == "string":
        return _string(node, known, sometimes, around)
    if node.kind == "choice":
        return _choice(node, node.nullable or sometimes)
    if node.kind == "boolean":
        return _boolean(node.nullable or sometimes)
    return _number(node, node.nullable or sometimes)


def reading_of_hint(
    node: Node, samples: Sequence[Plain], around: Surroundings, hint: Hint
) -> Reading | Unknown:
    """Conclude from what a hint says, and from the rest where it does not say all."""
    if hint.space is not None:
        natural = reading_of(node, samples, around)
        if isinstance(natural, Reading) and identical(natural.space, hint.space):
            return replace(natural, evidence=hint.source, confidence=hint.confidence)
        absent = None
        if isinstance(hint.space, Box) and hint.space.shape in ((), (1,)) and hint.space.is_bounded("below"):
            absent = float(hint.space.low.flat[0])
        loose = isinstance(natural, Reading) and natural.loose and isinstance(hint.space, _HOLDERS)
        read = reader_for(hint.space, absent=absent)
        return Reading(hint.space, read, hint.source, hint.confidence, loose=loose)
    if hint.node is not None:
        found = reading_of(hint.node, samples, around)
    elif hint.word in ("text", "json", "structure"):
        found = _loose(hint.source)
    elif hint.word == "sequence":
        known = [sample for sample in samples if sample is not None]
        found = _growing(node if node.kind == "array" else node_of(known[0] if known else []), known, around)
    else:
        found = reading_of(node, samples, around)
    if isinstance(found, Unknown):
        return found
    evidence = hint.source if found.evidence == hint.source else f"{hint.source}; {found.evidence}"
    return replace(found, evidence=evidence, confidence=hint.confidence)


def node_of(sample: Plain, depth: int = 0) -> Node:
    """What may stand in a field of which no schema says it, from what stood there."""
    if depth > DEPTH_LIMIT:
        return ANYTHING
    if isinstance(sample, bool):
        return Node("boolean")
    if isinstance(sample, int):
        return Node("integer")
    if isinstance(sample, float):
        return Node("number")
    if isinstance(sample, str):
        return Node("string")
    if isinstance(sample, list):
        kinds = {type(item) for item in sample}
        if kinds <= {int, float} and len(kinds) == 2:
            return Node("array", items=Node("number"))
        return Node("array", items=node_of(sample[0], depth + 1) if len(kinds) == 1 else ANYTHING)
    return Node("object") if isinstance(sample, dict) else ANYTHING


def _is_numbers(sample: Plain) -> bool:
    return (
        isinstance(sample, list) and bool(sample) and set(map(type, flat_items(sample))) <= {int, float, bool}
    )


def _string(node: Node, known: Sequence[Plain], sometimes: bool, around: Surroundings) -> Reading | Unknown:
    if around.picture and not known:
        return Unknown("an encoded picture that the reset left out", dispensable=True)
    least = 0 if sometimes or node.nullable else node.least
    space = OpenText(least) if node.most is None else OpenText(least, max(least, node.most))
    said = "string; null is ''" if node.nullable or sometimes else "string"
    return Reading(space, text_of, said, Confidence.HIGH)


def _choice(node: Node, nullable: bool) -> Reading:
    labels = node.choices + ((None,) if nullable and None not in node.choices else ())
    evidence = f"one of {_listed(labels)}"
    return Reading(Discrete(len(labels)), choice_reader(labels), evidence, Confidence.HIGH, labels)


def _boolean(nullable: bool) -> Reading:
    if nullable:
        return _choice(Node("choice", choices=(False, True)), nullable=True)
    return Reading(
        Discrete(2), choice_reader((False, True), absent=False), "boolean", Confidence.HIGH, (False, True)
    )


def _number(node: Node, nullable: bool) -> Reading:
    low, high, dtype = bounds_of(node)
    bounded = node.low is not None and node.high is not None
    name = "integer" if node.kind == "integer" else "number"
    confidence = Confidence.HIGH if bounded else Confidence.LOW if name == "integer" else Confidence.MEDIUM
    said = f"{name} from {low:g} to {high:g}" if bounded else f"{name}, bounds unknown"
    if nullable:
        lows, highs = np.array([min(low, 0), 0], dtype), np.array([max(high, 0), 1], dtype)
        pair = Box(lows, highs, dtype=dtype)
        return Reading(pair, reader_for(pair), f"{said}; with 1, null is [0, 0]", confidence)
    space = Box(low, high, (1,), dtype)
    return Reading(space, reader_for(space), said, confidence)


def bounds_of(node: Node) -> tuple[Any, Any, Any]:
    """Low, high and dtype of numbers, as far as they are declared; the dtype's own where they are not."""
    if node.kind == "integer":
        low = INTEGERS.min if node.low is None else max(INTEGERS.min, min(INTEGERS.max, int(node.low)))
        high = INTEGERS.max if node.high is None else max(low, min(INTEGERS.max, int(node.high)))
        return int(low), int(high), np.int64
    least = -np.inf if node.low is None else float(node.low)
    return least, np.inf if node.high is None else max(least, float(node.high)), np.float64


def declared_shape(node: Node) -> tuple[tuple[int, ...], Node] | None:
    """The shape that a schema gives nested arrays of one kind of item, and that item."""
    shape: list[int] = []
    while node.kind == "array":
        if node.prefix:
            kinds = {each.kind for each in node.prefix}
            if len(kinds) != 1 or node.most != len(node.prefix) or "array" in kinds:
                return None
            return (*shape, len(node.prefix)), node.prefix[0]
        if node.most is None or node.least != node.most or node.items is None:
            return None
        shape.append(node.least)
        node = node.items
    return tuple(shape), node


def _array(node: Node, known: Sequence[Plain], sometimes: bool, around: Surroundings) -> Reading | Unknown:
    declared = declared_shape(node)
    if declared is not None and declared[1].kind in ("integer", "number", "boolean", "choice"):
        shape, item = declared
        if np.prod(shape, dtype=np.float64) > SIZE_LIMIT:
            return Unknown(f"its schema declares the shape {shape}, which is too much to take its word for")
        return _fixed(shape, item, [], "shape declared", Confidence.HIGH, around)
    if not known and (node.nullable or sometimes) and around.seen:
        return Unknown("the reset left it out, so its shape is unknown", dispensable=True)
    item = _innermost(node, known)
    if not known and not around.seen and item.kind not in ("string", "choice", "object"):
        return Unknown("its shape is unknown without a reset")
    shape_seen = common_shape(known)
    if shape_seen is None or item.kind not in ("integer", "number", "boolean") or is_growing(around.name):
        return _growing(node, known, around)
    if len(shape_seen) == 1:
        beside = shape_beside(around.name, shape_seen[0], around.fields, around.state)
        if beside is not None:
            shape_seen, uses = beside
            said = f"shape from {' and '.join(uses)}"
            return replace(_fixed(shape_seen, item, known, said, Confidence.HIGH, around), uses=uses)
    return _fixed(shape_seen, item, known, "shape seen", Confidence.MEDIUM, around)


def _innermost(node: Node, known: Sequence[Plain]) -> Node:
    while node.kind == "array" and node.items is not None:
        node = node.items
    if node.kind == "anything":
        items = [item for sample in known for item in flat_items(sample)]
        kinds = set(map(type, items))
        if kinds and kinds <= {int, float}:
            return Node("number" if float in kinds else "integer")
        return node_of(items[0]) if len(kinds) == 1 else ANYTHING
    return _true_item(node, known)


def _true_item(item: Node, known: Sequence[Plain]) -> Node:
    """What an array holds by its schema, or what it held, if the schema is not true."""
    if item.kind not in ("integer", "number", "boolean"):
        return item
    kinds = {type(value) for sample in known for value in flat_items(sample)}
    if kinds <= {int, bool, float}:
        return Node("number") if float in kinds and item.kind == "integer" else item
    return item if kinds <= {int, bool, float, type(None)} and item.kind == "number" else ANYTHING


def _fixed(
    shape: tuple[int, ...],
    item: Node,
    known: Sequence[Plain],
    said: str,
    confidence: Confidence,
    around: Surroundings,
) -> Reading:
    if item.kind == "choice":
        return _fixed_choices(shape, item, said)
    if item.kind == "boolean":
        flags = Box(0, 1, shape, np.int8)
        return Reading(flags, reader_for(flags), f"booleans, {said}", confidence)
    low, high, dtype = bounds_of(item)
    values = [value for sample in known for value in flat_items(sample)] if around.picture else []
    if item.kind == "integer" and values and 0 <= min(values) and max(values) <= 255:
        pixels = Box(0, 255, shape, np.uint8)
        return Reading(pixels, reader_for(pixels), f"{said}, bytes by its name", confidence)
    space: Box[Any] = Box(low, high, shape, dtype)
    if item.low is None or item.high is None:
        said += ", bounds unknown"
        confidence = max(
            confidence, Confidence.LOW if item.kind == "integer" else Confidence.MEDIUM, key=_rank
        )
    return Reading(space, reader_for(space), said, confidence)


def _fixed_choices(shape: tuple[int, ...], item: Node, said: str) -> Reading:
    space = MultiDiscrete(np.full(shape, len(item.choices)))
    read_item = choice_reader(item.choices)

    def read(plain: Plain) -> Any:
        return np.array([read_item(value) for value in flat_items(plain)], np.int64).reshape(shape)

    return Reading(space, read, f"{said}, each one of {_listed(item.choices)}", Confidence.HIGH)


def _growing(node: Node, known: Sequence[Plain], around: Surroundings) -> Reading | Unknown:
    """An array whose length is not one, as a Sequence of what it holds."""
    item = node.items if node.items is not None and not node.prefix else ANYTHING
    held = [value for sample in known if isinstance(sample, list) for value in sample]
    if item.kind == "anything":
        kinds = set(map(type, held))
        item = node_of(held[0]) if len(kinds) == 1 else ANYTHING
    item = _true_item(item, held)
    free = item.kind in ("anything", "union", "null") or (item.kind == "object" and not item.fields)
    if free or around.depth == DEPTH_LIMIT:
        return _loose("list of anything; JSON as text")
    said = "a list whose length changes"
    if item.kind in ("integer", "number"):
        low, high, dtype = bounds_of(item)
        space = SequenceSpace(Box(low, high, (1,), dtype), stack=True)
        return Reading(space, reader_for(space), f"{said}, of numbers", Confidence.LOW)
    feature = reading_of(item, held, replace(around, seen=True, depth=around.depth + 1))
    if isinstance(feature, Unknown):
        return feature
    read = each_reader(feature.read)
    return Reading(SequenceSpace(feature.space), read, said, Confidence.MEDIUM, loose=feature.loose)


def _object(node: Node, known: Sequence[Plain], around: Surroundings) -> Reading | Unknown:
    parts = dict(node.fields)
    said = "object, by its schema"
    confidence = Confidence.HIGH
    objects = [sample for sample in known if isinstance(sample, dict)]
    if node.values is not None and not parts and objects:
        keys = [list(sample) for sample in objects]
        if all(set(each) == set(keys[0]) for each in keys) and 0 < len(keys[0]) <= FIELD_LIMIT:
            parts = dict.fromkeys(keys[0], node.values)
            said, confidence = "an object whose keys were seen", Confidence.MEDIUM
    if not parts:
        return _loose("free-form object; JSON as text")
    readings = {}
    for name, child in parts.items():
        samples = [sample.get(name) for sample in objects]
        beside = objects[0] if objects else {}
        found = reading_of(child, samples, Surroundings(name, beside, None, around.seen, around.depth + 1))
        if isinstance(found, Reading):
            readings[name] = found
            confidence = max(confidence, found.confidence, key=_rank)
        elif not found.dispensable:
            return replace(found, why=f"of {name}, {found.why}")
    space = Dict([(name, found.space) for name, found in readings.items()], sort_keys=False)
    read = dict_reader({name: found.read for name, found in readings.items()})
    return Reading(space, read, said, confidence, loose=any(found.loose for found in readings.values()))


def _loose(said: str, read: Reader = text_of) -> Reading:
    return Reading(OpenText(), read, said, Confidence.MEDIUM, loose=True)


def _rank(confidence: Confidence) -> int:
    return confidence.rank


def _listed(labels: Sequence[Any], most: int = 4) -> str:
    """The first few labels, for the table."""
    shown = ", ".join("null" if label is None else str(label)[:16] for label in labels[:most])
    return f"{shown}, ... ({len(labels)} values)" if len(labels) > most else shown
