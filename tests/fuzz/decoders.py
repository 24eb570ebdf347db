"""Fuzz both decoders, guided by coverage: ``python -m tests.fuzz.decoders --seconds 600 [native|json]``.

Atheris (libFuzzer for Python) mutates the messages of ``tests/wire/samples.py`` and keeps what reaches new
branches of this package. Where it is not installed, a virtual environment is built that has it, once. A
fault ends the run with 1, and the input that shows it is named: make a test of it.

200 seconds each on Python 3.11 with Atheris 3.0 were 259,000 inputs of the native decoder and 2.5 million of
the JSON one, at each end, without a fault.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from benchmarks.peers import Peer, PeerUnavailable

ROOT = Path(__file__).parents[2]
NAMES = ("native", "json")
LONGEST_INPUT = 4096
SLOW_SECONDS = 60
"""What one input may take; libFuzzer calls it a fault beyond. A machine that others use stalls for some."""
MEGABYTES = 1024
"""What the process may hold; libFuzzer calls it a fault beyond."""


def fuzzer() -> Peer:
    """The virtual environment that has Atheris, and what this package needs."""
    with (ROOT / "pyproject.toml").open("rb") as project:
        ours = tomllib.load(project)["project"]["dependencies"]
    return Peer("atheris-3", "OPENENV_ATHERIS_PYTHON", ("atheris>=3,<4", *ours))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz one decoder after the other, each in a process of its own; 1 when a fault was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.decoders", description=__doc__)
    parser.add_argument("which", nargs="?", choices=NAMES, help="by default both, one after the other")
    parser.add_argument("--seconds", type=int, default=300, help="for each, default 300")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations, default 1")
    parser.add_argument("--faults", type=Path, default=Path.cwd(), help="where inputs that show one are put")
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = NAMES if options.which is None else (options.which,)
    if options.corpus is not None:
        run(names[0], options.seconds, options.seed, options.faults, options.corpus)
    try:
        python = sys.executable if find_spec("atheris") else str(fuzzer().python())
    except PeerUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    said = ["--seconds", str(options.seconds), "--seed", str(options.seed)]
    said += ["--faults", str(options.faults.resolve())]
    failed = False
    for name in names:
        with tempfile.TemporaryDirectory() as corpus:  # the fuzzer ends its process, and leaves all behind
            command = [python, "-m", "tests.fuzz.decoders", name, *said, "--corpus", corpus]
            failed = subprocess.run(command, cwd=ROOT, check=False).returncode != 0 or failed
    return int(failed)


def run(name: str, seconds: int, seed: int, faults: Path, corpus: Path) -> NoReturn:
    """Fuzz in this process, and end it."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["openenv_gym.wire", "openenv_gym.spaces"]):
        from tests.fuzz.targets import TARGETS, recorded
    for number, message in enumerate(recorded(name)):
        (corpus / f"recorded-{number}").write_bytes(message)
    settings = {
        "max_total_time": seconds,
        "seed": seed,
        "max_len": LONGEST_INPUT,
        "timeout": SLOW_SECONDS,
        "rss_limit_mb": MEGABYTES,
        "artifact_prefix": f"{faults}/{name}-",
        "print_final_stats": 1,
    }
    words = [f"-{setting}={value}" for setting, value in settings.items()]
    atheris.Setup([f"tests.fuzz.{name}", *words, str(corpus)], TARGETS[name])
    atheris.Fuzz()
    raise SystemExit("the fuzzer came back, which it never does")


if __name__ == "__main__":
    sys.exit(main())
