"""The checks, a module for each subject."""

from openenv_gym.testing.checks import (
    episodes,
    http,
    isolation,
    limits,
    native,
    parity,
    protocol,
    spaces,
)

__all__ = ["SUBJECTS"]

SUBJECTS = tuple(
    module.__name__.rpartition(".")[2]
    for module in (protocol, http, spaces, episodes, isolation, limits, native, parity)
)
"""What the checks are about, in the order in which they are asked."""
