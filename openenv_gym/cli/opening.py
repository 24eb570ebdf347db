"""What a user names on the command line: a server's URL, an id, ``module:Class`` or ``module:app``."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import gymnasium

from openenv_gym.envs.embedded import lease_application
from openenv_gym.envs.registered import RegisteredGym, RegisteredVectorEnv
from openenv_gym.envs.registration import SERVERS
from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.envs.vector import OpenEnvVectorEnv
from openenv_gym.errors import ConnectFailed, InvalidArgument, OpenEnvGymError, UnsupportedSpace

__all__ = [
    "import_modules",
    "import_target",
    "is_url",
    "open_env",
    "open_lanes",
    "read_arguments",
    "short_name",
]

_Face = TypeVar("_Face", OpenEnvGym, OpenEnvVectorEnv)

_URL = re.compile(r"[a-z]+://.*|[^/:]+:\d+(/.*)?", re.IGNORECASE | re.DOTALL)
_OURS = "openenv/"


def is_url(target: str) -> bool:
    """Whether a server is named, and not what is to be served.

    >>> is_url("https://host/prefix"), is_url("localhost:8000"), is_url("module:Class"), is_url("CartPole-v1")
    (True, True, False, False)
    """
    return _URL.fullmatch(target) is not None


def short_name(target: str) -> str:
    """What stands in a prompt, or in the name of a file.

    >>> short_name("ALE/Pong-v5"), short_name("http://127.0.0.1:8000/pong/"), short_name("worlds:Maze")
    ('Pong-v5', 'pong', 'Maze')
    """
    last = target.rstrip("/").rpartition("/")[2]
    return last if is_url(target) else last.rpartition(":")[2]


def open_env(
    target: str, *, render_mode: str | None, arguments: Mapping[str, Any], hints: Path | None = None
) -> OpenEnvGym:
    """An environment on the server that is named, or on a private one that is started for it.

    Args:
        target: what is named.
        render_mode: of the session.
        arguments: of the environment's constructor.
        hints: a hint file, for a server that does not tell its spaces.

    Raises:
        InvalidArgument: if nothing can be meant by ``target``.
        UnsupportedSpace: if there are no spaces to play by.
        FactoryFailed: if the environment cannot be built.
        ConnectFailed: if no server answers.
    """
    options = {"render_mode": render_mode, "env_kwargs": arguments, "hints": hints}
    return _explained(target, lambda: _open(target, _ONE_LANE, options))


def open_lanes(target: str, num_envs: int, *, arguments: Mapping[str, Any]) -> OpenEnvVectorEnv:
    """Lanes of what :func:`open_env` opens; it raises the same.

    Raises:
        CapacityReached: if the server has not so many lanes left.
    """
    options = {"num_envs": num_envs, "env_kwargs": arguments}
    return _explained(target, lambda: _open(target, _MANY_LANES, options))


def _explained(target: str, opening: Callable[[], _Face]) -> _Face:
    """What is opened; an error that a user of the command line may meet says what to do there."""
    try:
        return opening()
    except ConnectFailed as error:
        raise ConnectFailed(f"{error.message} openenv-gym serve ID starts one", **error.fields) from error
    except (UnsupportedSpace, InvalidArgument) as error:
        if not isinstance(error.__cause__ or error, UnsupportedSpace):  # gymnasium.make's rule hides it
            raise
        raise UnsupportedSpace(
            f"{error.message}\nopenenv-gym inspect {target if is_url(target) else 'URL'} -o x.hints.json "
            "writes down what is known; say there what is open, and name the file with --hints"
        ) from error


def _open(target: str, face: _Faces[_Face], options: Mapping[str, Any]) -> _Face:
    if is_url(target):
        return face.plain(target, wait_timeout=0, **options)
    name = target.removeprefix(_OURS)
    if name != target:
        _check_ours(name)
        if SERVERS[name] is None and not os.environ.get(f"OPENENV_{name.upper()}_URL", "").strip():
            raise _names_nothing(name)
        return face.registered(server=name, **options)
    if ":" not in target:
        return face.registered(server="gym", env_id=target, **options)
    found = import_target(target)
    if isinstance(found, type) or inspect.isroutine(found):
        return face.registered(server="gym", env_id=found, **options)
    return face.leased(target, **options)


class _OfApplication:
    """Gives a face, whose class follows it, an application on an embedded server of its own."""

    def __init__(self, target: str, **options: Any) -> None:
        self._lease = lease_application(target)
        face: Any = super()
        try:
            face.__init__(self._lease.url, headers=self._lease.headers, **options)
        except BaseException:  # Ctrl-C, too: nobody else could release the server
            self._lease.release()
            raise

    def close(self, **kwargs: Any) -> None:
        face: Any = super()
        face.close(**kwargs)
        self._lease.release()


class _Leased(_OfApplication, OpenEnvGym):
    """An application's environment."""


