"""What the package knows of environments that others serve: so far, hints about their spaces.

Data in files, read here and judged elsewhere. Imports only ``errors``, ``types`` and ``spaces``.
"""

from __future__ import annotations

from openenv_gym.catalogue.hints import read_hints, shipped_hints

__all__ = ["read_hints", "shipped_hints"]
