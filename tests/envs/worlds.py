"""Little environments whose spaces, values and infos are of every kind; deterministic by their seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

__all__ = ["CURIOS", "DEVIATIONS", "UNBATCHED", "Cabinet", "Deviant", "Menagerie", "Odd", "Recycler"]

BOOL: Any = np.bool_  # Gymnasium takes it, but its type hints do not say so


def _tuple(spaces: list[gymnasium.Space[Any]]) -> Tuple[Any]:
    return Tuple(spaces)


class Menagerie(gymnasium.Env[dict[str, Any], dict[str, Any]]):
    """Nested spaces of odd dtypes, and infos of all kinds; an episode has three to nine steps.

    Args:
        huge: whether an integer beyond 64 bits stands among the infos by itself, which the vector
            environments of Gymnasium cannot hold.
    """

    def __init__(self, huge: bool = False) -> None:
        self._huge = huge
        self.observation_space = Dict(
            {
                "boxes": Dict(
                    {
                        "bytes": Box(0, 255, (2, 2), np.uint8),
                        "half": Box(-1, 1, (2, 3), np.float16),
                        "double": Box(-np.inf, np.inf, (), np.float64),
                        "extended": Box(-1, 1, (2,), np.longdouble),
                        "turned": Box(-300, 300, (3,), np.dtype(">i2")),
                        "truth": Box(0, 1, (3,), BOOL),
                        "unsigned": Box(0, 2**32 - 1, (1,), np.uint32),
                    }
                ),
                "numbers": _tuple(
                    [
                        Discrete(7, start=-3),
                        Discrete(9),
                        _tuple([MultiDiscrete([3, 4, 5]), MultiDiscrete(np.array([[2, 3]]), np.int8)]),
                    ]
                ),
                "bits": MultiBinary((2, 2)),
            }
        )
        self.action_space = Dict(
            {
                "pick": Discrete(5, start=2),
                "push": _tuple([Box(-1, 1, (2,), np.float32), Box(0, 9, (1,), np.int16)]),
                "set": _tuple([MultiBinary(3), MultiDiscrete([2, 3])]),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode; the info says what the options were."""
        super().reset(seed=seed)
        self._step = 0
        self._length = int(self.np_random.integers(3, 10))
        info = {"options": repr(options), "length": self._length, **self._varying()}
        return self._observe(), info

    def step(self, action: dict[str, Any]) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """Take an action; the info says what was heard."""
        self._step += 1
        over = self._step >= self._length
        number = self._step + self._length
        info = {"heard": action, **self._kinds(number), **self._varying()}
        if self._huge:
            info["huge"] = 3**100 * (-1) ** number
        # Some environments compare arrays, and so return NumPy's bools.
        terminated, truncated = np.bool_(over and number % 2 == 0), over and number % 2 == 1
        return self._observe(), _reward(number), terminated, truncated, info  # type: ignore[return-value]

    def _observe(self) -> dict[str, Any]:
        draw = self.np_random
        return {
            "bits": draw.integers(0, 2, (2, 2)).astype(np.int8),
            "boxes": {
                "bytes": draw.integers(0, 256, (2, 2)).astype(np.uint8),
                "double": np.asarray(draw.normal()),
                "extended": draw.normal(size=2).astype(np.longdouble) / 3,
                "half": draw.uniform(-1, 1, (2, 3)).astype(np.float16),
                "truth": draw.integers(0, 2, 3).astype(np.bool_),
                "turned": draw.integers(-300, 301, 3).astype(">i2"),
                "unsigned": draw.integers(0, 2**32, 1).astype(np.uint32),
            },
            "numbers": (
                np.int64(draw.integers(-3, 4)),
                int(draw.integers(0, 9)),
                (draw.integers(0, [3, 4, 5]), draw.integers(0, [[2, 3]]).astype(np.int8)),
            ),
        }

    def _kinds(self, number: int) -> dict[str, Any]:
        draw = self.np_random
        return {
            "python": {"int": number, "float": number / 3, "bool": number % 2 == 0, "minus": -0.0},
            "text": f"número {number}",
            "nothing": None,
            "numpy": {
                "f2": np.float16(number / 3),
                "f4": np.float32(number / 3),
                "i1": np.int8(-number),
                "u8": np.uint64(2**64 - number),
                "b": np.bool_(number % 3 == 0),
                "c": np.complex64(number + 1j),
            },
            "arrays": {
                "f4": draw.normal(size=(2, 3)).astype(np.float32),
                "empty": np.zeros((0, 3), np.int16),
                "flags": draw.integers(0, 2, 5).astype(np.bool_),
                "strided": np.arange(12.0).reshape(3, 4)[:, ::2] * number,
            },
            "tuple": (number, (np.float32(0.1), "x", None), [True, {"deep": (3**50 * number,)}]),
            "list": [1, 2.0, "three", None, [np.int16(4)]],
            "odd floats": {
                "nan": float("nan"),
                "inf": float("inf"),
                "many": np.array([np.nan, -np.inf, -0.0]),
            },
            "slash/and~tilde": {"": number, "a/b": {"~1": b"bytes\x00\xff"}},
            "none inside": {},
            "by number": {1: "one", 2: number},
        }

    def _varying(self) -> dict[str, Any]:
        """Keys that are not always there, and values that are not always of one kind."""
        number = self._step + self._length
        info: dict[str, Any] = {"mixed": number if number % 2 else number / 4}
        if number % 3 == 0:
            info["rare"] = np.float32(number)
        if number % 4 == 1:
            info["sometimes"] = {"inner": number, ("even" if self._step % 2 else "odd"): (number,)}
        if number % 5 == 2:
            info["of any size"] = "text" if number % 2 else np.bool_(True)
        return info


