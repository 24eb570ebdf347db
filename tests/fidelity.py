"""What "equal to the bit" means, and plays of the same seeds and actions on two environments at once.

Arrays are equal by dtype, shape and bytes, scalars by value and kind, containers by type and, part
by part, by the same rule. Only the payload of a NaN is free. Imports no server and no client, so that
it serves tests of every floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from openenv_gym.spaces import identical
from openenv_gym.testing.equality import differences

__all__ = [
    "assert_identical",
    "assert_same_episodes",
    "assert_same_faces",
    "assert_same_step",
    "assert_same_vector_play",
    "assert_same_vector_spaces",
    "differences",
]


def assert_identical(ours: Any, theirs: Any, what: str, *, ordered: bool = True) -> None:
    """Fail with every place at which two values differ.

    Args:
        ours: what came over the wire.
        theirs: what the local environment gave.
        what: the two are, for the message.
        ordered: whether the keys of dicts come in the same order, too.
    """
    found = list(differences(ours, theirs, what, ordered=ordered))
    assert not found, "\n".join(["not equal to the bit:", *found[:20]])


def assert_same_faces(remote: gymnasium.Env[Any, Any], local: gymnasium.Env[Any, Any]) -> None:
    """The spaces of two environments are the same to the bit."""
    _assert_same_space(remote.observation_space, local.observation_space)
    _assert_same_space(remote.action_space, local.action_space)


def assert_same_step(ours: tuple[Any, ...], theirs: tuple[Any, ...], what: str) -> None:
    """Two answers to ``Env.step`` are the same, ours with Python's own float and bools."""
    names = ["observation", "reward", "terminated", "truncated", "info"]
    assert [type(part) for part in ours[1:4]] == [float, bool, bool], f"{what}: {ours[1:4]!r}"
    observation, reward, terminated, truncated, info = theirs
    expected = (observation, float(np.float64(reward)), bool(terminated), bool(truncated), info)
    for name, one, other in zip(names, ours, expected, strict=True):
        assert_identical(one, other, f"{what}: {name}")


def assert_same_episodes(
    remote: gymnasium.Env[Any, Any],
    local: gymnasium.Env[Any, Any],
    *,
    seeds: Sequence[int | None] = (42, None, None, 7),
    steps: int = 60,
    options: Callable[[int], dict[str, Any] | None] = lambda episode: None,
) -> int:
    """Play the same episodes on both, and compare everything that both say.

    An episode without a seed goes on with the random state of the one before.

    Args:
        remote: ours.
        local: what it stands for.
        seeds: one for each episode.
        steps: the most that an episode has.
        options: of an episode.

    Returns:
        How many episodes came to their end.
    """
    local.action_space.seed(1)
    ended = 0
    for episode, seed in enumerate(seeds):
        what = f"episode {episode}, reset"
        chosen = options(episode)
        assert_identical(
            remote.reset(seed=seed, options=chosen), local.reset(seed=seed, options=chosen), what
        )
        for step in range(steps):
            action = local.action_space.sample()
            theirs = local.step(action)
            assert_same_step(remote.step(action), theirs, f"episode {episode}, step {step}")
            if theirs[2] or theirs[3]:
                ended += 1
                break
    return ended


def assert_same_vector_spaces(remote: VectorEnv[Any, Any, Any], local: VectorEnv[Any, Any, Any]) -> None:
    """Size, autoreset mode and all four spaces of two vector environments are the same."""
    assert remote.num_envs == local.num_envs
    assert remote.metadata["autoreset_mode"] is local.metadata["autoreset_mode"]
    _assert_same_space(remote.single_observation_space, local.single_observation_space)
    _assert_same_space(remote.single_action_space, local.single_action_space)
    _assert_same_space(remote.observation_space, local.observation_space)
    _assert_same_space(remote.action_space, local.action_space)


def _seed_of_each(step: int, mask: NDArray[np.bool_]) -> list[int | None] | None:
    """One for each lane, masked or not, as ``SyncVectorEnv`` wants it; none in every other step."""
    return None if step % 2 else [step * 100 + lane for lane in range(len(mask))]


def assert_same_vector_play(
    remote: VectorEnv[Any, Any, Any],
    local: VectorEnv[Any, Any, Any],
    *,
    steps: int,
    seed: Any = 42,
    masks: Callable[[int, NDArray[np.bool_]], NDArray[np.bool_]] = lambda step, ended: ended & False,
    seeds: Callable[[int, NDArray[np.bool_]], Any] = _seed_of_each,
    options: dict[str, Any] | None = None,
) -> int:
    """Play both with the same actions, and compare everything that both say.

    Observations must be writable and the caller's own: what an earlier answer gave stays as it was.

    Args:
        remote: ours.
        local: what it stands for.
        steps: how many.
        seed: of the first reset.
        masks: step, which lanes have ended with it -> which lanes to reset after it.
        seeds: step, which lanes to reset -> the seed of that reset.
        options: of the first reset, and beside the mask of each later one.

    Returns:
        How many episodes came to their end.
    """
    local.action_space.seed(1)
    reset = remote.reset(seed=seed, options=_copied(options))
    assert_identical(reset, local.reset(seed=seed, options=_copied(options)), "reset", ordered=False)
    kept = _Kept()
    kept.add(reset[0])
    ended = 0
    for step in range(steps):
        actions = local.action_space.sample()
        ours, theirs = remote.step(actions), local.step(actions)
        assert_identical(ours, theirs, f"step {step}", ordered=False)
        kept.add(ours[0])
        over = np.asarray(theirs[2] | theirs[3])
        ended += int(over.sum())
        mask = masks(step, over)
        if mask.any():
            chosen = seeds(step, mask)
            again = remote.reset(seed=chosen, options={**(options or {}), "reset_mask": mask.copy()})
            expected = local.reset(seed=chosen, options={**(options or {}), "reset_mask": mask.copy()})
            assert_identical(again, expected, f"reset of {mask} after step {step}", ordered=False)
            kept.add(again[0])
    return ended


class _Kept:
    """Observations that a caller keeps: each is its own, whatever comes later."""

    def __init__(self) -> None:
        self._latest: tuple[Any, list[tuple[NDArray[Any], bytes]]] = (None, [])

    def add(self, observation: Any) -> None:
        """Take the next observation, and look that the one before is untouched by it."""
        previous, before = self._latest
        arrays = list(_arrays(observation))
        assert observation is not previous or not arrays
        for array in arrays:
            assert array.flags.writeable and array.flags.c_contiguous
            assert not any(np.shares_memory(array, earlier) for earlier, _ in before)
        assert all(earlier.tobytes() == content for earlier, content in before)
        self._latest = observation, [(array, array.tobytes()) for array in arrays]


def _copied(options: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if options is None else dict(options)


def _assert_same_space(ours: Space[Any], theirs: Space[Any]) -> None:
    assert identical(ours, theirs), f"{ours} is not {theirs}"


def _arrays(value: Any) -> Iterator[NDArray[Any]]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _arrays(part)
    elif isinstance(value, tuple):
        for part in value:
            yield from _arrays(part)
    elif isinstance(value, np.ndarray):
        yield value
