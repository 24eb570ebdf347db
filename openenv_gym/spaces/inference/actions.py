"""The action as a whole: which of its fields the agent decides, and one space for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from gymnasium.spaces import Dict, Discrete, Text

from openenv_gym.errors import InvalidArgument
from openenv_gym.spaces.inference.conclusions import Conclusion, Confidence
from openenv_gym.spaces.inference.evidence import Evidence
from openenv_gym.spaces.inference.hints import Hint
from openenv_gym.spaces.inference.legal import LegalMoves
from openenv_gym.spaces.inference.limits import refuse_value
from openenv_gym.spaces.inference.nodes import ANYTHING, MISSING, Node, NodeReader
from openenv_gym.spaces.inference.roles import Role, role_of_action
from openenv_gym.spaces.inference.specs import NONE, told_writing
from openenv_gym.spaces.inference.tools import call_of, listed_tools, said_beside, tool_writings, unsaid
from openenv_gym.spaces.inference.wholes import spread_action
from openenv_gym.spaces.inference.writers import Writer, writer_for
from openenv_gym.spaces.inference.writings import (
    Undecided,
    Writing,
    chosen_of,
    composed,
    writing_of,
    writing_of_hint,
)
from openenv_gym.types import Plain

__all__ = ["Actions", "conclude_actions"]


@dataclass(frozen=True, slots=True)
class Actions:
    """What was concluded of the action.

    Attributes:
        fields: a row for each.
        writing: its space and how it is written; ``None`` while a field is open.
        unknown: path of each field that is open -> why, and what to pass.
        known: every path that a hint may name.
    """

    fields: tuple[Conclusion, ...]
    writing: Writing | None
    unknown: Mapping[str, str]
    known: frozenset[str]


def conclude_actions(
    evidence: Evidence, hints: Mapping[str, Hint], legal: LegalMoves | None, whole: Hint | None
) -> Actions:
    """Conclude from all there is; ``whole`` is what is said of the action as a whole.

    Raises:
        ProtocolViolation: the schema is malformed or too large.
        InvalidArgument: ``whole`` is a space that does not tell which fields it is for, or a hint of the
            caller's allows what the schema does not.
    """
    spared = {path.removeprefix("action.") for path, hint in hints.items() if hint.tells_all}
    node = NodeReader(evidence.published("action"), "action", spared).read()
    call = call_of(node)
    if whole is not None and whole.space is not None and call is None and node.kind != "union":
        roles = {
            name: _role(name, child, node, hints.get(f"action.{name}")) for name, child in node.fields.items()
        }
        hints = {**hints, **spread_action(node, whole, roles, hints)}
    if call is not None and not hints.keys() & {"action.tool_name", "action.arguments"}:
        return _checked(_calls(call, evidence, hints), whole)
    if node.kind == "union":
        return _checked(_union(node), whole)
    actions = _fields(node, evidence, hints, legal)
    if whole is not None and whole.space is not None and actions.writing is not None:
        return _as_given(actions, whole)
    return actions


def _fields(node: Node, evidence: Evidence, hints: Mapping[str, Hint], legal: LegalMoves | None) -> Actions:
    rows: list[Conclusion] = []
    parts: dict[str, Writing] = {}
    sent: dict[str, Plain] = {}
    unknown: dict[str, str] = {}
    children = dict(node.fields)
    if not children:  # nothing is published: what hints name is all there is
        children = {path.removeprefix("action."): ANYTHING for path in hints if path.startswith("action.")}
    roles = {name: _role(name, child, node, hints.get(f"action.{name}")) for name, child in children.items()}
    undecided = [
        name
        for name, child in children.items()
        if roles[name] is Role.DECISION
        and f"action.{name}" not in hints
        and isinstance(writing_of(child), Undecided)
    ]
    for name, child in children.items():
        path, hint = f"action.{name}", hints.get(f"action.{name}")
        if roles[name] is not Role.DECISION:
            rows.append(_setting(path, child, name in node.required, hint))
            if rows[-1].value is not MISSING:
                sent[name] = rows[-1].value
            elif name in node.required and child.default is MISSING:
                unknown[path] = f'the server wants it; pass hints={{"{path}": {{"value": ...}}}} to send it'
            continue
        found = writing_of(child) if hint is None else writing_of_hint(path, child, hint)
        if isinstance(found, Undecided) and _only_of_its_kind(name, undecided, children):
            found = told_writing(child, evidence) or _masked(child, legal) or found
        if found is NONE:
            rows.append(Conclusion(path, Role.SETTING, None, "the server takes none", Confidence.HIGH, "Box"))
            continue
        if isinstance(found, Undecided):
            unknown[path] = _advice(path, found, child, name in node.required, legal)
            rows.append(_open(path, found, child, name in node.required, legal))
        else:
            parts[name] = found
            rows.append(_decision(path, found, legal))
    if not children:
        unknown["action"] = 'the server publishes no action schema; pass hints={"action.<field>": space}'
    known = frozenset([f"action.{name}" for name in children])
    writing = None if unknown else composed(parts, sent)
    return Actions(tuple(rows), writing, unknown, known)


def _role(name: str, child: Node, node: Node, hint: Hint | None) -> Role:
    if hint is not None and (hint.role is not None or hint.tells_all):
        setting = hint.role in (Role.SETTING, Role.BOOKKEEPING)
        return Role.SETTING if setting else Role.DECISION
    if hint is not None and hint.value is not MISSING:
        return Role.SETTING
    return role_of_action(name, child, name in node.required, alone=not node.required)


def _setting(path: str, child: Node, required: bool, hint: Hint | None) -> Conclusion:
    """The row of a setting, with what it is sent as, unless the server's default holds."""
    value, evidence, confidence = MISSING, "left out", Confidence.HIGH
    if child.default is not MISSING:
        evidence = f"default {str(child.default)[:24]}"
    if child.constant:
        evidence = f"constant {str(child.choices[0])[:24]}"
        value = child.choices[0] if required else MISSING
    if hint is not None:
        refuse_value(path, hint, child)
        evidence, confidence = hint.source, hint.confidence
        value = hint.value if hint.value is not MISSING else value
    if value is not MISSING and not child.constant:
        evidence += f": sent as {str(value)[:24]}"
    return Conclusion(path, Role.SETTING, None, evidence, confidence, '"decision"', value=value)


