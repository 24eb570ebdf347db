"""Storing a value into a column: to the bit where it fits, by Gymnasium's cast where it does not.

The one place that decides which casts are honest. Observations (``rows``), actions (``actions``)
and plain data (``plain``) share it and differ only in whom they blame. Internal to ``spaces``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openenv_gym.errors import InvalidAction, LayoutMismatch, OpenEnvGymError
from openenv_gym.spaces.layout import Branch, Path

__all__ = [
    "ACTION",
    "OBSERVATION",
    "Blame",
    "limits",
    "overflowed",
    "shortened",
    "shown",
    "store",
    "take_apart",
]


@dataclass(frozen=True, slots=True)
class Blame:
    """Which error a misfit raises, and the words in which it speaks of the value.

    >>> raise ACTION.refuse(("arm", 0), "has shape (3,)", "wants (4,)")
    Traceback (most recent call last):
    openenv_gym.errors.InvalidAction: action['arm'][0] has shape (3,), action_space['arm'][0] wants (4,); \
see env.action_space
    """

    error: type[OpenEnvGymError]
    noun: str
    space: str
    advice: str

    def refuse(self, path: Path, has: str, wants: str) -> OpenEnvGymError:
        """Build the error for the value at ``path``; the caller raises it."""
        where = "".join([f"[{key!r}]" for key in path])
        message = f"{self.noun}{where} {has}, {self.space}{where} {wants}; {self.advice}"
        return self.error(message, path=list(path))


OBSERVATION = Blame(
    LayoutMismatch,
    "observation",
    "observation_space",
    "correct the environment's observation_space or what it returns",
)
ACTION = Blame(InvalidAction, "action", "action_space", "see env.action_space")


def store(target: NDArray[Any], value: Any, path: Path, blame: Blame) -> bool:
    """Copy ``value`` into all of ``target``, and say whether dtype and shape were the target's own.

    Integers may narrow when each of them is in range; every other cast must be ``same_kind``, the
    rule of ``np.stack(..., out=...)`` in Gymnasium's ``concatenate``. A finite float may become
    infinite, as it does there; see :func:`overflowed`. Nothing is stored when an error is raised.

    >>> column = np.zeros(3, np.float32)
    >>> store(column, np.ones(3, np.float32), (), OBSERVATION), store(column, [1, 2, 3], (), OBSERVATION)
    (True, False)

    Raises:
        OpenEnvGymError: ``blame.error``, when the target cannot hold the value.
    """
    if type(value) is np.ndarray and value.dtype == target.dtype and value.shape == target.shape:
        target[...] = value
        return True
    array = _as_array(value, target.dtype, path, blame)
    if array.shape != target.shape:
        raise blame.refuse(path, f"has shape {array.shape}", f"wants {target.shape}")
    if target.dtype.kind in "iu" and array.dtype.kind in "iubO":
        _check_range(array, target.dtype, path, blame)
    elif not np.can_cast(array.dtype, target.dtype, "same_kind"):
        raise blame.refuse(path, f"has dtype {array.dtype}", f"wants {target.dtype}")
    with np.errstate(all="ignore"):
        target[...] = array
    return False


def overflowed(source: Any, stored: NDArray[Any]) -> bool:
    """Say whether a finite number of ``source`` became infinite in ``stored``.

    >>> overflowed([1.0, 1e300], np.array([1.0, np.inf], np.float32))
    True
    """
    return stored.dtype.kind == "f" and bool((np.isinf(stored) & np.isfinite(np.asarray(source))).any())


def take_apart(branch: Branch, value: Any, blame: Blame, *, strict: bool = False) -> tuple[list[Any], bool]:
    """Take one part for each child out of a container.

    Args:
        branch: the container that the space declares.
        value: a dict or tuple, or anything that can be indexed like one.
        blame: whose error to raise.
        strict: refuse parts that the space does not have; without it they are left out, which is
            what Gymnasium's ``concatenate`` does.

    Returns:
        The parts, and whether ``value`` is the very container (type, keys, order) of the space.

    Raises:
        OpenEnvGymError: ``blame.error``, when a part is missing or the value has no parts.
    """
    if type(value) is branch.container:
        if type(value) is tuple and len(value) == len(branch.keys):
            return list(value), True
        if type(value) is dict and tuple(value) == branch.keys:
            return list(value.values()), True
    try:
        parts = [value[key] for key in branch.keys]
        surplus = strict and len(value) != len(parts)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise blame.refuse(branch.path, _names(value), _wants(branch)) from error
    if surplus:
        raise blame.refuse(branch.path, _names(value), _wants(branch))
    return parts, False


@cache
def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The least and the greatest integer of an integer dtype, as Python's own.

    >>> limits(np.dtype("u1"))
    (0, 255)
    """
    facts = np.iinfo(dtype)
    return int(facts.min), int(facts.max)


def shown(value: Any) -> str:
    """Write anything for a message: briefly, and without failing.

    Python refuses to print an int of many thousand digits, and a list that is nested as deeply.

    >>> shown(300), shown(10**5000), shown("<f4"), shown([[]])
    ('300', 'an integer of 16610 bits', "'<f4'", 'a list')
    """
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value[:40])
    return str(value) if isinstance(value, int | float | None) else f"a {type(value).__name__}"


def shortened(keys: Iterable[Any], most: int = 12) -> str:
    """List keys for a message, which a peer's keys must not flood.

    >>> shortened("abc", most=2)
    "['a', 'b', ...]"
    """
    names = [shown(key) for key in islice(keys, most + 1)]
    return "[" + ", ".join(names[:most] + ["..."] * (len(names) > most)) + "]"


def _as_array(value: Any, dtype: np.dtype[Any], path: Path, blame: Blame) -> NDArray[Any]:
    try:
        array = np.asarray(value)
        if dtype.kind in "iu" and array.dtype.kind in "fO" and not isinstance(value, np.ndarray | np.generic):
            # NumPy widens Python ints beyond int64 to floats or objects; they may still be held.
            exact = np.asarray(value, dtype=object)
            if all(isinstance(item, int | np.integer) for item in exact.flat) and exact.size:
                return exact
    except Exception as error:  # what __array__ of a foreign class may raise is not ours to list
        raise blame.refuse(
            path, f"is a {type(value).__name__} and no array ({error})", "wants one"
        ) from error
    if array.size == 0 and not isinstance(value, np.ndarray | np.generic):
        return array.astype(dtype)  # an empty list has no dtype of its own; NumPy calls it float64
    if array.dtype.kind == "O":
        raise blame.refuse(path, f"is a {type(value).__name__} and no array of numbers", f"wants {dtype}")
    return array


def _check_range(array: NDArray[Any], dtype: np.dtype[Any], path: Path, blame: Blame) -> None:
    if array.size == 0 or np.can_cast(array.dtype, dtype, "safe"):
        return
    least, greatest = limits(dtype)
    for item in (int(array.min()), int(array.max())):
        if not least <= item <= greatest:
            raise blame.refuse(path, f"holds {shown(item)}", f"wants {dtype} ({least} to {greatest})")


def _names(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"has keys {shortened(value)}"
    if isinstance(value, tuple | list):
        return f"has {len(value)} parts"
    return f"is a {type(value).__name__}"


def _wants(branch: Branch) -> str:
    if branch.container is dict:
        return f"wants keys {shortened(branch.keys)}"
    return f"wants {len(branch.keys)} parts"
