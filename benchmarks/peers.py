"""Virtual environments of peers, whose packages must not meet ours: find one, or build it once.

A variable names an interpreter that already has what the peer needs; otherwise one is built under
the user's cache and kept. This module imports the standard library alone, so that tests may use it too.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peer", "PeerUnavailable"]

_INSTALL_TIMEOUT = 900.0


class PeerUnavailable(RuntimeError):
    """A peer's interpreter is neither named nor could be built."""


@dataclass(frozen=True)
class Peer:
    """Packages that live in a virtual environment of their own."""

    name: str
    """Of the folder below the cache; a version in it keeps two versions apart."""
    variable: str
    """Of the environment: an interpreter that has the requirements already."""
    requirements: tuple[str, ...]

    def python(self) -> Path:
        """Return an interpreter that has the requirements.

        The first call on a machine builds a virtual environment, which takes a minute or two and
        needs a package index. Processes that ask at the same time wait for the one that builds.

        Raises:
            PeerUnavailable: the variable names no file, or the installation failed.
        """
        named = os.environ.get(self.variable)
        if named:
            return self._checked(Path(named))
        home = _cache_home() / f"{self.name}-py{sys.version_info.major}.{sys.version_info.minor}"
        home.parent.mkdir(parents=True, exist_ok=True)
        with _locked(home.with_name(f"{home.name}.lock")):
            if not self._is_built(home):
                self._build(home)
        return home / "bin" / "python"

    def _checked(self, python: Path) -> Path:
        if not python.is_file():
            raise PeerUnavailable(
                f"{self.variable} names no file; point it at a python that has "
                f"{' '.join(self.requirements)}, or unset it to have one built"
            )
        # Not resolved: a virtual environment is found by the symbolic link, not by what it points at.
        return python.absolute()

    def _is_built(self, home: Path) -> bool:
        try:
            # exists() follows the link: the interpreter that it was built with may have been removed.
            return (
                _marker(home).read_text() == "\n".join(self.requirements)
                and (home / "bin" / "python").exists()
            )
        except OSError:
            return False

    def _build(self, home: Path) -> None:
        shutil.rmtree(home, ignore_errors=True)
        try:
            _run([sys.executable, "-m", "venv", str(home)])
            _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *self.requirements])
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = (error.stdout or b"").decode(errors="replace")[-2000:]
            raise PeerUnavailable(
                f"could not build the virtual environment {self.name}; "
                f"install {' '.join(self.requirements)} yourself and set {self.variable}\n{said}"
            ) from error
        _marker(home).write_text("\n".join(self.requirements))


def _cache_home() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "openenv-gym"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # flock and not the file's existence: the kernel lets go when a builder dies.
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _marker(home: Path) -> Path:
    return home / "requirements-installed.txt"


def _run(command: list[str]) -> None:
    subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_INSTALL_TIMEOUT
    )
