"""Spaces of servers that do not tell them, concluded from what they publish and answer.

Pure, on recorded JSON: :func:`infer` takes the :class:`Evidence` and gives an :class:`Inference`, each
conclusion with what it rests on. Imports only ``errors``, ``types`` and other modules of ``spaces``. From the
evidence to the spaces:

- ``nodes`` reads what a schema allows, ``roles`` says what a field is for, ``hints`` and ``shipped`` what
  others say
- ``readings`` and ``observations`` conclude what is observed; ``readers`` read it, ``legal`` the legal moves
- ``writings``, ``specs``, ``tools`` and ``actions`` conclude what is decided, and write it; ``limits`` holds
  hints against the schema
- ``flattening`` makes both flat, ``conclusions`` a table, ``inferring`` one thing of it all
"""

from __future__ import annotations

from openenv_gym.spaces.inference.conclusions import Conclusion, Confidence
from openenv_gym.spaces.inference.evidence import Evidence
from openenv_gym.spaces.inference.fingerprints import fingerprint
from openenv_gym.spaces.inference.inferring import Inference, infer
from openenv_gym.spaces.inference.roles import Role
from openenv_gym.spaces.inference.tools import calls_tools, listing_action, named_tools

__all__ = [
    "Conclusion",
    "Confidence",
    "Evidence",
    "Inference",
    "Role",
    "calls_tools",
    "fingerprint",
    "infer",
    "listing_action",
    "named_tools",
]
