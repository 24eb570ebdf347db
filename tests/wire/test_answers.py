"""Rows are written where they will be sent from: in place, once, into a buffer that is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import EnvironmentRaised, LayoutMismatch
from openenv_gym.spaces import read_batch
from openenv_gym.types import Flag, Phase, Rows
from openenv_gym.wire.answers import AnswerBuffer, Encoded
from openenv_gym.wire.blocks import REWARD_DTYPES
from tests.wire.ends import buffer_of, codec_of, exactly, header_of, put_lanes, rows_of, signature_of

SIGNATURE = signature_of(lanes=3)
CODEC = codec_of(SIGNATURE)


def answered(out: AnswerBuffer, seq: int = 1) -> Rows:
    encoded = out.finish(seq)
    rows = rows_of(CODEC, encoded.payload)
    out.release(encoded)
    return rows


def test_a_dense_answer_holds_each_lane_in_its_row() -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    out.put(0, Phase.STEP, np.full(4, 0.5, np.float32), 1)
    out.put(1, Phase.RESET, np.full(4, 1.5, np.float32), np.float32(0.1), False, False, {"a": 1})
    out.put(2, Phase.STEP, np.full(4, 2.5, np.float32), True, np.True_, 1)
    rows = answered(out)
    assert rows.lane.tolist() == [0, 1, 2] and rows.agent.tolist() == [0, 0, 0] and rows.dense == 3
    assert rows.phase.tolist() == [Phase.STEP, Phase.RESET, Phase.STEP]
    assert rows.flags.tolist() == [Flag.TO_MOVE | Flag.OBSERVED] * 3
    assert exactly(rows.reward) == exactly(np.array([1.0, np.float32(0.1), 1.0]))
    assert rows.terminated.tolist() == [False, False, True] and rows.truncated.tolist() == [
        False,
        False,
        True,
    ]
    assert rows.observation[:, 0].tolist() == [0.5, 1.5, 2.5]
    assert rows.infos.dicts() == {1: {"a": 1}}


def test_one_buffer_is_written_again_once_it_was_released() -> None:
    out = buffer_of(SIGNATURE)
    buffers = set()
    for turn in range(5):
        out.begin(dense=True)
        put_lanes(out, 3, first=turn)
        encoded = out.finish(turn + 1)
        buffers.add(id(encoded.lent))
        assert rows_of(CODEC, encoded.payload).observation[0, 0] == turn
        out.release(encoded)
    assert len(buffers) == 1


def test_an_answer_that_is_still_kept_is_not_overwritten() -> None:
    out = buffer_of(SIGNATURE)
    kept: list[tuple[Encoded, bytes]] = []
    for turn in range(4):
        out.begin(dense=True)
        put_lanes(out, 3, first=10.0 * turn)
        encoded = out.finish(turn + 1)
        kept.append((encoded, bytes(encoded.payload)))
    assert all(bytes(encoded.payload) == data for encoded, data in kept)
    assert len({id(encoded.lent) for encoded, _ in kept}) == 4
    out.release(kept[2][0])
    out.begin(dense=True)
    put_lanes(out, 3)
    assert out.finish(5).lent is kept[2][0].lent


def test_nothing_of_an_earlier_answer_shows_in_a_later_one() -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    for lane in range(3):
        out.put(lane, Phase.RESET, np.ones(4, np.float32), 5.0, True, True, {"a": lane})
    answered(out)
    out.begin(dense=True)
    put_lanes(out, 3)
    rows = answered(out, 2)
    assert not rows.terminated.any() and not rows.truncated.any() and not rows.infos
    assert rows.phase.tolist() == [Phase.STEP] * 3 and rows.reward.tolist() == [0, 1, 2]


def test_a_final_row_comes_behind_the_dense_ones_and_leaves_its_lane_to_the_reset() -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    out.put(0, Phase.STEP, np.full(4, 0, np.float32), 1.0)
    out.put(1, Phase.FINAL, np.full(4, 7, np.float32), 9.0, True, False, {"last": 1})
    out.put(1, Phase.RESET, np.full(4, 1, np.float32), 0.0, False, False, {"first": 2})
    out.put(2, Phase.STEP, np.full(4, 2, np.float32), 1.0)
    rows = answered(out)
    assert rows.lane.tolist() == [0, 1, 2, 1] and rows.dense == 3
    assert rows.phase.tolist() == [Phase.STEP, Phase.RESET, Phase.STEP, Phase.FINAL]
    assert rows.reward.tolist() == [1, 0, 1, 9] and rows.terminated.tolist() == [False, False, False, True]
    assert rows.observation[:, 0].tolist() == [0, 1, 2] and rows.tail_observation[:, 0].tolist() == [7]
    assert rows.infos.dicts() == {3: {"last": 1}, 1: {"first": 2}}


def test_the_info_of_a_final_row_is_kept_from_the_reset_that_follows() -> None:
    out = buffer_of(SIGNATURE)
    info: dict[str, Any] = {"state": np.zeros(2), "n": 1}
    out.begin(dense=True)
    put_lanes(out, 3)
    out.put(1, Phase.FINAL, np.zeros(4, np.float32), 0.0, True, False, info)
    info["state"][:] = 5  # as an environment does that hands out its own arrays and then resets
    info["n"] = 2
    out.put(1, Phase.RESET, np.zeros(4, np.float32), 0.0, False, False, info)
    dicts = answered(out).infos.dicts()
    assert dicts[3]["n"] == 1 and dicts[3]["state"].tolist() == [0, 0]
    assert dicts[1]["n"] == 2 and dicts[1]["state"].tolist() == [5, 5]


def test_the_observation_of_a_final_row_is_kept_from_the_reset_that_follows() -> None:
    for space in (Box(-1, 1, (4,)), Text(9)):
        signature = signature_of(space, lanes=1)
        out = buffer_of(signature)
        out.begin(dense=True)
        shared: Any = np.zeros(4, np.float64)  # needs a cast, so it travels as a value as well
        out.put(0, Phase.FINAL, shared)
        shared[:] = 3
        out.put(0, Phase.RESET, shared)
        shared[:] = 4
        rows = rows_of(codec_of(signature), out.finish(1).payload)
        assert rows.values[1].tolist() == [0] * 4 and rows.values[0].tolist() == [3] * 4


def test_a_trailer_of_any_size_finds_room() -> None:
    out = buffer_of(SIGNATURE)
    for turn, size in enumerate([10, 5000, 100_000, 7, 300_000, 0], start=1):
        out.begin(dense=True)
        put_lanes(out, 3, first=turn)
        out.put(0, Phase.FINAL, np.full(4, 9, np.float32), 0.0, True, False, {"text": "x" * size})
        rows = answered(out, turn)
        assert rows.observation[:, 0].tolist() == [turn, turn + 1, turn + 2]
        assert rows.infos.of(3) == {"text": "x" * size}
    out.begin(dense=True)
    put_lanes(out, 3)
    assert len(out.finish(9).payload) == 128, "the message is as long as it must be, not as the buffer is"


def test_rows_in_any_order_are_gathered_without_a_dense_part() -> None:
    signature = signature_of(lanes=5, agents=("a", "b"))
    out = buffer_of(signature)
    out.begin(dense=False)
    out.put(4, Phase.RESET, np.full(4, 4, np.float32), info={"a": 1})
    out.put(1, Phase.STEP, None, 0.5, agent=1, flags=0)
    out.put(2, Phase.STEP, np.full(4, 2, np.float32), agent=1, flags=Flag.OBSERVED)
    rows = rows_of(codec_of(signature), out.finish(1).payload)
    assert rows.dense == 0 and rows.lane.tolist() == [4, 1, 2] and rows.agent.tolist() == [0, 1, 1]
    assert rows.flags.tolist() == [Flag.TO_MOVE | Flag.OBSERVED, 0, Flag.OBSERVED]
    assert rows.observation[:, 0].tolist() == [4, 0, 2] and rows.infos.dicts() == {0: {"a": 1}}


def test_a_dense_answer_may_be_filled_in_any_order() -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    for lane in (2, 0, 1):
        out.put(lane, Phase.STEP, np.full(4, lane, np.float32), info={"lane": lane})
    assert answered(out).infos.dicts() == {lane: {"lane": lane} for lane in range(3)}


@pytest.mark.parametrize("dtype", REWARD_DTYPES, ids=str)
def test_a_batch_keeps_its_reward_dtype(dtype: np.dtype[Any]) -> None:
    out = buffer_of(SIGNATURE)
    reward = np.array([1, 0, 2], dtype)
    out.begin(dense=True)
    out.put_batch(
        np.ones((3, 4), np.float32), reward, np.array([True, False, False]), np.array([False, False, True])
    )
    rows = answered(out)
    assert exactly(rows.reward) == exactly(reward)
    assert rows.terminated.tolist() == [True, False, False] and rows.truncated.tolist() == [
        False,
        False,
        True,
    ]
    out.begin(dense=True)
    put_lanes(out, 3)
    assert answered(out, 2).reward.dtype == np.float64, "the next answer has its own"


def test_a_batch_that_begins_episodes_has_no_rewards() -> None:
    out = buffer_of(SIGNATURE)
    for reward in (np.ones(3), None):
        out.begin(dense=True)
        out.put_batch(np.ones((3, 4), np.float32), reward, phase=Phase.RESET)
        rows = answered(out)
    assert rows.reward.tolist() == [0, 0, 0] and rows.phase.tolist() == [Phase.RESET] * 3


def test_a_batch_sends_its_infos_as_they_are() -> None:
    out = buffer_of(SIGNATURE)
    info = {"lives": np.array([1, 2, 3], np.int32), "_lives": np.array([True, False, True]), "n": (1, "a")}
    out.begin(dense=True)
    out.put_batch(np.ones((3, 4), np.float32), info=info)
    rows = answered(out)
    assert exactly(rows.batch_info) == exactly(info) and not rows.infos


@pytest.mark.parametrize(
    "reward", [np.zeros(3, ">f8"), np.zeros(3, bool), np.zeros(3, "u4"), np.zeros(2), np.zeros((3, 1))]
)
def test_a_reward_column_that_has_no_number_is_a_mismatch(reward: Any) -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    with pytest.raises(LayoutMismatch, match="rewards have dtype"):
        out.put_batch(np.ones((3, 4), np.float32), reward)


@pytest.mark.parametrize("reward", [None, "1", [1], 1j])
@pytest.mark.parametrize("phase", [Phase.STEP, Phase.FINAL])
def test_a_reward_that_is_no_number_is_a_mismatch_of_its_lane(reward: Any, phase: Phase) -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    with pytest.raises(LayoutMismatch, match="a number was expected"):
        out.put(0, phase, np.zeros(4, np.float32), reward)


@pytest.mark.parametrize("exact", [True, False])
def test_an_observation_that_was_cast_also_travels_exactly_if_that_was_asked_for(exact: bool) -> None:
    out = buffer_of(SIGNATURE, exact=exact)
    out.begin(dense=True)
    put_lanes(out, 3)
    out.put(0, Phase.STEP, [0.1, 0, 0, 0])
    out.put(2, Phase.FINAL, np.full(4, 0.1))
    rows = answered(out)
    assert rows.observation[0, 0] == rows.tail_observation[0, 0] == np.float32(0.1)
    expected: dict[int, Any] = {0: [0.1, 0, 0, 0]} if exact else {}
    expected[3] = np.full(4, 0.1)  # a final row is never batched, so it is always exact
    assert exactly(dict(rows.values)) == exactly(expected)


def test_a_batch_that_was_cast_also_travels_exactly() -> None:
    out = buffer_of(SIGNATURE)
    batch = np.full((3, 4), 0.1)
    out.begin(dense=True)
    out.put_batch(batch)
    assert exactly(dict(answered(out).values)) == exactly({-1: batch})


def test_observations_without_a_layout_are_values() -> None:
    signature = signature_of(Text(9), lanes=2)
    out = buffer_of(signature, exact=False)
    out.begin(dense=True)
    out.put(0, Phase.STEP, "left")
    out.put(1, Phase.FINAL, "over")
    out.put(1, Phase.RESET, {"a": (1, np.float32(2))})
    rows = rows_of(codec_of(signature), out.finish(1).payload)
    assert rows.observation is None and rows.tail_observation is None
    assert exactly(dict(rows.values)) == exactly({0: "left", 1: {"a": (1, np.float32(2))}, 2: "over"})


@pytest.mark.parametrize("dense", [True, False])
def test_a_lane_that_failed_says_why_and_the_others_go_on(dense: bool) -> None:
    error = EnvironmentRaised("it broke", exception="ValueError", during="step")
    error.add_note("line 1")
    error.add_note("line 2")
    out = buffer_of(SIGNATURE)
    out.begin(dense=dense)
    out.put(0, Phase.STEP, np.zeros(4, np.float32), 1.0)
    out.fail(1, error)
    out.put(2, Phase.STEP, np.ones(4, np.float32), 2.0)
    rows = answered(out)
    assert rows.phase.tolist() == [Phase.STEP, Phase.FAILED, Phase.STEP]
    failure = rows.failures[1]
    assert (failure.code, failure.message) == ("ENVIRONMENT_RAISED", "it broke")
    assert (
        failure.fields == {"exception": "ValueError", "during": "step"} and failure.cause == "line 1\nline 2"
    )
    assert rows.reward[0] == 1 and rows.reward[2] == 2


def test_a_failed_row_is_the_same_in_both_forms_of_an_answer() -> None:
    marks = []
    for dense in (True, False):
        out = buffer_of(signature_of(lanes=1))
        out.begin(dense=dense)
        out.fail(0, EnvironmentRaised("it broke"))
        rows = rows_of(codec_of(signature_of(lanes=1)), out.finish(1).payload)
        marks.append((rows.phase.tolist(), rows.flags.tolist()))
    assert marks[0] == marks[1] == ([Phase.FAILED], [0])


def test_the_header_says_what_follows() -> None:
    out = buffer_of(SIGNATURE)
    out.begin(dense=True)
    put_lanes(out, 3)
    out.put(0, Phase.FINAL, np.zeros(4, np.float32))
    header = header_of(out.finish(7, 2**40, more=True).payload)
    assert header == {
        "kind": 5,
        "flags": 1 | 2 | 8,
        "reward": 0,
        "zero": 0,
        "count": 3,
        "tail": 1,
        "microseconds": 2**32 - 1,
        "seq": 7,
        "ack": 0,
    }


NESTED = Dict({"place": Tuple([Discrete(9), Box(0, 1, (2,))]), "pixels": Box(0, 255, (3,), np.uint8)})


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.lists(st.integers(0, 3), max_size=4))
def test_any_rows_of_a_nested_space_arrive_exactly(seed: int, lanes: int, finals: list[int]) -> None:
    signature = signature_of(NESTED, lanes=lanes)
    NESTED.seed(seed)
    out = buffer_of(signature)
    out.begin(dense=True)
    ended = [(lane, NESTED.sample()) for lane in finals if lane < lanes]
    begun = [NESTED.sample() for _ in range(lanes)]
    for lane, observation in ended:
        out.put(lane, Phase.FINAL, observation, 0.5, True, False, {"at": lane})
    for lane, observation in enumerate(begun):
        out.put(lane, Phase.STEP, observation, lane, False, True)
    rows = rows_of(codec_of(signature), out.finish(1).payload)
    assert rows.values == {}
    for columns, observations in (
        (rows.observation, begun),
        (rows.tail_observation, [observation for _, observation in ended]),
    ):
        if not observations:
            assert columns is None
            continue
        copied = read_batch(columns)
        for row, observation in enumerate(observations):
            assert copied["pixels"][row].tolist() == observation["pixels"].tolist()
            assert copied["place"][0][row] == observation["place"][0]
            assert copied["place"][1][row].tobytes() == observation["place"][1].tobytes()
    assert rows.lane.tolist() == [*range(lanes), *[lane for lane, _ in ended]]


def test_the_info_of_the_only_row_arrives_as_it_is() -> None:
    signature = signature_of(lanes=1)
    info = {"b": 1, "a": {"x": np.float32(2), "": ()}, "c": np.zeros(2, ">f4")}
    out = buffer_of(signature)
    for final in (False, True):
        out.begin(dense=True)
        if final:
            out.put(0, Phase.FINAL, np.zeros(4, np.float32), 0.0, True, False, {"last": 1})
        out.put(0, Phase.STEP, np.zeros(4, np.float32), info=info)
        rows = rows_of(codec_of(signature), out.finish(1).payload)
        assert rows.infos and sorted(rows.infos.of(0)) == sorted(rows.infos.dicts()[0]) == sorted(info)
        assert exactly(rows.infos.of(0)["c"]) == exactly(info["c"])
        assert {key: column.kind for key, column in rows.infos.columns.items() if key != "last"} == {
            "b": "int",
            "a": "dict",
            "c": "array",
        }
        assert rows.infos.of(1) == ({"last": 1} if final else {})
