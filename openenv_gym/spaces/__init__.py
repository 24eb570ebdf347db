"""Gymnasium spaces across a network, exact to the bit: schemas, layouts, rows, actions, plain data.

Pure: no input or output, no clock, no thread. Knows all of Gymnasium's own spaces, and texts of any
characters (:class:`OpenText`); a further one is a function registered in each of the modules, and until
then an :class:`~openenv_gym.errors.UnsupportedSpace`. Imports only ``errors`` and ``types``.
"""

from __future__ import annotations

from openenv_gym.spaces.actions import coerce, coerce_one, compile_iterator
from openenv_gym.spaces.breaches import breaches, breaches_of_answer
from openenv_gym.spaces.deviations import deviations
from openenv_gym.spaces.layout import Layout, Leaf, layout_of
from openenv_gym.spaces.open_text import OpenText
from openenv_gym.spaces.plain import from_plain, to_plain
from openenv_gym.spaces.plain_rows import INEXACT, compile_plain_reader, compile_plain_writer
from openenv_gym.spaces.ranges import compile_range_check
from openenv_gym.spaces.rows import (
    Kind,
    assign_rows,
    compile_reader,
    compile_writer,
    kinds_of,
    read_batch,
    write_batch,
)
from openenv_gym.spaces.sampling import legal_mask, sample_legal
from openenv_gym.spaces.schema import ELEMENT_LIMIT, from_schema, from_schemas, identical, to_schema
from openenv_gym.spaces.whole import compile_restorer, concatenated, same_value, split

__all__ = [
    "ELEMENT_LIMIT",
    "INEXACT",
    "Kind",
    "Layout",
    "Leaf",
    "OpenText",
    "assign_rows",
    "breaches",
    "breaches_of_answer",
    "coerce",
    "coerce_one",
    "compile_iterator",
    "compile_plain_reader",
    "compile_plain_writer",
    "compile_range_check",
    "compile_reader",
    "compile_restorer",
    "compile_writer",
    "concatenated",
    "deviations",
    "from_plain",
    "from_schema",
    "from_schemas",
    "identical",
    "kinds_of",
    "layout_of",
    "legal_mask",
    "read_batch",
    "same_value",
    "sample_legal",
    "split",
    "to_plain",
    "to_schema",
    "write_batch",
]
