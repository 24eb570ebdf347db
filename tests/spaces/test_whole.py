"""Values that travel whole come back with the types of their space, and deviating ones as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Graph, GraphInstance, OneOf, Sequence, Text, Tuple
from gymnasium.vector.utils import batch_space
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidAction, LayoutMismatch, ProtocolViolation
from openenv_gym.spaces import compile_restorer, concatenated, same_value, split
from openenv_gym.wire import values
from tests.spaces.strategies import all_spaces, batched, batches, bits, example

GRAPH = Graph(Discrete(3), Sequence(Graph(Discrete(2), None)))


@settings(max_examples=200, deadline=None)
@given(all_spaces, st.integers(0, 2**32))
def test_a_value_survives_the_wire(space: Space[Any], seed: int) -> None:
    value = example(space, np.random.default_rng(seed))
    assert bits(compile_restorer(space)(values.decode(values.encode(value)))) == bits(value)


@settings(max_examples=100, deadline=None)
@given(all_spaces.filter(batches), st.integers(0, 2**32), st.integers(1, 3))
def test_a_batch_survives_the_wire(space: Space[Any], seed: int, lanes: int) -> None:
    rng = np.random.default_rng(seed)
    batch = batched(space, [example(space, rng) for _ in range(lanes)])
    restore = compile_restorer(batch_space(space, lanes))
    assert bits(restore(values.decode(values.encode(batch)))) == bits(batch)


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (GRAPH, (1, 2)),
        (GRAPH, None),
        (Dict(a=GRAPH), 3),
        (Dict(a=GRAPH), {"b": (1, 2, 3)}),
        (Tuple([GRAPH]), ((1, 2, 3), 4)),
        (Tuple([GRAPH]), [(1, 2, 3)]),
        (Sequence(GRAPH), [(1, 2, 3)]),
        (OneOf([GRAPH]), (1, (1, 2, 3))),
        (OneOf([GRAPH]), (-1, (1, 2, 3))),
        (OneOf([GRAPH]), ("0", (1, 2, 3))),
        (OneOf([GRAPH]), (0,)),
    ],
)
def test_a_value_that_deviates_from_its_space_passes_as_it_is(space: Space[Any], value: Any) -> None:
    assert bits(compile_restorer(space)(value)) == bits(value)


def test_a_graph_in_a_graph_is_restored() -> None:
    links = np.zeros((1, 2), np.int32)
    inner = (np.zeros(1, np.int64), None, None)
    restored = compile_restorer(GRAPH)((np.zeros(2, np.int64), ((inner,),), links))
    assert bits(restored) == bits(GraphInstance(restored.nodes, ((GraphInstance(*inner),),), links))


def test_values_that_do_not_batch_are_refused_with_whom_to_blame() -> None:
    space = Dict(a=Box(0, 1, (2,)), t=Text(3))
    for wrong in ({"t": "a"}, {"a": np.zeros(3), "t": "a"}, 3, None):
        with pytest.raises(LayoutMismatch, match="observation does not batch"):
            concatenated(space, [wrong])
        with pytest.raises(InvalidAction, match="action does not batch"):
            concatenated(space, [wrong], InvalidAction)


def test_a_batch_of_actions_comes_apart_or_is_refused() -> None:
    batched_space = batch_space(Dict(a=Discrete(3), t=Text(3)), 2)
    assert split(batched_space, {"a": [1, 2], "t": ["x", "y"]}, 2)[1] == {"a": 2, "t": "y"}
    for wrong in ({"a": [1, 2]}, {"a": [1], "t": ("x", "y")}, {"a": [1], "t": ("x",)}, 3, None, ()):
        with pytest.raises(InvalidAction):
            split(batched_space, wrong, 2)
    with pytest.raises(ProtocolViolation, match=r"^value is a int that does not come apart"):
        split(batched_space, 3, 2, ProtocolViolation)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1,), [1]),
        (1, np.int64(1)),
        (1.0, 1),
        (0.0, -0.0),
        (float("nan"), float("nan")),
        (np.float32(1), np.float64(1)),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.array([0, -0.0])),
        (np.array([np.inf]), np.array([np.inf])),
        (np.array([None]), np.array([None])),
        ("a", "b"),
        (GraphInstance(1, None, None), (1, None, None)),  # type: ignore[arg-type]
        (1j, 1j),
    ],
)
def test_values_that_differ_or_that_json_cannot_say_are_not_the_same(one: Any, other: Any) -> None:
    assert not same_value(one, other)
