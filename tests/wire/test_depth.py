"""The depth of JSON text is known without parsing it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openenv_gym.errors import InvalidMessage
from openenv_gym.wire.depth import check_depth

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\a\x00é\ud800'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[{"\\'), inner),
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def admits(text: str | bytes, limit: int) -> bool:
    try:
        check_depth(text, limit)
    except InvalidMessage:
        return False
    return True


@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-16", "utf-32-le"]))
def test_the_limit_is_exact(value: Any, escape: bool, encoding: str) -> None:
    text, depth = json.dumps(value, ensure_ascii=escape), depth_of(value)
    for limit in range(1, depth + 2):
        assert admits(text, limit) is (depth <= limit)
        assert admits(text.encode(encoding, "surrogatepass"), limit) is (depth <= limit)


@pytest.mark.parametrize(
    "text",
    ["[" * 10**6, '"' + '\\"' * 10**6, '["' * 10**6, "{" * 10**6 + '"', "[" * 100 + '"' + "\\\\" * 10**6],
    ids=["lists", "string", "strings", "objects", "backslashes"],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    admits(text, 64)


def test_many_lists_beside_each_other_are_not_deep() -> None:
    check_depth(json.dumps([[1]] * 10_000), 2)
