"""What the fields of an action become, and how actions are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, OneOf, Sequence

from openenv_gym.errors import InvalidAction, InvalidArgument, ProtocolViolation
from openenv_gym.spaces import OpenText, identical
from openenv_gym.spaces.inference import Evidence, Inference, infer

NULL = {"type": "null"}


def action(*required: str, **properties: Any) -> dict[str, Any]:
    return {"action": {"type": "object", "properties": properties, "required": list(required)}}


def inferred(schema: dict[str, Any], hints: Any = None, **options: Any) -> Inference:
    seen = {"observation": {"type": "object", "properties": {"seen": {"type": "boolean"}}}}
    evidence = Evidence(
        schema={**seen, **schema},
        reset=options.pop("reset", None),
        state=options.pop("state", None),
        tools=options.pop("tools", None),
    )
    return infer(evidence, hints, **options)


def optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, NULL], "default": None}


ONE: dict[str, tuple[dict[str, Any], Space[Any], Any, Any]] = {
    "integer": ({"type": "integer", "minimum": 2, "exclusiveMaximum": 6}, Discrete(4, start=2), 5, 5),
    "enum": ({"enum": ["up", "down"]}, Discrete(2), 1, "down"),
    "numbered enum": ({"enum": [10, 20]}, Discrete(2), 1, 20),
    "flag": ({"type": "boolean"}, Discrete(2), 1, True),
    "number": ({"type": "number", "minimum": -1, "maximum": 1}, Box(-1, 1, (1,), np.float64), [0.5], 0.5),
    "text": ({"type": "string", "minLength": 1, "maxLength": 9}, OpenText(1, 9), "née", "née"),
    "pair": (
        {"prefixItems": [{"type": "number", "minimum": 0, "maximum": 1}] * 2, "items": False},
        Box(0, 1, (2,), np.float64), [0.25, 1], [0.25, 1.0],
    ),
    "digits": (
        {"items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 3, "maxItems": 3},
        MultiDiscrete([10, 10, 10]), [1, 2, 3], [1, 2, 3],
    ),
    "named list": (
        {"items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 2},
        MultiDiscrete([2, 2]), [1, 0], ["b", "a"],
    ),
    "open list": ({"items": {"enum": ["a", "b"]}}, Sequence(Discrete(2)), (1, 1), ["b", "b"]),
    "one of constants": ({"oneOf": [{"const": "a"}, {"const": "b"}]}, Discrete(2), 0, "a"),
    "through allOf": ({"allOf": [{"type": "boolean"}], "title": "Go"}, Discrete(2), 0, False),
    "optional enum": (optional({"enum": ["a"]}), Discrete(2), 0, "a"),
    "a list of types": ({"type": ["string", "null"]}, OpenText(), "x", "x"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_one_decision_is_a_plain_space(name: str) -> None:
    schema, space, value, written = ONE[name]
    inference = inferred(action("go", go=schema))
    assert identical(inference.action_space, space)
    chosen = np.array(value) if isinstance(value, list) else value
    assert inference.encode_action(chosen) == {"go": written}
    for _ in range(5):
        assert isinstance(inference.encode_action(inference.action_space.sample()), dict)


@pytest.mark.parametrize("low", [0, -1.5, 0.1, 2**53 + 1])
def test_an_exclusive_bound_of_floats_is_left_out(low: float) -> None:
    high = low + 4
    number = {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high}
    schema = action("a", "b", a=number, b={"items": number, "minItems": 2, "maxItems": 2})
    seen = {"observation": {"seen": True}}
    flat, deep = [inferred(schema, flatten=flatten, reset=seen) for flatten in (True, False)]
    vector, parts = flat.action_space, deep.action_space
    assert isinstance(vector, Box) and isinstance(parts, Dict)
    for end in ("low", "high"):
        extreme = {name: getattr(part, end) for name, part in parts.items()}
        for sent in (flat.encode_action(getattr(vector, end)), deep.encode_action(extreme)):
            assert all(low < each < high for each in [sent["a"], *sent["b"]])


def test_a_bound_that_no_float_is_gives_way_to_the_next_that_is() -> None:
    inference = inferred(action("go", go={"type": "number", "minimum": 2**53 + 1, "maximum": 2**60}))
    assert inference.action_space.low.item() == 2**53 + 2  # type: ignore[attr-defined]


HERE: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 4}
REAL: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 0.1}
OUTSIDE: dict[str, tuple[dict[str, Any], Any, str]] = {
    "too many": (HERE, Discrete(9, start=1), "allows 1 to 9, and the schema 1 to 4"),
    "from zero": (HERE, Discrete(4), "allows 0 to 3"),
    "a number beyond": (REAL, Box(0, 1, (1,)), "allows 0 to 1, and the schema 0 to 0.1"),
    "unbounded": (REAL, Box(-np.inf, 0.1, (1,)), "allows -inf to 0.1"),
    "half unbounded": ({"type": "number", "exclusiveMinimum": 0}, Box(-1, 1, (1,)), "allows -1 to 1"),
    "named values": ({"enum": ["up", "down"]}, Discrete(3), "has 0, and the schema only"),
    "another name": ({"enum": ["up", "down"]}, ["up", "left"], "has 'left', and the schema only"),
    "a number among others": (HERE, [1, 5], "has 5, and the schema 1 to 4"),
    "a schema of its own": (HERE, {"schema": {**HERE, "maximum": 5}}, "allows 1 to 5"),
    "items": ({"items": HERE}, MultiDiscrete([5, 5]), "allows 0 to 4"),
    "items of items": ({"items": {"items": REAL}}, Box(0, 1, (2, 2)), "allows 0 to 1"),
    "each item": ({"items": HERE}, Sequence(Discrete(9)), "allows 0 to 8"),
    "more items": (
        {"items": HERE, "maxItems": 1}, MultiDiscrete([4, 4], start=[1, 1]), "2 items, and the schema 0 to 1"
    ),
    "a part": ({"properties": {"x": HERE, "y": REAL}}, Dict(x=Discrete(9)), "has a x that allows 0 to 8"),
    "what is sent": (HERE, {"value": 0}, "has 0, and the schema 1 to 4; pass another value"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_hint_beyond_the_schema_is_refused_before_anything_is_sent(name: str) -> None:
    schema, hint, said = OUTSIDE[name]
    with pytest.raises(InvalidArgument, match=f"your hint for action.go .*{said}"):
        inferred(action("go", go=schema), {"action.go": hint})


def test_it_is_named_whoever_said_it_and_of_a_tool_too() -> None:
    with pytest.raises(InvalidArgument, match=r"action_space= for action\.go allows 0 to 6"):
        inferred(action("go", go=HERE), action_space=Discrete(7))
    with pytest.raises(InvalidArgument, match=r"your hint for action\.add\.b allows 0 to 9"):
        inferred(CALL, {"action.add.b": Discrete(10)}, tools=TOOLS)


@pytest.mark.parametrize("name", ["minimum", "exclusiveMinimum"])
def test_a_bound_that_a_hint_rounds_is_sent_as_the_schema_has_it(name: str) -> None:
    number = {"type": "number", name: -0.1, name.replace("inimum", "aximum"): 0.1}
    for schema, shape in ((number, (1,)), ({"items": number}, (2,))):
        space = Box(-0.1, 0.1, shape)
        assert space.high.max().item() > 0.1
        write = inferred(action("go", go=schema), {"action.go": space}).encode_action
        deep = inferred(action("go", go={"properties": {"x": schema}}), {"action.go": Dict(x=space)})
        assert deep.encode_action({"x": space.low})["go"] == {"x": write(space.low)["go"]}
        for bound in (space.low, space.high, space.low * np.float32(2)):
            sent = np.array(write(bound)["go"], np.float64)
            beyond = bound is not space.low and bound is not space.high
            assert (abs(sent) > 0.1).all() if beyond else (abs(sent) <= 0.1).all()
            assert name == "minimum" or not (abs(sent) == 0.1).any()


def test_several_decisions_are_a_dict_and_settings_are_left_out() -> None:
    schema = action(
        "verb", "x",
        verb={"enum": ["look", "go"]},
        x={"type": "integer", "minimum": 0, "maximum": 3},
        speed={"type": "number", "default": 0.5},
        kind={"const": "move", "default": "move"},
        metadata={"type": "object", "additionalProperties": True},
        api_key=optional({"type": "string"}),
        note=optional({"type": "string"}),
    )  # fmt: skip
    inference = inferred(schema)
    assert inference.action_space == Dict(verb=Discrete(2), x=Discrete(4), note=OpenText())
    assert inference.encode_action({"verb": 0, "x": 3, "note": ""}) == {"verb": "look", "x": 3}
    assert inference.encode_action({"verb": 1, "x": 0, "note": "!"}) == {"verb": "go", "x": 0, "note": "!"}
    settings = {row.path for row in inference.fields if row.role == "setting"}
    assert settings == {f"action.{name}" for name in ("speed", "kind", "metadata", "api_key")}


def test_a_choice_that_may_be_left_out_has_one_more_value() -> None:
    inference = inferred(action(go=optional({"type": "integer", "minimum": 0, "maximum": 2})))
    assert inference.action_space == Discrete(4)
    assert [inference.encode_action(at) for at in range(4)] == [{"go": 0}, {"go": 1}, {"go": 2}, {}]


def test_where_nothing_must_be_sent_all_of_it_is_the_agents() -> None:
    inference = inferred(action(throttle={"type": "number", "minimum": 0, "maximum": 1, "default": 0.0}))
    assert identical(inference.action_space, Box(0, 1, (1,), np.float64))


def test_a_constant_that_must_be_sent_is_sent() -> None:
    assert inferred(action("kind", "go", kind={"const": "move"}, go={"type": "boolean"})).encode_action(
        1
    ) == {
        "kind": "move",
        "go": True,
    }


VARIANTS = {
    "oneOf": [{"$ref": "#/$defs/Move"}, {"$ref": "#/$defs/Wait"}],
    "discriminator": {"propertyName": "kind", "mapping": {"move": "#/$defs/Move", "wait": "#/$defs/Wait"}},
    "$defs": {
        "Move": {
            "type": "object",
            "properties": {
                "kind": {"const": "move"},
                "to": {"type": "integer", "minimum": 0, "maximum": 3},
                "run": {"type": "boolean"},
            },
            "required": ["to", "run"],
        },
        "Wait": {"type": "object", "properties": {"kind": {"const": "wait"}}},
    },
}


def test_a_union_is_one_of_its_variants() -> None:
    inference = inferred({"action": VARIANTS})
    assert inference.action_space == OneOf([Dict(to=Discrete(4), run=Discrete(2)), Discrete(1)])
    assert inference.encode_action((0, {"to": 2, "run": 1})) == {"kind": "move", "to": 2, "run": True}
    assert inference.encode_action((1, 0)) == {"kind": "wait"}
    again = inferred({"action": VARIANTS}, inference.to_hints())
    assert again.action_space == inference.action_space and again.encode_action((1, 0)) == {"kind": "wait"}


def test_a_finite_union_is_flat_as_numbers() -> None:
    inference = inferred({"action": VARIANTS}, flatten=True, reset={"observation": {"seen": True}})
    assert inference.action_space == Discrete(9)
    written = [tuple(inference.encode_action(at).values()) for at in range(9)]
    assert len(set(written)) == 9 and written[-1] == ("wait",)


def test_a_union_without_choices_is_a_choice_of_variants() -> None:
    kinds = [{"type": "object", "properties": {"kind": {"const": kind}}} for kind in "abc"]
    inference = inferred({"action": {"anyOf": kinds}})
    assert inference.action_space == Discrete(3) and inference.encode_action(2) == {"kind": "c"}


def test_flat_actions_are_vectors_where_they_can_be() -> None:
    whole = {"type": "integer", "minimum": 1, "maximum": 3}
    discrete = inferred(
        action("a", "b", a=whole, b={"type": "boolean"}), flatten=True, reset={"observation": {"seen": True}}
    )
    assert discrete.action_space == MultiDiscrete([3, 2])
    assert discrete.encode_action(np.array([2, 0])) == {"a": 3, "b": False}
    real = {"type": "number", "minimum": 0, "maximum": 2}
    pair = {"items": real, "minItems": 2, "maxItems": 2}
    box = inferred(action("a", "b", a=real, b=pair), flatten=True, reset={"observation": {"seen": True}})
    assert identical(box.action_space, Box(0, 2, (3,), np.float64))
    assert box.encode_action(np.array([0.5, 1, 2])) == {"a": 0.5, "b": [1.0, 2.0]}


@pytest.mark.parametrize(
    "fields",
    [{"a": {"type": "string"}}, {"a": {"type": "boolean"}, "b": REAL}],
)
def test_an_action_that_cannot_be_flat_is_told(fields: dict[str, Any]) -> None:
    schema = action(*fields, **fields)
    inference = inferred(schema, flatten=True, reset={"observation": {"seen": True}})
    assert inference.action_space == inferred(schema).action_space
    assert inference.summary is not None and "flatten leaves the action as it is" in inference.summary


OPEN_ARRAY = action("go", go={"type": "array", "items": {"type": "number"}})
TOLD: dict[str, tuple[dict[str, Any], dict[str, Any], Space[Any]]] = {
    "a spec in the state": (
        OPEN_ARRAY,
        {"state": {"action_spec": {"shape": [2], "minimum": [-1.0, 0.0], "maximum": [1.0, 1.0]}}},
        Box(np.array([-1.0, 0.0]), np.array([1.0, 1.0]), dtype=np.float64),
    ),
    "one bound for all": (
        OPEN_ARRAY,
        {"state": {"action_space": {"shape": [3], "low": -2, "high": 2}}},
        Box(-2, 2, (3,), np.float64),
    ),
    "a spec in the observation": (
        OPEN_ARRAY,
        {"reset": {"observation": {"seen": True, "action_spec_info": {"continuous_size": 2}}}},
        Box(-1, 1, (2,), np.float64),
    ),
    "branches": (
        action("go", go={"type": "array", "items": {"type": "integer"}}),
        {"state": {"action_spec": {"continuous_size": 0, "discrete_branches": [3, 2]}}},
        MultiDiscrete([3, 2]),
    ),
    "a count": (action("go", go={"type": "integer"}), {"state": {"num_actions": 5}}, Discrete(5)),
    "names": (
        action("go", go={"type": "integer"}),
        {"reset": {"observation": {"seen": True, "metadata": {"action_meanings": ["a", "b"]}}}},
        Discrete(2),
    ),
    "a mask": (
        action("go", go={"type": "integer"}),
        {"reset": {"observation": {"seen": True, "action_mask": [True, False, True]}}},
        Discrete(3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_what_a_server_tells_beside_its_schema_is_evidence(name: str) -> None:
    schema, facts, space = TOLD[name]
    assert identical(inferred(schema, **facts).action_space, space)


def test_a_count_is_not_believed_where_it_could_mean_two_fields() -> None:
    schema = action("a", "b", a={"type": "integer"}, b={"type": "integer"})
    assert set(inferred(schema, state={"num_actions": 5}).open) == {"action.a", "action.b"}


TOOLS = [
    {"name": "echo", "input_schema": {
        "properties": {"message": {"type": "string"}}, "required": ["message"]}},
    {"name": "add", "inputSchema": {
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "minimum": 0, "maximum": 4},
                       "round": {"type": "boolean", "default": False}},
        "required": ["a", "b"]}},
    {"name": "ping", "input_schema": {}},
]  # fmt: skip
CALL = action(
    "tool_name",
    type={"const": "call_tool", "default": "call_tool"},
    tool_name={"type": "string"},
    arguments={"type": "object", "additionalProperties": True},
)


def test_tools_are_a_choice_with_typed_arguments() -> None:
    inference = inferred(CALL, tools=TOOLS)
    integers = np.iinfo(np.int64)
    anything = Box(integers.min, integers.max, (1,), np.int64)
    assert inference.action_space == OneOf([OpenText(), Dict(a=anything, b=Discrete(5)), Discrete(1)])
    call = {"type": "call_tool", "tool_name": "add", "arguments": {"a": -7, "b": 4}}
    assert inference.encode_action((1, {"a": np.array([-7]), "b": 4})) == call
    assert inference.encode_action((2, 0)) == {"type": "call_tool", "tool_name": "ping", "arguments": {}}
    assert [row.path for row in inference.fields if row.role == "decision"] == [
        "action.echo", "action.add", "action.ping",
    ]  # fmt: skip
    for _ in range(10):
        assert inference.encode_action(inference.action_space.sample())["tool_name"] in (
            "echo",
            "add",
            "ping",
        )
    assert inferred(CALL, inference.to_hints(), tools=TOOLS).action_space == inference.action_space


VERBS = [
    (["ListToolsAction", "ToolCallAction"], "ToolCallAction"),
    (["list_tools", "call_tool"], "call_tool"),
    (["use_tool", "list_tools"], "use_tool"),
]


@pytest.mark.parametrize(("verbs", "calling"), VERBS)
def test_a_verb_beside_the_tool_says_that_it_is_called(verbs: list[str], calling: str) -> None:
    name = optional({"type": "string"})
    arguments = optional({"type": "object", "additionalProperties": True})
    schema = action("action_type", action_type={"enum": verbs}, tool_name=name, arguments=arguments)
    inference = inferred(schema, reset={"observation": {"seen": True, "tools_list": TOOLS[2:]}})
    assert inference.encode_action(0) == {"action_type": calling, "tool_name": "ping", "arguments": {}}


def test_what_a_server_wants_with_each_call_is_open_until_a_hint_says_it() -> None:
    schema = action("key", "tool_name", tool_name={"type": "string"}, arguments={"type": "object"}, key={})
    inference = inferred(schema, tools=TOOLS[2:])
    said = 'the server wants it with each call; pass hints={"action.key": {"value": ...}} to send it'
    assert inference.open == {"action.key": said}
    inference = inferred(schema, {"action.key": {"value": 7}}, tools=TOOLS[2:])
    assert inference.encode_action(0) == {"tool_name": "ping", "key": 7, "arguments": {}}
    again = inferred(schema, inference.to_hints(), tools=TOOLS[2:])
    assert again.encode_action(0) == inference.encode_action(0)


def test_a_hint_closes_an_argument_of_a_tool() -> None:
    inference = inferred(
        CALL, {"action.add.a": Discrete(3), "action.add.round": "decision"}, tools=TOOLS[1:2]
    )
    assert inference.action_space == OneOf([Dict(a=Discrete(3), b=Discrete(5), round=Discrete(2))])


def test_unlisted_tools_are_open_and_a_list_of_names_closes_them() -> None:
    assert "list them" in inferred(CALL).open["action.tool_name"]
    inference = inferred(CALL, {"action.tool_name": ["a", "b"], "action.arguments": "json"})
    written = inference.encode_action({"tool_name": 1, "arguments": '{"x": 1}'})
    assert written == {"tool_name": "b", "arguments": {"x": 1}}
    with pytest.raises(InvalidAction, match="no JSON"):
        inference.encode_action({"tool_name": 1, "arguments": "{"})


@pytest.mark.parametrize(
    "tools", [[{}], [{"name": 1}], [{"name": "a"}, {"name": "a"}], [{"name": f"t{at}"} for at in range(2000)]]
)
def test_a_malformed_list_of_tools_is_refused(tools: list[dict[str, Any]]) -> None:
    with pytest.raises(ProtocolViolation):
        inferred(CALL, tools=tools)


def test_a_hint_sends_a_setting() -> None:
    schema = action("go", go={"type": "boolean"}, game_name={"type": "string", "default": "pong"})
    inference = inferred(schema, {"action.game_name": {"value": "breakout"}})
    assert inference.encode_action(0) == {"go": False, "game_name": "breakout"}
    assert inferred(schema, inference.to_hints()).encode_action(0) == inference.encode_action(0)


def test_a_setting_that_must_be_sent_wants_a_value() -> None:
    schema = action("go", "key", go={"type": "boolean"}, key={"type": "string"})
    assert "the server wants it" in inferred(schema, {"action.key": "setting"}).open["action.key"]
    inference = inferred(schema, {"action.key": {"role": "setting", "value": "x"}})
    assert inference.encode_action(1) == {"go": True, "key": "x"}


@pytest.mark.parametrize("name", ONE)
def test_one_decision_survives_as_a_hint_file(name: str) -> None:
    schema, space, value, written = ONE[name]
    again = inferred(action("go", go=schema), inferred(action("go", go=schema)).to_hints())
    assert identical(again.action_space, space)
    assert again.encode_action(np.array(value) if isinstance(value, list) else value) == {"go": written}


def test_the_callers_functions_are_all_that_is_needed() -> None:
    inference = inferred(
        action("a", "b", a={"type": "integer"}, b={"type": "integer"}),
        action_space=Discrete(4),
        encode_action=lambda number: {"a": int(number) // 2, "b": int(number) % 2},
        observation_space=Discrete(2),
        decode_observation=lambda fields: int(fields["seen"]),
    )
    assert (
        inference.encode_action(3) == {"a": 1, "b": 1} and inference.decode_observation({"seen": True}) == 1
    )


def test_a_space_that_names_no_field_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="which field"):
        inferred(action("a", "b", a={"type": "integer"}, b={"type": "integer"}), action_space=Discrete(4))
    with pytest.raises(InvalidArgument, match="several kinds"):
        inferred({"action": VARIANTS}, action_space=Discrete(4))


@pytest.mark.parametrize("chosen", [-1, 3, True, 1.5, "1", None, np.array([1, 2])])
def test_an_action_that_does_not_fit_is_refused(chosen: Any) -> None:
    with pytest.raises(InvalidAction):
        inferred(action("go", go={"enum": ["a", "b", "c"]})).encode_action(chosen)


def test_a_list_of_a_length_that_the_server_forbids_is_refused() -> None:
    inference = inferred(action("go", go={"items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2}))
    assert inference.encode_action((1, 0)) == {"go": ["b", "a"]}
    for chosen in ((), (0, 0, 0)):
        with pytest.raises(InvalidAction, match="items, the server wants 1 to 2"):
            inference.encode_action(chosen)


def test_a_list_of_a_fixed_length_has_all_its_items() -> None:
    number = {"type": "number", "minimum": 0, "maximum": 9}
    part: dict[str, Any] = {"type": "object", "properties": {"angle": number}}
    inference = inferred(action("go", go={"items": part, "minItems": 2, "maxItems": 2}))
    drawn = inference.action_space.sample()
    assert [set(each) for each in inference.encode_action(drawn)["go"]] == [{"angle"}, {"angle"}]
    assert "a list of 2" in str(inference)
    many: dict[str, Any] = {}
    for _ in range(9):
        many = {"items": part, "minItems": 30, "maxItems": 30}
        part = {"type": "object", "properties": {"deeper": many}}
    assert len(repr(inferred(action("go", go=many)).action_space)) < 10_000


def test_a_hint_that_is_asked_for_begins_where_the_server_does() -> None:
    steps = inferred(action("steps", steps={"type": "integer", "minimum": 1}))
    assert 'hints={"action.steps": Discrete(n, start=1)}' in steps.open["action.steps"]


def test_a_hint_without_its_side_is_told_which_field_may_be_meant() -> None:
    with pytest.raises(InvalidArgument, match=r"is 'action\.steps' meant\?"):
        inferred(action("steps", steps={"type": "integer"}), hints={"steps": Discrete(3)})


@pytest.mark.parametrize("chosen", [{"a": 1}, 3, None, {"a": 1, "b": 5}])
def test_a_dict_that_does_not_fit_is_refused(chosen: Any) -> None:
    with pytest.raises(InvalidAction):
        inferred(action("a", "b", a={"type": "boolean"}, b={"type": "boolean"})).encode_action(chosen)
