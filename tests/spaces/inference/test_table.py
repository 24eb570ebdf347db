"""The table reads well at 80 to 100 columns, and says what is open and how to close it."""

from __future__ import annotations

import pytest

from openenv_gym.spaces.inference import infer
from tests.recorded import CAPTURES, recorded

CONNECT4 = """\
field            role         space                  evidence                confidence  override
---------------  -----------  ---------------------  ----------------------  ----------  -----------
action.metadata  setting      -                      left out                high        "decision"
action.column    decision     -                      number of actions       open        Discrete(n)
                                                     unknown; saw legal
                                                     actions up to 6
done             reward/done  -                      comes with each step    high        "numbers"
reward           reward/done  -                      comes with each step    high        "numbers"
metadata         bookkeeping  -                      by its name; holds      high        "numbers"
                                                     next_player
board            board        Box(-inf, inf, (6,     shape seen, bounds      low         Box
                              7), int64)             unknown
legal_actions    legal moves  -                      by its name; numbers    medium      "mask"
                                                     of actions
---------------  -----------  ---------------------  ----------------------  ----------  -----------
To override: pass hints={"<field>": ...} with what the last column names, or another space.
! action.column: number of actions unknown; saw legal actions up to 6; pass hints={"action.column":
  Discrete(n)}
"""


def test_the_table_of_connect_four_is_this_picture() -> None:
    assert f"{infer(recorded('connect4').evidence)}\n" == CONNECT4


@pytest.mark.parametrize("width", [80, 90, 100])
@pytest.mark.parametrize("name", CAPTURES)
def test_a_table_keeps_to_its_width_and_names_each_field(name: str, width: int) -> None:
    inference = infer(recorded(name).evidence)
    lines = inference.table(width).split("\n")
    assert max(map(len, lines)) <= width and not any(line.endswith(" ") for line in lines)
    first = "".join(line.split("  ")[0].strip() for line in lines[2:])
    assert all(row.path.removeprefix("observation.") in first for row in inference.fields)


def test_what_is_assumed_is_said_by_field() -> None:
    assert infer(recorded("grid_world").evidence).assumptions == (
        "observation.x: integer, bounds unknown",
        "observation.y: integer, bounds unknown",
    )
