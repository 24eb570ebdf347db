"""Stock servers that say nothing of spaces, under every face, with what is inferred of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, OneOf, Text
from gymnasium.utils.env_checker import check_env

from openenv_gym import OpenEnvGym, OpenEnvPool, OpenEnvVecEnv, OpenEnvVectorEnv
from openenv_gym.cli import main
from openenv_gym.errors import ContractViolation, InvalidArgument, LayoutMismatch, SpaceUnknown
from openenv_gym.spaces import sample_legal
from openenv_gym.wrappers import LegalActions
from tests.cli.refusals import assert_ends_in_one_line

pytestmark = pytest.mark.slow

SESSIONS = 8  # as in scripts/variants.py
FIELDS = [f"{column}{row}" for row in "123" for column in "abc"]
HINTS: dict[str, dict[str, Any]] = {
    "nullable fields": {"action.amount": Box(-1, 1, (1,)), "action.target": "setting"}
}
OTHERS = {
    "tools": ["field 'tool_name' is missing", "gave a step no reward"],
    "lying schema": ["'steps' is missing", "field 'number' is '", "'surprise' is not declared"],
    "nan rewards": ["gave a step no reward"],
    "done at reset": ["answered a reset with done: true"],
}


@contextmanager
def warned(*texts: str) -> Iterator[None]:
    """Warns once of what was assumed, once of each of these, and of nothing else."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    said = [str(each.message) for each in caught]
    assert len(said) == len(texts) + 1, said
    assert "does not tell its spaces" in said[0] and caught[0].filename == __file__
    assert all(text in each for text, each in zip(texts, said[1:], strict=True)), said


@pytest.mark.parametrize(
    "name",
    [
        "plain", "enum actions", "string moves", "flat screen", "growing arrays", "nullable fields", "tools",
        "lying schema", "nan rewards", "done at reset", "self-resetting", "takes it back", "repeating",
        "limited", "seedless",
    ],
)  # fmt: skip
def test_two_hundred_random_legal_steps(variants: dict[str, str], name: str) -> None:
    with (
        warned(*OTHERS.get(name, [])),
        closing(OpenEnvGym(variants[name], hints=HINTS.get(name))) as env,
    ):
        env.action_space.seed(1)
        observation, info = env.reset()
        for _ in range(200):
            assert observation in env.observation_space
            observation, reward, terminated, truncated, info = env.step(sample_legal(env.action_space, info))
            assert np.isfinite(reward)
            if terminated or truncated:
                observation, info = env.reset()


@pytest.mark.filterwarnings("ignore")
def test_what_openenv_init_makes(echo: str) -> None:
    """It echoes texts of any length: its space holds them, and Gymnasium finds nothing wrong."""
    with warned(), closing(OpenEnvGym(echo)) as env:
        env.action_space.seed(1)
        env.reset()
        for _ in range(200):
            action = env.action_space.sample()
            observation, reward, terminated, truncated, _ = env.step(action)
            assert observation in env.observation_space
            assert action in observation.values() and np.isfinite(reward)
            if terminated or truncated:
                env.reset()
    with closing(OpenEnvGym(echo)) as env:
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize("name", ["plain", "enum actions", "flat screen", "nullable fields", "lying schema"])
@pytest.mark.filterwarnings("ignore")
def test_gymnasium_finds_nothing_wrong(variants: dict[str, str], name: str) -> None:
    with closing(OpenEnvGym(variants[name], hints=HINTS.get(name))) as env:
        check_env(env, skip_render_check=True)


def test_the_inference_is_a_table_and_hints_that_settle_it_leave_nothing_to_warn_of(
    variants: dict[str, str], tmp_path: Path
) -> None:
    with warned(), closing(OpenEnvGym(variants["flat screen"])) as env:
        assert env.inference is not None
        assert "shape from              high" in str(env.inference)
        file = tmp_path / "x.hints.json"
        file.write_text(json.dumps(env.inference.to_hints()))
    for hints in (file, str(file), json.loads(file.read_text())):
        with closing(OpenEnvGym(variants["flat screen"], hints=hints)) as env:
            assert env.observation_space == Box(0, 255, (4, 3, 3), np.uint8)
    with closing(gymnasium.make("openenv/remote", base_url=variants["flat screen"], hints=str(file))) as made:
        assert made.reset()[1]["action_mask"].tolist() == made.get_wrapper_attr("action_masks")().tolist()


def test_what_stays_open_is_refused_by_the_hints_that_are_missing(variants: dict[str, str]) -> None:
    url = variants["nullable fields"]
    for _ in range(SESSIONS + 1):  # no session stays behind
        with pytest.raises(SpaceUnknown, match=r'pass hints=\{"action.amount": Box\(low, high\)\}') as caught:
            OpenEnvGym(url)
    assert set(caught.value.fields["open"]) == {"action.amount", "action.target"}
    with pytest.raises(InvalidArgument, match="names no field of this server"):
        OpenEnvGym(url, hints={"action.amuont": Box(-1, 1)})
    with pytest.raises(InvalidArgument, match="leave out dialect='native'"):
        OpenEnvGym(url, hints=HINTS["nullable fields"], dialect="native")


