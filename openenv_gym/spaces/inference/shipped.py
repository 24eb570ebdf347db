"""Hints that come with the package, about servers whose schemas cannot tell: data, matched here.

Each is about the servers of one name, and was checked against versions that it names. It is used only
where the schemas are the ones that it was checked against, to the fingerprint. Cases and counts depend on
what the server says of itself (``state.game_name``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from gymnasium.spaces import Discrete

from openenv_gym.spaces.inference.conclusions import Confidence
from openenv_gym.spaces.inference.evidence import Evidence
from openenv_gym.spaces.inference.fingerprints import fingerprint
from openenv_gym.spaces.inference.hints import Hint, hint_of, path_of
from openenv_gym.types import Plain

__all__ = ["matching_hints"]


def matching_hints(
    shipped: Iterable[Mapping[str, Plain]], evidence: Evidence
) -> tuple[dict[str, Hint], list[str]]:
    """The hints that are about a server, and a note of each that would be, but for its schema.

    Args:
        shipped: what the package's hint files hold: ``name``, ``checked`` (against which versions),
            ``fingerprints``, ``hints``, ``cases`` (each with ``where`` and ``hints``; the first that holds
            counts), ``unless`` (where the server says it itself, and no case is wanted), and a ``note``.
        evidence: what is known of the server.
    """
    hints: dict[str, Hint] = {}
    notes = []
    named = [entry for entry in shipped if entry["name"] == evidence.name]
    print_of_schema = fingerprint(evidence.schema) if named else ""
    for entry in named:
        checked = ", ".join(f"{name} {version}" for name, version in entry["checked"].items())
        if print_of_schema not in entry["fingerprints"]:
            notes.append(
                f"the hints that ship for {entry['name']} were checked against {checked}; this server "
                "publishes another schema, so they are not used"
            )
            continue
        source = "shipped hint"
        said = dict(entry.get("hints", {}))
        told = "unless" in entry and evidence.fact(entry["unless"]) is not None
        cases = () if told else entry.get("cases", ())
        chosen = [case for case in cases if _holds(case["where"], evidence)]
        notes.append(f"hints that ship were used; they were checked against {checked}")
        for case in chosen[:1]:
            said |= case["hints"]
        if cases and not chosen:
            facts = sorted({path for case in cases for path in case["where"]})
            seen = ", ".join(f"{path} is {evidence.fact(path)!r:.40}" for path in facts)
            notes.append(f"the hints that ship for {entry['name']} know nothing of this one: {seen}")
        elif "note" in entry:
            notes.append(f"{entry['name']} is {entry['note']}; pass hints if it is not")
        hints |= {path_of(name): _hint(name, each, evidence, source) for name, each in said.items()}
    return hints, notes


def _holds(where: Mapping[str, Plain], evidence: Evidence) -> bool:
    return all(evidence.fact(path) == value for path, value in where.items())


def _hint(path: str, given: Any, evidence: Evidence, source: str) -> Hint:
    """One hint; ``{"count": {"of": [["state.rows", 6], 7], "plus": 1}}`` is a Discrete of rows x 7 + 1."""
    if isinstance(given, Mapping) and "count" in given:
        counted = given["count"]
        factors = [_factor(factor, evidence) for factor in counted["of"]]
        return Hint(source, Confidence.HIGH, space=Discrete(math.prod(factors) + counted.get("plus", 0)))
    return hint_of(path, given, source, Confidence.HIGH)


def _factor(given: Any, evidence: Evidence) -> int:
    """A number, or what the server says at a path, if it says one, and else the default."""
    if isinstance(given, int):
        return given
    path, default = given
    said = evidence.fact(path)
    return said if type(said) is int and 0 < said < 2**16 else default
