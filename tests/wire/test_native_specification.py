"""The examples of ``NATIVE.md`` are what the codec writes and reads, byte for byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import openenv_gym.wire
from openenv_gym import errors
from openenv_gym.errors import InvalidArgument
from openenv_gym.spaces import Kind as LeafKind
from openenv_gym.types import Flag, Phase, Signature, Slots
from openenv_gym.wire import signature as signatures
from openenv_gym.wire.answers import AnswerBuffer
from openenv_gym.wire.blocks import ALIGNMENT, HEADER, REWARD_DTYPES, Kind, MessageFlag, block_of
from openenv_gym.wire.codecs.native import SUBPROTOCOL, NativeCodec
from openenv_gym.wire.messages import Answer, Error, Hello, Step
from openenv_gym.wire.server import error_message
from tests.wire.ends import codec_of

TEXT = (Path(openenv_gym.wire.__file__).parent / "NATIVE.md").read_text()
EXAMPLES = {
    name: bytes.fromhex("".join(re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} ?)+)", block, re.M)))
    for name, block in re.findall(r"^```hex (\S+)\n(.*?)^```", TEXT, re.M | re.S)
}


def signature(lanes: int, agents: tuple[str, ...] = ("agent",), moves: int = 2) -> Signature:
    return Signature(
        env_id="Example-v0",
        agents=agents,
        observation_spaces=(Box(-4, 4, (4,)),) * len(agents),
        action_spaces=(Discrete(moves),) * len(agents),
        lanes=lanes,
        autoreset="SameStep",
        kinds=("array",),
    )


THREE, TWO, GAME = signature(3), signature(2), signature(1, ("left", "right"), 3)
HELLO = Hello(lanes=3, autoreset="SameStep", exact=False, client="example 1")
ERROR = InvalidArgument("there is no lane 7; the session has 3", lane=7)


def observation(lane: int) -> Any:
    return np.arange(4, dtype=np.float32) / 4 + lane


def encoded() -> dict[str, bytes]:
    """Each example, as our own codec writes it."""
    three, game = codec_of(THREE), codec_of(GAME)
    dense, final = buffer(THREE), buffer(TWO)
    dense.begin(dense=True)
    dense.put(0, Phase.STEP, observation(0), 1.0)
    dense.put(1, Phase.STEP, observation(1), 1.0, False, True)
    dense.put(2, Phase.RESET, observation(2))
    final.begin(dense=True)
    final.put(0, Phase.STEP, observation(0), 1.0)
    final.put(1, Phase.FINAL, observation(3), 1.0, True, False, {"lives": 3})
    final.put(1, Phase.RESET, observation(1))
    slots = Slots(np.array([0, 0], np.int32), np.array([0, 1], np.int16))
    return {
        "hello": NativeCodec().encode(HELLO),
        "step": bytes(three.encode_step(7, 6, None, [1, 0, 1])),
        "answer": bytes(dense.finish(7, 41).payload),
        "answer-final": bytes(final.finish(8, 30).payload),
        "step-slots": bytes(game.encode_step(2, 1, slots, [2, 0])),
        "error": three.encode(error_message(9, ERROR)),
    }


def buffer(of: Signature) -> AnswerBuffer:
    return AnswerBuffer(signatures.layouts_of(of)[0], tuple(map(LeafKind, of.kinds)), of.lanes, exact=False)


def test_every_example_of_the_document_is_known_here() -> None:
    assert EXAMPLES.keys() == encoded().keys()
    assert len(TEXT.splitlines()) < 400


@pytest.mark.parametrize("name", encoded())
def test_an_example_is_what_the_codec_writes(name: str) -> None:
    assert EXAMPLES[name].hex(" ") == encoded()[name].hex(" ")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_offsets_beside_an_example_are_right(name: str) -> None:
    block = re.search(rf"^```hex {name}\n(.*?)^```", TEXT, re.M | re.S)
    assert block is not None
    expected = 0
    for offset, data in re.findall(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", block[1], re.M):
        assert int(offset, 16) == expected
        expected += len(bytes.fromhex(data))


def test_the_hello_reads_as_it_says() -> None:
    assert NativeCodec().decode(EXAMPLES["hello"]) == (HELLO, 0)


def test_the_step_reads_as_it_says() -> None:
    step, ack = codec_of(THREE).decode(EXAMPLES["step"])
    assert isinstance(step, Step) and (step.seq, ack, step.slots) == (7, 6, None)
    assert step.actions.tolist() == [1, 0, 1] and step.actions.dtype == np.int64


def test_the_step_by_slots_reads_as_it_says() -> None:
    step, ack = codec_of(GAME).decode(EXAMPLES["step-slots"])
    assert isinstance(step, Step) and step.slots is not None and (step.seq, ack) == (2, 1)
    assert step.slots.lane.tolist() == [0, 0] and step.slots.agent.tolist() == [0, 1]
    assert step.actions.tolist() == [2, 0]


def test_the_answer_reads_as_it_says() -> None:
    answer, _ = codec_of(THREE).decode(EXAMPLES["answer"])
    assert isinstance(answer, Answer) and (answer.seq, answer.more, answer.microseconds) == (7, False, 41)
    rows = answer.rows
    assert rows.phase.tolist() == [Phase.STEP, Phase.STEP, Phase.RESET] and rows.reward.tolist() == [1, 1, 0]
    assert rows.terminated.tolist() == [False] * 3 and rows.truncated.tolist() == [False, True, False]
    assert rows.observation.tolist() == [observation(lane).tolist() for lane in range(3)]


def test_the_answer_with_a_final_row_reads_as_it_says() -> None:
    answer, _ = codec_of(TWO).decode(EXAMPLES["answer-final"])
    assert isinstance(answer, Answer)
    rows = answer.rows
    assert rows.lane.tolist() == [0, 1, 1] and rows.phase.tolist() == [Phase.STEP, Phase.RESET, Phase.FINAL]
    assert rows.terminated.tolist() == [False, False, True] and rows.infos.dicts() == {2: {"lives": 3}}
    assert rows.tail_observation.tolist() == [observation(3).tolist()]


def test_the_error_reads_as_it_says() -> None:
    error, _ = NativeCodec().decode(EXAMPLES["error"])
    assert error == Error(9, "INVALID_ARGUMENT", "you", ERROR.message, {"lane": 7})


def test_the_welcome_of_the_document_is_the_signatures() -> None:
    (text,) = re.findall(r"^```json welcome\n(.*?)^```", TEXT, re.M | re.S)
    layouts = signatures.layouts_of(THREE)
    assert json.loads(text) == {
        "signature": signatures.to_plain(THREE),
        "observation": layouts[0] and layouts[0].describe(),
        "action": layouts[1] and layouts[1].describe(),
        "limits": {"max_lanes": 1024, "max_message_bytes": 16777216},
        "token": "Zm9vYmFy.WmQ0aE1kZ2tXbQ",
        "server": "openenv-gym 0.1.0",
        "resumed": False,
        "received": 0,
    }


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    start = section.index("\n|") + 1
    rows = section[start : section.index("\n\n", start)].splitlines()
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_table_of_errors_is_the_tree_of_errors() -> None:
    def classes(root: type[errors.OpenEnvGymError]) -> list[type[errors.OpenEnvGymError]]:
        return [root, *[cls for child in root.__subclasses__() for cls in classes(child)]]

    ours = {
        cls.code: str(cls.side)
        for cls in classes(errors.OpenEnvGymError)
        if cls.__module__ == errors.__name__
    }
    assert {code: side for code, side, _ in table("Errors")} == ours


def test_the_table_of_kinds_is_the_codecs() -> None:
    ours = {str(number): name.lower() for name, number in vars(Kind).items() if name.isupper()}
    assert {number: name for number, name, *_ in table("Kinds")} == ours


def test_the_numbers_in_the_text_are_the_codecs() -> None:
    assert f"`{SUBPROTOCOL}`" in TEXT and HEADER.size == 32 and ALIGNMENT == 16
    for number, dtype in enumerate(REWARD_DTYPES):
        assert re.search(rf"\b{number} `{re.escape(dtype.str)}`", TEXT), dtype
    for enum in (Phase, Flag):
        for member in enum:
            assert f"{member.value} `{member.name}`" in TEXT
    for name in ("MORE", "DENSE", "TRAILER", "COLUMNS"):
        assert f"{getattr(MessageFlag, name)} `{name}`" in TEXT


def test_the_worked_offsets_are_the_codecs() -> None:
    layout, _ = signatures.layouts_of(THREE)
    first, tail = block_of(layout, 3, dense=True), block_of(layout, 3, dense=False)
    assert [first.marks, first.reward, first.observation, first.nbytes] == [0, 16, 48, 96]
    assert [0, tail.agent, tail.marks, tail.reward, tail.observation, tail.nbytes] == [0, 16, 32, 48, 80, 128]
    assert "| dense | | | 0 | 16 | 48 | 96 |" in TEXT
    assert "| with slots | 0 | 16 | 32 | 48 | 80 | 128 |" in TEXT
