"""Actions fit or are refused on this side of the wire, and come out as Gymnasium would iterate them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.vector.utils import batch_space, iterate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openenv_gym.errors import InvalidAction
from openenv_gym.spaces import coerce, coerce_one, compile_iterator, read_batch
from tests.spaces.strategies import batched, bits, example, spaces
from tests.spaces.test_layout import laid_out

NESTED = Dict([("b", Box(0, 1, (2,))), ("a", Tuple([Discrete(9), Box(0, 1, ())]))], sort_keys=False)


def coerced(space: Space[Any], actions: Any, rows: int = 2) -> Any:
    layout = laid_out(space)
    _, columns = layout.allocate(rows)
    coerce(layout, columns, actions)
    return columns


def coerced_one(space: Space[Any], action: Any) -> Any:
    layout = laid_out(space)
    _, columns = layout.allocate(2)
    coerce_one(layout, columns, action, row=1)
    return compile_iterator(layout)(columns)[1]


class Tensor:
    """Something that is an array only when it is asked to be one, as torch's tensors are."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.data, dtype)


@settings(max_examples=150, deadline=None)
@given(spaces, st.integers(0, 2**32), st.integers(1, 4))
def test_actions_arrive_to_the_bit_as_gymnasium_iterates_them(
    space: Space[Any], seed: int, rows: int
) -> None:
    layout = laid_out(space)
    assume(layout.leaves)
    rng = np.random.default_rng(seed)
    values = [example(space, rng) for _ in range(rows)]
    batch = batched(space, values)
    _, columns = layout.allocate(rows)
    coerce(layout, columns, batch)
    assert bits(read_batch(columns)) == bits(batch)
    actions = compile_iterator(layout)(columns)
    assert bits(tuple(actions)) == bits(tuple(_iterated(space, batch, rows)))
    _, others = layout.allocate(rows)
    for row, value in enumerate(values):
        coerce_one(layout, others, value, row)
    assert bits(read_batch(others)) == bits(batch)


def _iterated(space: Space[Any], batch: Any, rows: int) -> list[Any]:
    """Gymnasium's `iterate`, which an empty container anywhere in the space makes fail or stop short."""
    if isinstance(space, Dict):
        parts = {key: _iterated(child, batch[key], rows) for key, child in space.spaces.items()}
        return [{key: part[row] for key, part in parts.items()} for row in range(rows)]
    if isinstance(space, Tuple):
        columns = [_iterated(child, batch[at], rows) for at, child in enumerate(space.spaces)]
        return [tuple([column[row] for column in columns]) for row in range(rows)]
    return list(batch)


@pytest.mark.parametrize(
    "space",
    [
        Discrete(5, start=-2),
        Discrete(5, dtype=np.uint8),
        Box(-1, 1, (3,)),
        Box(-1, 1, ()),
        MultiDiscrete([3, 4]),
        MultiBinary([2, 2]),
        NESTED,
        Tuple([Discrete(2), Dict(a=Box(0, 1, (2,)))]),
    ],
    ids=str,
)
def test_samples_of_the_batched_space_go_through_as_they_are(space: Space[Any]) -> None:
    batch = batch_space(space, 4)
    batch.seed(3)
    sample = batch.sample()
    columns = coerced(space, sample, rows=4)
    actions = compile_iterator(laid_out(space))(columns)
    assert bits(tuple(actions)) == bits(tuple(iterate(batch, sample)))
    layout = laid_out(space)
    _, others = layout.allocate(4)
    for row, action in enumerate(actions):
        coerce_one(layout, others, action, row)
    assert bits(read_batch(others)) == bits(read_batch(columns))


@pytest.mark.parametrize(
    ("space", "actions", "held"),
    [
        (Discrete(4), [1, 3], np.array([1, 3])),
        (Discrete(4), (np.int64(1), np.int32(3)), np.array([1, 3])),
        (Discrete(4), np.array([1, 3], np.uint8), np.array([1, 3])),
        (Discrete(4), np.array([True, False]), np.array([1, 0])),
        (Discrete(4, dtype=np.uint8), [1, 255], np.array([1, 255], np.uint8)),
        (Discrete(4, dtype=np.uint64), [1, 2**64 - 1], np.array([1, 2**64 - 1], np.uint64)),
        (Discrete(4), Tensor([1, 3]), np.array([1, 3])),
        (Box(0, 1, (2,)), np.array([[0.1, 0], [1, 2]]), np.array([[0.1, 0], [1, 2]], np.float32)),
        (Box(0, 1, (2,)), [[0.5, np.inf], [1, 2]], np.array([[0.5, np.inf], [1, 2]], np.float32)),
        (Box(0, 1, (1,)), Tensor([[0.5], [1]]), np.array([[0.5], [1]], np.float32)),
        (Box(0, 1, (0,), np.int32), [[], []], np.zeros((2, 0), np.int32)),
        (MultiBinary(2), [[True, False], [1, 0]], np.array([[1, 0], [1, 0]], np.int8)),
    ],
)
def test_actions_that_can_be_held_are_cast(space: Space[Any], actions: Any, held: Any) -> None:
    assert bits(coerced(space, actions)) == bits(held)
    if isinstance(actions, list | np.ndarray):
        for row in range(2):
            assert bits(coerced_one(space, actions[row])) == bits(held[row])


