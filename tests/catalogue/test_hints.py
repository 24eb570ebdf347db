"""The hints that ship are about the servers that they were checked against, and about no others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from openenv_gym.catalogue import read_hints, shipped_hints
from openenv_gym.errors import InvalidArgument
from openenv_gym.spaces import identical
from openenv_gym.spaces.inference import Confidence, Evidence, Inference, infer
from openenv_gym.spaces.inference.hints import hint_of
from tests.recorded import CAPTURES, recorded
from tests.spaces.inference.reviewed import SPACES

HINTED = ("atari_ram", "dm_control", "finrl", "openspiel_catch", "openspiel_ttt")


def inferred(evidence: Evidence, **options: Any) -> Inference:
    return infer(evidence, shipped=shipped_hints(), **options)


@pytest.mark.parametrize("name", CAPTURES)
def test_recorded_servers_that_hints_are_about_need_no_others(name: str) -> None:
    inference = inferred(recorded(name).evidence)
    used = [note for note in inference.notes if note.startswith("hints that ship were used")]
    assert bool(used) == (name in HINTED)
    if name in HINTED:
        action_space, observation_space = SPACES[name]
        assert identical(inference.action_space, action_space)
        assert identical(inference.observation_space, observation_space)
        for fields in recorded(name).observations:
            assert inference.observation_space.contains(inference.decode_observation(fields))
            mask = inference.legal(fields)
            assert mask is None or mask.sum() == len(fields["legal_actions"])


@pytest.mark.parametrize(
    ("game", "parameters", "count"),
    [
        ("kuhn_poker", {}, 2), ("leduc_poker", {"players": 3}, 3), ("2048", {}, 4), ("cliff_walking", {}, 4),
        ("blackjack", {}, 2), ("connect_four", {}, 7), ("connect_four", {"columns": 5}, 5), ("hex", {}, 121),
        ("hex", {"board_size": 5}, 25), ("hex", {"num_rows": 3, "num_cols": 4}, 12), ("othello", {}, 65),
        ("go", {"board_size": 9}, 82), ("breakthrough", {"rows": 6, "columns": 5}, 360), 
        ("checkers", {"rows": 6, "columns": 6}, 288),
        ("liars_dice", {"numdice": 2}, 25), ("oware", {"num_houses_per_player": 4}, 4), ("chess", {}, 4674),
        ("y", {"board_size": 9}, 81),
    ],
)  # fmt: skip
def test_the_actions_of_an_openspiel_game_go_by_its_parameters(
    game: str, parameters: dict[str, int], count: int
) -> None:
    evidence = recorded("openspiel_catch").evidence
    state = {**(evidence.state or {}), "game_name": game, "game_params": parameters}
    assert inferred(replace(evidence, state=state)).action_space == Discrete(count)


def test_a_game_that_no_hint_knows_stays_open() -> None:
    evidence = recorded("openspiel_catch").evidence
    inference = inferred(replace(evidence, state={"game_name": "tarok"}))
    assert "action.action_id" in inference.open and "state.game_name is 'tarok'" in str(inference.notes)


def test_another_schema_is_not_taken_for_the_one_that_was_checked() -> None:
    evidence = recorded("openspiel_ttt").evidence
    schema = json.loads(json.dumps(evidence.schema))
    schema["action"]["properties"]["action_id"]["maximum"] = 100
    inference = inferred(replace(evidence, schema=schema))
    assert "another schema, so they are not used" in inference.table().replace("\n  ", " ")
    assert "action.action_id" in inference.open
    assert inferred(replace(evidence, name="Other")).notes == ()


def test_the_callers_hints_come_before_those_that_ship() -> None:
    inference = inferred(
        recorded("openspiel_ttt").evidence, hints={"action.action_id": Discrete(10), "game_phase": "text"}
    )
    assert inference.action_space == Discrete(10)
    assert list(inference.observation_space.spaces) == ["info_state", "game_phase"]  # type: ignore[attr-defined]


def test_a_server_that_says_its_actions_needs_no_case() -> None:
    evidence = recorded("dm_control").evidence
    walker = replace(evidence, state={"domain_name": "walker", "task_name": "walk"})
    assert identical(inferred(walker).action_space, Box(-1, 1, (6,), np.float64))
    spec = {"shape": [2], "minimum": [-3, -3], "maximum": [3, 3]}
    said = replace(evidence, state={"domain_name": "walker", "action_spec": spec})
    assert identical(inferred(said).action_space, Box(-3, 3, (2,), np.float64))


@pytest.mark.parametrize("entry", shipped_hints(), ids=lambda entry: entry["name"])
def test_each_entry_says_what_it_was_checked_against_and_can_be_read(entry: dict[str, Any]) -> None:
    assert entry["checked"]["openenv"] and entry["fingerprints"]
    assert entry.keys() <= {"name", "checked", "fingerprints", "hints", "cases", "unless", "note"}
    for hints in [entry.get("hints", {}), *(case["hints"] for case in entry.get("cases", ()))]:
        for path, given in hints.items():
            assert "count" in given or hint_of(path, given, "a test", Confidence.HIGH)


def test_every_move_of_chess_has_a_name() -> None:
    (entry,) = [entry for entry in shipped_hints() if entry["name"] == "ChessEnvironment"]
    moves = entry["hints"]["action.move"]["schema"]["enum"]
    assert len(moves) == len(set(moves)) == 1968 and {"e2e4", "g1f3", "e1g1", "a7b8q", "h2h1n"} <= set(moves)


def test_a_hint_file_is_read(tmp_path: Path) -> None:
    evidence = recorded("connect4").evidence
    path = tmp_path / "connect4.hints.json"
    path.write_text(json.dumps(infer(evidence, {"action.column": Discrete(7)}).to_hints()))
    assert infer(evidence, read_hints(path)).action_space == Discrete(7)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "3"])
def test_a_file_that_holds_no_hints_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match="hint file"):
        read_hints(path)
    with pytest.raises(InvalidArgument, match="hint file"):
        read_hints(tmp_path / "none.json")
