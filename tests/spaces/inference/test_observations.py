"""What the fields of an observation become, and how they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Sequence, flatten, flatten_space
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidArgument, LayoutMismatch
from openenv_gym.spaces import OpenText, identical, to_plain, to_schema
from openenv_gym.spaces.inference import Evidence, Inference, infer
from openenv_gym.spaces.inference.flattening import flat_observation
from openenv_gym.spaces.inference.hints import hints_of
from openenv_gym.spaces.inference.readers import reader_for
from tests.spaces.strategies import all_spaces, example

ACTION = {"type": "object", "properties": {"go": {"type": "boolean"}}, "required": ["go"]}
INTEGERS = np.iinfo(np.int64)
INT = Box(INTEGERS.min, INTEGERS.max, (1,), np.int64)
FLOAT = Box(-np.inf, np.inf, (1,), np.float64)


def inferred(*seen: dict[str, Any], hints: Any = None, schema: Any = None, **options: Any) -> Inference:
    published = {"action": ACTION, "observation": {"type": "object", "properties": schema or {}}}
    reset, steps = (
        ({"observation": seen[0]}, [{"observation": each} for each in seen[1:]]) if seen else (None, [])
    )
    evidence = Evidence(schema=published, reset=reset, steps=steps, state=options.pop("state", None))
    return infer(evidence, hints, **options)


SEEN: dict[str, tuple[Any, Space[Any]]] = {
    "whole numbers": (3, INT),
    "number": (0.5, FLOAT),
    "flag": (True, Discrete(2)),
    "text": ("♜ naïve \ud800", OpenText()),
    "vector": ([0.5, 1, 2.25], Box(-np.inf, np.inf, (3,), np.float64)),
    "board": ([[0, 1], [2, 3], [4, 5]], Box(INTEGERS.min, INTEGERS.max, (3, 2), np.int64)),
    "flags": ([True, False], Box(0, 1, (2,), np.int8)),
    "image": ([[[0, 1, 255]]], Box(0, 255, (1, 1, 3), np.uint8)),
    "texts": (["a", "b"], Sequence(OpenText())),
    "nothing yet": ([], OpenText()),
    "ragged": (
        [[1], [1, 2]],
        Sequence(Sequence(Box(INTEGERS.min, INTEGERS.max, (1,), np.int64), stack=True)),
    ),
    "mixed": ([1, "a", None], OpenText()),
    "anything": ({"a": [1, {"b": None}]}, OpenText()),
    "null": (None, OpenText()),
}


@pytest.mark.parametrize("name", SEEN)
def test_without_a_schema_what_was_seen_counts(name: str) -> None:
    value, space = SEEN[name]
    inference = inferred({name: value})
    assert identical(inference.observation_space, space)
    assert inference.observation_space.contains(inference.decode_observation({name: value}))
    assert inference.observation_space.contains(inference.decode_observation({}))


@pytest.mark.parametrize("name", SEEN)
def test_what_was_seen_survives_as_a_hint_file(name: str) -> None:
    value, space = SEEN[name]
    again = inferred({name: value}, hints=inferred({name: value}).to_hints())
    assert identical(again.observation_space, space)
    assert str(again.decode_observation({name: value})) == str(
        inferred({name: value}).decode_observation({name: value})
    )


@pytest.mark.parametrize(
    ("beside", "state", "shape"),
    [
        ({"cells_shape": [2, 3]}, None, (2, 3)),
        ({"width": 3, "height": 2}, None, (2, 3)),
        ({"cells_width": 3, "cells_height": 2}, None, (2, 3)),
        ({}, {"rows": 3, "cols": 2}, (3, 2)),
        ({"width": 2, "height": 1}, None, (1, 2, 3)),
        ({"width": 5, "height": 2}, None, (6,)),
    ],
)
def test_flat_arrays_take_the_shape_that_stands_beside_them(
    beside: dict[str, Any], state: Any, shape: tuple[int, ...]
) -> None:
    inference = inferred(
        {"cells": [0, 1, 2, 3, 4, 5], **beside}, state=state, hints=dict.fromkeys(beside, "bookkeeping")
    )
    assert inference.observation_space.shape == shape
    value = inference.decode_observation({"cells": [5, 4, 3, 2, 1, 0]})
    assert value.shape == shape and value.ravel().tolist() == [5, 4, 3, 2, 1, 0]


def test_what_tells_a_shape_is_no_observation() -> None:
    inference = inferred({"grid": [0] * 6, "width": 3, "height": 2, "fuel": 3})
    assert list(inference.observation_space.spaces) == ["grid", "fuel"]  # type: ignore[attr-defined]


def test_what_text_stands_for_is_told_beside_it_however_deep_it_lies() -> None:
    free = {"type": "object", "additionalProperties": True}
    text = {"type": "string"}
    inside = {"type": "object", "properties": {"name": text, "notes": free}}
    schema = {
        "flat": free, "nested": inside, "list": {"items": inside, "type": "array"}, "any": {"type": "array"},
        "said": text, "deep": {"type": "object", "properties": {"said": text}}, "texts": {"items": text},
    }  # fmt: skip
    seen: dict[str, Any] = {name: {} for name in schema} | {"list": [], "any": [], "said": "", "texts": []}
    inference = inferred(seen, schema=schema)
    assert inference.beside == ("flat", "nested", "list", "any")
    hints = {"flat": "text", "any": "bookkeeping", "nested": inference.observation_space["nested"]}  # type: ignore[index]
    again = inferred(seen, schema=schema, hints=hints)
    assert again.beside == ("nested", "list", "any")


def test_an_array_that_grew_is_a_sequence() -> None:
    inference = inferred({"log": [1, 2]}, {"log": [1, 2, 3]})
    assert isinstance(inference.observation_space, Sequence)
    assert inference.decode_observation({"log": [4, 5, 6, 7]}).tolist() == [[4], [5], [6], [7]]


def test_an_array_that_grows_later_is_told_and_a_hint_mends_it() -> None:
    with pytest.raises(LayoutMismatch, match=r'hints=\{"heard".*"sequence"'):
        inferred({"heard": [1, 2]}).decode_observation({"heard": [1, 2, 3]})
    inference = inferred({"heard": [1, 2]}, hints={"heard": "sequence"})
    assert inference.decode_observation({"heard": [1, 2, 3]}).tolist() == [[1], [2], [3]]


def test_a_number_that_may_be_null_says_whether_it_was_there() -> None:
    score = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 9}, {"type": "null"}], "default": None}
    inference = inferred({"score": None}, schema={"score": score})
    assert identical(
        inference.observation_space, Box(np.array([0.0, 0]), np.array([9.0, 1]), dtype=np.float64)
    )
    assert inference.decode_observation({"score": None}).tolist() == [0, 0]
    assert inference.decode_observation({"score": 7}).tolist() == [7, 1]


def test_null_is_the_least_value_of_a_space_that_was_passed() -> None:
    inference = inferred({"last": None}, hints={"last": Box(-1, 8, (1,), np.int64)})
    assert inference.decode_observation({"last": None}).tolist() == [-1]
    assert inference.decode_observation({"last": 3}).tolist() == [3]


def test_null_among_numbers_is_what_json_could_not_say() -> None:
    value = inferred({"at": [0.5, 1.0]}).decode_observation({"at": [None, 1.0]})
    assert np.isnan(value[0]) and value[1] == 1


def test_named_values_are_numbers_and_a_list_names_them() -> None:
    schema = {"phase": {"enum": ["day", "night"]}}
    inference = inferred({"phase": "day", "wind": "N"}, schema=schema, hints={"wind": ["N", "S"]})
    assert inference.observation_space == Dict(phase=Discrete(2), wind=Discrete(2))
    assert inference.decode_observation({"phase": "night", "wind": "S"}) == {"phase": 1, "wind": 1}
    with pytest.raises(LayoutMismatch, match="none of the 2 values"):
        inference.decode_observation({"phase": "noon", "wind": "S"})


def test_objects_are_dicts_where_their_fields_are_known() -> None:
    schema = {
        "body": {"type": "object", "properties": {"x": {"type": "number"}, "tag": {"type": "string"}}},
        "sensors": {"type": "object", "additionalProperties": {"items": {"type": "number"}, "type": "array"}},
        "notes": {"items": {"type": "object", "properties": {"by": {"type": "string"}}}, "type": "array"},
    }
    seen = {"body": {"x": 1.0, "tag": "a"}, "sensors": {"b": [1.0], "a": [1.0, 2.0]}, "notes": []}
    inference = inferred(seen, schema=schema)
    vector = [Box(-np.inf, np.inf, (count,), np.float64) for count in (1, 2)]
    expected = [
        ("body", Dict([("x", FLOAT), ("tag", OpenText())], sort_keys=False)),
        ("sensors", Dict([("b", vector[0]), ("a", vector[1])], sort_keys=False)),
        ("notes", Sequence(Dict([("by", OpenText())], sort_keys=False))),
    ]
    assert identical(inference.observation_space, Dict(expected, sort_keys=False))
    assert inference.decode_observation({**seen, "notes": [{"by": "me"}]})["notes"] == ({"by": "me"},)


def test_free_form_data_are_json_as_text() -> None:
    inference = inferred({"result": None}, schema={"result": {}})
    assert inference.decode_observation({"result": {"a": [1, None]}}) == '{"a": [1, null]}'
    assert inference.decode_observation({"result": "plain"}) == "plain"


def test_where_nothing_else_is_to_be_seen_the_metadata_are() -> None:
    inference = inferred({"metadata": {"status": "ready"}})
    assert inference.decode_observation({"metadata": {"status": "ready"}}) == '{"status": "ready"}'


def test_nothing_at_all_is_open() -> None:
    assert "observation" in inferred().open and "observation" in inferred({}).open
    assert "action" in infer(Evidence()).open


def test_flat_observations_leave_out_texts_and_say_so() -> None:
    seen = {"at": [0.5, 1.0], "key": True, "message": "hi", "log": []}
    inference = inferred(seen, schema={"log": {"items": {"type": "number"}, "type": "array"}}, flatten=True)
    assert inference.observation_space.shape == (4,) and inference.observation_space.dtype == np.float32
    assert inference.decode_observation(seen).tolist() == [0.5, 1.0, 0.0, 1.0]
    assert inference.notes == ("flatten leaves out log, message: texts, and lists whose length changes",)
    assert "no numbers" in inferred({"message": "hi"}, flatten=True).open["observation"]


@pytest.mark.parametrize("form", ["flags", "indices", "names", "metadata"])
def test_legal_moves_come_in_many_forms(form: str) -> None:
    said: dict[str, dict[str, Any]] = {
        "flags": {"action_mask": [0, 1, 1]},
        "indices": {"action_mask": [1, 2]},
        "names": {"legal_moves": ["b", "c"]},
        "metadata": {"metadata": {"available_actions": [1, 2]}},
    }
    choices: Any = ["a", "b", "c"] if form == "names" else Discrete(3)
    inference = inferred({"at": 1, **said[form]}, hints={"action.go": choices})
    mask = inference.legal(said[form])
    assert mask is not None and mask.tolist() == [0, 1, 1] and inference.legal({}) is None


def test_numbers_of_actions_that_have_names_are_their_places() -> None:
    inference = inferred({"legal_actions": [0, 2]}, hints={"action.go": ["a", "b", "c"]})
    mask = inference.legal({"legal_actions": [0, 2]})
    assert mask is not None and mask.tolist() == [1, 0, 1]


def test_pairs_are_no_numbers_of_actions() -> None:
    for told, why in (
        ([[0, 1]], "a list for each move; wrappers.LegalActions takes them"),
        ([{"x": 0}], "neither numbers nor names; not used"),
    ):
        inference = inferred({"at": 1, "legal_actions": told}, hints={"legal_actions": "indices"})
        said = [each.evidence for each in inference.fields if each.path == "observation.legal_actions"]
        assert said == [why] and not inference.masks


def test_flags_and_indices_that_cannot_be_told_apart_are_not_used() -> None:
    seen = {"at": 1, "action_mask": [0, 1]}
    assert inferred(seen).legal(seen) is None
    masks = [inferred(seen, hints={"action_mask": word}).legal(seen) for word in ("mask", "indices")]
    assert [None if mask is None else mask.tolist() for mask in masks] == [[0, 1], [1, 1]]


@pytest.mark.parametrize("said", [[7], [-1], ["x"], [None], [[0]]])
def test_a_legal_move_that_the_space_does_not_have_is_told(said: list[Any]) -> None:
    inference = inferred({"at": 1, "legal_actions": [0, 1]})
    with pytest.raises(LayoutMismatch, match="legal"):
        inference.legal({"legal_actions": said})


def test_the_field_legal_players_is_about_no_actions() -> None:
    inference = inferred({"legal_players": [0, 1]})
    assert [row.role for row in inference.fields if row.path == "observation.legal_players"] == ["numbers"]


def test_a_server_that_breaks_its_schema_is_told_by_field() -> None:
    schema = {"x": {"type": "integer"}, "y": {"type": "string"}, "z": {"enum": ["a"]}}
    published = {
        "type": "object",
        "properties": schema,
        "required": ["x", "y"],
        "additionalProperties": False,
    }
    evidence = Evidence(
        schema={"action": ACTION, "observation": published},
        reset={"observation": {"x": "1", "z": "b", "more": 1, "metadata": {}}},
    )
    assert infer(Evidence(schema=evidence.schema)).breaches == ()
    inference = infer(evidence)
    assert inference.breaches == (
        "y is missing",
        "x is '1', not of type integer",
        "z is 'b', none of ['a']",
        "more is not declared",
    )
    assert "! the server breaks its own schema: y is missing" in inference.table()


@pytest.mark.parametrize(
    ("declared", "value", "space"),
    [
        ({"type": "integer"}, "three", OpenText()),
        ({"type": "string"}, 3, INT),
        (
            {"type": "object", "properties": {"x": {"type": "integer"}}},
            [0.5],
            Box(-np.inf, np.inf, (1,), np.float64),
        ),
        ({"items": {"type": "integer"}, "type": "array"}, [1, 0.5], Box(-np.inf, np.inf, (2,), np.float64)),
        ({"items": {"type": "integer"}, "type": "array"}, ["a", 1], OpenText()),
        ({"enum": ["a", "b"]}, "c", OpenText()),
    ],
)
def test_what_is_seen_counts_for_more_than_a_schema_that_is_not_true(
    declared: Any, value: Any, space: Space[Any]
) -> None:
    inference = inferred({"x": value}, schema={"x": declared})
    assert identical(inference.observation_space, space)
    assert inference.observation_space.contains(inference.decode_observation({"x": value}))


def test_a_history_is_a_sequence_by_its_name() -> None:
    inference = inferred({"move_history": [3], "at": [3]})
    assert isinstance(inference.observation_space["move_history"], Sequence)  # type: ignore[index]
    assert inference.observation_space.contains(
        inference.decode_observation({"move_history": [3, 4], "at": [1]})
    )


def test_what_the_server_says_exactly_comes_before_its_schema() -> None:
    exact = {"action_spaces": [to_schema(Discrete(3))], "observation_spaces": [to_schema(Box(-1, 1, (2,)))]}
    loose = {"properties": {"action": {"type": "integer"}}, "required": ["action"]}
    seen = {"properties": {"observation": {"items": {"type": "number"}, "type": "array"}}}
    inference = infer(Evidence(schema={"gymnasium": exact, "action": loose, "observation": seen}))
    assert inference.action_space == Discrete(3) and inference.encode_action(2) == {"action": 2}
    assert identical(inference.observation_space, Box(-1, 1, (2,)))


@pytest.mark.parametrize(
    "hints",
    [
        7, {"board": 7}, {"board": "bored"}, {"board": []}, {"board": [[1]]}, {"board": ["a", "a"]},
        {"": "text"}, {"board": {"rule": 1}}, {"board": {"schema": 3}},
        {"board": {"schema": {"gymnasium": 1}}},
        {"board": {"schema": {"$ref": "http:"}}}, {"bored": "text"}, {"action.gone": Discrete(2)},
        {"format": "other"},
    ],
)  # fmt: skip
def test_a_hint_that_is_none_is_refused(hints: Any) -> None:
    with pytest.raises(InvalidArgument, match="hint"):
        inferred({"board": [0]}, hints=hints)


@settings(max_examples=60, deadline=None)
@given(all_spaces, st.integers(0, 2**32))
def test_readers_read_what_is_written(space: Space[Any], seed: int) -> None:
    plain = to_plain(space, example(space, np.random.default_rng(seed)))
    try:
        value = reader_for(space)(plain)
    except LayoutMismatch as error:  # the example was not in its space
        assert "not within" in str(error)
    else:
        assert repr(to_plain(space, value)) == repr(plain)


LEAVES = st.one_of(
    st.builds(lambda n, start: Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3)),
    st.builds(
        lambda shape: Box(-2, 2, shape, np.float64), st.lists(st.integers(1, 3), max_size=3).map(tuple)
    ),
    st.builds(lambda n: Box(0, 255, (n,), np.uint8), st.integers(1, 4)),
    st.builds(MultiBinary, st.integers(1, 4)),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), LEAVES, min_size=1), st.integers(0, 2**32 - 1))
def test_a_flat_observation_is_gymnasiums(parts: dict[str, Space[Any]], seed: int) -> None:
    space = Dict(parts)
    space.seed(seed)
    value = space.sample()
    found = flat_observation(space)
    assert found is not None and found[0].shape == flatten_space(space).shape
    assert np.array_equal(found[1](value), np.asarray(flatten(space, value), np.float32))
    assert found[0].contains(found[1](value))


@settings(max_examples=60, deadline=None)
@given(all_spaces)
def test_a_space_survives_as_a_hint(space: Space[Any]) -> None:
    hint = hints_of({"x": {"schema": to_schema(space)}})["observation.x"]
    assert hint.space is not None and identical(hint.space, space)
