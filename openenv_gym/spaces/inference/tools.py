"""Actions of an environment whose actions are calls of tools: which tool, and its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from openenv_gym.errors import ProtocolViolation
from openenv_gym.spaces.casting import shown
from openenv_gym.spaces.inference.evidence import Evidence
from openenv_gym.spaces.inference.hints import Hint
from openenv_gym.spaces.inference.nodes import MISSING, Node, NodeReader
from openenv_gym.spaces.inference.writings import Writing, object_writing
from openenv_gym.types import Plain

__all__ = [
    "TOOL_LIMIT",
    "call_of",
    "calls_tools",
    "listed_tools",
    "listing_action",
    "named_tools",
    "said_beside",
    "tool_writings",
    "unsaid",
]

TOOL_LIMIT = 1024
"""The most tools of one environment."""

_CALL = {"tool_name", "arguments"}
_LISTS = ("tools", "tools_list", "available_tools")


def call_of(node: Node) -> Node | None:
    """The object that calls a tool, if an action may be one: itself, or a variant of a union."""
    for each in node.variants or (node,):
        if each.fields.keys() >= _CALL:
            return each
    return None


def calls_tools(evidence: Evidence) -> bool:
    """Whether the actions of a server are calls of tools.

    >>> call = {"properties": {"tool_name": {"type": "string"}, "arguments": {"type": "object"}}}
    >>> calls_tools(Evidence(schema={"action": call})), calls_tools(Evidence(schema={"action": {}}))
    (True, False)
    """
    node = _action_of(evidence)
    return node is not None and call_of(node) is not None


def listing_action(evidence: Evidence) -> dict[str, Plain] | None:
    """The action that lists the tools, where there is one beside that which calls them.

    >>> verb = {"type": "string", "const": "call_tool"}
    >>> fields = {"type": verb, "tool_name": {"type": "string"}, "arguments": {"type": "object"}}
    >>> listing_action(Evidence(schema={"action": {"properties": fields}}))
    {'type': 'list_tools'}
    """
    node = _action_of(evidence)
    if node is None:
        return None
    for variant in node.variants or (node,):
        for name, child in variant.fields.items():
            for value in child.choices:
                if _lists(value):
                    return {name: value}
                if value == "call_tool":
                    return {name: "list_tools"}
    return None


def _action_of(evidence: Evidence) -> Node | None:
    """What an action is; nothing where a hint has to say it, for the schema cannot be read."""
    try:
        return NodeReader(evidence.published("action"), "action").read()
    except ProtocolViolation:
        return None


def listed_tools(evidence: Evidence) -> Sequence[Mapping[str, Plain]] | None:
    """The tools that were named, to the caller or in an answer."""
    if evidence.tools is not None:
        return evidence.tools
    for place in ("reset", "reset.metadata", "state"):
        fields = evidence.fact(place)
        found = named_tools(fields) if isinstance(fields, Mapping) else None
        if found:
            return found
    return None


def named_tools(fields: Mapping[str, Plain]) -> list[Any] | None:
    """The tools that some fields list, whatever they call them.

    >>> named_tools({"success": True, "tools": None, "tools_list": [{"name": "look"}]})
    [{'name': 'look'}]
    """
    for name in _LISTS:
        found = fields.get(name)
        if isinstance(found, list) and all(isinstance(tool, dict) and "name" in tool for tool in found):
            return found
    return None


def tool_writings(
    call: Node, tools: Sequence[Mapping[str, Plain]], hints: Mapping[str, Hint]
) -> list[tuple[str, Writing]]:
    """Each tool's name, and how calls of it are chosen and written.

    Raises:
        ProtocolViolation: the list is malformed or too long.
    """
    if len(tools) > TOOL_LIMIT:
        raise ProtocolViolation(f"the server lists {len(tools)} tools; at most {TOOL_LIMIT} are read")
    found: dict[str, Writing] = {}
    for tool in tools:
        name = tool.get("name") if isinstance(tool, Mapping) else None
        if not isinstance(name, str) or name in found:
            raise ProtocolViolation(f"the server lists a tool without a name of its own: {shown(name)}")
        found[name] = _tool(call, name, tool, hints)
    return list(found.items())


def _tool(call: Node, name: str, tool: Mapping[str, Plain], hints: Mapping[str, Hint]) -> Writing:
    schema = tool.get("input_schema", tool.get("inputSchema")) or {"type": "object"}
    node = NodeReader(schema, f"tool {name[:40]}").read()
    prefix = f"action.{name}."
    said = {path.removeprefix(prefix): hint for path, hint in hints.items() if path.startswith(prefix)}
    arguments = object_writing(node, free=True, hints=said, where=prefix)
    if not isinstance(arguments, Writing):
        raise ProtocolViolation(f"tool {name[:40]}: {arguments.why}; pass hints for its arguments")
    constants = {"tool_name": name, **_verb(call), **said_beside(call, hints)}
    return Writing(
        arguments.space,
        partial(_write_call, constants, arguments.write),
        arguments.evidence,
        arguments.confidence,
        arguments.labels,
    )


def _verb(call: Node) -> dict[str, Any]:
    """The fields beside it that say that a tool is called, where there is a choice of what to do."""
    verbs = {}
    for name, node in call.fields.items():
        if node.kind == "choice" and name not in _CALL:
            calling = [value for value in node.choices if isinstance(value, str) and "call" in value.lower()]
            if not calling and (name in call.required or any(map(_lists, node.choices))):
                calling = [value for value in node.choices if not _lists(value)]
            if len(calling) == 1:
                verbs[name] = calling[0]
    return verbs


def _lists(value: Any) -> bool:
    """Whether a verb asks for the tools."""
    return isinstance(value, str) and "list" in value.lower() and "tool" in value.lower()


def said_beside(call: Node, hints: Mapping[str, Hint]) -> dict[str, Any]:
    """What hints say that goes with each call beside its tool and arguments."""
    said = {name: hints[f"action.{name}"].value for name in call.fields if f"action.{name}" in hints}
    return {name: value for name, value in said.items() if value is not MISSING}


def unsaid(call: Node, hints: Mapping[str, Hint]) -> list[str]:
    """The fields that the server wants with each call, and that nothing says."""
    said = {*_CALL, *_verb(call), *said_beside(call, hints)}
    return [name for name in call.fields if name in call.required and name not in said]


def _write_call(constants: Mapping[str, Plain], write: Any, action: Any) -> dict[str, Plain]:
    return {**constants, "arguments": write(action)}