def _only_of_its_kind(name: str, undecided: list[str], children: Mapping[str, Node]) -> bool:
    """Whether no other field could be meant by what a server tells beside its schema."""

    def kind(each: str) -> tuple[str, str]:
        items = children[each].items
        return children[each].kind, "" if items is None else items.kind

    return [each for each in undecided if kind(each) == kind(name)] == [name]


def _masked(child: Node, legal: LegalMoves | None) -> Writing | None:
    """As many actions as the mask has flags."""
    if child.kind != "integer" or legal is None or legal.count is None:
        return None
    space = Discrete(legal.count)
    evidence = f"the mask {'.'.join(legal.path)} has {legal.count} flags"
    return Writing(space, writer_for(space, child), evidence, Confidence.HIGH)


def _advice(path: str, found: Undecided, child: Node, required: bool, legal: LegalMoves | None) -> str:
    out = "" if required else ', or "setting" to leave it out'
    return f'{_why(found, child, legal)}; pass hints={{"{path}": {found.wanted}}}{out}'


def _why(found: Undecided, child: Node, legal: LegalMoves | None) -> str:
    greatest = None if legal is None else legal.greatest
    if child.kind != "integer" or greatest is None:
        return found.why
    return f"{found.why}; saw legal actions up to {greatest}"


def _open(path: str, found: Undecided, child: Node, required: bool, legal: LegalMoves | None) -> Conclusion:
    wanted = found.wanted if required else f'{found.wanted} or "setting"'
    return Conclusion(path, Role.DECISION, None, _why(found, child, legal), Confidence.OPEN, wanted)


