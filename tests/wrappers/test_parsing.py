"""Actions out of what models answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple

from openenv_gym.errors import InvalidAction, InvalidArgument
from openenv_gym.spaces import same_value
from openenv_gym.wrappers import LegalActions, ParseTextAction
from openenv_gym.wrappers.plain import example, from_json
from tests.wrappers.games import LETTERS, ConnectFour
from tests.wrappers.showing import Showing

MOVES = ["left", "down", "right", "up"]


def parser(space: Space[Any], **arguments: Any) -> ParseTextAction:
    return ParseTextAction(Showing(Discrete(1), 0, space), **arguments)


@pytest.mark.parametrize(
    "answer",
    [
        "2",
        " right ",
        "Right.",
        "`right`",
        "**right**",
        "I want to go there.\n\nright",
        "Action: left is bad.\nAction: right",
        "**Action:** right",
        "- Final answer: 2",
        "Move = right",
        "<action>left</action> no, <action> right </action>",
        "So the answer is \\boxed{right}.",
        "So the answer is $\\boxed{\\text{Right}}$.",
        "<action>right",
        "Action:\nright",
        "Action:\n```\nright\n```",
        "So:\n```\nright\n```",
        "```text\nleft\n```\nor rather\n```json\n2\n```\n",
        "<think>Action: left or <action>up</action>?</think>right",
    ],
)
def test_an_action_is_found_where_models_put_it(answer: str) -> None:
    assert same_value(parser(Discrete(4), names=MOVES).parse(answer), np.int64(2))


@pytest.mark.parametrize(
    ("space", "answer", "action"),
    [
        (Box(-1, 1, (2,), np.float32), "Action: [0.5, -1]", np.array([0.5, -1], np.float32)),
        (Box(-1, 1, (2, 1), np.float64), "[[0.5], [1.0]]", np.array([[0.5], [1.0]])),
        (MultiDiscrete([2, 5]), "1, 4", np.array([1, 4])),
        (MultiBinary(3), "<action>011</action>", np.array([0, 1, 1], np.int8)),
        (Text(9), "My move: e4\n\nAction: e2e4", "e2e4"),
        (Text(9), 'Action: "e2e4".', "e2e4"),
        (Tuple([Discrete(2), Discrete(3, start=1)]), "[1, 3]", (np.int64(1), np.int64(3))),
        (
            Dict(go=Discrete(4), say=Text(9, charset="hi !")),
            'Thus:\n```json\n{"say": "hi !", "go": 3}\n```',
            {"go": np.int64(3), "say": "hi !"},
        ),
        (Dict(go=Discrete(4)), 'Action: {\n  "go": 3\n}', {"go": np.int64(3)}),
        (Sequence(Discrete(5)), "[1, 2]", (np.int64(1), np.int64(2))),
        (Sequence(Discrete(5), stack=True), "[1, 2]", np.array([1, 2])),
        (OneOf([Discrete(5), Text(3)]), '[1, "abc"]', (np.int64(1), "abc")),
        (Dict(at=Box(0, 9, (2,), np.int8)), '{"at": [1, 2]}', {"at": np.array([1, 2], np.int8)}),
    ],
)
def test_each_space_is_read_in_its_form(space: Space[Any], answer: str, action: Any) -> None:
    env = parser(space)
    env.reset()
    env.step(answer)
    (taken,) = env.unwrapped.taken  # type: ignore[attr-defined]
    assert same_value(taken, action) and taken in space


@pytest.mark.parametrize(
    ("space", "answer", "why"),
    [
        (
            Discrete(3),
            "I go left",
            "'I go left' is no action; answer with a number from 0 to 2; put",
        ),
        (Discrete(3), "Action: 7", "7 is none of them; answer with a number from 0 to 2"),
        (Discrete(3), "<action>5</action>\n2", "5 is none of them"),
        (Discrete(3), "", "'' is no action"),
        (Discrete(3), "9" * 5000, "is no action"),
        (Box(-1, 1, (2,)), "0.5", "1 of 2 numbers came; answer with 2 numbers, -1 to 1"),
        (Box(-np.inf, np.inf, (1,)), "1e300", "a number is outside its range"),
        (MultiDiscrete([2, 5]), "1 99999999999999999999", "a number is outside its range"),
        (
            Dict(go=Discrete(2)),
            '{"go": 2}',
            "go: 2 is no whole number from 0 to 1; answer with JSON, such",
        ),
        (Dict(go=Discrete(2)), '{"go": true}', "go: True is no whole number"),
        (Dict(go=Discrete(2)), '{"stay": 1}', 'is no object of exactly "go"'),
        (Dict(at=Box(0, 9, (2,))), '{"at": [1, 10]}', "at: a number is outside its range"),
        (Dict(at=Box(0, 9, (2,))), '{"at": [[1], 2]}', "at: [[1], 2] is not 2 numbers"),
        (Dict(at=Box(0, 9, (2,))), '{"at": null}', "at: null is not 2 numbers"),
        (Dict(at=Box(0, 9, (), np.int8)), '{"at": 1.5}', "at: a number is outside its range"),
        (Tuple([Discrete(2)]), "[1, 2]", "[1, 2] is no list of 1"),
        (Tuple([Text(3)]), "[5]", "0: 5 is none of its texts"),
        (Tuple([Discrete(2)]), "[" * 100_000, "that is no JSON"),
        (OneOf([Discrete(5)]), "[1, 1]", "0: 1 is no whole number from 0 to 0"),
        (Sequence(Discrete(5)), "3", "3 is no list"),
    ],
)
def test_an_answer_without_an_action_gets_a_sentence_to_go_on_with(
    space: Space[Any], answer: str, why: str
) -> None:
    env = parser(space)
    env.reset()
    with pytest.raises(InvalidAction) as caught:
        env.step(answer)
    assert why in caught.value.message and len(caught.value.message) < 500
    assert "put it alone on the last line" in caught.value.message
    assert env.unwrapped.taken == []  # type: ignore[attr-defined]


def test_an_answer_is_a_text() -> None:
    with pytest.raises(InvalidAction, match="an answer is a text, not 2"):
        parser(Discrete(3)).parse(2)  # type: ignore[arg-type]


def test_a_pattern_looks_elsewhere() -> None:
    env = parser(Discrete(4), names=MOVES, pattern=r"\[\[(.*?)\]\]")
    assert env.parse("[[left]] or [[up]]. Action: down") == 3
    with pytest.raises(InvalidAction, match="there is no action in it; it is looked for by"):
        env.parse("Action: down")
    assert parser(Discrete(4), pattern=r"\d").parse("1 or 2") == 2


def test_it_asks_for_what_is_legal_now_by_its_name() -> None:
    env = ParseTextAction(LegalActions(ConnectFour("names", rows=1, columns=3), moves=LETTERS[:3]))
    env.reset()
    assert env.ask() == "answer with one of 3: a, b, c"
    env.step("b")
    assert env.ask() == "answer with one of 2: a, c"
    with pytest.raises(InvalidAction, match=r"b.* no action; answer with one of 2: a, c"):
        env.step("Action: b")
    env.step("Action: c")
    assert env.unwrapped.asked == [1, 2]  # type: ignore[attr-defined]


def test_names_that_differ_by_their_case_are_told_apart() -> None:
    env = parser(Discrete(2), names=["bxc3", "Bxc3"])
    assert env.parse("bxc3") == 0 and env.parse("Bxc3") == 1


def test_arguments_that_cannot_be_used_say_what_can() -> None:
    with pytest.raises(InvalidArgument, match="names are for a Discrete space"):
        parser(Text(3), names=MOVES)
    with pytest.raises(InvalidArgument, match="is no regular expression"):
        parser(Text(3), pattern="(")


@pytest.mark.parametrize(
    "space",
    [
        Dict(a=Box(-1, 1, (2, 2)), b=Tuple([MultiBinary(3), MultiDiscrete([3, 4])])),
        Tuple([Sequence(Box(0, 1, (2,)), stack=True), OneOf([Discrete(3), Text(4)])]),
        Sequence(Dict(x=Discrete(3, start=-1)), stack=True),
    ],
)
def test_an_example_can_be_read(space: Space[Any]) -> None:
    said = example(space)
    assert said == example(space)
    assert from_json(space, json.loads(said)) in space