def test_dicts_may_have_any_order_and_tuples_may_be_lists() -> None:
    columns = coerced(NESTED, {"a": [[1, 2], [0.5, 1]], "b": np.zeros((2, 2))})
    assert columns["a"][0].tolist() == [1, 2] and columns["a"][1].dtype == np.float32


@pytest.mark.parametrize(
    ("space", "action", "message"),
    [
        (
            Box(0, 1, (4,)),
            np.zeros(3, np.float32),
            r"^action has shape \(3,\), action_space wants \(4,\); see env.action_space$",
        ),
        (Box(0, 1, (2,)), np.zeros(2, complex), "has dtype complex128"),
        (Box(0, 1, (2,)), ["0", "1"], "has dtype <U1"),
        (Box(0, 1, (2,)), [1e300, 0], "finite number that becomes infinite, action_space wants float32"),
        (Box(0, 1, (2,)), [None, 0], "no array of numbers"),
        (Box(0, 1, (2,)), [[0], [0, 1]], "is a list and no array"),
        (Discrete(4), 1.0, "has dtype float64, action_space wants int64"),
        (Discrete(4), None, "is a NoneType and no array of numbers"),
        (Discrete(4), "1", "has dtype <U1"),
        (Discrete(4), [1], r"has shape \(1,\), action_space wants \(\)"),
        (Discrete(4), np.timedelta64(1, "s"), "has dtype timedelta64"),
        (Discrete(4, dtype=np.uint8), 300, r"holds 300, action_space wants uint8 \(0 to 255\)"),
        (Discrete(4, dtype=np.uint8), np.array(-1), "holds -1"),
        (Discrete(4, dtype=np.uint8), 10**30, "holds 1000000000000000000000000000000"),
        (MultiBinary(2), [0.0, 1.0], "has dtype float64"),
        (NESTED, {"b": [0, 0], "a": (1.5, 0)}, r"action\['a'\]\[0\] has dtype float64"),
        (NESTED, {"b": [0, 0]}, r"has keys \['b'\], action_space wants keys \['b', 'a'\]"),
        (NESTED, {"b": [0, 0], "a": (1, 0), "c": 1}, r"has keys \['b', 'a', 'c'\]"),
        (NESTED, {"b": [0, 0], "a": (1, 0, 2)}, r"action\['a'\] has 3 parts, .* wants 2 parts"),
        (NESTED, {"b": [0, 0], "a": 1}, r"action\['a'\] is a int"),
        (NESTED, [1, 2], "has 2 parts, action_space wants keys"),
    ],
)
def test_an_action_that_cannot_be_held_is_refused(space: Space[Any], action: Any, message: str) -> None:
    with pytest.raises(InvalidAction, match=message) as caught:
        coerced_one(space, action)
    assert caught.value.message.endswith("see env.action_space")


@pytest.mark.parametrize("actions", [[1, 2, 3], [1], 1, [[1], [2]], [0.5, 1], [300, 2**70], "ab", None, {}])
def test_a_batch_that_does_not_fit_is_refused(actions: Any) -> None:
    with pytest.raises(InvalidAction):
        coerced(Discrete(4), actions)


def test_a_tensor_that_cannot_become_an_array_is_refused_with_its_reason() -> None:
    class OnTheGpu:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise RuntimeError("use Tensor.cpu() first")

    with pytest.raises(InvalidAction, match=r"use Tensor.cpu\(\) first"):
        coerced_one(Box(0, 1, (2,)), OnTheGpu())


def test_rows_of_arrays_are_views_that_an_environment_may_write() -> None:
    layout = laid_out(NESTED)
    _, columns = layout.allocate(2)
    action = compile_iterator(layout)(columns)[1]
    action["b"][:] = 3
    assert columns["b"].tolist() == [[0, 0], [3, 3]]


def test_empty_containers_do_not_lose_rows_but_a_space_without_leaves_has_none() -> None:
    layout = laid_out(Tuple([Dict(), Tuple([]), Discrete(3)]))
    assert compile_iterator(layout)(layout.allocate(2)[1]) == [({}, (), 0)] * 2
    bare = laid_out(Tuple([]))
    assert compile_iterator(bare)(bare.allocate(2)[1]) == []