def _reward(number: int) -> Any:
    """A reward as environments give it: of any numeric type."""
    kinds = [
        number,
        number / 3,
        np.float32(0.1 * number),
        np.float64(-0.0),
        np.int16(number),
        number % 3 == 0,
    ]
    return [*kinds, np.array(0.1 * number)][number % 7]


class Odd(gymnasium.Env[Any, Any]):
    """Observations and rewards that JSON has no words for; an episode has six steps.

    Args:
        scalar: whether the observation is a Python int and not an array.
    """

    VALUES: ClassVar[list[float]] = [0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e-310, 0.1]

    def __init__(self, scalar: bool = False) -> None:
        self._scalar = scalar
        self.observation_space: gymnasium.Space[Any] = (
            Discrete(1000) if scalar else Box(-np.inf, np.inf, (3,), np.float32)
        )
        self.action_space = Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._step = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Give the next odd value."""
        self._step += 1
        value = self.VALUES[self._step]
        reward = np.float32(value) if self._step % 2 else value
        return self._observe(), reward, self._step == 6, False, {"value": value}

    def _observe(self) -> Any:
        if self._scalar:
            return 7 * self._step
        with np.errstate(under="ignore"):
            return np.array([self.VALUES[self._step], self._step, -0.0], np.float32)


CURIOS: dict[str, Callable[[int], Any]] = {
    "int": lambda n: n,
    "int at the edge": lambda n: 2**63 - 1 - n,
    "int beyond 64 bits": lambda n: 3**100 + n,
    "float": lambda n: n / 3,
    "minus zero": lambda n: -0.0,
    "nan": lambda n: float("nan"),
    "infinity": lambda n: (-1) ** n * float("inf"),
    "bool": lambda n: n % 2 == 0,
    "None": lambda n: None,
    "text": lambda n: f"número {n} \0 \U0001f980",
    "bytes": lambda n: bytes([0, 255, n]),
    "tuple": lambda n: (n, (None, "x")),
    "empty tuple": lambda n: (),
    "list": lambda n: [n, [n / 2], {"a": ()}],
    "dict": lambda n: {"a": n, "b": {"c": (n,)}},
    "empty dict": lambda n: {},
    "dict with and without a key": lambda n: {"a": n} if n % 2 else {"b": n},
    "dict or nothing in it": lambda n: {"a": n} if n % 2 else {},
    "dict with numbers as keys": lambda n: {1: n, 2: "x"},
    "dict with tuples as keys": lambda n: {(1, "a"): n},
    "dict with an array in it": lambda n: {"a": np.arange(3, dtype=np.int8) * n},
    "float16": lambda n: np.float16(n / 3),
    "float32": lambda n: np.float32(n / 3),
    "float64": lambda n: np.float64(n / 3),
    "longdouble": lambda n: np.longdouble(n) / 3,
    "float32 nan": lambda n: np.float32("nan"),
    "int8": lambda n: np.int8(-n),
    "uint64": lambda n: np.uint64(2**64 - 1 - n),
    "complex64": lambda n: np.complex64(n - 0.5j),
    "numpy bool": lambda n: np.bool_(n % 2),
    "numpy text": lambda n: np.str_(f"n{n}"),
    "int or float": lambda n: n if n % 2 else n / 4,
    "array": lambda n: np.array([[n, 0.1]], np.float32),
    "array of shape ()": lambda n: np.asarray(n / 3),
    "array of bools": lambda n: np.array([n % 2 == 0, True]),
    "empty array": lambda n: np.zeros((0, 3), np.int16),
    "big-endian array": lambda n: np.array([n, -n, 256], ">i4"),
    "strided array": lambda n: np.arange(n, n + 12.0).reshape(3, 4)[:, ::2],
    "Fortran array": lambda n: np.asfortranarray(np.arange(n, n + 6.0).reshape(2, 3)),
    "array with nan": lambda n: np.array([np.nan, -np.inf, -0.0, n]),
    "complex array": lambda n: np.array([n + 1j, -0.0j]),
    "longdouble array": lambda n: np.arange(n, n + 2, dtype=np.longdouble) / 3,
    "array of texts": lambda n: np.array(["a", f"b{n}"]),
    "array of objects": lambda n: np.array([None, "x", (n, 0.5)], object),
    "array of one dtype or another": lambda n: np.arange(2, dtype=np.int8 if n % 2 else np.float64),
    "nothing or a number": lambda n: n if n % 2 == 0 else None,
}
"""Values that an info may have, each made from the number of the step."""

UNBATCHED = {"int beyond 64 bits", "nothing or a number"}
"""Those that Gymnasium's own vector environments cannot hold."""


