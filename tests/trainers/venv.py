"""The virtual environment of the trainers that the development environment does without."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from benchmarks.peers import Peer

__all__ = ["TRAINERS", "trainers_python"]

ROOT = Path(__file__).parents[2]

with (ROOT / "pyproject.toml").open("rb") as project:
    # Of this package only what it needs; the package itself is the checkout's.
    _OURS = tuple(tomllib.load(project)["project"]["dependencies"])

TRAINERS = Peer(
    "trainers",
    "OPENENV_TRAINERS_PYTHON",
    (
        *_OURS,
        # Named as in pyproject.toml, or the newest comes.
        "torch==2.13.0",
        "torchrl==0.14.*",
        "tianshou==2.0.*",
        # The rest of Ray's extra `rllib`, which itself pins gymnasium==1.2.2.
        "ray==2.60.*",
        "dm-tree",
        "lz4",
        "ormsgpack",
        "pandas",
        "pyarrow",
        "scipy",
        "tensorboardX",
    ),
)


@cache
def trainers_python() -> Path:
    """Return an interpreter that has TorchRL, Tianshou and RLlib, and what this package needs."""
    return TRAINERS.python()
