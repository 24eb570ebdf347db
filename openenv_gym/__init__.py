"""The bridge between Gymnasium and OpenEnv, both ways.

``serve_gym`` lifts an environment into an OpenEnv server; ``OpenEnvGym`` and ``OpenEnvVectorEnv``
wrap a server back into Gymnasium's interfaces, and so do the ids that importing this package registers,
``openenv/gym`` and others. ``OpenEnvPool`` gives lanes as they get ready, and ``OpenEnvVecEnv``
is a ``VecEnv`` of Stable-Baselines3, which it wants installed. ``OpenEnvClient`` plays any server in
OpenEnv's fields.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openenv_gym.envs.registration import register_ids
from openenv_gym.version import __version__

if TYPE_CHECKING:
    from openenv_gym.client.asynchronous import AsyncClient
    from openenv_gym.client.blocking import Client
    from openenv_gym.envs.pool import OpenEnvPool
    from openenv_gym.envs.sb3 import OpenEnvVecEnv as OpenEnvVecEnv
    from openenv_gym.envs.serve import create_app, serve_gym
    from openenv_gym.envs.single import OpenEnvGym
    from openenv_gym.envs.typed import OpenEnvClient
    from openenv_gym.envs.vector import OpenEnvVectorEnv
    from openenv_gym.errors import OpenEnvGymError
    from openenv_gym.types import StepResult

__all__ = [
    "AsyncClient",
    "Client",
    "OpenEnvClient",
    "OpenEnvGym",
    "OpenEnvGymError",
    "OpenEnvPool",
    "OpenEnvVectorEnv",
    "StepResult",
    "__version__",
    "create_app",
    "serve_gym",
]

_HOMES = {
    "AsyncClient": "openenv_gym.client.asynchronous",
    "Client": "openenv_gym.client.blocking",
    "OpenEnvClient": "openenv_gym.envs.typed",
    "OpenEnvGym": "openenv_gym.envs.single",
    "OpenEnvGymError": "openenv_gym.errors",
    "OpenEnvPool": "openenv_gym.envs.pool",
    # Not in __all__: it wants Stable-Baselines3, which `import *` must not.
    "OpenEnvVecEnv": "openenv_gym.envs.sb3",
    "OpenEnvVectorEnv": "openenv_gym.envs.vector",
    "StepResult": "openenv_gym.types",
    "create_app": "openenv_gym.envs.serve",
    "serve_gym": "openenv_gym.envs.serve",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: who only makes a registered id needs no other."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_ids()