class Cabinet(gymnasium.Env[Any, Any]):
    """Shows the curio that the last options named, as an info; an episode has two to four steps."""

    def __init__(self) -> None:
        self.observation_space = Discrete(9)
        self.action_space = Discrete(2)
        self._curio = "int"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; the info is empty."""
        super().reset(seed=seed)
        self._curio = (options or {}).get("curio", self._curio)
        self._step = 0
        self._length = int(self.np_random.integers(2, 5))
        return self._step, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action."""
        self._step += 1
        info = {"value": CURIOS[self._curio](self._step + self._length)}
        return self._step, 1.0, self._step == self._length, False, info


DEVIATIONS = [
    "float64 in a float32 Box",
    "a list for an array",
    "a float for an array of shape ()",
    "a list for a Tuple",
    "int and np.int64 by turns",
    "int32 in an int64 MultiDiscrete",
    "keys in another order",
    "a key too many",
]


class Deviant(gymnasium.Env[Any, Any]):
    """What it returns is not quite what its space declares; an episode has four steps.

    Args:
        deviation: one of ``DEVIATIONS``.
        late: whether it returns what it declares at every reset, and deviates afterwards.
    """

    def __init__(self, deviation: str, late: bool = False) -> None:
        self._deviation, self._late = deviation, late
        self.observation_space = Dict(
            {
                "box": Box(-10, 10, (2,), np.float32),
                "point": Box(-10, 10, (), np.float32),
                "pair": _tuple([Discrete(9), MultiDiscrete([5, 5])]),
            }
        )
        self.action_space = Discrete(2)
        self._calls = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._step = 0
        return self._observe(deviating=not self._late), {"step": 0}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action."""
        self._step += 1
        return self._observe(deviating=True), 1.0, self._step == 4, False, {"step": self._step}

    def _observe(self, *, deviating: bool) -> Any:
        draw = self.np_random
        self._calls += 1
        box, number = draw.normal(size=2), draw.integers(0, 9)
        observation: dict[str, Any] = {
            "box": box.astype(np.float32),
            "pair": (number, np.array([self._step, 1])),
            "point": np.asarray(box[0], np.float32),
        }
        return _DEVIATE[self._deviation](observation, box, self._calls) if deviating else observation


def _replace(key: str, value: Callable[[dict[str, Any], Any, int], Any]) -> Callable[..., dict[str, Any]]:
    return lambda observation, box, calls: {**observation, key: value(observation, box, calls)}


_DEVIATE: dict[str, Callable[[dict[str, Any], Any, int], dict[str, Any]]] = {
    "float64 in a float32 Box": _replace("box", lambda observation, box, calls: box),
    "a list for an array": _replace("box", lambda observation, box, calls: box.tolist()),
    "a float for an array of shape ()": _replace("point", lambda observation, box, calls: float(box[0])),
    "a list for a Tuple": _replace("pair", lambda observation, box, calls: list(observation["pair"])),
    "int and np.int64 by turns": _replace(
        "pair",
        lambda observation, box, calls: (
            int(observation["pair"][0]) if calls % 2 else observation["pair"][0],
            observation["pair"][1],
        ),
    ),
    "int32 in an int64 MultiDiscrete": _replace(
        "pair",
        lambda observation, box, calls: (observation["pair"][0], observation["pair"][1].astype(np.int32)),
    ),
    "keys in another order": lambda observation, box, calls: dict(reversed(observation.items())),
    "a key too many": lambda observation, box, calls: {**observation, "zero": (calls, "more")},
}


class Recycler(gymnasium.Env[Any, Any]):
    """Returns the same observation and the same info each time, with new contents; ends every third step."""

    def __init__(self) -> None:
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Discrete(2)
        self._observation = np.zeros(2)
        self._info: dict[str, Any] = {"trace": np.zeros(2), "nested": {"step": 0}}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._step = 0
        return self._answer()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action."""
        self._step += 1
        observation, info = self._answer()
        return observation, 1.0, self._step == 3, False, info

    def _answer(self) -> tuple[Any, dict[str, Any]]:
        self._observation[:] = self.np_random.normal(size=2)
        self._info["trace"][:] = self._observation
        self._info["step"] = self._step
        self._info["nested"]["step"] = self._step
        return self._observation, self._info