def _decision(path: str, found: Writing, legal: LegalMoves | None) -> Conclusion:
    evidence = found.evidence
    if legal is not None and legal.named and isinstance(found.space, Text):
        evidence += f"; {'.'.join(legal.path)} lists what is legal"
    override = type(found.space).__name__ if found.labels is None else "[names]"
    return Conclusion(path, Role.DECISION, found.space, evidence, found.confidence, override, found.labels)


def _union(node: Node) -> Actions:
    found = writing_of(node)
    known = frozenset({"action"})
    if isinstance(found, Undecided):
        row = Conclusion("action", Role.DECISION, None, found.why, Confidence.OPEN, found.wanted)
        advice = f"{found.why}; pass action_space=... and encode_action=..."
        return Actions((row,), None, {"action": advice}, known)
    row = Conclusion("action", Role.DECISION, found.space, found.evidence, found.confidence, "encode_action=")
    return Actions((row,), found, {}, known)


def _calls(call: Node, evidence: Evidence, hints: Mapping[str, Hint]) -> Actions:
    tools = listed_tools(evidence)
    if not tools:
        path = "action.tool_name"
        why = "the tools are unknown" if tools is None else "the server lists no tools"
        row = Conclusion(path, Role.DECISION, None, why, Confidence.OPEN, "a list of names")
        wanted = (
            f'{why}; list them (tools/list), or pass hints={{"{path}": [names], "action.arguments": "json"}}'
        )
        return Actions((row,), None, {path: wanted}, frozenset({path, "action.arguments"}))
    found = tool_writings(call, tools, hints)
    names = [name for name, _ in found]
    whole = chosen_of(names, [writing for _, writing in found], f"one of {len(found)} tools")
    rows = [
        Conclusion(
            f"action.{name}", Role.DECISION, each.space, f"tool; {each.evidence}", each.confidence, "-"
        )
        for name, each in found
    ]
    unknown = {}
    for name in unsaid(call, hints):
        path, why = f"action.{name}", "the server wants it with each call"
        rows.append(Conclusion(path, Role.SETTING, None, why, Confidence.OPEN, '{"value": ...}'))
        unknown[path] = f'{why}; pass hints={{"{path}": {{"value": ...}}}} to send it'
    beside = [f"action.{name}" for name in said_beside(call, hints)]
    rows += [_setting(path, ANYTHING, False, hints[path]) for path in beside]
    known = {f"action.{name}" for name in names} | {
        path for path in hints if path.split(".")[1:2] and path.split(".")[1] in names
    }
    known |= {"action.tool_name", "action.arguments", *beside}
    return Actions(tuple(rows), None if unknown else whole, unknown, frozenset(known))


def _as_given(actions: Actions, whole: Hint) -> Actions:
    """The same, with the very space that was given."""
    assert actions.writing is not None and whole.space is not None
    write: Writer = actions.writing.write
    alone = [row for row in actions.fields if row.role is Role.DECISION]
    if (
        isinstance(whole.space, Dict)
        and len(alone) == 1
        and alone[0].path.removeprefix("action.") in whole.space.spaces
    ):
        write = partial(_unpacked, alone[0].path.removeprefix("action."), write)
    writing = Writing(whole.space, write, whole.source, whole.confidence, actions.writing.labels)
    return Actions(actions.fields, writing, actions.unknown, actions.known)


def _checked(actions: Actions, whole: Hint | None) -> Actions:
    """The same, if what is said of the action as a whole is what was concluded.

    Raises:
        InvalidArgument: it is not, and fields of several kinds of actions cannot be told from it.
    """
    if whole is None or whole.space is None or (actions.writing and actions.writing.space == whole.space):
        return actions
    raise InvalidArgument(
        "the server takes several kinds of actions, which action_space does not tell apart; pass "
        "encode_action=... with it, or leave it out"
    )


def _unpacked(name: str, write: Writer, action: Any) -> Plain:
    return write(action[name])
