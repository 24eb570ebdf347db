"""Find the virtual environment of the stock peer, or build it once.

``OPENENV_STOCK_PYTHON`` names an interpreter that already has ``openenv`` and Gymnasium;
otherwise one is built under the user's cache and kept. This module imports the standard
library alone, so that tests may use it too.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

__all__ = ["STOCK_VERSION", "StockUnavailable", "stock_python"]

STOCK_VERSION = "0.10.0"
INTERPRETER_VARIABLE = "OPENENV_STOCK_PYTHON"
# msgspec is ours: there our own package is imported beside the peer's, to host its classes.
REQUIREMENTS = (f"openenv=={STOCK_VERSION}", "gymnasium>=1.2", "ale-py>=0.11", "msgspec>=0.19")
INSTALL_TIMEOUT = 900.0


class StockUnavailable(RuntimeError):
    """The stock peer's interpreter is neither named nor could be built."""


@cache
def stock_python() -> Path:
    """Return an interpreter that has the stock peer and can serve Gymnasium with it.

    The first call on a machine builds a virtual environment, which takes about a minute and
    needs a package index. Processes that ask at the same time wait for the one that builds.

    Raises:
        StockUnavailable: ``OPENENV_STOCK_PYTHON`` names no file, or the installation failed.
    """
    named = os.environ.get(INTERPRETER_VARIABLE)
    if named:
        return _checked(Path(named))
    home = _cache_home() / f"stock-{STOCK_VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.with_name(f"{home.name}.lock")):
        if not _is_built(home):
            _build(home)
    return home / "bin" / "python"


def _checked(python: Path) -> Path:
    if not python.is_file():
        raise StockUnavailable(
            f"{INTERPRETER_VARIABLE} names no file; point it at a python that has openenv=={STOCK_VERSION} "
            "and gymnasium, or unset it to have one built"
        )
    # Not resolved: a virtual environment is found by the symbolic link, not by what it points at.
    return python.absolute()


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


def _is_built(home: Path) -> bool:
    try:
        # exists() follows the link: the interpreter that it was built with may have been removed.
        return _marker(home).read_text() == "\n".join(REQUIREMENTS) and (home / "bin" / "python").exists()
    except OSError:
        return False


def _build(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)])
    _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *REQUIREMENTS])
    _marker(home).write_text("\n".join(REQUIREMENTS))


def _run(command: list[str]) -> None:
    try:
        subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=INSTALL_TIMEOUT
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stdout or b"").decode(errors="replace")[-2000:]
        raise StockUnavailable(
            f"could not build the stock peer's virtual environment; "
            f"install {' '.join(REQUIREMENTS)} yourself and set {INTERPRETER_VARIABLE}\n{said}"
        ) from error
