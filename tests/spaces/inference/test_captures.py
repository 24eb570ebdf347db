"""Recorded stock servers: the derived spaces are those of a reviewed table, and hold what was recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from openenv_gym.errors import SpaceUnknown
from openenv_gym.spaces import identical
from openenv_gym.spaces.inference import Conclusion, Confidence, infer
from openenv_gym.spaces.inference.conclusions import described
from tests.recorded import CAPTURES, action_for, recorded
from tests.spaces.inference.reviewed import HINTS, OPEN, TABLES


def said(row: Conclusion) -> str:
    if row.confidence is Confidence.OPEN:
        return f"{row.role}: ?"
    return str(row.role) if row.space is None else f"{row.role}: {described(row.space)}"


@pytest.mark.parametrize("name", CAPTURES)
def test_each_field_is_what_the_reviewed_table_says(name: str) -> None:
    rows = {row.path.removeprefix("observation."): said(row) for row in infer(recorded(name).evidence).fields}
    assert rows == TABLES[name]


@pytest.mark.parametrize("name", CAPTURES)
def test_what_is_open_names_the_hint_that_closes_it(name: str) -> None:
    inference = infer(recorded(name).evidence)
    assert inference.open == OPEN.get(name, {})
    if inference.open:
        with pytest.raises(SpaceUnknown, match="pass hints=") as caught:
            _ = inference.action_space
        assert caught.value.fields == {"open": OPEN[name]}


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("name", CAPTURES)
def test_every_recorded_observation_is_inside(name: str, flatten: bool) -> None:
    inference = infer(recorded(name).evidence, HINTS.get(name), flatten=flatten)
    for fields in recorded(name).observations:
        value = inference.decode_observation(fields)
        assert inference.observation_space.contains(value)
    assert isinstance(inference.observation_space, Box) or not flatten


@pytest.mark.parametrize("name", CAPTURES)
def test_actions_encode_to_the_recorded_requests(name: str) -> None:
    inference = infer(recorded(name).evidence, HINTS.get(name))
    labels = next(row.labels for row in inference.fields if row.role == "decision")
    for fields in recorded(name).actions:
        action = action_for(inference.action_space, fields, labels)
        assert inference.action_space.contains(action)
        encoded = inference.encode_action(action)
        assert encoded == fields and json.loads(json.dumps(encoded)) == fields
    assert isinstance(inference.encode_action(inference.action_space.sample()), dict)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_hint_file_gives_the_same_spaces_again(name: str) -> None:
    evidence = recorded(name).evidence
    inference = infer(evidence, HINTS.get(name))
    file = json.loads(json.dumps(inference.to_hints(), allow_nan=False))
    again = infer(evidence, file)
    assert identical(again.action_space, inference.action_space)
    assert identical(again.observation_space, inference.observation_space)
    for fields in recorded(name).observations:
        assert str(again.decode_observation(fields)) == str(inference.decode_observation(fields))
        assert str(again.legal(fields)) == str(inference.legal(fields))
    for _ in range(5):
        action = inference.action_space.sample()
        assert again.encode_action(action) == inference.encode_action(action)
    assert not again.assumptions and again.notes == inference.notes


def test_a_hint_file_lists_what_is_open_and_can_be_filled_in() -> None:
    evidence = recorded("connect4").evidence
    file = infer(evidence).to_hints()
    assert file["open"] == OPEN["connect4"] and "action.column" not in file["hints"]
    file["hints"]["action.column"] = {"schema": {"type": "integer", "minimum": 0, "maximum": 6}}
    assert infer(evidence, file).action_space == Discrete(7)


def test_a_hint_file_about_another_schema_is_used_and_said_to_be() -> None:
    file = infer(recorded("coding").evidence).to_hints() | {"fingerprint": "0" * 16}
    assert "another schema" in infer(recorded("coding").evidence, file).notes[0]


def test_the_legal_moves_of_each_step_are_masks() -> None:
    inference = infer(recorded("openspiel_ttt").evidence, HINTS["openspiel_ttt"])
    masks = [inference.legal(fields) for fields in recorded("openspiel_ttt").observations]
    assert inference.masks and all(mask is not None and mask.dtype == np.int8 for mask in masks)
    assert [np.flatnonzero(mask).tolist() for mask in masks if mask is not None] == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 6, 7, 8], [1, 3, 4, 7, 8], [1, 3, 7], [],
    ]  # fmt: skip
    assert inference.legal_moves(recorded("openspiel_ttt").observations[3]) == [1, 3, 7]


def test_a_hint_reads_a_field_of_the_metadata() -> None:
    inference = infer(recorded("maze").evidence, HINTS["maze"])
    value = inference.decode_observation(recorded("maze").observations[0])
    assert list(value) == ["current_position", "previous_position", "maze"]
    assert value["maze"].dtype == np.uint8 and value["maze"][0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


def test_the_spaces_can_be_passed_whole() -> None:
    board = Box(-1, 1, (6, 7), np.int8)
    inference = infer(recorded("connect4").evidence, action_space=Discrete(7), observation_space=board)
    assert inference.observation_space is board and inference.encode_action(3) == {"column": 3}
    assert [row.role for row in inference.fields if row.space is board] == ["board"]
    mask = inference.legal(recorded("connect4").observations[0])
    assert mask is not None and mask.tolist() == [1] * 7
