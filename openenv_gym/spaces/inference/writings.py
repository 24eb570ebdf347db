"""What a field of the action becomes: a space, and how its values are written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, OneOf, Tuple
from gymnasium.spaces import Sequence as SequenceSpace

from openenv_gym.spaces.identity import identical
from openenv_gym.spaces.inference.conclusions import Confidence
from openenv_gym.spaces.inference.hints import Hint
from openenv_gym.spaces.inference.limits import refuse_outside
from openenv_gym.spaces.inference.nodes import MISSING, Node
from openenv_gym.spaces.inference.readings import INTEGERS, SIZE_LIMIT, bounds_of, declared_shape
from openenv_gym.spaces.inference.roles import Role, role_of_action
from openenv_gym.spaces.inference.writers import (
    OMITTED,
    Writer,
    all_writer,
    choice_writer,
    choices_writer,
    discrete_writer,
    each_writer,
    one_of_writer,
    one_writer,
    scalar_writer,
    variant_writer,
    write_json,
    write_text,
    writer_for,
)
from openenv_gym.spaces.open_text import OpenText
from openenv_gym.spaces.plain import to_plain
from openenv_gym.types import Plain

__all__ = ["Undecided", "Writing", "chosen_of", "composed", "object_writing", "writing_of", "writing_of_hint"]

FEW = 256
"""Up to so many integers may be listed, with one more choice for leaving the field out."""

MANY = 32
"""Up to so many parts, a list of a fixed length has a space for each item; a schema can ask for millions."""


@dataclass(frozen=True, slots=True)
class Writing:
    """A space, how its values are written, and why."""

    space: Space[Any]
    write: Writer
    evidence: str
    confidence: Confidence
    labels: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """That the choices of a field cannot be known, and what to pass so that they are."""

    why: str
    wanted: str


def writing_of(node: Node, *, free: bool = False) -> Writing | Undecided:
    """Conclude from what may stand in a field; ``free`` takes any number where no bounds are declared."""
    if node.kind == "choice":
        return _choice(node.choices, node.nullable)
    if node.kind == "boolean":
        return _choice((False, True), node.nullable)
    if node.kind == "string":
        return _string(node)
    if node.kind == "integer":
        return _integer(node, free)
    if node.kind == "number":
        return _number(node, free)
    if node.kind == "array":
        return _array(node, free)
    if node.kind == "object" and node.fields:
        return object_writing(node, free=free)
    if node.kind == "union":
        return _union(node, free)
    if free:
        return Writing(OpenText(), write_json, "free-form; text that holds JSON", Confidence.LOW)
    return Undecided(
        "free-form, of which the schema says no more", 'a space, or "json" for text that holds JSON'
    )


def writing_of_hint(path: str, node: Node, hint: Hint) -> Writing | Undecided:
    """Conclude from what a hint says of a field, and from the schema where it does not say all.

    Raises:
        InvalidArgument: the hint is the caller's, and allows what the schema does not.
    """
    if hint.space is not None:
        natural = writing_of(node, free=True)
        if isinstance(natural, Writing) and identical(natural.space, hint.space):
            return replace(natural, evidence=hint.source, confidence=hint.confidence)
        refuse_outside(path, hint, node, hint.space)
        return Writing(hint.space, writer_for(hint.space, node), hint.source, hint.confidence)
    if hint.node is not None:
        found = writing_of(hint.node, free=True)
        if isinstance(found, Writing) and hint.node.kind in ("choice", "integer", "number"):
            refuse_outside(path, hint, node, found.space, found.labels)
    elif hint.word == "json":
        found = Writing(OpenText(), write_json, hint.source, hint.confidence)
    elif hint.word == "text":
        found = Writing(OpenText(), write_text, hint.source, hint.confidence)
    elif hint.word == "sequence" and node.kind == "array":
        found = _sequence(node, free=True)
    else:
        found = writing_of(node)
    if isinstance(found, Undecided):
        return found
    evidence = hint.source if found.evidence == hint.source else f"{hint.source}; {found.evidence}"
    return replace(found, evidence=evidence, confidence=hint.confidence)


def object_writing(
    node: Node,
    *,
    free: bool,
    sent: Mapping[str, Plain] | None = None,
    hints: Mapping[str, Hint] | None = None,
    where: str = "",
) -> Writing | Undecided:
    """The choices that an object's fields leave: none, that of one field, or a Dict of them.

    Args:
        node: the object.
        free: see :func:`writing_of`.
        sent: fields that are always sent as they are.
        hints: what is said of its fields, by their names.
        where: the path that leads to its fields.
    """
    constants = dict(sent or {})
    hints = hints or {}
    alone = not node.required - constants.keys()
    parts: dict[str, Writing] = {}
    for name, child in node.fields.items():
        if name in constants:
            continue
        hint = hints.get(name)
        role = role_of_action(name, child, name in node.required, alone) if hint is None else hint.role
        if role is Role.SETTING:
            if hint is not None and hint.value is not MISSING:
                constants[name] = hint.value
            elif name in node.required and child.constant:
                constants[name] = child.choices[0]
            continue
        found = writing_of(child, free=free) if hint is None else writing_of_hint(where + name, child, hint)
        if isinstance(found, Writing):
            parts[name] = found
        elif name in node.required:
            return replace(found, why=f"{name}: {found.why}")
    return composed(parts, constants)


def composed(parts: Mapping[str, Writing], constants: Mapping[str, Plain]) -> Writing:
    """The fields of an object from the choices for some of them, and what is always sent."""
    if not parts:
        return Writing(Discrete(1), lambda action: dict(constants), "nothing to choose", Confidence.HIGH)
    confidence = max((part.confidence for part in parts.values()), key=lambda each: each.rank)
    if len(parts) == 1:
        ((name, only),) = parts.items()
        return replace(only, write=one_writer(name, only.write, constants))
    space = Dict([(name, part.space) for name, part in parts.items()], sort_keys=False)
    writers = [(name, part.write) for name, part in parts.items()]
    evidence = f"the choices {', '.join(parts)}"
    return Writing(space, all_writer(writers, constants), evidence, confidence)


def chosen_of(names: Sequence[str], variants: Sequence[Writing], evidence: str) -> Writing:
    """One of several actions, each with choices of its own; a plain Discrete where none has any."""
    if all(variant.space == Discrete(1) for variant in variants):
        bare = [variant.write(0) for variant in variants]
        write = variant_writer(bare)
        return Writing(Discrete(len(bare)), write, evidence, Confidence.HIGH, tuple(names))
    space = OneOf([variant.space for variant in variants])
    confidence = max((variant.confidence for variant in variants), key=lambda each: each.rank)
    writers = [variant.write for variant in variants]
    return Writing(space, one_of_writer(writers), evidence, confidence, tuple(names))


def _choice(choices: tuple[Any, ...], nullable: bool) -> Writing:
    labels = choices + ((None,) if nullable else ())
    listed = ", ".join("left out" if label is None else str(label)[:16] for label in labels[:4])
    evidence = f"one of {listed}" + (f", ... ({len(labels)} values)" if len(labels) > 4 else "")
    return Writing(Discrete(len(labels)), choice_writer(labels), evidence, Confidence.HIGH, labels)


def _string(node: Node) -> Writing:
    least = 0 if node.nullable else node.least
    space = OpenText(least) if node.most is None else OpenText(least, max(least, node.most))
    if node.nullable:
        return Writing(
            space, lambda text: write_text(text) or OMITTED, "string; '' is left out", Confidence.HIGH
        )
    return Writing(space, write_text, "string", Confidence.HIGH)


def _integer(node: Node, free: bool) -> Writing | Undecided:
    low, high = node.low, node.high
    if (
        low is None
        or high is None
        or not INTEGERS.min <= low <= high < low + INTEGERS.max
        or high > INTEGERS.max
    ):
        if free:
            space = Box(*bounds_of(node)[:2], (1,), np.int64)
            return Writing(space, scalar_writer(True), "any integer", Confidence.LOW)
        start = "" if low in (None, 0) else f", start={low}"
        return Undecided("number of actions unknown", f"Discrete(n{start})")
    count = int(high) - int(low) + 1
    if node.nullable and count <= FEW:
        return _choice(tuple(range(int(low), int(high) + 1)), nullable=True)
    write = discrete_writer(int(low), count)
    return Writing(Discrete(count, start=int(low)), write, f"integer from {low} to {high}", Confidence.HIGH)


def _number(node: Node, free: bool) -> Writing | Undecided:
    if (node.low is None or node.high is None) and not free:
        return Undecided("bounds unknown", "Box(low, high)")
    low, high, dtype = bounds_of(replace(node, kind="number"))
    space = Box(low, high, (1,), dtype)
    said = "any number" if node.low is None or node.high is None else f"number from {low:g} to {high:g}"
    return Writing(space, scalar_writer(False), said, Confidence.LOW if "any" in said else Confidence.HIGH)


def _array(node: Node, free: bool) -> Writing | Undecided:
    declared = declared_shape(node)
    if declared is None:
        item = node.items
        if item is None or (item.kind in ("integer", "number") and not free):
            wanted = (
                "MultiDiscrete([...])"
                if item is not None and item.kind == "integer"
                else "Box(low, high, (n,))"
            )
            return Undecided("length and bounds unknown", wanted)
        return _sequence(node, free)
    shape, item = declared
    if np.prod(shape, dtype=np.float64) > SIZE_LIMIT:
        return Undecided(f"declared with the shape {shape}, too much to take its word for", "a smaller space")
    if item.kind in ("choice", "boolean"):
        labels = item.choices or (False, True)
        choices = MultiDiscrete(np.full(shape, len(labels)))
        evidence = f"{shape} of {len(labels)} values each"
        return Writing(choices, choices_writer(choices, labels), evidence, Confidence.HIGH)
    if item.kind not in ("integer", "number"):
        return _sequence(node, free)
    if item.low is None or item.high is None:
        if not free:
            return Undecided("bounds unknown", f"Box(low, high, {shape})")
    elif item.kind == "integer" and item.high - item.low < INTEGERS.max:
        count, start = int(item.high - item.low) + 1, int(item.low)
        many = MultiDiscrete(np.full(shape, count), start=np.full(shape, start))
        return Writing(
            many, partial(to_plain, many), f"integers from {start} to {int(item.high)}", Confidence.HIGH
        )
    low, high, dtype = bounds_of(item)
    box = Box(low, high, shape, dtype)
    return Writing(box, partial(to_plain, box), f"numbers from {low:g} to {high:g}", Confidence.HIGH)


def _sequence(node: Node, free: bool) -> Writing | Undecided:
    if node.items is None:
        return Undecided("its items are not described", "a space")
    feature = writing_of(node.items, free=free)
    if isinstance(feature, Undecided):
        return replace(feature, why=f"of its items, {feature.why}", wanted="a space")
    if node.least == node.most and 0 < node.least * _parts(feature.space) <= MANY:
        several = Tuple([feature.space] * node.least)
        write = each_writer(feature.write, node.least, node.most)
        return Writing(several, write, f"a list of {_length(node)}", feature.confidence)
    return Writing(
        SequenceSpace(feature.space),
        each_writer(feature.write, node.least, node.most),
        f"a list of {_length(node)}",
        Confidence.MEDIUM,
    )


def _parts(space: Space[Any]) -> int:
    if isinstance(space, Dict):
        return 1 + sum(map(_parts, space.spaces.values()))
    if isinstance(space, Tuple | OneOf):
        return 1 + sum(map(_parts, space.spaces))
    return 1 + _parts(space.feature_space) if isinstance(space, SequenceSpace) else 1


def _length(node: Node) -> str:
    if node.most is None:
        return f"at least {node.least}" if node.least else "any length"
    return str(node.most) if node.least == node.most else f"{node.least} to {node.most}"


def _union(node: Node, free: bool) -> Writing | Undecided:
    names, variants = [], []
    for at, variant in enumerate(node.variants):
        tag = variant.fields.get(node.tag) if node.tag is not None else None
        sent = {} if tag is None or not tag.choices else {str(node.tag): tag.choices[0]}
        found = object_writing(variant, free=free, sent=sent)
        if isinstance(found, Undecided):
            return replace(found, why=f"of variant {next(iter(sent.values()), at)}, {found.why}")
        names.append(str(next(iter(sent.values()), at)))
        variants.append(found)
    return chosen_of(names, variants, f"one of {', '.join(names[:6])}" + (", ..." if len(names) > 6 else ""))
