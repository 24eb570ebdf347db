"""An application as the author of a typed environment writes it, for a web server to find."""

from __future__ import annotations

from openenv_gym import create_app
from tests.typed import Count, Counted, Counting

app = create_app(Counting, Count, Counted, env_name="counting", max_concurrent_envs=8)