@pytest.mark.filterwarnings("ignore")
def test_the_reset_that_inference_takes_begins_the_first_episode(variants: dict[str, str]) -> None:
    with closing(OpenEnvVectorEnv(variants["plain"], SESSIONS)) as envs:  # there is room for no other
        sent = envs.stats.bytes_sent
        envs.reset()
        resets = envs.stats.bytes_sent - sent
        envs.reset()
        assert envs.stats.bytes_sent - sent - resets == resets * SESSIONS // (SESSIONS - 1)
    with closing(OpenEnvGym(variants["plain"])) as env, closing(OpenEnvGym(variants["plain"])) as other:
        assert env.reset(seed=5)[0] == other.reset(seed=5)[0]
        env.step(0)
        assert env.reset()[1] == {"steps": 0} and env.state()["step_count"] == 0


def test_spaces_that_are_passed_win(variants: dict[str, str]) -> None:
    board, url = Box(0, 9, (3, 3), np.int8), variants["string moves"]
    with closing(OpenEnvGym(url, action_space=Text(2), observation_space=board)) as env:
        assert env.observation_space is board and env.reset()[0].dtype == np.int8
        assert env.step("b2")[0][1].tolist() == [0, 1, 0]
    with warned(), closing(OpenEnvGym(url, observation_space=board)) as env:
        assert env.observation_space is board and isinstance(env.action_space, Text)
    with closing(
        OpenEnvGym(url, hints={"action.move": FIELDS, "board": board, "legal_moves": "legal"})
    ) as env:
        assert env.action_space == Discrete(9) and env.reset()[1]["action_mask"].tolist() == [1] * 9
        assert env.step(4)[4]["legal_moves"] == [name for name in FIELDS if name != "b2"]
        assert env.action_masks().tolist() == [name != "b2" for name in FIELDS]


@pytest.mark.filterwarnings("ignore")
def test_legal_moves_by_name_have_numbers_in_a_wrapper(variants: dict[str, str]) -> None:
    with closing(LegalActions(OpenEnvGym(variants["string moves"]), moves=FIELDS)) as env:
        _, info = env.reset()
        for turn in range(5):
            assert info["action_mask"].sum() == 9 - turn
            *_, info = env.step(int(np.flatnonzero(info["action_mask"])[0]))


# what does not hold later -------------------------------------------------------------------------


def test_a_list_that_grows_where_it_was_said_not_to_names_the_hint(variants: dict[str, str]) -> None:
    hints = {"history": Box(0, 1, (2,), np.float64), "words": "bookkeeping"}
    with warned(), closing(OpenEnvGym(variants["growing arrays"], hints=hints)) as env:
        with pytest.raises(LayoutMismatch, match=r'pass hints=\{"history": \.\.\.\}') as caught:
            env.reset()
        assert caught.value.fields == {"field": "history"}


def test_a_legal_action_that_the_space_lacks_is_said_and_gives_no_mask(variants: dict[str, str]) -> None:
    hints = {"action.action_id": Discrete(2)}
    said = "says what is legal in a way that gives no mask: the server calls 2 legal"
    with warned(said), closing(OpenEnvGym(variants["flat screen"], hints=hints)) as env:
        for _ in range(2):
            assert "action_mask" not in env.reset()[1]
    with warned(), closing(OpenEnvGym(variants["flat screen"], hints=hints, strict=True)) as env:
        with pytest.raises(ContractViolation, match="gives no mask"):
            env.reset()


def test_numbers_in_text_are_an_error_under_strict(variants: dict[str, str]) -> None:
    with warned(), closing(OpenEnvGym(variants["lying schema"], strict=True)) as env:
        env.reset()
        with pytest.raises(ContractViolation, match="breaks the schema"):
            env.step(0)
        assert env.step(0)[3] is False


# the other faces ----------------------------------------------------------------------------------


def test_lanes_share_one_inference(variants: dict[str, str]) -> None:
    url = variants["flat screen"]
    with warned(), closing(OpenEnvVectorEnv([url, url], 3)) as envs:
        assert envs.inference is not None and envs.single_action_space == Discrete(3)
        observations, infos = envs.reset(seed=1)
        assert observations.shape == (3, 4, 3, 3) and infos["action_mask"].tolist() == [[1, 1, 1]] * 3
        for _ in range(12):
            observations = envs.step(envs.action_space.sample())[0]
            assert observations in envs.observation_space
        assert envs.action_masks().shape == (3, 3)
    with pytest.raises(InvalidArgument, match="publishes another schema"):
        OpenEnvVectorEnv([url, variants["enum actions"]], 2)


