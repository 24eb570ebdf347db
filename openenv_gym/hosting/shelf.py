"""What clients may choose: ids and constructor arguments from the operator's lists, and nothing else.

The environment that a server was started with is probed before its door opens; what clients choose
beside it is probed when somebody first asks for it, and kept. Pure but for that probe, which takes
its time and may be made on any thread.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from openenv_gym.errors import InvalidArgument
from openenv_gym.hosting.source import Source, spec_of

__all__ = ["Choice", "Shelf"]

Open: TypeAlias = Callable[[str | None, dict[str, Any]], Source]
"""Probes an id (``None``: what the server was started with) with further constructor arguments."""

_KEPT = 32
_OURS = frozenset(
    {
        "autoreset_mode",
        "disable_env_checker",
        "id",
        "num_envs",
        "render_mode",
        "vector_kwargs",
        "vectorization_mode",
        "wrappers",
    }
)
"""Arguments of ``gymnasium.make`` and ``make_vec`` that the bridge gives itself."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a session is to host.

    Attributes:
        env_id: one of the operator's list, or ``None`` for what the server was started with.
        kwargs: constructor arguments.
        render_mode: how the session renders.
        key: names the source, which several render modes share.
    """

    env_id: str | None
    kwargs: dict[str, Any]
    render_mode: str | None
    key: str


@dataclass(slots=True)
class _Place:
    """Where a source is, or will be; its lock is held while it is probed."""

    source: Source | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shelf:
    """The sources of a server.

    The last 32 that clients have chosen are kept; an older one is probed again.

    Args:
        source: of what the server was started with.
        open_one: probes another; without, ``ids`` and ``kwargs`` are empty.
        ids: Gymnasium ids that a client may ask for, beside the own one.
        kwargs: names of constructor arguments that a client may choose.

    Raises:
        FactoryFailed: if an id is not registered.
        InvalidArgument: if an id could name a module to import, or an argument is the bridge's own.
    """

    def __init__(
        self,
        source: Source,
        open_one: Open | None = None,
        ids: Iterable[str] = (),
        kwargs: Iterable[str] = (),
    ) -> None:
        self.source = source
        self._open = open_one
        self._own = source.signature.env_id
        self._ids = _checked_ids(ids)
        self._kwargs = _checked_kwargs(kwargs)
        self._places: dict[str, _Place] = {}
        self._lock = threading.Lock()

    def choose(self, config: Mapping[str, Any]) -> Choice:
        """What the ``config`` of a hello asks for, if it may.

        Raises:
            InvalidArgument: if it asks for what is not on the operator's lists.
        """
        unknown = config.keys() - {"render_mode", "env_id", "env_kwargs"}
        if unknown:
            named = ", ".join(sorted(map(str, unknown)))
            raise InvalidArgument(
                f"a session is asked for by render_mode, env_id and env_kwargs, not by {named:.80}"
            )
        render_mode = config.get("render_mode")
        if not (render_mode is None or type(render_mode) is str):
            raise InvalidArgument(f"a render_mode is a text, not {render_mode!r:.40}")
        env_id = self._chosen_id(config.get("env_id"))
        kwargs, text = self._chosen_kwargs(config.get("env_kwargs"))
        return Choice(env_id, kwargs, render_mode, f"{env_id or ''} {text}")

    def have(self, choice: Choice) -> Source | None:
        """The source of a choice, if it needs no probe; never waits."""
        if choice.env_id is None and not choice.kwargs:
            return self.source
        with self._lock:
            place = self._places.get(choice.key)
            if place is None or place.source is None:
                return None
            self._places[choice.key] = self._places.pop(choice.key)  # the newest is the last
            return place.source

    def fetch(self, choice: Choice) -> Source:
        """The source of a choice, which is probed if it must be; who asks meanwhile waits for it.

        Raises:
            FactoryFailed: if the environment cannot be built, or fails its first steps.
            InvalidArgument: if it cannot be served in the way that this server serves.
        """
        with self._lock:
            place = self._places.pop(choice.key) if choice.key in self._places else _Place()
            self._places[choice.key] = place
            while len(self._places) > _KEPT:
                self._places.pop(next(iter(self._places)))
        with place.lock:
            if place.source is None:
                assert self._open is not None, "nothing may be chosen"
                place.source = self._open(choice.env_id, choice.kwargs)
            return place.source

    def _chosen_id(self, asked: Any) -> str | None:
        if asked is None or (type(asked) is str and asked == self._own):
            return None
        if type(asked) is not str or asked not in self._ids:
            offered = ", ".join([self._own, *self._ids])
            raise InvalidArgument(
                f"the server does not serve env_id={asked!r:.80}; it serves: {offered}. "
                "Its operator can add an id: serve_gym(..., client_ids=[...]), --client-id",
                supported=[self._own, *self._ids],
            )
        return asked

    def _chosen_kwargs(self, asked: Any) -> tuple[dict[str, Any], str]:
        """The arguments, and their canonical text."""
        if asked is None:
            return {}, "{}"
        if type(asked) is not dict:
            raise InvalidArgument(f"env_kwargs are names and values, not {asked!r:.40}")
        refused = [name for name in asked if name not in self._kwargs]
        if refused:
            raise InvalidArgument(
                f"clients may not choose {', '.join(map(repr, refused)):.80} in env_kwargs; they may choose: "
                f"{', '.join(self._kwargs) or 'none'}. Its operator can add one: "
                "serve_gym(..., client_kwargs=[...]), --client-kwarg",
                supported=list(self._kwargs),
            )
        try:
            text = json.dumps(asked, sort_keys=True, allow_nan=False)
            plain = _is_plain(asked)
        except (TypeError, ValueError, RecursionError):
            plain = False
        if not plain:
            raise InvalidArgument(
                "env_kwargs hold plain JSON: null, true, false, finite numbers, texts, lists, objects"
            )
        return asked, text


def _is_plain(value: Any) -> bool:
    """Whether a value is what JSON gives back; a tuple, say, would be written as a list."""
    if type(value) is dict:
        return all(type(key) is str and _is_plain(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _checked_ids(ids: Iterable[str]) -> Sequence[str]:
    """The ids, if they are registered and Gymnasium would import no module that they name."""
    checked = tuple(ids)
    for each in checked:
        if type(each) is not str or not each or ":" in each:
            raise InvalidArgument(
                f"clients cannot be offered the id {each!r:.80}: before a ':' stands a module to import; "
                "import it at start (--import) and offer its ids without"
            )
        spec_of(each)
    return checked


def _checked_kwargs(names: Iterable[str]) -> Sequence[str]:
    """The names of arguments, if they are the environment's and not ``gymnasium.make``'s."""
    checked = tuple(names)
    for each in checked:
        if each in _OURS:
            raise InvalidArgument(f"clients cannot choose {each} in env_kwargs; the server chooses it")
    return checked
