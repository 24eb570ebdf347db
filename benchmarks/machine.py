"""Where and with what a benchmark ran: what a figure is worth nothing without."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.apart import ENVPOOL_VERSION
from benchmarks.stock.venv import STOCK_VERSION

__all__ = ["Machine"]

PACKAGES = (
    "openenv-gym",
    "gymnasium",
    "ale-py",
    "numpy",
    "msgspec",
    "websockets",
    "uvicorn",
    "uvloop",
    "fastapi",
    "pydantic",
    "stable-baselines3",
)


@dataclass(frozen=True)
class Machine:
    """Facts of the machine and of what is installed on it; no names, no paths."""

    cpu: str
    cores: int
    """Cores that this process may use."""
    load: float
    """Processes that were running or waiting to, over the last minute: others' work, before ours begins."""
    memory_gigabytes: float
    system: str
    python: str
    packages: dict[str, str]
    stock: str
    commit: str

    @classmethod
    def here(cls) -> Machine:
        """Look around."""
        return cls(
            cpu=_cpu_model(),
            cores=len(os.sched_getaffinity(0)),
            load=os.getloadavg()[0],
            memory_gigabytes=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            system=f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
            python=f"{platform.python_implementation()} {platform.python_version()}",
            packages={name: version for name in PACKAGES if (version := _version(name))}
            | {"envpool": ENVPOOL_VERSION},
            stock=f"openenv=={STOCK_VERSION}",
            commit=_commit(),
        )

    def __str__(self) -> str:
        """Put into a line what a reader of a figure asks first."""
        return f"{self.cpu}, {self.cores} cores, load {self.load:.1f}, {self.python}, commit {self.commit}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--tags", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10.0,
            check=False,
        )
    except OSError:
        return "unknown"
    return described.stdout.strip() or "none yet"
