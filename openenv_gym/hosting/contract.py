"""What the server asks of an environment, whatever its ecosystem, and where the rows go.

A :class:`HostedEnv` blocks, and lives on one and the same thread from construction to close. It
answers by putting rows into an :class:`Out`; it never sees a message, a socket or a codec.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from openenv_gym.errors import CallRefused, EnvironmentRaised, InvalidArgument, OpenEnvGymError
from openenv_gym.types import Flag, Signature, Slots

__all__ = [
    "ALONE",
    "FAILURES",
    "HostedEnv",
    "NamedStep",
    "Out",
    "attributed",
    "checked_calls",
    "look_up",
    "raised",
]

ALONE = int(Flag.TO_MOVE | Flag.OBSERVED)
"""The flags of the only agent of a lane."""

FAILURES: tuple[type[BaseException], ...] = (BaseException,)
"""What foreign code may raise without ending more than its own request: ``sys.exit()``, too, and panics of
extensions in Rust, which are no ``Exception``."""


class Out(Protocol):
    """Collects the rows of one request."""

    def put(
        self,
        lane: int,
        phase: int,
        observation: Any,
        reward: Any = 0.0,
        terminated: Any = False,
        truncated: Any = False,
        info: dict[str, Any] | None = None,
        agent: int = 0,
        flags: int = ALONE,
        /,
    ) -> None:
        """One row; the observation is copied. Raises ``LayoutMismatch`` if it cannot be held."""

    def put_batch(
        self,
        observation: Any,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        info: dict[str, Any] | None = None,
        phase: Any = 1,
    ) -> None:
        """All lanes at once, as arrays with the lane axis first."""

    def fail(self, lane: int, error: OpenEnvGymError, agent: int = 0, *, final: bool = False) -> None:
        """Say that a lane failed, and why; a final one has its next episode's first row behind it."""

    def flush(self) -> None:
        """Some lanes are done early: send what there is, if anyone wants it early."""


class NamedStep(NamedTuple):
    """A typed environment's action, and what else its step is given by name."""

    action: Any
    names: Mapping[str, Any]


class HostedEnv(Protocol):
    """An environment of one or many lanes, of one or many agents."""

    signature: Signature

    def reset(
        self,
        lanes: Sequence[int] | None,
        seeds: int | Sequence[int | None] | None,
        options: dict[str, Any] | None,
        out: Out,
    ) -> None:
        """Begin episodes: in all lanes, or the named ones; ``seeds`` as in the ``Reset`` message."""

    def step(self, slots: Slots | None, actions: Sequence[Any], out: Out) -> None:
        """One action for each slot; ``None`` is agent 0 of every lane."""

    def observe(self, lane: int, agent: int) -> Any:
        """What a slot sees now."""

    def state(self, lane: int, agent: int) -> dict[str, Any]:
        """What OpenEnv calls state: at least ``step_count``."""

    def render(self, lane: int | None) -> Any:
        """A frame of one lane, or of all."""

    def call(self, lane: int | None, name: str, args: Sequence[Any]) -> Any:
        """A method or attribute that the signature allows; ``None`` asks every lane."""

    def close(self) -> None:
        """Let go of everything; called once, also after a failure."""


@contextmanager
def attributed(during: str) -> Iterator[None]:
    """The boundary around foreign code: whatever it raises is the environment's failure.

    Errors of this package pass as they are.

    Raises:
        EnvironmentRaised: for any other exception, with its type, text and traceback as a note.
    """
    try:
        yield
    except OpenEnvGymError:
        raise
    except FAILURES as error:
        raise raised(error, during) from error


_ADVICE = {"reset": "; reset again, or begin another session", "step": "; reset to go on"}


def raised(error: BaseException, during: str, *, advise: bool = True) -> EnvironmentRaised:
    """The environment's own exception as an error of this package, with advice to whoever must go on."""
    name = type(error).__name__
    advice = _ADVICE.get(during, "") if advise else ""
    text = f"the environment raised {name} during {during}: {error}{advice}"
    failure = EnvironmentRaised(text, exception=name, during=during)
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = "".join(f"  {frame.name}, line {frame.lineno}\n" for frame in frames)
    failure.add_note(f"Remote cause, innermost frame last:\n{where}{name}: {error}")
    return failure


def checked_calls(names: Iterable[str]) -> tuple[str, ...]:
    """The names of an operator's allow-list, if clients may be offered them.

    Raises:
        InvalidArgument: if one is no name, or dotted names, of a public attribute.
    """
    checked = tuple(names)
    for name in checked:
        if not all(part.isidentifier() and not part.startswith("_") for part in name.split(".")):
            raise InvalidArgument(
                f"clients cannot be offered the call {name!r:.80}; offer a public method or attribute, or "
                "one of a part: calls=['action_masks', 'ale.lives']"
            )
    return checked


def look_up(env: Any, name: str, allowed: Sequence[str], args: Sequence[Any]) -> Any:
    """Read, or call, ``name`` (dots allowed) of an environment, if the operator allows it.

    Raises:
        CallRefused: if it is not on the list.
    """
    if name not in allowed:
        offered = ", ".join(allowed) or "none"
        raise CallRefused(
            f"the server does not offer {name!r:.80}; it offers: {offered}. "
            "Its operator can add it: serve_gym(..., calls=[...])",
            name=name,
        )
    target = env
    for part in name.split("."):
        target = (
            target.get_wrapper_attr(part) if hasattr(target, "get_wrapper_attr") else getattr(target, part)
        )
    return target(*args) if callable(target) else target
