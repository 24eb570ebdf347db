"""Which family a Gymnasium id belongs to, and what must be installed before it can be built.

Nothing is imported to find out, but for what :func:`load_plugin` is asked for: Gymnasium 1.x registers
no plug-ins by itself.
"""

from __future__ import annotations

import difflib
import importlib
import re
from dataclasses import dataclass
from importlib.util import find_spec

import gymnasium
from gymnasium.envs.registration import EnvSpec

from openenv_gym.errors import MissingExtra

__all__ = ["ATARI", "FAMILIES", "Family", "close_ids", "family_of", "load_plugin", "newest"]

_CLOSE = 0.65
_VERSION = re.compile(r"-v\d+$")


@dataclass(frozen=True, slots=True)
class Family:
    """Ids that need the same packages."""

    name: str
    modules: str | None = None
    """What the modules of their entry points begin with; ``None``: the family of one foreign package."""
    needs: str | None = None
    """The module without which none of them can be built."""
    package: str | None = None
    """What to install for it."""
    draws_with: str | None = None
    """The module without which they are built, but not rendered as images."""
    to_draw: str | None = None
    """What to install for that."""

    @property
    def installed(self) -> bool:
        """Whether they can be built here."""
        return _is_there(self.needs)

    @property
    def draws(self) -> bool:
        """Whether they can be rendered here."""
        return self.installed and _is_there(self.draws_with)


ATARI = Family("Atari", "ale_py", "ale_py", "openenv-gym[atari]")
_JAX = ("jax", "gymnasium[jax]")
FAMILIES = (
    Family(
        "Classic control",
        "gymnasium.envs.classic_control",
        draws_with="pygame",
        to_draw="openenv-gym[classic]",
    ),
    Family("Toy text", "gymnasium.envs.toy_text", draws_with="pygame", to_draw="openenv-gym[classic]"),
    Family("Box2D", "gymnasium.envs.box2d", "Box2D", "openenv-gym[box2d]"),
    Family("MuJoCo", "gymnasium.envs.mujoco", "mujoco", "gymnasium[mujoco]"),
    Family("Classic control in JAX", "gymnasium.envs.phys2d", *_JAX),
    Family("Toy text in JAX", "gymnasium.envs.tabular", *_JAX),
    ATARI,
)
"""What Gymnasium itself registers, and the Atari games."""


def family_of(spec: EnvSpec) -> Family | None:
    """The family of an id; ``None`` if Gymnasium keeps the id only to say where it has gone."""
    entry_point = spec.entry_point
    module = entry_point.partition(":")[0] if isinstance(entry_point, str) else str(entry_point.__module__)
    if module == "gymnasium.envs":
        return None
    for family in FAMILIES:
        if family.modules is not None and f"{module}.".startswith(f"{family.modules}."):
            return family
    return Family(spec.namespace or module.partition(".")[0])


def load_plugin(env_id: str) -> None:
    """Import the well-known plug-in behind an id's namespace, if it has one.

    Raises:
        MissingExtra: if it is not installed.
    """
    if not env_id.startswith("ALE/"):
        return
    try:
        gymnasium.register_envs(importlib.import_module("ale_py"))
    except ImportError as error:
        raise MissingExtra(f"{env_id} needs ale_py: pip install '{ATARI.package}'", extra="atari") from error


def close_ids(env_id: str, count: int = 3) -> list[str]:
    """Registered ids that somebody may have meant, the likeliest first: other case, version, namespace.

    >>> close_ids("cartpole", 1)
    ['CartPole-v1']
    """
    asked = _VERSION.sub("", env_id).lower()
    ranked = []
    for spec in newest():
        name = _VERSION.sub("", spec.id).lower()
        likeness = max(_likeness(asked, name), _likeness(asked, name.rpartition("/")[2]))
        family = family_of(spec)
        if likeness >= _CLOSE and family is not None:
            ranked.append((-likeness, not family.installed, -(spec.version or 0), spec.id))
    return [env_id for *_, env_id in sorted(ranked)][:count]


def newest() -> list[EnvSpec]:
    """The newest version of each registered name."""
    specs = sorted(gymnasium.registry.values(), key=lambda spec: spec.version or 0)
    return list({(spec.namespace, spec.name): spec for spec in specs}.values())


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _is_there(module: str | None) -> bool:
    return module is None or find_spec(module) is not None
