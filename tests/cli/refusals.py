"""How a command that cannot work ends, in this process: a start of Python for each takes a second."""

from __future__ import annotations

import sys

import pytest

from openenv_gym.cli import main

__all__ = ["assert_ends_in_one_line"]


def assert_ends_in_one_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with 1, says why on the error output, and nothing else."""
    monkeypatch.setattr(sys, "argv", ["openenv-gym", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert said in err and "Traceback" not in err
    assert err.startswith("openenv-gym: ") and out == ""
