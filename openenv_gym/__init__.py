"""The bridge between Gymnasium and OpenEnv, both ways.

``serve_gym`` lifts an environment into an OpenEnv server; ``OpenEnvGym`` and ``OpenEnvVectorEnv``
wrap a server back into Gymnasium's interfaces. ``OpenEnvClient`` plays any server in OpenEnv's fields.
"""

from openenv_gym.client.asynchronous import AsyncClient
from openenv_gym.client.blocking import Client
from openenv_gym.envs.serve import create_app, serve_gym
from openenv_gym.envs.single import OpenEnvGym
from openenv_gym.envs.typed import OpenEnvClient
from openenv_gym.envs.vector import OpenEnvVectorEnv
from openenv_gym.errors import OpenEnvGymError
from openenv_gym.types import StepResult
from openenv_gym.version import __version__

__all__ = [
    "AsyncClient",
    "Client",
    "OpenEnvClient",
    "OpenEnvGym",
    "OpenEnvGymError",
    "OpenEnvVectorEnv",
    "StepResult",
    "__version__",
    "create_app",
    "serve_gym",
]
