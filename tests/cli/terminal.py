"""A real terminal with a command in it: a pseudo-terminal of 80 columns, and what it shows."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["COLUMNS", "COMMAND", "Terminal", "screen"]

COLUMNS, LINES = 80, 50
COMMAND = [sys.executable, "-m", "openenv_gym"]
_ROOT = Path(__file__).parents[2]
_SECONDS = 40.0
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_TOKEN = re.compile(
    r"(?P<style>\x1b\[[0-9;]*m)|\x1b\[(?P<count>\d*)(?P<move>[AKG])|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\].*?(?:\x07|\x1b\\)|(?P<text>.)",
    re.DOTALL,
)


class Terminal:
    """A command in a terminal of its own; a context manager that ends it.

    Args:
        command: to run.
        environment: variables beside the usual ones.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        look = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONWARNINGS": "ignore"}
        try:
            self.process = subprocess.Popen(
                command,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                cwd=_ROOT,
                env={**kept, **look, **(environment or {})},
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
            )
        finally:
            os.close(theirs)
        self.raw = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    def type(self, keys: str) -> None:
        """Press keys; Enter is part of them."""
        os.write(self._ours, keys.encode())

    def expect(self, said: str) -> str:
        """Wait until something is said, behind what was expected before; give back all from there to it.

        Where a line is broken does not matter.
        """
        wanted = re.compile(r"\s+".join(map(re.escape, said.split())) + r"\s" * said.endswith(" "))
        deadline = time.monotonic() + _SECONDS
        while True:
            plain = _STYLE.sub("", self.raw)
            if found := wanted.search(plain, self._seen):
                before, self._seen = plain[self._seen : found.start()], found.end()
                return before
            if not self._read(deadline):
                raise AssertionError(f"{said!r} was not said after:\n{plain[self._seen :]}")

    def end(self) -> int:
        """Wait until the command has ended; its exit code."""
        deadline = time.monotonic() + _SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 0.1))

    def leave(self, keys: str) -> int:
        """Press keys that end the command, again each second as a person does; its exit code.

        CPython's readline misses a Ctrl-C that comes between its prompt and its ``select``.
        """
        for _ in range(int(_SECONDS)):
            self.type(keys)
            soon = time.monotonic() + 1.0
            while self._read(soon):
                pass
            if time.monotonic() < soon:
                break
        return self.end()

    def _read(self, deadline: float) -> bool:
        if not select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))[0]:
            return False
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.raw += self._decode(data)
        return bool(data)


def screen(raw: str) -> str:
    """What a terminal has on its screen in the end, colours included: lines that were erased are gone."""
    lines: list[list[tuple[str, str]]] = [[]]
    row = column = 0
    style = ""
    for token in _TOKEN.finditer(raw):
        if token["style"]:
            style = "" if token["style"] in ("\x1b[0m", "\x1b[m") else style + token["style"]
        elif token["move"] == "A":
            row = max(row - int(token["count"] or 1), 0)
        elif token["move"] == "G":
            column = int(token["count"] or 1) - 1
        elif token["move"] == "K":
            lines[row] = [] if token["count"] == "2" else lines[row][:column]
        elif token["text"] == "\r":
            column = 0
        elif token["text"] == "\n":
            row, column = row + 1, 0
            lines += [[]] if row == len(lines) else []
        elif token["text"] == "\b":
            column = max(column - 1, 0)
        elif token["text"] and token["text"] >= " ":
            cells = lines[row]
            cells += [("", " ")] * (column + 1 - len(cells))
            cells[column] = (style, token["text"])
            column += 1
    return "\n".join(map(_line, lines)).rstrip("\n")


def _line(cells: list[tuple[str, str]]) -> str:
    parts = []
    for style, run in groupby(cells, key=lambda cell: cell[0]):
        text = "".join(letter for _, letter in run)
        parts.append(f"{style}{text}\x1b[0m" if style else text)
    return "".join(parts).rstrip()