def test_a_pool_of_flat_observations(variants: dict[str, str]) -> None:
    with warned(), OpenEnvPool(variants["enum actions"], 4, 2, flatten=True) as pool:
        assert pool.inference is not None and "flatten leaves out message" in pool.inference.notes[0]
        assert pool.single_observation_space.shape == (2,)
        pool.async_reset(seed=1)
        for _ in range(20):
            observations, _, _, _, infos = pool.recv()
            assert observations.dtype == np.float32 and "walking" in infos["message"]
            pool.send(np.zeros(2, np.int64), infos["env_id"])


def test_a_vec_env_of_what_a_policy_wants(variants: dict[str, str]) -> None:
    with warned(), closing(OpenEnvVecEnv(variants["flat screen"], 2)) as envs:
        assert envs.inference is not None and envs.reset().shape == (2, 4, 3, 3)
        for _ in range(7):
            observations, _, _, infos = envs.step(np.zeros(2, np.int64))
        assert np.asarray(observations).dtype == np.uint8 and infos[0]["legal_actions"] == [0, 1, 2]
        assert envs.env_method("action_masks")[1].tolist() == [True] * 3


def test_lanes_that_restart_keep_what_was_inferred(variants: dict[str, str]) -> None:
    with warned(), closing(OpenEnvVectorEnv(variants["failing"], 2, on_failure="restart")) as envs:
        envs.reset(seed=1)
        assert envs.step([0, 0])[3].tolist() == [True, True]


# tools --------------------------------------------------------------------------------------------


def test_tools_are_listed_called_and_answer_in_text_and_structure(variants: dict[str, str]) -> None:
    with warned(*OTHERS["tools"]), closing(OpenEnvGym(variants["tools"])) as env:
        assert [(tool["name"], tool["description"]) for tool in env.tools] == [
            ("add", "Add two whole numbers."),
            ("shout", "Say it in capitals."),
        ]
        assert isinstance(env.action_space, OneOf) and isinstance(env.observation_space, Dict)
        assert env.reset()[0] == {"tool_name": "", "result": "", "error": ""}
        observation, _, _, _, info = env.step((0, {"a": np.array([2]), "b": np.array([3])}))
        assert observation == {"tool_name": "add", "result": "5", "error": ""}
        assert info["result"]["structured_content"] == {"result": 5}
        assert env.step((1, "aha"))[0]["result"] == "AHA"
        assert env.state()["step_count"] == 2  # to list them was no step
    with warned(*OTHERS["tools"]), closing(OpenEnvVectorEnv(variants["tools"], 2)) as envs:
        envs.reset()
        observations, _, _, _, infos = envs.step([(0, {"a": np.array([2]), "b": np.array([3])}), (1, "a")])
        assert observations["result"] == ("5", "A")
        assert [json.loads(each)["data"] for each in infos["result"]] == [5, "A"]


# the command line ---------------------------------------------------------------------------------


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["openenv-gym", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return " ".join(capsys.readouterr().out.split())


def test_inspect_writes_a_hint_file_that_is_filled_in_and_played(
    variants: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, file = variants["nullable fields"], tmp_path / "x.hints.json"
    said = run(["inspect", url, "-o", str(file)], monkeypatch, capsys)
    assert "! action.amount: bounds unknown; pass hints=" in said and f"Wrote {file}" in said
    again = ["inspect", url, "-o", str(file)]
    assert_ends_in_one_line(again, f"--hints {file} -o {file}", monkeypatch, capsys)
    assert_ends_in_one_line(["rollout", url], f"openenv-gym inspect {url} -o", monkeypatch, capsys)
    filled = json.loads(file.read_text())
    filled["hints"] |= {
        "action.amount": {"schema": {"type": "number", "minimum": -1, "maximum": 1}},
        "action.target": "setting",
    }
    file.write_text(json.dumps(filled))
    said = run(["inspect", url, "--hints", str(file), "-o", str(file)], monkeypatch, capsys)
    assert "action_space: Box(-1, 1, (1,)" in said and "reads it" in said
    facts = json.loads(run(["rollout", url, "--hints", str(file), "--json", "-n", "2"], monkeypatch, capsys))
    assert len(facts["episodes"]) == 2


def test_inspect_says_what_cannot_be(
    variants: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, why in [
        (["http://127.0.0.1:9"], "openenv-gym serve ID starts one"),
        ([variants["plain"], "--hints", "nowhere.json"], "the hint file 'nowhere.json' cannot be read"),
        ([variants["plain"], "-o", "/nowhere/x.json"], "name another file"),
    ]:
        assert_ends_in_one_line(["inspect", *arguments], why, monkeypatch, capsys)
    assert "tools: add, shout" in run(["inspect", variants["tools"]], monkeypatch, capsys)