class _LeasedLanes(_OfApplication, OpenEnvVectorEnv):
    """An application's lanes."""


@dataclass(frozen=True, slots=True)
class _Faces(Generic[_Face]):
    """What is made of a server's address, of a name that Gymnasium knows, and of an application."""

    plain: Callable[..., _Face]
    registered: Callable[..., _Face]
    leased: Callable[..., _Face]


_ONE_LANE: _Faces[OpenEnvGym] = _Faces(OpenEnvGym, RegisteredGym, _Leased)
_MANY_LANES: _Faces[OpenEnvVectorEnv] = _Faces(OpenEnvVectorEnv, RegisteredVectorEnv, _LeasedLanes)


def import_target(target: str) -> Any:
    """What to serve: an id as it is, and of ``module:name`` and ``openenv/name`` what they stand for.

    Raises:
        InvalidArgument: if it cannot be imported.
    """
    name = target.removeprefix(_OURS)
    if name != target:
        _check_ours(name)
        target = SERVERS[name] or target
        if target.startswith(_OURS):
            raise _names_nothing(name)
    module, colon, attribute = target.partition(":")
    if not colon:
        return target
    found = _import(module)
    try:
        return getattr(found, attribute)
    except AttributeError as error:
        own = [name for name, value in vars(found).items() if getattr(value, "__module__", None) == module]
        there = f" ({', '.join(own):.120})" if own else ""
        raise InvalidArgument(
            f"{module} has no {attribute!r:.80}; name a class, a function or an app of it{there}"
        ) from error


def import_modules(names: Iterable[str]) -> None:
    """Import what registers ids.

    Raises:
        InvalidArgument: if it cannot be imported.
    """
    for name in names:
        gymnasium.register_envs(_import(name))


def read_arguments(option: str, text: str) -> dict[str, Any]:
    """The constructor arguments in an option.

    Raises:
        InvalidArgument: if they are no JSON object.
    """
    advice = f"one looks like {option} '{{\"continuous\": true}}'"
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"{option} is no JSON: {error}; {advice}") from error
    if type(arguments) is not dict:
        raise InvalidArgument(f"{option} is a JSON object; {advice}")
    return arguments


def _check_ours(name: str) -> None:
    if name not in SERVERS:
        raise InvalidArgument(
            f"there is no {_OURS}{name:.80}; there are {', '.join(_OURS + each for each in SERVERS)}"
        )


def _names_nothing(name: str) -> InvalidArgument:
    if name == "remote":
        return InvalidArgument(
            "openenv/remote stands for a server that runs already; give its address instead: "
            "http://127.0.0.1:8000"
        )
    return InvalidArgument(
        "openenv/gym stands for any Gymnasium id; give the id itself, like CartPole-v1: "
        "openenv-gym list shows them"
    )


def _import(name: str) -> ModuleType:
    """A module that the operator names: installed, or in the working directory."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except OpenEnvGymError:  # which knows what is missing
        raise
    except (ImportError, TypeError, ValueError) as error:
        raise InvalidArgument(
            f"{name} cannot be imported: {error}; it is looked for in the working directory and among what "
            "is installed"
        ) from error
